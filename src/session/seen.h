/* seen.h - a growing set of 64-bit keys: 16 bytes an element, so that a million names fit anywhere.
 */
#ifndef XFER_SESSION_SEEN_H
#define XFER_SESSION_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen {
    uint64_t *slot; /* 0: empty */
    size_t n, cap;  /* cap is 0 or a power of two, at least twice n */
};

/* A key of some bytes, never 0. By a cryptographic hash: a peer cannot make names collide. */
uint64_t seen_key(const void *p, size_t n);
bool seen_has(const struct seen *s, uint64_t key);
/* 1 when it is new, 0 when it was there, -ENOMEM. */
int seen_add(struct seen *s, uint64_t key);
void seen_free(struct seen *s);

#endif
