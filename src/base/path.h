/* path.h - a name that came from somewhere, made a clean relative path.
 *
 * A clean path has no leading, trailing or repeated slash, no "." and no "..", no NUL, components of
 * at most 255 bytes, at most PATH_CLEAN_MAX bytes in all; the root itself is "". Bytes are otherwise
 * kept as they are: newline, ESC and invalid UTF-8 are legal in names.
 */
#ifndef XFER_BASE_PATH_H
#define XFER_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>

#define PATH_CLEAN_MAX 4095
#define PATH_NAME_MAX 255

struct path {
    size_t len;
    char s[PATH_CLEAN_MAX + 1]; /* NUL-terminated */
};

/* A request's path: leading and repeated slashes and "." components are dropped, ".." anywhere is
 * -XFER_ENAME (never resolved: "a/../b" is refused too), an overlong component or path
 * -XFER_ETOOLONG, NUL -XFER_ENAME, a component that names a part or temporary -XFER_ENAME.
 * `trailing_slash` (may be NULL) tells whether the name ended in one, or in the component ".". out
 * is untouched on failure. */
int path_clean(const char *in, size_t n, struct path *out, bool *trailing_slash);

/* A name in a listing from a server: must be clean as it stands, not empty, else -XFER_ENAME. */
int path_check_listed(const char *in, size_t n);

/* dir/name; either may be empty. -XFER_ETOOLONG when it does not fit; out may be dir itself. */
int path_join(const struct path *dir, const char *name, struct path *out);

/* Cuts the last component off. */
void path_parent(struct path *p);

/* The last component; the whole of a path without slash. Points into s. */
const char *path_base(const char *s);

/* Whether a component is one of xfer's own: ".xfer-" + 32 hex + ".part" or ".tmp". */
bool path_is_hidden(const char *component, size_t n);

#endif
