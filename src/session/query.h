/* query.h - small questions of a client: what is there, what is in it. One connection, one answer.
 */
#ifndef XFER_SESSION_QUERY_H
#define XFER_SESSION_QUERY_H

#include "session/peer.h"

/* After an error of a question: whether it was the connection's and it is worth asking again. If
 * not, *err is what to report. */
bool query_again(struct peer *p, int *err);

/* Runs fn again after a loss of the connection, as often as peer_lost allows. */
int query_retry(struct peer *p, int (*fn)(struct peer *p, void *arg), void *arg);

/* What stands under a path: 0 with the entry (.type, and .size, .mtime, .mode where listed), or
 * -XFER_ENOTFOUND, ... sums asks for the digest, too. */
int query_self(struct peer *p, const char *path, bool sums, struct wire_msg *entry);

/* Calls fn for each entry of a listing; a negative return of fn ends it and is returned. Names that
 * no honest server lists (.., absolute, empty) are -XFER_EPROTO. An error is the connection's or
 * the server's: which of them, p->ch.s.err tells. */
typedef int (*query_entry)(void *arg, const struct wire_msg *entry);
int query_list(struct peer *p, const char *path, bool recursive, bool sums, query_entry fn,
               void *arg);

/* MKDIR, with the mtime where it is not NULL. */
int query_mkdir(struct peer *p, const char *path, bool mkpath, const struct timespec *mtime);

#endif
