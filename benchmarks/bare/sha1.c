#include "sha1.h"

#include <stdint.h>
#include <string.h>

enum { BLOCK = 64, DIGEST = 20 };

static uint32_t rotate(uint32_t value, unsigned bits)
{
    return value << bits | value >> (32 - bits);
}

/* FIPS 180-4 section 6.1.2. */
static void add_block(uint32_t hash[5], const uint8_t block[BLOCK])
{
    uint32_t w[80];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
               (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (int t = 16; t < 80; t++)
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
    for (int t = 0; t < 80; t++) {
        uint32_t f, k;
        if (t < 20)
            f = (b & c) | (~b & d), k = 0x5A827999;
        else if (t < 40)
            f = b ^ c ^ d, k = 0x6ED9EBA1;
        else if (t < 60)
            f = (b & c) | (b & d) | (c & d), k = 0x8F1BBCDC;
        else
            f = b ^ c ^ d, k = 0xCA62C1D6;
        uint32_t next = rotate(a, 5) + f + e + k + w[t];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    hash[0] += a;
    hash[1] += b;
    hash[2] += c;
    hash[3] += d;
    hash[4] += e;
}

/* RFC 4648 section 4; 20 bytes give 27 characters and one "=". */
static void base64(const uint8_t digest[DIGEST], char out[SHA1_BASE64_SIZE])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t bytes[DIGEST + 1] = {0};
    memcpy(bytes, digest, DIGEST);
    for (int i = 0, o = 0; i < DIGEST; i += 3, o += 4) {
        uint32_t three = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        for (int j = 0; j < 4; j++)
            out[o + j] = alphabet[three >> (18 - 6 * j) & 63];
    }
    out[27] = '=';
    out[28] = '\0';
}

void sha1_base64(const char *text, size_t size, char out[SHA1_BASE64_SIZE])
{
    uint32_t hash[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint8_t padded[2 * BLOCK] = {0}, digest[DIGEST];
    size_t blocks = size + 9 <= BLOCK ? 1 : 2;
    memcpy(padded, text, size);
    padded[size] = 0x80;
    for (int i = 0; i < 4; i++)
        padded[blocks * BLOCK - 1 - (size_t)i] = (uint8_t)(size * 8 >> (8 * i));
    for (size_t block = 0; block < blocks; block++)
        add_block(hash, padded + block * BLOCK);
    for (int i = 0; i < DIGEST; i++)
        digest[i] = (uint8_t)(hash[i / 4] >> (24 - 8 * (i % 4)));
    base64(digest, out);
}
