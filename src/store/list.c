/* list.c - walking a directory or the tree below it, one entry at a time. */
#include "config.h"

#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct level {
    DIR *dir; /* NULL: closed to spare a descriptor, to be reopened at pos */
    long pos;
    size_t len; /* of the directory's path in `at` */
    dev_t dev;
    ino_t ino;
};

struct store_list {
    const struct store *st;
    bool recursive, self;
    struct path at; /* the current entry, from the root of the store on */
    size_t rel;     /* where in it the part begins that the caller sees */
    struct level *levels;
    size_t depth, cap;
};

/* ---- levels ---- */

static int open_dir(struct store_list *l, struct level *v)
{
    struct stat sb;
    int r, fd = store_openat(l->st, l->at.s, O_RDONLY | O_DIRECTORY, 0);

    if (fd < 0)
        return fd;
    if (fstat(fd, &sb) < 0)
        goto fail;
    v->dev = sb.st_dev;
    v->ino = sb.st_ino;
    v->dir = fdopendir(fd);
    if (v->dir)
        return 0;
fail:
    r = -errno;
    close(fd);
    return r;
}

static void close_level(struct level *v)
{
    if (!v->dir)
        return;
    v->pos = telldir(v->dir);
    closedir(v->dir);
    v->dir = NULL;
}

static bool is_ancestor(const struct store_list *l, const struct level *v)
{
    for (size_t i = 0; i < l->depth; i++) {
        if (l->levels[i].dev == v->dev && l->levels[i].ino == v->ino)
            return true;
    }
    return false;
}

static int grow(struct store_list *l)
{
    size_t cap = l->cap ? l->cap * 2 : 8;
    struct level *p;

    if (l->depth < l->cap)
        return 0;
    p = realloc(l->levels, cap * sizeof(*p));
    if (!p)
        return -ENOMEM;
    l->levels = p;
    l->cap = cap;
    return 0;
}

/* Begins the directory at `at`. Where a name in it might not fit the longest path, none of it is
 * listed, so that no entry is left out in silence. */
static int enter(struct store_list *l)
{
    struct level v = {.len = l->at.len};
    int r;

    if (l->at.len + 1 + PATH_NAME_MAX > PATH_CLEAN_MAX)
        return -XFER_ETOOLONG;
    r = grow(l);
    if (r == 0)
        r = open_dir(l, &v);
    if (r < 0)
        return r;
    if (is_ancestor(l, &v)) {
        close_level(&v);
        return -XFER_ELOOP;
    }
    l->levels[l->depth++] = v;
    if (l->depth > STORE_LIST_FDS)
        close_level(&l->levels[l->depth - 1 - STORE_LIST_FDS]);
    return 0;
}

static void cut_path(struct store_list *l, size_t len)
{
    l->at.len = len;
    l->at.s[len] = '\0';
}

/* Goes on in a directory that was closed for a while. */
static int reopen(struct store_list *l, struct level *v)
{
    struct level now = *v;
    int r;

    cut_path(l, v->len);
    r = open_dir(l, &now);
    if (r == -ENOENT || r == -XFER_ENOTDIR)
        return -XFER_ECHANGED;
    if (r < 0)
        return r;
    if (now.dev != v->dev || now.ino != v->ino) {
        close_level(&now);
        return -XFER_ECHANGED;
    }
    *v = now;
    seekdir(v->dir, v->pos);
    return 0;
}

/* ---- entries ---- */

static char type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return 'f';
    case S_IFDIR:
        return 'd';
    case S_IFLNK:
        return 'l';
    default:
        return 'o';
    }
}

/* Where a symlink leads, as long as that is beneath the root. */
static void follow(struct store_list *l, struct store_entry *e)
{
    struct stat sb;
    int r = store_stat(l->st, l->at.s, false, &sb);

    if (r < 0) {
        e->err = r;
        return;
    }
    e->symlink = true;
    e->sb = sb;
    e->type = type_of(sb.st_mode);
}

/* Looks at the entry; false when it is gone since its name was read. */
static bool look(struct store_list *l, const struct level *v, const struct dirent *d,
                 struct store_entry *e)
{
    *e = (struct store_entry){.path = l->at.s + l->rel};
    if (fstatat(dirfd(v->dir), d->d_name, &e->sb, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT)
            return false;
        e->err = store_error(errno);
        e->type = type_of(DTTOIF(d->d_type));
        return true;
    }
    e->type = type_of(e->sb.st_mode);
    if (e->type == 'l')
        follow(l, e);
    return true;
}

static bool is_shown(const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !path_is_hidden(name, strlen(name));
}

/* The next name of the innermost directory: 1, 0 at its end. */
static int next_name(struct store_list *l, struct level *v, struct dirent **ret)
{
    int r = v->dir ? 0 : reopen(l, v);

    if (r < 0)
        return r;
    do {
        errno = 0;
        *ret = readdir(v->dir);
    } while (*ret && !is_shown((*ret)->d_name));
    if (*ret)
        return 1;
    return errno ? -errno : 0;
}

static int append_name(struct store_list *l, size_t dir_len, const char *name)
{
    size_t n = strlen(name), at = dir_len ? dir_len + 1 : 0;

    if (at + n > PATH_CLEAN_MAX)
        return -XFER_ETOOLONG;
    if (dir_len)
        l->at.s[dir_len] = '/';
    memcpy(l->at.s + at, name, n);
    cut_path(l, at + n);
    return 0;
}

static void leave(struct store_list *l)
{
    struct level *v = &l->levels[--l->depth];

    if (v->dir)
        closedir(v->dir);
}

static void descend(struct store_list *l, struct store_entry *e)
{
    e->err = enter(l);
    if (e->err == -XFER_ELOOP)
        e->type = 'l';
}

/* One step in the innermost directory: 1 with an entry, 0 when there was none to show. */
static int step(struct store_list *l, struct store_entry *e)
{
    struct level *v = &l->levels[l->depth - 1];
    struct dirent *d;
    int r = next_name(l, v, &d);

    if (r == 0)
        leave(l);
    if (r > 0)
        r = append_name(l, v->len, d->d_name) < 0 ? -XFER_ETOOLONG : look(l, v, d, e);
    if (r == 1 && e->type == 'd' && e->err == 0 && l->recursive)
        descend(l, e);
    return r;
}

/* The entry of the named thing itself, which store_list_open has found to be there. */
static int look_self(struct store_list *l, struct store_entry *e)
{
    int r;

    *e = (struct store_entry){.path = l->at.s + l->rel};
    r = store_stat(l->st, l->at.s, true, &e->sb);
    if (r < 0)
        return r;
    e->type = type_of(e->sb.st_mode);
    if (e->type == 'l')
        follow(l, e);
    return 1;
}

int store_list_next(struct store_list *l, struct store_entry *e)
{
    int r = 0;

    if (l->self) {
        l->self = false;
        return look_self(l, e);
    }
    while (r == 0 && l->depth)
        r = step(l, e);
    return r;
}

/* Sets `at` and checks that there is something; a directory to be walked is begun. */
static int begin(struct store_list *l, const char *path)
{
    struct stat sb;
    size_t n = strlen(path);

    if (n > PATH_CLEAN_MAX)
        return -XFER_ETOOLONG;
    memcpy(l->at.s, path, n + 1);
    l->at.len = n;
    if (!l->self) {
        l->rel = n ? n + 1 : 0;
        return enter(l);
    }
    l->rel = (size_t)(path_base(l->at.s) - l->at.s);
    return store_stat(l->st, path, true, &sb);
}

int store_list_open(const struct store *st, const char *path, bool recursive, bool self,
                    struct store_list **ret)
{
    struct store_list *l = calloc(1, sizeof(*l));
    int r;

    if (!l)
        return -ENOMEM;
    l->st = st;
    l->recursive = recursive;
    l->self = self;
    r = begin(l, path);
    if (r < 0) {
        store_list_close(l);
        return r;
    }
    *ret = l;
    return 0;
}

void store_list_close(struct store_list *l)
{
    if (!l)
        return;
    while (l->depth)
        leave(l);
    free(l->levels);
    free(l);
}
