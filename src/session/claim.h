/* claim.h - who writes which part: the same client may take over from its own half-open connection.
 */
#ifndef XFER_SESSION_CLAIM_H
#define XFER_SESSION_CLAIM_H

#include <pthread.h>

#include "base/path.h"
#include <stdint.h>

struct claim {
    struct claim *next;
    uint8_t id[16];
    struct path path;
    int fd; /* the socket of the connection that writes it */
};

struct claims {
    pthread_mutex_t mutex;
    pthread_cond_t dropped;
    struct claim *first; /* mutex */
};

void claims_init(struct claims *cs);
void claims_destroy(struct claims *cs);

/* Claims a part. An older connection with the same id is shut down first and given 5 s to leave;
 * then -XFER_EBUSY. c stays the caller's and must live until claim_drop. */
int claim_take(struct claims *cs, struct claim *c);
void claim_drop(struct claims *cs, struct claim *c);

#endif
