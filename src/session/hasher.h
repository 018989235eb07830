/* hasher.h - SHA-256 in a thread of its own, for one large file: while it hashes a buffer, the
 * caller reads or writes the next.
 *
 * The buffers are the hasher's, but for the one that the caller fills. A buffer that was exchanged
 * is given out again only after everything in it has been hashed.
 */
#ifndef XFER_SESSION_HASHER_H
#define XFER_SESSION_HASHER_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

#define HASHER_BUFFERS 8

/* Smaller bodies are done before a thread has begun to help. */
#define HASHER_MIN (2 * 1024 * 1024)

struct hasher;

/* A thread that feeds d, with buffers of this size. NULL where it cannot help (one processor, no
 * memory, no thread): then hash inline. */
struct hasher *hasher_start(struct digest *d, size_t buffer_size);

/* Takes the caller's buffer and returns one of the same size that nobody needs any more, waiting
 * for it if need be. */
uint8_t *hasher_exchange(struct hasher *h, uint8_t *mine);

/* Hashes n bytes at p, in the caller's buffer of now, in the order of the calls. */
void hasher_feed(struct hasher *h, const uint8_t *p, size_t n);

/* Waits until all is hashed and ends the thread. The caller keeps the buffer that it has.
 * NULL-safe.
 */
void hasher_finish(struct hasher *h);

#endif
