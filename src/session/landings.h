/* landings.h - files received and verified that wait together for one round of syncs (get --sync
 * batch). */
#ifndef XFER_SESSION_LANDINGS_H
#define XFER_SESSION_LANDINGS_H

#include "session/copy.h"

struct landings;

struct landings *landings_new(struct copy *c);
/* Takes over the job and the (finished) writer. Settles when there are enough. */
void landings_add(struct landings *l, struct job *j, const struct store_writer *w,
                  uint64_t resumed_at, const uint8_t sum[DIGEST_LEN]);
/* Syncs, publishes and reports all that wait. */
void landings_settle(struct landings *l);
void landings_free(struct landings *l); /* NULL-safe; nothing may wait */

#endif
