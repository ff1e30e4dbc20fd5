#include "deflate.h"

#include <string.h>
#include <zlib.h>

#include "common.h"
#include "frame.h"

enum { LEVEL = 1, WINDOW_BITS = 15, MEMORY_LEVEL = 5 };

/* Every flush ends with these four bytes, which are not sent (section 7.2.1). */
static const uint8_t tail[4] = {0x00, 0x00, 0xFF, 0xFF};

size_t deflate_message(const uint8_t *text, size_t size, uint8_t *out, size_t capacity)
{
    static z_stream stream;
    if (!stream.state &&
        deflateInit2(&stream, LEVEL, Z_DEFLATED, -WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        die("zlib cannot compress");
    stream.next_in = (uint8_t *)(uintptr_t)text; /* zlib does not write to it */
    stream.avail_in = (uInt)size;
    stream.next_out = out;
    stream.avail_out = (uInt)capacity;
    /* A full flush makes it forget what it has seen. Room must be left, or the flush is not whole. */
    if (deflate(&stream, Z_FULL_FLUSH) != Z_OK || stream.avail_in || !stream.avail_out)
        die("a message of %zu bytes does not compress into %zu", size, capacity);
    size_t made = capacity - stream.avail_out;
    return made - sizeof tail;
}

size_t inflate_message(const uint8_t *data, size_t size, uint8_t *out, size_t capacity)
{
    static uint8_t whole[FRAME_PAYLOAD_MAX + sizeof tail];
    static z_stream stream;
    if (!stream.state && inflateInit2(&stream, -WINDOW_BITS) != Z_OK)
        die("zlib cannot decompress");
    if (size > FRAME_PAYLOAD_MAX || inflateReset(&stream) != Z_OK)
        return SIZE_MAX;
    memcpy(whole, data, size);
    memcpy(whole + size, tail, sizeof tail);
    stream.next_in = whole;
    stream.avail_in = (uInt)(size + sizeof tail);
    stream.next_out = out;
    stream.avail_out = (uInt)capacity;
    int status = inflate(&stream, Z_SYNC_FLUSH);
    if ((status != Z_OK && status != Z_BUF_ERROR) || stream.avail_in)
        return SIZE_MAX;
    return capacity - stream.avail_out;
}
