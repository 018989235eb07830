/* theory.h - what the textbook says a transfer takes. Pure: of the settings alone, never of
 * a measurement.
 *
 * R is the round trip, s the time to send one packet of data with its headers, N the number of
 * blocks, q = 1 - (1 - p)^(fragments + 1) the chance that an exchange fails:
 *   stop-and-wait    N (R + s + s_ack + RTO q / (1 - 2q))
 *   window W         the larger of ceil(N/W) R + N s and N (max(R/W, s) + p R)
 *   TCP              R + slow start's idle time + bytes at the line's rate + R
 *   TCP with loss    not before bytes / (1.22 MSS / (R sqrt(p))), Mathis et al. 1997; not for bbr
 */
#ifndef XFER_COMPARE_THEORY_H
#define XFER_COMPARE_THEORY_H

#include "compare/compare.h"

/* The way that the data takes, and the one of its acknowledgments. */
struct theory_path {
    double rtt;
    double rate, ack_rate; /* bits a second; 0: serialization takes no time */
    double loss, ack_loss;
    double spread; /* of the round trip, from jitter: what the timeout allows for */
    unsigned mtu;
};

struct theory_path theory_path(const struct compare_link *l, enum compare_direction direction);

uint64_t theory_blocks(uint64_t bytes, unsigned blksize);
/* Seconds of one exchange of DATA and ACK, nothing lost. */
double theory_exchange(const struct theory_path *p, unsigned blksize);

/* Seconds until the last byte; NAN where no textbook has an answer (half of the exchanges fail). */
double theory_stop_and_wait(const struct theory_path *p, uint64_t bytes, unsigned blksize);
double theory_window(const struct theory_path *p, uint64_t bytes, unsigned blksize,
                     unsigned window);
/* Loss-free. `after`: what comes after the last byte has left, R/2 at the receiver, R at a client
 * that waits for the word "verified" or began by asking. NAN without a rate. */
double theory_tcp(const struct theory_path *p, uint64_t bytes, unsigned streams, double after);
double theory_mathis(const struct theory_path *p, uint64_t bytes, unsigned streams);

/* Of a method on a link, as its client sees it. congestion: what it will run, "" not known (taken
 * for one that is based on loss). NAN: none. direction is PUT or GET. */
double theory_seconds(const struct compare_link *l, const struct compare_method *m,
                      const char *congestion, enum compare_direction direction, uint64_t bytes);

/* The most of `bytes` that is predicted to take no longer than `seconds`, whole blocks, at least
 * one packet; bytes where there is no prediction. */
uint64_t theory_fits(const struct compare_link *l, const struct compare_method *m,
                     const char *congestion, enum compare_direction direction, uint64_t bytes,
                     double seconds);

#endif
