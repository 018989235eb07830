/* put_worker.h - sends jobs over one connection, many without waiting for each answer. */
#ifndef XFER_SESSION_PUT_WORKER_H
#define XFER_SESSION_PUT_WORKER_H

#include "session/copy.h"

/* Takes jobs from the queue until there are none. Everything it took has been reported when it
 * returns, or the copy has been given up. */
void put_worker(struct copy *c, unsigned index);

#endif
