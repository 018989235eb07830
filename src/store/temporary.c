/* temporary.c - the files that bytes go to before they get their name. */
#include "config.h"

#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#define NAME_TRIES 16

static void hidden_name(const uint8_t id[16], const char *suffix, char out[48])
{
    static const char digits[] = "0123456789abcdef";
    char *p = out + 6;

    memcpy(out, ".xfer-", 6);
    for (int i = 0; i < 16; i++) {
        *p++ = digits[id[i] >> 4];
        *p++ = digits[id[i] & 15];
    }
    strcpy(p, suffix);
}

void store_part_name(const uint8_t id[16], const char *base, char out[48])
{
    uint8_t in[16 + PATH_NAME_MAX], d[DIGEST_LEN];
    size_t n = strnlen(base, PATH_NAME_MAX);

    memcpy(in, id, 16);
    memcpy(in + 16, base, n);
    digest_of(in, 16 + n, d);
    hidden_name(d, ".part", out);
}

static int lock(int fd)
{
    int r;

    do
        r = flock(fd, LOCK_EX | LOCK_NB);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

/* The lock tells sweepers that somebody is at work. One who looks at this very moment has it for a
 * moment; a file system without locks has no sweepers either, since they need the lock, too. */
static int create(struct store_writer *w, const char *name)
{
    int fd = openat(w->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return store_error(errno);
    if (lock(fd) == -EWOULDBLOCK) {
        unlinkat(w->dir_fd, name, 0);
        close(fd);
        return -EEXIST;
    }
    return fd;
}

int temporary_open(struct store_writer *w)
{
    uint8_t id[16];
    char name[48];
    int fd = -EEXIST;

    for (int i = 0; fd == -EEXIST && i < NAME_TRIES; i++) {
        ssize_t n = getrandom(id, sizeof(id), 0);

        if (n != (ssize_t)sizeof(id))
            return n < 0 ? -errno : -EIO;
        hidden_name(id, ".tmp", name);
        fd = create(w, name);
    }
    if (fd < 0)
        return fd;
    w->fd = fd;
    w->part = false;
    strcpy(w->tmp, name);
    return 0;
}

/* Only a plain file that we made and that has no other name may be taken over: anything else under
 * this name was put there to be written through. */
static bool is_ours(const struct stat *sb)
{
    return S_ISREG(sb->st_mode) && sb->st_uid == geteuid() && sb->st_nlink == 1;
}

enum take { TAKEN, UNUSABLE, MOVED };

/* Takes over what an open of the part's name gave. MOVED: somebody renamed or removed it between
 * the open and the lock. */
static int take_part(int dir_fd, const char *name, int fd, struct stat *sb)
{
    struct stat named;
    int r;

    if (fstat(fd, sb) < 0)
        return -errno;
    if (!is_ours(sb))
        return sb->st_nlink == 0 ? MOVED : UNUSABLE;
    r = lock(fd);
    if (r < 0)
        return r == -EWOULDBLOCK ? -XFER_EBUSY : UNUSABLE;
    if (fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? MOVED : store_error(errno);
    if (!store_same_inode(&named, sb))
        return MOVED;
    *sb = named;
    return is_ours(sb) ? TAKEN : UNUSABLE;
}

static int open_part_once(struct store_writer *w, const char *name, struct stat *sb)
{
    int r;
    int fd = openat(w->dir_fd, name,
                    O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);

    if (fd < 0) {
        bool odd = errno == ELOOP || errno == ENXIO || errno == EACCES || errno == EISDIR ||
                   errno == EPERM || errno == ETXTBSY;

        return odd ? UNUSABLE : store_error(errno);
    }
    r = take_part(w->dir_fd, name, fd, sb);
    if (r == TAKEN)
        w->fd = fd;
    else
        close(fd);
    return r;
}

int temporary_open_part(struct store_writer *w, const uint8_t id[16])
{
    struct stat sb;
    char name[48];

    store_part_name(id, w->name, name);
    for (int i = 0; i < NAME_TRIES; i++) {
        int r = open_part_once(w, name, &sb);

        if (r < 0)
            return r;
        if (r == TAKEN) {
            w->part = true;
            w->offset = w->written = (uint64_t)sb.st_size;
            strcpy(w->tmp, name);
            return 0;
        }
        if (r == UNUSABLE && unlinkat(w->dir_fd, name, 0) < 0 && errno != ENOENT)
            break;
    }
    return temporary_open(w);
}
