#include "frame.h"

#include <string.h>

enum { FIN = 0x80, RESERVED = 0x70, MASKED = 0x80, LENGTH_16_BIT = 126, LENGTH_64_BIT = 127 };

static bool known(unsigned opcode)
{
    return opcode == OPCODE_TEXT || opcode == OPCODE_BINARY || opcode == OPCODE_CLOSE ||
           opcode == OPCODE_PING || opcode == OPCODE_PONG;
}

enum frame_status frame_parse(const uint8_t *data, size_t size, struct frame *frame)
{
    if (size < 2)
        return FRAME_INCOMPLETE;
    unsigned opcode = data[0] & 0x0F;
    if (!(data[0] & FIN) || (data[0] & RESERVED & ~FRAME_COMPRESSED) || !known(opcode))
        return FRAME_ILLEGAL;
    bool masked = data[1] & MASKED;
    size_t length = data[1] & 0x7F, header = 2;
    if (length == LENGTH_64_BIT)
        return FRAME_ILLEGAL;
    if (length == LENGTH_16_BIT) {
        if (size < 4)
            return FRAME_INCOMPLETE;
        length = (size_t)data[2] << 8 | data[3];
        header = 4;
    }
    size_t key = header;
    if (masked)
        header += 4;
    if (size < header + length)
        return FRAME_INCOMPLETE;
    frame->opcode = (enum opcode)opcode;
    frame->masked = masked;
    frame->compressed = data[0] & FRAME_COMPRESSED;
    if (masked)
        memcpy(frame->key, data + key, 4);
    frame->header = header;
    frame->length = length;
    return FRAME_COMPLETE;
}

size_t frame_build(uint8_t *out, unsigned kind, const uint8_t *payload, size_t length,
                   const uint8_t key[4])
{
    size_t header = 2;
    out[0] = (uint8_t)(FIN | kind);
    if (length < LENGTH_16_BIT) {
        out[1] = (uint8_t)length;
    } else {
        out[1] = LENGTH_16_BIT;
        out[2] = (uint8_t)(length >> 8);
        out[3] = (uint8_t)length;
        header = 4;
    }
    if (key) {
        out[1] |= MASKED;
        memcpy(out + header, key, 4);
        header += 4;
    }
    if (length)
        memcpy(out + header, payload, length);
    if (key)
        frame_mask(out + header, length, key);
    return header + length;
}

void frame_mask(uint8_t *data, size_t length, const uint8_t key[4])
{
    uint32_t key32;
    memcpy(&key32, key, 4);
    uint64_t key64 = (uint64_t)key32 << 32 | key32, word;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        memcpy(&word, data + i, 8);
        word ^= key64;
        memcpy(data + i, &word, 8);
    }
    for (; i < length; i++)
        data[i] ^= key[i & 3];
}
