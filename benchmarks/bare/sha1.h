/* SHA-1 (FIPS 180-4) and base64 of its digest: what Sec-WebSocket-Accept is made of. */
#ifndef BENCH_SHA1_H
#define BENCH_SHA1_H

#include <stddef.h>

enum { SHA1_BASE64_SIZE = 29 }; /* 28 characters and the final zero */

/* `size` must be at most 119 bytes (two blocks with padding). */
void sha1_base64(const char *text, size_t size, char out[SHA1_BASE64_SIZE]);

#endif
