/* chan_fixture.h - a channel, and the other end of its socket in the test's hand. */
#ifndef XFER_TESTS_CHAN_FIXTURE_H
#define XFER_TESTS_CHAN_FIXTURE_H

#include <pthread.h>

#include "session/chan.h"

struct ends {
    struct chan ch;
    int peer;           /* -1: hung up */
    pthread_t listener; /* reads all that comes to the peer, so that nobody waits for it */
    char *heard;
    size_t n_heard;
};

void ends_open(struct ends *e, int stop_fd); /* with a deadline, so that no test hangs */
void ends_close(struct ends *e);
void ends_hang_up(struct ends *e);

/* What the peer sends: text, or n bytes. They fail the test themselves. */
void peer_says(struct ends *e, const char *text);
void peer_sends(struct ends *e, const void *p, size_t n);
/* Flushes, and tells all that came to the peer, as text. The channel sends no more after this. */
const char *peer_heard(struct ends *e, size_t *n);

#endif
