/* root.c - everything that takes a path, resolved beneath the root's descriptor. */
#include "config.h"

#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel says EAGAIN when something was renamed while it resolved a "..": try again, but not
 * for ever beside somebody who never stops renaming. */
#define OPEN_TRIES 128

int store_error(int err)
{
    switch (err) {
    case EXDEV:
        return -XFER_EPERM;
    case ELOOP:
        return -XFER_ELOOP;
    case ENOTDIR:
        return -XFER_ENOTDIR;
    case EISDIR:
        return -XFER_EISDIR;
    case ENAMETOOLONG:
        return -XFER_ETOOLONG;
    default:
        return -err;
    }
}

bool store_same_inode(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* umask(2) cannot be read without being changed for a moment, which other threads would see. */
static mode_t read_umask(void)
{
    char line[256];
    mode_t mask = 022;
    FILE *f = fopen("/proc/self/status", "re");

    if (!f)
        return mask;
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, "Umask:", 6) == 0) {
            mask = (mode_t)strtoul(line + 6, NULL, 8) & 0777;
            break;
        }
    }
    fclose(f);
    return mask;
}

/* Old container filters say EPERM to calls that they do not know; "." beneath an open directory has
 * no other reason for it. */
static int probe_openat2(const struct store *st)
{
    int fd = store_openat(st, "", O_PATH | O_DIRECTORY, 0);

    if (fd < 0)
        return fd == -EPERM ? -ENOSYS : fd;
    close(fd);
    return 0;
}

int store_open(struct store *st, const char *dir)
{
    int r;

    *st = (struct store){.fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (st->fd < 0)
        return store_error(errno);
    st->umask = read_umask();
    st->sweeps = sweep_table_new();
    r = st->sweeps ? probe_openat2(st) : -ENOMEM;
    if (r < 0)
        store_close(st);
    return r;
}

void store_close(struct store *st)
{
    if (st->fd >= 0)
        close(st->fd);
    sweep_table_free(st->sweeps);
    st->sweeps = NULL;
    st->fd = -1;
}

int store_openat(const struct store *st, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .mode = flags & O_CREAT ? mode & 0777 : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };

    for (int i = 0; i < OPEN_TRIES; i++) {
        long fd = syscall(SYS_openat2, st->fd, *path ? path : ".", &how, sizeof(how));

        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    return store_error(errno);
}

int store_stat(const struct store *st, const char *path, bool nofollow, struct stat *sb)
{
    int fd = store_openat(st, path, O_PATH | (nofollow ? O_NOFOLLOW : 0), 0);
    int r;

    if (fd < 0)
        return fd;
    r = fstat(fd, sb) < 0 ? store_error(errno) : 0;
    close(fd);
    return r;
}

static int open_prefix(const struct store *st, const char *path, size_t len)
{
    char prefix[PATH_CLEAN_MAX + 1];

    memcpy(prefix, path, len);
    prefix[len] = '\0';
    return store_openat(st, prefix, O_PATH | O_DIRECTORY, 0);
}

static size_t parent_len(const char *path, const char *base)
{
    return base > path ? (size_t)(base - path) - 1 : 0;
}

/* Each component in turn, from the root on: a symlink on the way may lead up again, so that only
 * the whole prefix says where it ends. */
static int make_parents(const struct store *st, const char *path, size_t len)
{
    char prefix[PATH_CLEAN_MAX + 1];
    int r = 0;

    for (size_t i = 1; i <= len && r == 0; i++) {
        if (i < len && path[i] != '/')
            continue;
        memcpy(prefix, path, i);
        prefix[i] = '\0';
        r = store_mkdir(st, prefix, 0777, false);
        if (r == -EEXIST)
            r = 0;
    }
    return r;
}

int store_open_parent(const struct store *st, const char *path, bool mkpath, const char **base)
{
    size_t len;
    int fd, r;

    *base = path_base(path);
    if (strlen(path) > PATH_CLEAN_MAX || strlen(*base) > PATH_NAME_MAX)
        return -XFER_ETOOLONG;
    len = parent_len(path, *base);
    fd = open_prefix(st, path, len);
    if (fd != -ENOENT || !mkpath)
        return fd;
    r = make_parents(st, path, len);
    return r < 0 ? r : open_prefix(st, path, len);
}

/* What a mkdir with parents found in its way. */
static int existing_dir(const struct store *st, const char *path)
{
    struct stat sb;
    int r = store_stat(st, path, false, &sb);

    if (r < 0)
        return r;
    return S_ISDIR(sb.st_mode) ? 1 : -XFER_ENOTDIR;
}

int store_mkdir(const struct store *st, const char *path, mode_t mode, bool parents)
{
    const char *base;
    int dir, r;

    if (!*path)
        return parents ? 1 : -EEXIST;
    dir = store_open_parent(st, path, parents, &base);
    if (dir < 0)
        return dir;
    r = mkdirat(dir, base, mode & 0777) < 0 ? store_error(errno) : 0;
    close(dir);
    return r == -EEXIST && parents ? existing_dir(st, path) : r;
}

int store_set_dir_mtime(const struct store *st, const char *path, struct timespec mtime)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, mtime};
    int fd = store_openat(st, path, O_RDONLY | O_DIRECTORY, 0);
    int r;

    if (fd < 0)
        return fd;
    r = futimens(fd, times) < 0 ? -errno : 0;
    close(fd);
    return r;
}
