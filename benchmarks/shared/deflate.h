/* What permessage-deflate (RFC 7692) does to a message, with no context taken over on either side. */
#ifndef BENCH_DEFLATE_H
#define BENCH_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

/* Stands in the offer and in the answer of both programs here. */
#define DEFLATE_EXTENSION "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

/* Compresses a message (section 7.2.1) into `out`, with the level and memory that are Fairway's defaults.
 * Returns its size in bytes, or dies if `capacity` is too small. */
size_t deflate_message(const uint8_t *text, size_t size, uint8_t *out, size_t capacity);

/* Decompresses a message (section 7.2.2) into `out`. Returns its size in bytes, or SIZE_MAX if it is no whole
 * message, or one of more than `capacity` bytes. */
size_t inflate_message(const uint8_t *data, size_t size, uint8_t *out, size_t capacity);

#endif
