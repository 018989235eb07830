#include "config.h"

#include "session/expand.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "session/query.h"

bool expand_is_glob(const char *path)
{
    return strpbrk(path, "*?[") != NULL;
}

static int add(struct expansion *e, const char *path)
{
    if (e->n == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 16;
        char **bigger = realloc(e->path, cap * sizeof *bigger);
        if (!bigger)
            return -ENOMEM;
        e->path = bigger;
        e->cap = cap;
    }
    e->path[e->n] = strdup(path);
    return e->path[e->n] ? (e->n++, 0) : -ENOMEM;
}

void expansion_free(struct expansion *e)
{
    for (size_t i = 0; i < e->n; i++)
        free(e->path[i]);
    free(e->path);
    *e = (struct expansion){0};
}

struct level {
    const struct path *dir;
    const char *pattern; /* one component */
    bool want_dir;       /* more components follow */
    struct expansion *found;
};

static int match_entry(void *arg, const struct wire_msg *m)
{
    struct level *l = arg;
    struct path p;

    if (strlen(m->path) != m->path_len || strchr(m->path, '/'))
        return -XFER_EPROTO;
    if ((l->want_dir && m->type != 'd') ||
        fnmatch(l->pattern, m->path, FNM_PERIOD | FNM_NOESCAPE) != 0)
        return 0;
    int r = path_join(l->dir, m->path, &p);
    return r < 0 ? r : add(l->found, p.s);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int expand_below(struct peer *p, const struct path *dir, const char *pattern,
                        struct expansion *ret);

static int expand_each(struct peer *p, const struct expansion *found, const char *rest,
                       struct expansion *ret)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < found->n; i++) {
        struct path dir;
        r = path_clean(found->path[i], strlen(found->path[i]), &dir, NULL);
        if (r == 0)
            r = expand_below(p, &dir, rest, ret);
    }
    return r;
}

/* One component of the pattern at a time; those without wildcards are not listed for. */
static int expand_below(struct peer *p, const struct path *dir, const char *pattern,
                        struct expansion *ret)
{
    char part[PATH_CLEAN_MAX + 1];
    struct expansion found = {0};
    size_t n = strcspn(pattern, "/");
    const char *rest = pattern[n] ? pattern + n + 1 : NULL;
    struct level l = {dir, part, rest != NULL, &found};
    struct wire_msg entry;
    struct path next;

    memcpy(part, pattern, n);
    part[n] = '\0';
    int r;
    if (expand_is_glob(part)) {
        r = query_list(p, dir->s, false, false, match_entry, &l);
        if (r == -XFER_ENOTDIR)
            r = 0;
        if (r == 0 && found.n)
            qsort(found.path, found.n, sizeof *found.path, by_name);
    } else {
        r = path_join(dir, part, &next);
        if (r == 0 && !rest && query_self(p, next.s, false, &entry) < 0)
            r = p->ch.s.err; /* no such thing: no match */
        else if (r == 0)
            r = add(&found, next.s);
    }
    if (r == 0 && rest)
        r = expand_each(p, &found, rest, ret);
    for (size_t i = 0; r == 0 && !rest && i < found.n; i++)
        r = add(ret, found.path[i]);
    expansion_free(&found);
    return r;
}

int expand(struct peer *p, const char *pattern, struct expansion *ret)
{
    struct path root = {0};

    return expand_below(p, &root, pattern, ret);
}
