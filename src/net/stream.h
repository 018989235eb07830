/* stream.h - one connected stream socket: buffered both ways, every wait under a deadline.
 *
 * Invariants
 *  - The socket is nonblocking; only stream_wait blocks, in poll.
 *  - Whoever waits to send also takes in what arrives (as far as the in-buffer has room), and
 * whoever waits for input also sends what is pending: two peers that both talk cannot deadlock.
 *  - Errors are sticky: after one, every call returns it.
 */
#ifndef XFER_NET_STREAM_H
#define XFER_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream {
    int fd, stop_fd; /* stop_fd -1: none */
    int err;         /* sticky, negative */
    bool eof;
    uint8_t *in, *out;
    size_t in_off, in_len, in_cap; /* unread bytes: in[in_off .. in_off + in_len) */
    size_t out_len, out_cap;
    /* Set while somebody still reads what was consumed: takes the in-buffer, returns another of the
     * same size. Then nothing is ever moved or received over bytes in the old one. */
    uint8_t *(*exchange)(void *arg, uint8_t *in);
    void *exchange_arg;
    int64_t idle;     /* ns that one wait may last until -ETIMEDOUT; 0: no limit */
    int64_t deadline; /* absolute; -XFER_EDEADLINE then. CLOCK_NEVER: none */
    uint64_t bytes_in, bytes_out;
    uint64_t min_rate, rate_mark; /* see stream_min_rate */
    int64_t rate_waited;
};

#define STREAM_RATE_WINDOW (INT64_C(20) * 1000000000)

/* Takes over fd. Allocates the buffers; -ENOMEM leaves fd open. */
int stream_init(struct stream *s, int fd, int stop_fd, size_t in_cap, size_t out_cap);
void stream_free(struct stream *s); /* closes; safe on a zeroed struct whose fd is -1 */

/* Waits until at least one more byte is in the in-buffer. 1; 0 at end of stream; negative error.
 * -XFER_ECANCELED when stop_fd is readable. With the in-buffer full returns 1 at once. */
int stream_fill(struct stream *s);
/* Takes what has arrived, without waiting. Negative error or 0. */
int stream_pull(struct stream *s);

/* A line (without LF) of at most max bytes. 1 with line and n (valid until the next call on s, and
 * already consumed); 0 at a clean end of stream; -XFER_ETOOLONG; -XFER_ELOST when the stream ends
 * inside a line. */
int stream_line(struct stream *s, size_t max, const char **line, size_t *n);
/* The same without waiting: 0 when no whole line is there yet. */
int stream_try_line(struct stream *s, size_t max, const char **line, size_t *n);

/* Up to max bytes of input, waiting for at least one: a span into the in-buffer, consumed by the
 * next call. > 0, 0 at end of stream, negative error. */
long stream_span(struct stream *s, size_t max, const uint8_t **p);

/* From now on, -ETIMEDOUT when less than this arrives on average over STREAM_RATE_WINDOW of waiting
 * for input. 0: no such limit. */
void stream_min_rate(struct stream *s, uint64_t bytes_per_second);

/* Queues; sends when the out-buffer is full. Large pieces go out from the caller's memory. */
int stream_write(struct stream *s, const void *p, size_t n);
int stream_flush(struct stream *s);

/* Whether something that was read is not consumed yet. */
static inline bool stream_has_input(const struct stream *s)
{
    return s->in_len > 0;
}

#endif
