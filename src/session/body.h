/* body.h - file bytes across a channel, hashed on the fly: one sender and one receiver for both
 * ends.
 *
 * Reading, hashing and sending overlap: through the kernel, whose socket buffers drain and fill
 * while this thread works, and in large bodies by a thread that does nothing but hash (hasher.h).
 * Chunks stay in the L2 cache (docs/decisions/004).
 */
#ifndef XFER_SESSION_BODY_H
#define XFER_SESSION_BODY_H

#include <sys/stat.h>

#include "base/digest.h"
#include "session/chan.h"

#define BODY_TO_END UINT64_MAX

/* Called after n more bytes were moved (n may be 0: time passes). A negative return ends the
 * transfer: the sender says ABORT with it. */
typedef int (*body_tick)(void *arg, uint64_t n);

struct body_send {
    int fd;
    const struct stat *before; /* fstat when the file was opened; NULL: a pipe, no version check */
    uint64_t offset;           /* of the first byte; ignored for a pipe */
    uint64_t length;           /* at most; BODY_TO_END: up to the end of the file */
    size_t chunk;              /* at most so many bytes a DATA; 0: as suits */
    struct digest *digest;     /* takes the bytes sent; NULL: digest known, send without hashing */
    body_tick tick;            /* may be NULL */
    void *arg;
    uint64_t sent; /* result */
};

/* Sends DATA... and nothing else: the caller adds END. 0; on a failure of the source or of tick
 * ABORT was queued and the error is returned with *aborted set; an error of the connection is
 * returned with *aborted clear. */
int body_send(struct chan *ch, struct body_send *b, bool *aborted);

struct body_recv {
    int (*write)(void *arg, const void *p, size_t n); /* where the bytes go */
    void *write_arg;
    struct digest *digest; /* takes what was written (and, when write fails, what was not) */
    body_tick tick;        /* may be NULL */
    void *arg;
    uint64_t received; /* result: bytes written */
    bool local;        /* result: the error is ours (write or tick), the peer still sends */
    char text[WIRE_TEXT_MAX + 1]; /* result: what the peer said with ABORT, else "" */
};

/* Receives up to END, which is left in *end. 0; the peer's ABORT as its error; an error of write or
 * tick with b->local set (the rest of the body is still to come); an error of the connection. */
int body_recv(struct chan *ch, struct body_recv *b, struct wire_msg *end);

/* Whether the END of an upload has the digest and, where it tells one, the size of what came: 0
 * with the digest, -XFER_EINTEGRITY, -ENOMEM. */
int body_check_end(const struct wire_msg *end, struct digest *d, uint64_t size,
                   uint8_t sum[DIGEST_LEN]);

/* Throws away what is left of a body, up to its END or ABORT. -XFER_ETOOLONG when there was more
 * than max. */
int body_discard(struct chan *ch, uint64_t max);

/* Feeds the first n bytes of a file (BODY_TO_END: all) to a digest, calling tick(arg, 0) now and
 * then so that it can say that we are alive. -XFER_ECHANGED when the file is shorter. ch lends its
 * scratch buffer only. */
int body_hash(struct chan *ch, int fd, uint64_t n, struct digest *d, body_tick tick, void *arg);

#endif
