/* record.c - digests remembered in extended attributes of the file itself. */
#include "config.h"

#include "store/internal.h"
#include "base/buf.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/xattr.h>

#define ATTR_SHA256 "user.shatag.sha256"
#define ATTR_TS "user.shatag.ts"
#define ATTR_ID "user.xfer.id"

#define VALUE_MAX 64

bool store_is_settled(const struct stat *sb, time_t began)
{
    return sb->st_mtim.tv_sec < began - 2;
}

static size_t format_ts(const struct stat *sb, char out[VALUE_MAX])
{
    return (size_t)snprintf(out, VALUE_MAX, "%" PRId64 ".%09ld", (int64_t)sb->st_mtim.tv_sec,
                            sb->st_mtim.tv_nsec);
}

static size_t format_id(const struct stat *sb, char out[VALUE_MAX])
{
    return (size_t)snprintf(out, VALUE_MAX, "%" PRId64 ":%" PRIu64, (int64_t)sb->st_size,
                            (uint64_t)sb->st_ino);
}

static bool attr_is(int fd, const char *attr, const char *want, size_t n)
{
    char got[VALUE_MAX];

    return fgetxattr(fd, attr, got, sizeof(got)) == (ssize_t)n && memcmp(got, want, n) == 0;
}

/* To the nanosecond: a whole-second stamp, as shatag itself writes it, cannot tell two versions of
 * one second apart and so is never equal. */
int store_recall(int fd, const struct stat *sb, uint8_t out[DIGEST_LEN])
{
    char ts[VALUE_MAX], id[VALUE_MAX], hex[DIGEST_HEX];
    uint8_t d[DIGEST_LEN];

    if (!S_ISREG(sb->st_mode) || sb->st_size < STORE_REMEMBER_MIN)
        return 0;
    if (!attr_is(fd, ATTR_ID, id, format_id(sb, id)) ||
        !attr_is(fd, ATTR_TS, ts, format_ts(sb, ts)))
        return 0;
    if (fgetxattr(fd, ATTR_SHA256, hex, sizeof(hex)) != DIGEST_HEX ||
        !parse_hex(hex, DIGEST_HEX, d, DIGEST_LEN))
        return 0;
    memcpy(out, d, DIGEST_LEN);
    return 1;
}

static int set_attr(int fd, const char *attr, const char *value, size_t n)
{
    return fsetxattr(fd, attr, value, n, 0) < 0 ? -errno : 0;
}

/* The stamp last: until it is there, what stands beside it is not trusted. */
static int set_record(int fd, const struct stat *sb, const uint8_t sha256[DIGEST_LEN])
{
    char hex[DIGEST_HEX + 1], ts[VALUE_MAX], id[VALUE_MAX];
    int r;

    digest_hex(sha256, hex);
    r = set_attr(fd, ATTR_SHA256, hex, DIGEST_HEX);
    if (r == 0)
        r = set_attr(fd, ATTR_ID, id, format_id(sb, id));
    if (r == 0)
        r = set_attr(fd, ATTR_TS, ts, format_ts(sb, ts));
    return r;
}

int store_remember(int fd, const struct stat *sb, const uint8_t sha256[DIGEST_LEN], time_t began)
{
    int r;

    if (sb->st_size < STORE_REMEMBER_MIN || !store_is_settled(sb, began))
        return 0;
    r = set_record(fd, sb, sha256);
    return r == -ENOTSUP ? 0 : r;
}
