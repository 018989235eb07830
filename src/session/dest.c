#include "config.h"

#include "session/dest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int make_dirs(const char *dir)
{
    struct store root;
    struct path p;

    int r = path_clean(dir, strlen(dir), &p, NULL);
    if (r == 0)
        r = store_open(&root, dir[0] == '/' ? "/" : ".");
    if (r < 0)
        return r;
    r = store_mkdir(&root, p.s, 0777, true);
    store_close(&root);
    return r < 0 ? r : 0;
}

/* A dry run makes nothing: the store of a directory that it would make stays closed, and holds no
 * file for whoever asks. */
static int open_dir(struct dest *d, const char *dir, bool may_make, const struct xfer_copy_opts *o)
{
    int r = store_open(&d->store, dir);

    if (r != -ENOENT || !(o->mkpath || may_make))
        return r;
    if (o->dry_run)
        return 0;
    r = o->mkpath ? make_dirs(dir) : mkdir(dir, 0777) < 0 ? -errno : 0;
    return r < 0 ? r : store_open(&d->store, dir);
}

static int set_prefix(struct dest *d, const char *dir, size_t n)
{
    if (n + 2 > sizeof d->prefix)
        return -ENAMETOOLONG;
    memcpy(d->prefix, dir, n);
    if (n && dir[n - 1] != '/')
        d->prefix[n++] = '/';
    d->prefix[n] = '\0';
    if (strcmp(d->prefix, "./") == 0)
        d->prefix[0] = '\0';
    return 0;
}

static int open_into(struct dest *d, const char *word, const struct xfer_copy_opts *o, bool tree)
{
    int r = set_prefix(d, word, strlen(word));

    d->into = true;
    return r < 0 ? r : open_dir(d, word, tree, o);
}

static int open_for_file(struct dest *d, const char *word, const struct xfer_copy_opts *o)
{
    const char *base = path_base(word);
    size_t n = (size_t)(base - word);

    if (strlen(base) > PATH_NAME_MAX)
        return -ENAMETOOLONG;
    snprintf(d->name, sizeof d->name, "%s", base);
    int r = set_prefix(d, word, n);
    return r < 0 ? r : open_dir(d, d->prefix[0] ? d->prefix : ".", false, o);
}

int dest_open(struct dest *d, const char *word, const struct xfer_copy_opts *o, bool several,
              bool tree)
{
    struct stat sb;

    *d = (struct dest){.store = {.fd = -1}};
    if (!word)
        word = ".";
    size_t n = strlen(word);
    d->stream = strcmp(word, "-") == 0;
    if (d->stream)
        return tree ? -XFER_EUSAGE : 0;
    if (n == 0)
        return -XFER_EUSAGE;
    bool exists = stat(word, &sb) == 0;
    if (exists && S_ISDIR(sb.st_mode))
        return open_into(d, word, o, false);
    if (several || tree || word[n - 1] == '/')
        return exists ? -ENOTDIR : open_into(d, word, o, tree);
    return open_for_file(d, word, o);
}

void dest_close(struct dest *d)
{
    store_close(&d->store);
}

int dest_error(int err)
{
    switch (err) {
    case -XFER_ENOTREG: /* what stands there instead */
    case -XFER_EEXISTS:
        return -EEXIST;
    case -XFER_ENOTDIR:
        return -ENOTDIR;
    case -XFER_EISDIR:
        return -EISDIR;
    case -XFER_ELOOP:
        return -ELOOP;
    case -XFER_ETOOLONG:
        return -ENAMETOOLONG;
    case -XFER_EPERM:
        return -EACCES;
    default:
        return err;
    }
}

char *dest_show(const struct dest *d, const char *target, char *out, size_t cap)
{
    if (d->stream)
        snprintf(out, cap, "-");
    else
        snprintf(out, cap, "%s%s", d->prefix, target);
    return out;
}
