#include "config.h"

#include "session/filter.h"

#include <fnmatch.h>
#include <string.h>

#include "base/path.h"

static bool matches(const char *glob, const char *path, bool is_dir)
{
    char pattern[PATH_CLEAN_MAX + 1];
    size_t n = strlen(glob);

    if (n >= sizeof pattern)
        return false;
    memcpy(pattern, glob, n + 1);
    if (n && pattern[n - 1] == '/') {
        if (!is_dir)
            return false;
        pattern[n - 1] = '\0';
    }
    if (!strchr(pattern, '/'))
        return fnmatch(pattern, path_base(path), 0) == 0;
    return fnmatch(pattern[0] == '/' ? pattern + 1 : pattern, path, FNM_PATHNAME) == 0;
}

static bool excludes_one(const struct xfer_filter *f, size_t n, const char *path, bool is_dir)
{
    for (size_t i = 0; i < n; i++)
        if (matches(f[i].glob, path, is_dir))
            return f[i].exclude;
    return false;
}

bool filter_excludes(const struct xfer_filter *f, size_t n, const char *path, bool is_dir)
{
    char head[PATH_CLEAN_MAX + 1];

    if (n == 0)
        return false;
    for (const char *s = strchr(path, '/'); s; s = strchr(s + 1, '/')) {
        size_t len = (size_t)(s - path);
        if (len >= sizeof head)
            return false;
        memcpy(head, path, len);
        head[len] = '\0';
        if (excludes_one(f, n, head, true))
            return true;
    }
    return excludes_one(f, n, path, is_dir);
}
