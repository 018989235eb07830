/* Sweeping: old leftovers of ours go, and nothing else ever does. */
#include "config.h"

#include "store_fixture.h"
#include "store/internal.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define DAY (24 * 3600)
#define TMP ".xfer-0123456789abcdef0123456789abcdef.tmp"
#define PART ".xfer-0123456789abcdef0123456789abcdef.part"

static struct room room;
static time_t shift; /* a ctime cannot be set back, so the clock goes ahead */

/* In place of the C library's, for the store, too. */
time_t time(time_t *ret)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    if (ret)
        *ret = ts.tv_sec + shift;
    return ts.tv_sec + shift;
}

static void open_room(void)
{
    room_open(&room);
}

static void close_room(void)
{
    room_close(&room);
}

TestSuite(store_sweep, .init = open_room, .fini = close_room);

static bool exists(const char *path)
{
    return faccessat(room.fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

Test(store_sweep, ages)
{
    time_t now = time(NULL);

    make_file(&room, TMP, "x");
    make_file(&room, PART, "x");
    cr_expect_eq(store_sweep(room.fd, now), 0);
    cr_expect_eq(store_sweep(room.fd, now - DAY), 0, "a clock that went back");
    cr_expect_eq(store_sweep(room.fd, now + 50), 0);
    cr_expect_eq(store_sweep(room.fd, now + 70), 1);
    cr_expect_not(exists(TMP));
    cr_expect_eq(store_sweep(room.fd, now + 7 * DAY - 10), 0);
    cr_expect(exists(PART));
    cr_expect_eq(store_sweep(room.fd, now + 7 * DAY + 10), 1);
    cr_expect_not(exists(PART));
}

Test(store_sweep, mtime_of_the_source_does_not_make_it_old)
{
    struct timespec old[2] = {{1, 0}, {1, 0}};

    make_file(&room, TMP, "x");
    cr_assert_eq(utimensat(room.fd, TMP, old, 0), 0);
    cr_expect_eq(store_sweep(room.fd, time(NULL)), 0);
}

Test(store_sweep, only_our_very_names)
{
    static const char *const names[] = {
        ".xfer-0123456789abcdef0123456789abcdef.tmpx", ".xfer-0123456789ABCDEF0123456789ABCDEF.tmp",
        ".xfer-0123456789abcdef0123456789abcde.part",  ".xfer-.part",
        "0123456789abcdef0123456789abcdef.part",       "file.part",
        "x.xfer-0123456789abcdef0123456789abcdef.tmp", ".xfer-0123456789abcdef0123456789abcdeg.tmp",
    };
    enum { N = sizeof(names) / sizeof(names[0]) };

    for (int i = 0; i < N; i++)
        make_file(&room, names[i], "x");
    make_dir(&room, "d");
    make_file(&room, "d/" PART, "x"); /* one directory is swept, not what is below it */
    cr_expect_eq(store_sweep(room.fd, time(NULL) + 365 * DAY), 0);
    for (int i = 0; i < N; i++)
        cr_expect(exists(names[i]), "%s", names[i]);
    cr_expect(exists("d/" PART));
}

Test(store_sweep, only_regular_files)
{
    alarm(20); /* an open that blocks would last for ever */
    make_file(&room, "f", "x");
    make_link(&room, "f", TMP);
    make_dir(&room, PART);
    cr_assert_eq(mkfifoat(room.fd, ".xfer-00000000000000000000000000000000.tmp", 0666), 0);
    cr_assert_eq(mknodat(room.fd, ".xfer-11111111111111111111111111111111.tmp", S_IFSOCK | 0666, 0),
                 0);
    cr_expect_eq(store_sweep(room.fd, time(NULL) + 365 * DAY), 0);
    cr_expect_eq(leftovers(&room, "."), 4);
    cr_expect(exists("f"));
}

Test(store_sweep, only_our_own)
{
    if (geteuid() != 0)
        cr_skip_test("only root can give files away");
    make_file(&room, TMP, "x");
    cr_assert_eq(fchownat(room.fd, TMP, 12345, 12345, 0), 0);
    cr_expect_eq(store_sweep(room.fd, time(NULL) + 365 * DAY), 0);
    cr_expect(exists(TMP));
}

Test(store_sweep, not_what_somebody_holds)
{
    int fd;

    make_file(&room, PART, "x");
    fd = openat(room.fd, PART, O_RDONLY);
    cr_assert_eq(flock(fd, LOCK_EX), 0);
    cr_expect_eq(store_sweep(room.fd, time(NULL) + 365 * DAY), 0);
    close(fd);
    cr_expect_eq(store_sweep(room.fd, time(NULL) + 365 * DAY), 1);
}

static int sweep_read_only(struct room *r)
{
    int fd = openat(r->fd, TMP, O_WRONLY | O_CREAT | O_EXCL, 0400);

    NEED(fd >= 0);
    close(fd);
    NEED(store_sweep(r->fd, time(NULL) + 365 * DAY) == 1);
    return 0;
}

Test(store_sweep, finished_with_a_read_only_mode)
{
    cr_assert_eq(as_ordinary_user(sweep_read_only, &room), 0);
}

static int sweep_drop_box(struct room *r)
{
    int fd;

    NEED(store_mkdir(&r->st, "box", 0300, false) == 0);
    fd = openat(r->fd, "box", O_PATH | O_DIRECTORY);
    NEED(fd >= 0);
    NEED(store_sweep(fd, time(NULL)) == 0);
    return 0;
}

Test(store_sweep, directory_that_cannot_be_read)
{
    cr_assert_eq(as_ordinary_user(sweep_drop_box, &room), 0);
}

/* ---- when ---- */

Test(store_sweep, each_directory_once_an_hour)
{
    struct sweep_table *t = sweep_table_new();

    cr_assert_not_null(t);
    cr_expect(sweep_table_due(t, "a", 1));
    cr_expect_not(sweep_table_due(t, "a", 1));
    cr_expect(sweep_table_due(t, "ab", 2));
    cr_expect(sweep_table_due(t, "", 0));
    cr_expect_not(sweep_table_due(t, "ab", 2));
    cr_expect_not(sweep_table_due(t, "", 0));
    sweep_table_free(t);
    sweep_table_free(NULL);
}

Test(store_sweep, never_twice_however_many_directories)
{
    enum { DIRS = 5000 };
    struct sweep_table *t = sweep_table_new();
    static bool swept[DIRS];
    unsigned n = 0;
    char path[16];

    for (int i = 0; i < 2 * DIRS; i++) {
        int len = snprintf(path, sizeof(path), "d%d", i % DIRS);
        bool due = sweep_table_due(t, path, (size_t)len);

        cr_expect_not(due && swept[i % DIRS], "%s: twice", path);
        swept[i % DIRS] |= due;
        n += due;
    }
    cr_expect_gt(n, 500);
    sweep_table_free(t);
}

Test(store_sweep, a_write_sweeps_its_directory_once)
{
    make_dir(&room, "d");
    make_file(&room, "d/" TMP, "x");
    make_file(&room, TMP, "x");
    shift = DAY;
    cr_assert_eq(put(&room, "d/f", "x", 1, NULL, NULL), 0);
    cr_expect_not(exists("d/" TMP));
    cr_expect(exists(TMP));
    make_file(&room, "d/" TMP, "x");
    cr_assert_eq(put(&room, "d/f", "x", 1, NULL, NULL), 0);
    cr_expect(exists("d/" TMP));
}

Test(store_sweep, old_part_that_is_being_continued_stays)
{
    static const uint8_t id[16] = {5};
    struct store_write_opts o = {.resume_id = id};
    struct store_writer w;
    char part[48];

    store_part_name(id, "f", part);
    make_file(&room, part, "kept");
    shift = 30 * DAY;
    cr_assert_eq(store_write_open(&room.st, "f", &o, &w), 0);
    cr_expect_eq(w.offset, 4);
    cr_assert_eq(store_write_finish(&w, &(struct store_commit_opts){0}), 0);
    cr_assert_eq(store_write_publish(&w, false), 0);
    store_write_abort(&w, false);
    cr_expect(holds(&room, "f", "kept"));
}
