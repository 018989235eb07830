/* expand.h - * ? [...] in a remote path, from the server's listings. */
#ifndef XFER_SESSION_EXPAND_H
#define XFER_SESSION_EXPAND_H

#include "session/peer.h"

struct expansion {
    char **path; /* clean paths, sorted; owned */
    size_t n, cap;
};

bool expand_is_glob(const char *path);

/* The paths that match; a leading dot is matched by a dot only, as in the shell. 0 also when
 * nothing does. Negative: an error of the connection, or a directory that cannot be listed. */
int expand(struct peer *p, const char *pattern, struct expansion *ret);
void expansion_free(struct expansion *e);

#endif
