/* tally.h - what a client call has come to so far, and the one place that tells its caller.
 * Thread-safe. */
#ifndef XFER_SESSION_TALLY_H
#define XFER_SESSION_TALLY_H

#include <pthread.h>

#include "xfer.h"

struct tcp_facts;

struct tally {
    pthread_mutex_t mutex;
    const struct xfer_net_opts *o;
    struct xfer_totals t;
    int err; /* of everything so far, folded by err_merge */
    int64_t began, shown_at;
    uint64_t bytes_done, bytes_total, files_total;
    uint64_t special; /* special files that were skipped and count as a failure */
};

void tally_init(struct tally *t, const struct xfer_net_opts *o);
/* Copies the totals out and returns the error of the whole. */
int tally_finish(struct tally *t, struct xfer_totals *ret);

/* Counts a finished file by its outcome, folds its error and passes the event on. */
void tally_file(struct tally *t, struct xfer_event *ev);
void tally_entry(struct tally *t, const struct xfer_event *ev);
/* An error of no single file. */
void tally_fail(struct tally *t, const char *name, int err, const char *text);
void tally_note(struct tally *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void tally_warn(struct tally *t, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void tally_dir(struct tally *t);
/* What the kernel counted on a connection that ends. */
void tally_tcp(struct tally *t, const struct tcp_facts *f);
void tally_udp(struct tally *t, const struct xfer_udp_facts *f);
void tally_retry(struct tally *t);

/* More work became known. */
void tally_expect(struct tally *t, uint64_t files, uint64_t bytes);
/* n bytes moved (wire: over the network, else found here already). Shows progress now and then. */
void tally_moved(struct tally *t, uint64_t n, bool wire);
/* Takes back bytes that have to be moved again. */
void tally_unmoved(struct tally *t, uint64_t n);

#endif
