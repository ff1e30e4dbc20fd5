/* Latencies counted in buckets that are at most 1.6 % wide, so that memory does not grow with the run. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_LINEAR = 64, HISTOGRAM_BUCKETS = 40 * HISTOGRAM_LINEAR };

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count, largest;
};

void histogram_add(struct histogram *histogram, uint64_t nanoseconds);

/* The upper end of the bucket below which `share` (0 to 1) of all values lie, in nanoseconds. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif
