#include "histogram.h"

#include <stddef.h>

/* Bucket numbers: the first 128 values one by one, then 64 buckets for each doubling. */
static size_t bucket_of(uint64_t value)
{
    if (value < 2 * HISTOGRAM_LINEAR)
        return (size_t)value;
    unsigned shift = 57u - (unsigned)__builtin_clzll(value);
    size_t bucket = (size_t)shift * HISTOGRAM_LINEAR + (size_t)(value >> shift);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t end_of(size_t bucket)
{
    if (bucket < 2 * HISTOGRAM_LINEAR)
        return bucket;
    unsigned shift = (unsigned)(bucket / HISTOGRAM_LINEAR) - 1;
    return ((bucket - (uint64_t)shift * HISTOGRAM_LINEAR + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t nanoseconds)
{
    histogram->buckets[bucket_of(nanoseconds)]++;
    histogram->count++;
    if (nanoseconds > histogram->largest)
        histogram->largest = nanoseconds;
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t seen = 0, wanted = (uint64_t)((double)histogram->count * share + 0.5);
    for (size_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen && seen >= wanted)
            return end_of(bucket) < histogram->largest ? end_of(bucket) : histogram->largest;
    }
    return histogram->largest;
}
