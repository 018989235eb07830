/* reader.c - opening a file to be read, and telling one version of it from another. */
#include "config.h"

#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int store_read_open(const struct store *st, const char *path, struct stat *sb)
{
    struct stat got;
    int r = 0;
    int fd = store_openat(st, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

    if (fd == -ENXIO) /* a socket, or a device that is not there */
        return -XFER_ENOTREG;
    if (fd < 0)
        return fd;
    if (fstat(fd, &got) < 0)
        r = -errno;
    else if (S_ISDIR(got.st_mode))
        r = -XFER_EISDIR;
    else if (!S_ISREG(got.st_mode))
        r = -XFER_ENOTREG;
    if (r < 0) {
        close(fd);
        return r;
    }
    *sb = got;
    return fd;
}

/* A digest, since five numbers in hex would be longer than the limit, and none of a peer's
 * business. */
void store_etag(const struct stat *sb, char out[STORE_ETAG_MAX + 1])
{
    uint64_t v[] = {
        sb->st_dev,
        sb->st_ino,
        (uint64_t)sb->st_size,
        (uint64_t)sb->st_mtim.tv_sec,
        (uint64_t)sb->st_mtim.tv_nsec,
        (uint64_t)sb->st_ctim.tv_sec,
        (uint64_t)sb->st_ctim.tv_nsec,
    };
    uint8_t d[DIGEST_LEN];
    char hex[DIGEST_HEX + 1];

    digest_of(v, sizeof(v), d);
    digest_hex(d, hex);
    memcpy(out, hex, 32);
    out[32] = '\0';
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool store_same_version(const struct stat *a, const struct stat *b)
{
    if (a->st_size != b->st_size || !same_time(a->st_mtim, b->st_mtim))
        return false;
    return same_time(a->st_ctim, b->st_ctim) || a->st_nlink != b->st_nlink;
}
