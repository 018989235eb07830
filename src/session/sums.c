#include "config.h"

#include "session/sums.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/clock.h"

#define CHUNK (128 * 1024)
#define SAMPLE (1024 * 1024) /* after this the time that is left can be told */

bool sums_known(struct server *srv, int fd, const struct stat *sb, uint8_t out[DIGEST_LEN])
{
    return digest_cache_get(srv->cache, sb, out) || store_recall(fd, sb, out) == 1;
}

void sums_learn(struct server *srv, int fd, const struct stat *sb, const uint8_t sum[DIGEST_LEN],
                time_t began)
{
    struct stat now;

    /* Writing the record moves ctime, and with it the etag and the key of the cache. */
    if (srv->o->remember && store_remember(fd, sb, sum, began) == 0 && fstat(fd, &now) == 0 &&
        now.st_size == sb->st_size && now.st_mtim.tv_sec == sb->st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == sb->st_mtim.tv_nsec)
        digest_cache_put(srv->cache, &now, sum, began);
    else
        digest_cache_put(srv->cache, sb, sum, began);
}

static bool takes_too_long(const struct stat *sb, uint64_t done, int64_t began, int64_t budget)
{
    double spent = (double)(clock_now() - began);

    if (done < SAMPLE || (uint64_t)sb->st_size <= done)
        return false;
    return spent * ((double)sb->st_size / (double)done) > (double)budget;
}

int sums_compute(struct server *srv, int fd, const struct stat *sb, struct digest *d,
                 int64_t budget, uint8_t out[DIGEST_LEN])
{
    time_t wall = time(NULL);
    int64_t began = clock_now();
    uint8_t *buf = malloc(CHUNK);
    uint64_t off = 0;
    struct stat now;
    int r = buf ? 1 : -ENOMEM;

    digest_reset(d);
    while (r > 0) {
        ssize_t n = pread(fd, buf, CHUNK, (off_t)off);
        if (n == 0)
            break;
        if (n < 0) {
            r = errno == EINTR ? 1 : -errno;
            continue;
        }
        digest_update(d, buf, (size_t)n);
        off += (uint64_t)n;
        if (takes_too_long(sb, off, began, budget) ||
            (off >= SAMPLE && xfer_stop_is_raised(srv->o->stop)))
            r = 0;
    }
    free(buf);
    if (r <= 0)
        return r;
    if (fstat(fd, &now) < 0)
        return -errno;
    if (!store_same_version(sb, &now))
        return -XFER_ECHANGED;
    if (!digest_peek(d, out))
        return -ENOMEM;
    sums_learn(srv, fd, sb, out, wall);
    return 1;
}
