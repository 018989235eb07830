/* source.h - a local file that is to be sent. */
#ifndef XFER_SESSION_SOURCE_H
#define XFER_SESSION_SOURCE_H

#include "session/job.h"

/* Opens it below its tree, or as the user named it. A descriptor, or an error as store_read_open has
 * it; never blocks on a FIFO. */
int source_open(const struct job *j, struct stat *sb);

#endif
