#include "config.h"

#include "base/path.h"

#include <string.h>

#include "base/err.h"

/* Cuts the next component, which may be empty, off *p. */
static size_t next_component(const char **p, size_t *left, const char **comp)
{
    const char *slash = memchr(*p, '/', *left);
    size_t n = slash ? (size_t)(slash - *p) : *left;
    size_t used = slash ? n + 1 : n;

    *comp = *p;
    *p += used;
    *left -= used;
    return n;
}

static bool is_dot(const char *c, size_t n)
{
    return n == 1 && c[0] == '.';
}

static int check_component(const char *c, size_t n)
{
    if (n == 2 && c[0] == '.' && c[1] == '.')
        return -XFER_ENAME;
    if (path_is_hidden(c, n))
        return -XFER_ENAME;
    return n > PATH_NAME_MAX ? -XFER_ETOOLONG : 0;
}

/* Whether the name can only mean a directory: ends in a slash or in the component ".". */
static bool means_directory(const char *in, size_t n)
{
    if (n == 0)
        return false;
    if (in[n - 1] == '/')
        return true;
    return in[n - 1] == '.' && (n == 1 || in[n - 2] == '/');
}

/* The length of the clean form, or an error; nothing is written yet. */
static long clean_length(const char *in, size_t n)
{
    size_t total = 0;

    if (memchr(in, '\0', n))
        return -XFER_ENAME;
    while (n > 0) {
        const char *c;
        size_t len = next_component(&in, &n, &c);

        if (len == 0 || is_dot(c, len))
            continue;

        int err = check_component(c, len);

        if (err)
            return err;
        total += len + (total > 0 ? 1 : 0);
        if (total > PATH_CLEAN_MAX)
            return -XFER_ETOOLONG;
    }
    return (long)total;
}

int path_clean(const char *in, size_t n, struct path *out, bool *trailing_slash)
{
    long total = n > 0 ? clean_length(in, n) : 0;
    bool slash = means_directory(in, n);
    size_t at = 0;

    if (total < 0)
        return (int)total;
    while (n > 0) {
        const char *c;
        size_t len = next_component(&in, &n, &c);

        if (len == 0 || is_dot(c, len))
            continue;
        if (at > 0)
            out->s[at++] = '/';
        memmove(out->s + at, c, len);
        at += len;
    }
    out->s[at] = '\0';
    out->len = at;
    if (trailing_slash)
        *trailing_slash = slash;
    return 0;
}

int path_check_listed(const char *in, size_t n)
{
    if (n == 0 || n > PATH_CLEAN_MAX || in[n - 1] == '/' || memchr(in, '\0', n))
        return -XFER_ENAME;
    while (n > 0) {
        const char *c;
        size_t len = next_component(&in, &n, &c);

        if (len == 0 || is_dot(c, len) || check_component(c, len))
            return -XFER_ENAME;
    }
    return 0;
}

int path_join(const struct path *dir, const char *name, struct path *out)
{
    size_t n = strlen(name);
    size_t at = dir->len;
    size_t slash = at > 0 && n > 0 ? 1 : 0;

    if (n > PATH_CLEAN_MAX || at + slash + n > PATH_CLEAN_MAX)
        return -XFER_ETOOLONG;
    if (out != dir)
        memcpy(out->s, dir->s, at);
    if (slash)
        out->s[at++] = '/';
    memmove(out->s + at, name, n);
    out->s[at + n] = '\0';
    out->len = at + n;
    return 0;
}

void path_parent(struct path *p)
{
    p->len = (size_t)(path_base(p->s) - p->s);
    p->len -= p->len > 0; /* the slash */
    p->s[p->len] = '\0';
}

const char *path_base(const char *s)
{
    const char *slash = strrchr(s, '/');

    return slash ? slash + 1 : s;
}

/* ASCII letters compare equal in either case: the tree may lie on a file system that folds it. */
static bool same_folded(const char *s, const char *lower, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] | 0x20) : s[i];

        if (c != lower[i])
            return false;
    }
    return true;
}

static bool all_hex(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = (char)(s[i] | 0x20);

        if (!(s[i] >= '0' && s[i] <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

bool path_is_hidden(const char *component, size_t n)
{
    const size_t head = strlen(".xfer-"), id = 32;

    if (n < head + id || !same_folded(component, ".xfer-", head) || !all_hex(component + head, id))
        return false;

    const char *tail = component + head + id;
    size_t left = n - head - id;

    return (left == 5 && same_folded(tail, ".part", 5)) ||
           (left == 4 && same_folded(tail, ".tmp", 4));
}
