#include "config.h"

#include "prng.h"

#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define CONTENT_STARTS 4096

uint64_t prng_next(struct prng *r)
{
    uint64_t v = r->state += UINT64_C(0x9e3779b97f4a7c15);

    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

uint64_t prng_below(struct prng *r, uint64_t n)
{
    return prng_next(r) % n;
}

double prng_unit(struct prng *r)
{
    return (double)(prng_next(r) >> 11) / 9007199254740992.0;
}

const uint8_t *prng_content(uint64_t seed, size_t size)
{
    static uint8_t content[SIM_FILE_MAX + CONTENT_STARTS];
    static int made;

    if (size > SIM_FILE_MAX)
        abort();
    for (struct prng r = {7}; !made; made = 1)
        for (size_t i = 0; i < sizeof content; i++)
            content[i] = (uint8_t)prng_next(&r);
    return content + seed % CONTENT_STARTS;
}

void prng_digest(const uint8_t *p, size_t n, uint8_t digest[32])
{
    struct prng r = {n};

    for (; n >= sizeof(uint64_t); n -= sizeof(uint64_t), p += sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, p, sizeof word);
        r.state = (r.state ^ word) * UINT64_C(0xff51afd7ed558ccd);
        r.state ^= r.state >> 32;
    }
    for (; n > 0; n--)
        r.state = prng_next(&r) ^ *p++;
    for (size_t i = 0; i < 32; i += sizeof(uint64_t)) {
        uint64_t word = prng_next(&r);

        memcpy(digest + i, &word, sizeof word);
    }
}
