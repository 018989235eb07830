/* get_worker.h - receives jobs over one connection, many asked for ahead. */
#ifndef XFER_SESSION_GET_WORKER_H
#define XFER_SESSION_GET_WORKER_H

#include "session/copy.h"

/* As put_worker. job.path is the target, below job.store; job.stream goes to standard output. */
void get_worker(struct copy *c, unsigned index);

#endif
