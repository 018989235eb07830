/* prng.h - numbers from a seed, and files made of them. */
#ifndef XFER_TESTS_SIM_PRNG_H
#define XFER_TESTS_SIM_PRNG_H

#include <stddef.h>
#include <stdint.h>

struct prng {
    uint64_t state;
};

uint64_t prng_next(struct prng *r);
uint64_t prng_below(struct prng *r, uint64_t n);
double prng_unit(struct prng *r); /* in [0, 1) */

/* size bytes that depend on the seed: a piece of one buffer, which is the caller's to read only. */
const uint8_t *prng_content(uint64_t seed, size_t size);
/* Stands in for SHA-256: it is quick, and finds what chance does to a file. */
void prng_digest(const uint8_t *p, size_t n, uint8_t digest[32]);

#endif
