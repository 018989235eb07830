/* put_worker.h - sends jobs over one connection, many without waiting for each answer. */
#ifndef XFER_SESSION_PUT_WORKER_H
#define XFER_SESSION_PUT_WORKER_H

#include "session/copy.h"

/* Takes jobs from the queue until there are none. Everything it took has been reported when it
 * returns, or the copy has been given up. */
void put_worker(struct copy *c, unsigned index);

/* Opens a local source: below a tree, or as the user named it. As store_read_open. */
int put_open_source(const struct job *j, struct stat *sb);

#endif
