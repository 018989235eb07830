/* put_query.h - asks about many targets in one round trip: which of them need not be sent at all.
 */
#ifndef XFER_SESSION_PUT_QUERY_H
#define XFER_SESSION_PUT_QUERY_H

#include "session/copy.h"
#include "session/peer.h"

#define PUT_QUERY_MAX 256

/* Reports the jobs of `fresh` that are unchanged (-u) or exist (-n), moves the others to `ready`.
 * After an error of the connection those not answered are still in fresh. */
int put_query(struct copy *c, struct peer *p, struct job_list *fresh, struct job_list *ready);

#endif
