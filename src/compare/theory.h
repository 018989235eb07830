/* theory.h - what the textbook says a transfer takes. Pure: of the settings alone, never of
 * a measurement.
 *
 * R is the round trip, s the time to send one packet of data with its headers, N the number of
 * blocks, p the chance that a block or one of its fragments is lost, q that a block or its
 * acknowledgment is:
 *   any over UDP     R for the request and its answer, before
 *   stop-and-wait    N (R + s + s_ack + RTO q (1 - q) / (1 - 4q + 2qq))
 *   window W         N/W, rounded up, (R + s_ack) + N s; with loss go-back-N's mean flight
 *   TCP              R + slow start's idle time + bytes at the line's rate + R
 *   TCP with loss    the saw-tooth of Mathis et al. 1997, begun by slow start: a loss every 1/p
 *                    segments, or where a flight is more than the queue holds; its mean is
 *                    1.22 MSS / (R sqrt(p)); not for bbr
 * Without Karn's rule, RFC 6298, 3, what stop-and-wait waits for would be RTO q / (1 - 2q).
 */
#ifndef XFER_COMPARE_THEORY_H
#define XFER_COMPARE_THEORY_H

#include "compare/compare.h"

#define THEORY_IP_HEADER 20
#define THEORY_TCP_INITIAL 10 /* segments, RFC 6928 */
/* Above, a timeout doubles faster than luck returns, and no mean exists: 1 - 4q + 2qq is 0 at
 * 0.293. */
#define THEORY_LOSS_MAX 0.28

/* The way that the data takes, and the one of its acknowledgments. */
struct theory_path {
    bool get;
    double rtt;
    double rate, ack_rate; /* bits a second; 0: serialization takes no time */
    double loss, ack_loss;
    double spread; /* of the round trip, from jitter: what the timeout allows for */
    double queue;  /* bytes */
    unsigned mtu;
};

struct theory_path theory_path(const struct compare_link *l, enum compare_direction direction);

uint64_t theory_blocks(uint64_t bytes, unsigned blksize);
/* Seconds of one exchange of DATA and ACK, nothing lost. */
double theory_exchange(const struct theory_path *p, unsigned blksize);
/* Whether a window is more than the queue takes at once: then each one overflows it. */
bool theory_overflows(const struct theory_path *p, unsigned blksize, unsigned window);

/* Seconds until the last byte; NAN where no textbook has an answer: too much is lost, or a window
 * overflows the queue. */
double theory_stop_and_wait(const struct theory_path *p, uint64_t bytes, unsigned blksize);
double theory_window(const struct theory_path *p, uint64_t bytes, unsigned blksize,
                     unsigned window);
/* Loss-free. `after`: what comes after the last byte has left, R/2 at the receiver, R at a client
 * that waits for the word "verified" or began by asking. NAN without a rate. */
double theory_tcp(const struct theory_path *p, uint64_t bytes, unsigned streams, double after);
double theory_mathis(const struct theory_path *p, uint64_t bytes, unsigned streams);
/* Of a congestion control that is based on loss. */
struct theory_aimd {
    double more, less; /* segments that a window gains in a round trip; what a loss leaves of it */
};
double theory_tcp_loss(const struct theory_path *p, uint64_t bytes, unsigned streams,
                       const struct theory_aimd *aimd);

/* Of a method on a link, as its client sees it. congestion: the kernel's default, which counts
 * where the method names none; "" not known (taken for one that is based on loss). NAN: none.
 * direction is PUT or GET. */
double theory_seconds(const struct compare_link *l, const struct compare_method *m,
                      const char *congestion, enum compare_direction direction, uint64_t bytes);

/* What to plan for: theory_seconds, or where a window overflows the queue a second for each queue's
 * worth, since its end is mostly noticed by a timeout. NAN: not known. */
double theory_allow(const struct compare_link *l, const struct compare_method *m,
                    const char *congestion, enum compare_direction direction, uint64_t bytes);

/* The most of `bytes` that is planned to take no longer than `seconds`, whole blocks, at least
 * one packet; bytes where there is no plan. */
uint64_t theory_fits(const struct compare_link *l, const struct compare_method *m,
                     const char *congestion, enum compare_direction direction, uint64_t bytes,
                     double seconds);

/* Seconds on the line; 0 without a rate. */
static inline double theory_serialize(double bytes, double rate)
{
    return rate > 0 ? 8 * bytes / rate : 0;
}

#endif
