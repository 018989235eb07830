/* Remembered digests: in attributes and in memory, and when they may be trusted. */
#include "config.h"

#include "store_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MIB (1024 * 1024)

static struct room room;
static const uint8_t sha[DIGEST_LEN] = {0xab, 0xcd, 0x01};

static void open_room(void)
{
    room_open(&room);
}

static void close_room(void)
{
    room_close(&room);
}

TestSuite(store_record, .init = open_room, .fini = close_room);
TestSuite(digest_cache);

/* ---- on disk ---- */

/* A file of that size and mtime, open for reading. */
static int file_of(const char *path, off_t size, struct timespec mtime, struct stat *sb)
{
    struct timespec times[2] = {mtime, mtime};
    int fd;

    make_file(&room, path, "x");
    fd = openat(room.fd, path, O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, size), 0);
    cr_assert_eq(futimens(fd, times), 0);
    cr_assert_eq(fstat(fd, sb), 0);
    return fd;
}

static int old_file(struct stat *sb)
{
    return file_of("f", MIB, (struct timespec){1700000000, 123}, sb);
}

static void need_attributes(void)
{
    if (fsetxattr(room.fd, "user.test", "x", 1, 0) < 0)
        cr_skip_test("no user attributes on this file system");
}

static void expect_attr(int fd, const char *attr, const char *want)
{
    char got[100];
    ssize_t n = fgetxattr(fd, attr, got, sizeof(got));

    cr_expect(n == (ssize_t)strlen(want) && memcmp(got, want, (size_t)n) == 0, "%s: not %s", attr,
              want);
}

static void expect_recalled(int fd, const struct stat *sb)
{
    uint8_t out[DIGEST_LEN] = {0};

    cr_expect_eq(store_recall(fd, sb, out), 1);
    cr_expect_eq(memcmp(out, sha, DIGEST_LEN), 0);
}

static void expect_unknown(int fd, const struct stat *sb)
{
    uint8_t out[DIGEST_LEN] = {42};

    cr_expect_eq(store_recall(fd, sb, out), 0);
    cr_expect_eq(out[0], 42, "out is untouched");
}

Test(store_record, is_written_as_shatag_does)
{
    char id[64];
    struct stat sb;
    int fd;

    need_attributes();
    fd = old_file(&sb);
    expect_unknown(fd, &sb);
    cr_assert_eq(store_remember(fd, &sb, sha, time(NULL)), 0);
    expect_attr(fd, "user.shatag.sha256",
                "abcd010000000000000000000000000000000000000000000000000000000000");
    expect_attr(fd, "user.shatag.ts", "1700000000.000000123");
    snprintf(id, sizeof(id), "%d:%llu", MIB, (unsigned long long)sb.st_ino);
    expect_attr(fd, "user.xfer.id", id);
    cr_assert_eq(fstat(fd, &sb), 0);
    expect_recalled(fd, &sb);
    close(fd);
}

Test(store_record, times_before_1970)
{
    struct stat sb;
    int fd;

    need_attributes();
    fd = file_of("f", MIB, (struct timespec){-5, 5}, &sb);
    cr_assert_eq(store_remember(fd, &sb, sha, time(NULL)), 0);
    expect_recalled(fd, &sb);
    close(fd);
}

Test(store_record, works_on_what_is_open_for_reading_only)
{
    struct stat sb;
    int fd;

    need_attributes();
    close(old_file(&sb));
    fd = store_read_open(&room.st, "f", &sb);
    cr_assert_eq(store_remember(fd, &sb, sha, time(NULL)), 0);
    expect_recalled(fd, &sb);
    close(fd);
}

Test(store_record, not_of_small_files)
{
    struct stat sb;
    int fd;

    need_attributes();
    fd = file_of("f", MIB - 1, (struct timespec){1700000000, 0}, &sb);
    cr_expect_eq(store_remember(fd, &sb, sha, time(NULL)), 0);
    cr_expect_lt(fgetxattr(fd, "user.shatag.sha256", NULL, 0), 0);
    close(fd);
}

Test(store_record, not_of_files_that_were_young_when_hashing_began)
{
    struct stat sb;
    int fd;

    need_attributes();
    fd = file_of("f", MIB, (struct timespec){1700000000, 999999999}, &sb);
    for (int age = -1; age <= 2; age++) {
        cr_expect_eq(store_remember(fd, &sb, sha, 1700000000 + age), 0);
        cr_expect_lt(fgetxattr(fd, "user.shatag.sha256", NULL, 0), 0, "age %d", age);
    }
    cr_expect_eq(store_remember(fd, &sb, sha, 1700000003), 0);
    expect_recalled(fd, &sb);
    close(fd);
}

Test(store_record, another_version_is_not_trusted)
{
    struct timespec other[2] = {{1700000000, 124}, {1700000000, 124}};
    struct timespec same[2] = {{1700000000, 123}, {1700000000, 123}};
    struct stat sb, now;
    int fd;

    need_attributes();
    fd = old_file(&sb);
    cr_assert_eq(store_remember(fd, &sb, sha, time(NULL)), 0);
    cr_assert_eq(futimens(fd, other), 0);
    cr_assert_eq(fstat(fd, &now), 0);
    expect_unknown(fd, &now);
    cr_assert_eq(ftruncate(fd, MIB + 1), 0);
    cr_assert_eq(futimens(fd, same), 0);
    cr_assert_eq(fstat(fd, &now), 0);
    expect_unknown(fd, &now);
    close(fd);
}

Test(store_record, copied_to_another_file_is_not_trusted)
{
    static const char *const attrs[] = {"user.shatag.sha256", "user.shatag.ts", "user.xfer.id"};
    struct stat sb, copy_sb;
    char value[100];
    int fd, copy;

    need_attributes();
    fd = old_file(&sb);
    copy = file_of("copy", MIB, sb.st_mtim, &copy_sb);
    cr_assert_eq(store_remember(fd, &sb, sha, time(NULL)), 0);
    for (int i = 0; i < 3; i++) {
        ssize_t n = fgetxattr(fd, attrs[i], value, sizeof(value));

        cr_assert_gt(n, 0);
        cr_assert_eq(fsetxattr(copy, attrs[i], value, (size_t)n, 0), 0);
    }
    expect_recalled(fd, &sb);
    expect_unknown(copy, &copy_sb);
    close(copy);
    close(fd);
}

Test(store_record, damaged_or_foreign_is_not_trusted)
{
    static const struct {
        const char *attr, *value;
    } rows[] = {
        {"user.shatag.sha256", "abcd"},
        {"user.shatag.sha256", "zzcd010000000000000000000000000000000000000000000000000000000000"},
        {"user.shatag.sha256", "abcd0100000000000000000000000000000000000000000000000000000000000"},
        {"user.shatag.ts", "1700000000"},
        {"user.shatag.ts", "1700000000.0000001230"},
        {"user.shatag.ts", ""},
        {"user.xfer.id", "1048576"},
        {"user.xfer.id", ""},
    };
    struct stat sb;
    int fd;

    need_attributes();
    fd = old_file(&sb);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert_eq(store_remember(fd, &sb, sha, time(NULL)), 0);
        expect_recalled(fd, &sb);
        cr_assert_eq(fsetxattr(fd, rows[i].attr, rows[i].value, strlen(rows[i].value), 0), 0);
        expect_unknown(fd, &sb);
    }
    close(fd);
}

static int remember_where_it_cannot_be(struct room *r)
{
    struct stat sb = {.st_mode = S_IFREG, .st_size = MIB};

    if (deny_syscall(SYS_fsetxattr, ENOTSUP) < 0)
        return 77;
    NEED(store_remember(r->fd, &sb, sha, time(NULL)) == 0);
    return 0;
}

static int remember_where_it_fails(struct room *r)
{
    struct stat sb = {.st_mode = S_IFREG, .st_size = MIB};

    if (deny_syscall(SYS_fsetxattr, ENOSPC) < 0)
        return 77;
    NEED(store_remember(r->fd, &sb, sha, time(NULL)) == -ENOSPC);
    return 0;
}

static void expect_filtered(int (*fn)(struct room *))
{
    int r = in_child(fn, &room);

    if (r == 77)
        cr_skip_test("no system call filters here");
    cr_assert_eq(r, 0);
}

Test(store_record, file_systems_without_attributes_are_no_error)
{
    expect_filtered(remember_where_it_cannot_be);
}

Test(store_record, failure_is_told)
{
    expect_filtered(remember_where_it_fails);
}

/* ---- with a commit ---- */

static int put_remembered(const struct room *r, const char *path, size_t n, struct timespec mtime,
                          mode_t mode)
{
    struct store_commit_opts k = {
        .set_mtime = true, .mtime = mtime, .set_mode = true, .mode = mode, .remember_sha256 = sha};
    char *p = malloc(n);
    int err;

    memset(p, 'x', n);
    err = put(r, path, p, n, NULL, &k);
    free(p);
    return err;
}

static int recalled(const struct room *r, const char *path)
{
    uint8_t out[DIGEST_LEN];
    struct stat sb;
    int known, fd = store_read_open(&r->st, path, &sb);

    if (fd < 0)
        return fd;
    known = store_recall(fd, &sb, out);
    close(fd);
    return known && memcmp(out, sha, DIGEST_LEN) == 0;
}

static int commit_read_only(struct room *r)
{
    NEED(put_remembered(r, "f", MIB, (struct timespec){1700000000, 7}, 0444) == 0);
    NEED(recalled(r, "f") == 1);
    return 0;
}

Test(store_record, comes_with_the_file)
{
    struct timespec old = {1700000000, 7}, now;

    need_attributes();
    clock_gettime(CLOCK_REALTIME, &now);
    cr_assert_eq(put_remembered(&room, "old", MIB, old, 0644), 0);
    cr_expect_eq(recalled(&room, "old"), 1);
    cr_assert_eq(put_remembered(&room, "small", MIB - 1, old, 0644), 0);
    cr_expect_eq(recalled(&room, "small"), 0);
    cr_assert_eq(put_remembered(&room, "young", MIB, now, 0644), 0);
    cr_expect_eq(recalled(&room, "young"), 0);
}

Test(store_record, comes_with_a_read_only_file)
{
    need_attributes();
    cr_assert_eq(as_ordinary_user(commit_read_only, &room), 0);
}

static int commit_where_it_cannot_be(struct room *r)
{
    if (deny_syscall(SYS_fsetxattr, ENOSPC) < 0)
        return 77;
    NEED(put_remembered(r, "f", MIB, (struct timespec){1700000000, 7}, 0644) == 0);
    return 0;
}

Test(store_record, failure_does_not_fail_the_commit)
{
    expect_filtered(commit_where_it_cannot_be);
}

/* ---- in memory ---- */

static struct stat version(ino_t ino)
{
    return (struct stat){.st_dev = 1, .st_ino = ino, .st_size = 10, .st_mtim = {1000, 1}};
}

static void digest_for(ino_t ino, uint8_t out[DIGEST_LEN])
{
    for (int i = 0; i < DIGEST_LEN; i++)
        out[i] = (uint8_t)(ino * 7 + (ino >> 8) + (ino_t)i);
}

static void remember(struct digest_cache *c, ino_t ino)
{
    struct stat sb = version(ino);
    uint8_t d[DIGEST_LEN];

    digest_for(ino, d);
    digest_cache_put(c, &sb, d, 2000);
}

/* -1: not known; else whether it is the right one. */
static int known(struct digest_cache *c, ino_t ino)
{
    struct stat sb = version(ino);
    uint8_t want[DIGEST_LEN], got[DIGEST_LEN];

    if (!digest_cache_get(c, &sb, got))
        return -1;
    digest_for(ino, want);
    return memcmp(got, want, DIGEST_LEN) == 0;
}

Test(digest_cache, only_the_very_version)
{
    struct digest_cache *c = digest_cache_new(10);
    struct stat a = version(5), v[6];
    uint8_t out[DIGEST_LEN];

    for (int i = 0; i < 6; i++)
        v[i] = a;
    v[0].st_dev++;
    v[1].st_ino++;
    v[2].st_size++;
    v[3].st_mtim.tv_nsec++;
    v[4].st_ctim.tv_sec++;
    v[5].st_ctim.tv_nsec++;
    cr_assert_not_null(c);
    cr_expect_eq(known(c, 5), -1);
    remember(c, 5);
    cr_expect_eq(known(c, 5), 1);
    for (int i = 0; i < 6; i++)
        cr_expect_not(digest_cache_get(c, &v[i], out), "field %d", i);
    digest_cache_free(c);
    digest_cache_free(NULL);
}

Test(digest_cache, new_version_replaces_the_old)
{
    struct digest_cache *c = digest_cache_new(2);
    struct stat a = version(5), b = a;
    uint8_t out[DIGEST_LEN];

    b.st_mtim.tv_sec++;
    remember(c, 4);
    remember(c, 5);
    for (int i = 0; i < 5; i++) {
        digest_cache_put(c, &b, sha, 2000);
        b.st_size++;
    }
    b.st_size--;
    cr_expect(digest_cache_get(c, &b, out));
    cr_expect_eq(memcmp(out, sha, DIGEST_LEN), 0);
    cr_expect_not(digest_cache_get(c, &a, out));
    cr_expect_eq(known(c, 4), 1, "versions of one file push no other out");
    digest_cache_free(c);
}

Test(digest_cache, young_files_are_not_taken)
{
    struct digest_cache *c = digest_cache_new(2);
    struct stat a = version(5); /* of second 1000 */
    uint8_t out[DIGEST_LEN];

    digest_cache_put(c, &a, sha, 1002);
    cr_expect_not(digest_cache_get(c, &a, out));
    digest_cache_put(c, &a, sha, 900);
    cr_expect_not(digest_cache_get(c, &a, out));
    digest_cache_put(c, &a, sha, 1003);
    cr_expect(digest_cache_get(c, &a, out));
    digest_cache_free(c);
}

Test(digest_cache, oldest_is_forgotten_first)
{
    static const size_t sizes[] = {0, 1, 2, 3, 100, 128};

    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        size_t cap = sizes[s] ? sizes[s] : 1;
        struct digest_cache *c = digest_cache_new(sizes[s]);

        for (ino_t i = 1; i <= 1000; i++) {
            remember(c, i);
            cr_expect_eq(known(c, i), 1);
            if (i > cap)
                cr_expect_eq(known(c, i - cap), -1);
        }
        for (ino_t i = 1000 - cap + 1; i <= 1000; i++)
            cr_expect_eq(known(c, i), 1, "%zu of %zu", (size_t)i, cap);
        digest_cache_free(c);
    }
}

Test(digest_cache, too_many_entries_are_refused)
{
    cr_expect_null(digest_cache_new(SIZE_MAX));
}

struct user {
    struct digest_cache *c;
    unsigned seed, hits, wrong;
};

static void *use_cache(void *arg)
{
    struct user *u = arg;

    for (int i = 0; i < 20000; i++) {
        ino_t ino = 1 + (ino_t)rand_r(&u->seed) % 200;
        int k = known(u->c, ino);

        u->hits += k == 1;
        u->wrong += k == 0;
        if (k < 0)
            remember(u->c, ino);
    }
    return NULL;
}

Test(digest_cache, many_threads)
{
    struct digest_cache *c = digest_cache_new(100);
    struct user u[4];
    pthread_t t[4];

    for (unsigned i = 0; i < 4; i++) {
        u[i] = (struct user){.c = c, .seed = i + 1};
        cr_assert_eq(pthread_create(&t[i], NULL, use_cache, &u[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        cr_expect_eq(u[i].wrong, 0);
        cr_expect_gt(u[i].hits, 0);
    }
    digest_cache_free(c);
}
