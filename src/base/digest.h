/* digest.h - SHA-256, the only place that hashes with OpenSSL. */
#ifndef XFER_BASE_DIGEST_H
#define XFER_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEN 32
#define DIGEST_HEX 64

struct digest; /* a running hash */

struct digest *digest_new(void); /* NULL without memory */
void digest_free(struct digest *d);
void digest_reset(struct digest *d);
void digest_update(struct digest *d, const void *p, size_t n);
/* The digest of everything so far; the running hash goes on as if not asked. False, and all zeros,
 * when memory ran out since the last reset: say so where a wrong digest would be told or kept. */
bool digest_peek(const struct digest *d, uint8_t out[DIGEST_LEN]);
/* One buffer at once. */
void digest_of(const void *p, size_t n, uint8_t out[DIGEST_LEN]);
/* Frees what OpenSSL keeps for the calling thread; for threads that end. */
void digest_thread_done(void);
/* 64 lower case hex digits and a NUL. */
void digest_hex(const uint8_t d[DIGEST_LEN], char out[DIGEST_HEX + 1]);

#endif
