/* batch.h - PUTs that wait together for one round of syncs (--sync batch).
 *
 * A batch closes at 256 files, at 64 MiB or when the input is drained: every file is synced, then
 * each is renamed and its directory synced, then the replies go out in order. */
#ifndef XFER_SESSION_BATCH_H
#define XFER_SESSION_BATCH_H

#include "session/conn.h"

#define BATCH_FILES 256

/* A received and verified file on its way to its name. */
struct landing {
    struct store_writer w;
    uint8_t sha256[DIGEST_LEN];
    enum wire_if if_kind;
    uint8_t if_sha256[DIGEST_LEN];
    uint64_t bytes, size, offset;
    int64_t began;
    bool resumed;
    char *path; /* as the peer sent it; owned */
};

/* Renames up to BATCH_FILES finished files, each under its target's lock with its condition checked
 * again there; with sync, files before and directories after. err[i] is what became of each. */
void landing_publish(struct conn *c, struct landing l[], size_t n, bool sync, int err[]);
/* Ends the writer and queues the final reply. Returns 0 or the connection's error. */
int landing_reply(struct conn *c, struct landing *l, int err);

/* Takes over the landing (and its path), or nothing of it: -ENOMEM. Closes the batch when it is
 * full. */
int batch_add(struct conn *c, const struct landing *l);
/* Closes the batch; errors of the connection are sticky in its stream. */
void batch_close(struct conn *c);
/* Throws away what was not published. */
void batch_free(struct conn *c);

#endif
