/* ranges.h - one large file over several connections (get -j): cut into ranges that whoever is free
 * asks for, put together in one temporary, hashed in order while others still arrive.
 *
 * Each range is proved by its own digest; that all of them are of one file, by one etag; and the
 * whole, by the digest that the server knows, if it does. The ranges in front that have arrived
 * without a gap are a part like any other: the next get goes on behind them.
 */
#ifndef XFER_SESSION_RANGES_H
#define XFER_SESSION_RANGES_H

#include "session/copy.h"
#include "wire/wire.h"

#define RANGES_FIRST (256 * 1024) /* asked for before the size is known */

/* How long the ranges are that rest bytes are cut into: several for each of the connections, so
 * that the slow ones get fewer, and so many at most that the list of them stays short. */
uint64_t ranges_length(uint64_t rest, unsigned jobs);

struct ranges;

/* For the file of a job, which is asked for with offset= and length=RANGES_FIRST. NULL without
 * memory. */
struct ranges *ranges_new(struct copy *c, struct job *j);

/* ---- for workers ---- */

/* What the first answer tells: cut, if all that is needed for it is there; take it as it is, if the
 * file ends with it; or ask again without length=, since nobody knows what it leaves out. */
enum ranges_how { RANGES_CUT, RANGES_WHOLE, RANGES_PLAIN };
enum ranges_how ranges_how(const struct wire_msg *m, uint64_t offset);

/* Cuts: takes over the job, its writer and the digest of the first offset bytes (NULL: there are
 * none), leaves in their place the job of the first range, and gives out the others. 0, or -ENOMEM:
 * nothing has happened. */
int ranges_cut(struct job **j, struct store_writer *w, struct digest **d, uint64_t offset,
               const struct wire_msg *m);

/* Whether a job is a range; it then has ranges and .piece. */
bool ranges_is_piece(const struct job *j);
/* Whether it is still wanted. */
bool ranges_wanted(const struct job *j);
/* What to ask for, with the etag to hold on to. */
void ranges_ask(const struct job *j, struct wire_msg *m);
/* Whether a reply is what was asked for: 0; -XFER_ECHANGED, another version; -XFER_EUNKNOWN,
 * another range, or none. Notes whole=, also of an END. */
int ranges_check(const struct job *j, const struct wire_msg *m);
void ranges_note_whole(const struct job *j, const struct wire_msg *m);
/* Where its bytes go: nothing but store_write is for it. false: nowhere. */
bool ranges_writer(const struct job *j, struct store_writer *w);
uint64_t ranges_size(const struct job *j);

/* It has arrived and is proved. Frees the job. */
void ranges_arrived(struct job *j);
/* The file cannot be had so. -XFER_ECHANGED and -XFER_EUNKNOWN: over one connection, from its
 * beginning. Frees the job. */
void ranges_failed(struct job *j, int err, const char *text);
/* Broken off, for another to ask again: what it has written is not to be trusted to be zeros. */
void ranges_broken(const struct job *j);

/* ---- for job_free and who found the file ---- */

void ranges_release(struct ranges *r);

/* Waits for the ranges, and hashes meanwhile; then the file gets its name, and is reported; or it
 * is given to the queue again. Returns when nobody works on it any more. */
int ranges_finish(struct ranges *r);

/* NULL-safe. Nobody works on it. What was not finished stays as a part if it may. */
void ranges_free(struct ranges *r);

#endif
