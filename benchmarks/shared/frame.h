/* WebSocket frames (RFC 6455 section 5.2), as far as a benchmark needs them.
 *
 * Only what both programs here send: whole messages (FIN set) of at most FRAME_PAYLOAD_MAX bytes, with no
 * extension but permessage-deflate. Everything else is FRAME_ILLEGAL, so a server that fragments is found out
 * rather than measured; whether it was asked to compress, the caller knows.
 */
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opcode {
    OPCODE_TEXT = 0x1,
    OPCODE_BINARY = 0x2,
    OPCODE_CLOSE = 0x8,
    OPCODE_PING = 0x9,
    OPCODE_PONG = 0xA,
};

enum {
    FRAME_PAYLOAD_MAX = 65535,
    FRAME_HEADER_MAX = 8, /* 2 bytes, 16-bit length, masking key */
    FRAME_MAX = FRAME_PAYLOAD_MAX + FRAME_HEADER_MAX,
    FRAME_COMPRESSED = 0x40, /* RSV1 (RFC 7692 section 6) */
};

enum frame_status { FRAME_COMPLETE, FRAME_INCOMPLETE, FRAME_ILLEGAL };

struct frame {
    enum opcode opcode;
    bool masked, compressed;
    uint8_t key[4];
    size_t header; /* bytes before the payload */
    size_t length; /* bytes of payload */
};

/* Reads the frame at the start of `data`; fills `frame` only for FRAME_COMPLETE. */
enum frame_status frame_parse(const uint8_t *data, size_t size, struct frame *frame);

/* Writes a whole frame to `out` (room for FRAME_MAX bytes); masks the copy if `key` is not NULL. `kind` is
 * the opcode, with FRAME_COMPRESSED if the payload is. Returns the frame's size in bytes. */
size_t frame_build(uint8_t *out, unsigned kind, const uint8_t *payload, size_t length,
                   const uint8_t key[4]);

/* Masks or unmasks in place (section 5.3). */
void frame_mask(uint8_t *data, size_t length, const uint8_t key[4]);

#endif
