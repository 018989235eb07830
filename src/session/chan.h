/* chan.h - a stream that speaks XFER/1: messages in and out, payload counted. */
#ifndef XFER_SESSION_CHAN_H
#define XFER_SESSION_CHAN_H

#include "base/digest.h"
#include "net/stream.h"
#include "wire/wire.h"

#define CHAN_IN_CAP (128 * 1024)
#define CHAN_OUT_CAP (64 * 1024)
#define CHAN_SCRATCH (128 * 1024)
/* Silence is not death: whoever computes for long says so this often (ns). */
#define CHAN_KEEPALIVE (INT64_C(5) * 1000000000)

struct chan {
    struct stream s;
    uint64_t body_left; /* payload of the last DATA that nobody has taken yet */
    uint8_t *scratch;   /* see chan_scratch */
    /* A line may end in check=: the first 8 digits of the SHA-256 of all before it. A damaged line
     * is -XFER_EINTEGRITY, and sticky; so is one without a check after one that had it. */
    bool checks;          /* our lines have it: a client's always, a server's where the hello had */
    bool checked;         /* the peer's lines have it */
    struct digest *lines; /* for that */
};

/* Takes over a connected socket; -ENOMEM leaves it open. */
int chan_init(struct chan *ch, int fd, int stop_fd);
void chan_free(struct chan *ch); /* closes; may be called again */

/* CHAN_SCRATCH bytes to read files into, kept for the life of the channel. NULL without memory. */
uint8_t *chan_scratch(struct chan *ch);

/* The next message. Payload that was left untaken is skipped by its count first. 1; 0 at a clean
 * end of stream; negative: -XFER_EPROTO, -XFER_ETOOLONG and -XFER_ENAME are the peer's fault and
 * end the connection (nobody knows whether a body follows). */
int chan_recv(struct chan *ch, struct wire_msg *m);

/* The same where the stream must not end yet: an end is -XFER_ELOST, and sticky. 1 or negative. */
int chan_expect(struct chan *ch, struct wire_msg *m);

/* The same without waiting: 0 when no whole message has arrived. Not inside a body. */
int chan_try_recv(struct chan *ch, struct wire_msg *m);

/* Payload of the DATA that chan_recv returned: a span of at most what is left, valid until the next
 * call. > 0, 0 when the DATA is used up, negative error (-XFER_ELOST when the stream ended in it).
 */
long chan_payload(struct chan *ch, const uint8_t **p);

/* Queues one message. */
int chan_send(struct chan *ch, const struct wire_msg *m);

/* Queues a bare reply (below 400). */
int chan_reply(struct chan *ch, unsigned code);

/* Queues an error reply, or ABORT where `abort` is set; text may be NULL: the error's own. */
int chan_refuse(struct chan *ch, bool abort, int err, const char *text);

/* Queues DATA with its payload. n <= WIRE_DATA_MAX. */
int chan_send_data(struct chan *ch, const void *p, size_t n);

#endif
