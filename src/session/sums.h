/* sums.h - digests of files that a server knows, or can have soon. */
#ifndef XFER_SESSION_SUMS_H
#define XFER_SESSION_SUMS_H

#include "session/server.h"

/* Of an open file, if it is remembered. */
bool sums_known(struct server *srv, int fd, const struct stat *sb, uint8_t out[DIGEST_LEN]);
/* Remembers one that was computed from `began` (wall clock) on. */
void sums_learn(struct server *srv, int fd, const struct stat *sb, const uint8_t sum[DIGEST_LEN],
                time_t began);

/* Computes and remembers it: 1; 0 when that would take longer than `budget` ns, as far as can be
 * told after the first MiB, or the server is to stop; or a negative error, -XFER_ECHANGED when the
 * file changed meanwhile. d is reset. */
int sums_compute(struct server *srv, int fd, const struct stat *sb, struct digest *d,
                 int64_t budget, uint8_t out[DIGEST_LEN]);

#endif
