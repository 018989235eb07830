/* filter.h - --include and --exclude: which files of a tree are meant. Pure. */
#ifndef XFER_SESSION_FILTER_H
#define XFER_SESSION_FILTER_H

#include "xfer.h"

/* Whether the filters leave out a file of this path in the tree, itself or by one of the
 * directories it is in. The first filter that matches decides, as in rsync; nothing matches: it is
 * meant. A glob with a slash is matched against the path from the tree's top, else against the last
 * component; a trailing slash restricts it to directories. */
bool filter_excludes(const struct xfer_filter *f, size_t n, const char *path, bool is_dir);

#endif
