/* writer.c - a file's way to its name: temporary, bytes, finish, publish. */
#include "config.h"

#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define HOLE_BLOCK 4096

/* ---- opening ---- */

/* What a symlink in the target's place leads to decides; the link itself is what a rename replaces.
 */
static int resolve_target(const struct store *st, const char *path, struct stat *sb)
{
    struct stat to;
    int r = store_stat(st, path, false, &to);

    if (r == 0)
        *sb = to;
    return r == -ENOENT ? 0 : r;
}

static int check_target(const struct store *st, const char *path, struct store_writer *w)
{
    struct stat *sb = &w->target;
    bool link;
    int r = 0;

    if (fstatat(w->dir_fd, w->name, sb, AT_SYMLINK_NOFOLLOW) < 0) {
        *sb = (struct stat){0};
        return errno == ENOENT ? 0 : store_error(errno);
    }
    link = S_ISLNK(sb->st_mode);
    if (link)
        r = resolve_target(st, path, sb);
    if (r < 0)
        return r;
    if (S_ISDIR(sb->st_mode))
        return -XFER_EISDIR;
    if (w->replace == STORE_NEW)
        return -XFER_EEXISTS;
    if (link && S_ISLNK(sb->st_mode)) { /* dangling: nothing whose mode could be kept */
        *sb = (struct stat){0};
        return 0;
    }
    if (!S_ISREG(sb->st_mode))
        return -XFER_ENOTREG;
    if (faccessat(w->dir_fd, w->name, W_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : store_error(errno);
    return 0;
}

int store_write_open(const struct store *st, const char *path, const struct store_write_opts *o,
                     struct store_writer *w)
{
    const char *base;
    int r;

    *w = (struct store_writer){.dir_fd = -1, .fd = -1, .replace = o->replace, .umask = st->umask};
    if (!*path)
        return -XFER_EISDIR;
    r = store_open_parent(st, path, o->mkpath, &base);
    if (r < 0)
        return r;
    w->dir_fd = r;
    strcpy(w->name, base);
    r = check_target(st, path, w);
    if (r == 0)
        r = o->resume_id ? temporary_open_part(w, o->resume_id) : temporary_open(w);
    if (r < 0) {
        store_write_abort(w, false);
        return r;
    }
    /* After our own is locked: an old part that is about to be continued must not be swept. */
    if (sweep_table_due(st->sweeps, path, (size_t)(base - path)))
        store_sweep(w->dir_fd, time(NULL));
    return 0;
}

/* Nothing to forget, nothing to truncate: ext4 takes a truncation to 0 for a replacement in place,
 * and writes the whole file out when it is closed. */
int store_write_restart(struct store_writer *w)
{
    if (w->offset == 0)
        return 0;
    if (ftruncate(w->fd, 0) < 0)
        return -errno;
    w->offset = w->written = 0;
    return 0;
}

/* ---- bytes ---- */

static bool is_zero(const char *p, size_t n)
{
    for (; n && (n & 7); n--) {
        if (p[n - 1])
            return false;
    }
    if (!n)
        return true;
    return memcmp(p, "\0\0\0\0\0\0\0", 8) == 0 && memcmp(p, p + 8, n - 8) == 0;
}

/* Bytes up to the end of the block that the offset is in. */
static size_t block_rest(uint64_t offset, size_t n)
{
    size_t rest = HOLE_BLOCK - offset % HOLE_BLOCK;

    return rest < n ? rest : n;
}

/* The length of the run at p of blocks that are all zeros, or that all are not. A block cut short
 * by the buffer's end counts like a whole one: the file only grows, so what is skipped reads as
 * zeros. */
static size_t run_length(const char *p, size_t n, uint64_t offset, bool *zero)
{
    size_t len = block_rest(offset, n);

    *zero = is_zero(p, len);
    while (len < n) {
        size_t k = block_rest(offset + len, n - len);

        if (is_zero(p + len, k) != *zero)
            break;
        len += k;
    }
    return len;
}

static int write_run(struct store_writer *w, const char *p, size_t n)
{
    while (n) {
        ssize_t k = pwrite(w->fd, p, n, (off_t)w->offset);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return k < 0 ? -errno : -EIO;
        p += k;
        n -= (size_t)k;
        w->offset += (uint64_t)k;
        w->written = w->offset;
    }
    return 0;
}

int store_write(struct store_writer *w, const void *buf, size_t n)
{
    const char *p = buf;

    if (n > (uint64_t)INT64_MAX - w->offset)
        return -EFBIG;
    while (n) {
        bool zero;
        size_t len = run_length(p, n, w->offset, &zero);
        bool skip = zero && !w->dense;
        int r = skip ? 0 : write_run(w, p, len);

        if (r < 0)
            return r;
        if (skip)
            w->offset += len;
        p += len;
        n -= len;
    }
    return 0;
}

void store_write_fork(const struct store_writer *w, uint64_t offset, bool dense,
                      struct store_writer *ret)
{
    *ret = (struct store_writer){
        .dir_fd = -1, .fd = w->fd, .offset = offset, .written = offset, .dense = dense};
}

int store_write_end_at(struct store_writer *w, uint64_t size)
{
    if (w->fd < 0)
        return 0;
    if (ftruncate(w->fd, (off_t)size) < 0)
        return -errno;
    w->offset = w->written = size;
    return 0;
}

/* ---- the end ---- */

/* Zeros at the end were skipped; only the length tells of them. */
static int settle_length(struct store_writer *w)
{
    if (w->offset == w->written)
        return 0;
    if (ftruncate(w->fd, (off_t)w->offset) < 0)
        return -errno;
    w->written = w->offset;
    return 0;
}

/* File systems without owners or with few modes say EPERM to what they cannot keep. */
static bool cannot_hold(int err)
{
    return err == EPERM || err == EINVAL || err == EOPNOTSUPP || err == ENOSYS;
}

static int set_mtime(struct store_writer *w, struct timespec mtime)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, mtime};

    return futimens(w->fd, times) < 0 && !cannot_hold(errno) ? -errno : 0;
}

static int set_mode(struct store_writer *w, const struct store_commit_opts *o)
{
    mode_t mode = 0666 & ~w->umask;

    if (o->set_mode)
        mode = o->mode & 0777;
    else if (w->target.st_mode)
        mode = w->target.st_mode & 0777;
    if (!w->part && mode == (0600 & ~w->umask))
        return 0;
    return fchmod(w->fd, mode) < 0 && !cannot_hold(errno) ? -errno : 0;
}

/* A failure only costs a second reading some day. */
static void remember(struct store_writer *w, const uint8_t *sha256)
{
    struct stat sb;

    if (fstat(w->fd, &sb) == 0)
        (void)store_remember(w->fd, &sb, sha256, time(NULL));
}

/* Some file systems report what became of written bytes when a descriptor is closed. Ours must stay
 * open, since the lock goes with it, so a duplicate is closed instead. */
static int flush_close(int fd)
{
    int dup = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return dup < 0 || close(dup) < 0 ? -errno : 0;
}

int store_write_finish(struct store_writer *w, const struct store_commit_opts *o)
{
    int r = settle_length(w);

    if (r == 0 && o->set_mtime)
        r = set_mtime(w, o->mtime);
    if (r == 0 && o->remember_sha256 && w->offset >= STORE_REMEMBER_MIN)
        remember(w, o->remember_sha256); /* before the mode: a read-only file takes no attributes */
    if (r == 0)
        r = set_mode(w, o);
    if (r == 0 && o->sync)
        r = fsync(w->fd) < 0 ? -errno : 0;
    if (r == 0)
        r = flush_close(w->fd);
    return r;
}

static int rename_new(struct store_writer *w)
{
    if (renameat2(w->dir_fd, w->tmp, w->dir_fd, w->name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return errno == EEXIST ? -XFER_EEXISTS : store_error(errno);
    if (linkat(w->dir_fd, w->tmp, w->dir_fd, w->name, 0) < 0)
        return errno == EEXIST ? -XFER_EEXISTS : store_error(errno);
    unlinkat(w->dir_fd, w->tmp, 0);
    return 0;
}

/* A directory that we may not read cannot be opened to be synced: its whole file system then. */
int store_sync_dir(const struct store_writer *w)
{
    int r;
    int fd = openat(w->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return errno == EACCES && syncfs(w->fd) == 0 ? 0 : -errno;
    r = fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
    close(fd);
    return r;
}

int store_write_publish(struct store_writer *w, bool sync)
{
    int r = 0;

    if (w->replace == STORE_NEW)
        r = rename_new(w);
    else if (renameat(w->dir_fd, w->tmp, w->dir_fd, w->name) < 0)
        r = store_error(errno);
    if (r < 0)
        return r;
    w->tmp[0] = '\0';
    return sync ? store_sync_dir(w) : 0;
}

/* Zeros at the end are progress, too, and a finished part may have got a mode that we could not
 * open again. Nothing here can be helped when it fails. */
static void keep_part(struct store_writer *w)
{
    (void)settle_length(w);
    (void)fchmod(w->fd, 0600);
}

void store_write_abort(struct store_writer *w, bool keep)
{
    if (w->tmp[0] && keep && w->part && w->offset)
        keep_part(w);
    else if (w->tmp[0])
        unlinkat(w->dir_fd, w->tmp, 0);
    if (w->fd >= 0)
        close(w->fd);
    if (w->dir_fd >= 0)
        close(w->dir_fd);
    w->tmp[0] = '\0';
    w->fd = w->dir_fd = -1;
}
