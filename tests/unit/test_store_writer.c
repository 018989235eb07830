/* Writing: whole under its name or not at all, with the old file intact until then. */
#include "config.h"

#include "store_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct room room;
static const struct store_write_opts replace = {.replace = STORE_REPLACE};
static const struct store_write_opts only_new = {.replace = STORE_NEW};
static const struct store_commit_opts plain = {0};

static void open_room(void)
{
    room_open(&room);
}

static void close_room(void)
{
    room_close(&room);
}

TestSuite(store_writer, .init = open_room, .fini = close_room);

static int put_text(const char *path, const char *text)
{
    return put(&room, path, text, strlen(text), NULL, NULL);
}

/* ---- the life of a file ---- */

Test(store_writer, appears_whole_and_only_at_the_end)
{
    struct store_writer w;

    cr_assert_eq(store_write_open(&room.st, "f", &replace, &w), 0);
    cr_expect_eq(w.target.st_mode, 0);
    cr_expect_eq(w.offset, 0);
    cr_expect_not(w.part);
    cr_expect(path_is_hidden(w.tmp, strlen(w.tmp)));
    cr_expect_eq(stat_of(&room, w.tmp).st_mode & 07777, 0600);
    cr_assert_eq(store_write(&w, "hel", 3), 0);
    cr_assert_eq(store_write(&w, "lo", 2), 0);
    cr_expect_eq(w.offset, 5);
    cr_assert_eq(store_write_finish(&w, &plain), 0);
    cr_expect_eq(faccessat(room.fd, "f", F_OK, 0), -1);
    cr_assert_eq(store_write_publish(&w, false), 0);
    cr_expect(holds(&room, "f", "hello"));
    store_write_abort(&w, false);
    cr_expect(holds(&room, "f", "hello"));
    cr_expect_eq(leftovers(&room, "."), 0);
    cr_expect_eq(w.fd, -1);
    store_write_abort(&w, false); /* nothing left to do */
}

Test(store_writer, abort_leaves_the_old_file)
{
    struct store_writer w;

    make_file(&room, "f", "old");
    cr_assert_eq(store_write_open(&room.st, "f", &replace, &w), 0);
    cr_expect_eq(w.target.st_size, 3);
    cr_assert_eq(store_write(&w, "new and longer", 14), 0);
    cr_assert_eq(store_write_finish(&w, &plain), 0);
    store_write_abort(&w, true); /* keep holds for parts alone */
    cr_expect(holds(&room, "f", "old"));
    cr_expect_eq(leftovers(&room, "."), 0);
}

Test(store_writer, abort_of_nothing)
{
    struct store_writer w = {.fd = -1, .dir_fd = -1};

    store_write_abort(&w, true);
    cr_expect_eq(w.fd, -1);
}

Test(store_writer, empty_file)
{
    cr_assert_eq(put_text("empty", ""), 0);
    cr_expect_eq(stat_of(&room, "empty").st_size, 0);
    cr_expect(S_ISREG(stat_of(&room, "empty").st_mode));
}

Test(store_writer, with_sync)
{
    struct store_commit_opts k = {.sync = true};

    cr_assert_eq(put(&room, "f", "x", 1, NULL, &k), 0);
    cr_expect(holds(&room, "f", "x"));
}

Test(store_writer, restart_forgets)
{
    struct store_writer w;

    cr_assert_eq(store_write_open(&room.st, "f", &replace, &w), 0);
    cr_assert_eq(store_write(&w, "something long", 14), 0);
    cr_assert_eq(store_write_restart(&w), 0);
    cr_expect_eq(w.offset, 0);
    cr_assert_eq(store_write(&w, "short", 5), 0);
    cr_assert_eq(store_write_finish(&w, &plain), 0);
    cr_assert_eq(store_write_publish(&w, false), 0);
    store_write_abort(&w, false);
    cr_expect(holds(&room, "f", "short"));
}

Test(store_writer, longest_and_odd_names)
{
    static const char *const names[] = {"new\nline", "esc\033[31m", "\xff\xfe", "-rf", " sp "};
    char longest[256];

    memset(longest, 'n', 255);
    longest[255] = '\0';
    cr_assert_eq(put_text(longest, "x"), 0);
    cr_expect(holds(&room, longest, "x"));
    cr_assert_eq(put(&room, longest, "y", 1,
                     &(struct store_write_opts){.resume_id = (uint8_t[16]){1}}, NULL),
                 0);
    cr_expect(holds(&room, longest, "y"));
    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(put_text(names[i], names[i]), 0);
        cr_expect(holds(&room, names[i], names[i]));
    }
}

/* ---- targets and parents ---- */

Test(store_writer, targets_that_are_no_files)
{
    make_dir(&room, "d");
    make_link(&room, "d", "to-dir");
    make_link(&room, "/etc", "out-dir");
    make_link(&room, "/etc/passwd", "out");
    make_link(&room, "loop", "loop");
    cr_assert_eq(mkfifoat(room.fd, "fifo", 0666), 0);
    make_link(&room, "fifo", "to-fifo");
    cr_expect_eq(put_text("", "x"), -XFER_EISDIR);
    cr_expect_eq(put_text("d", "x"), -XFER_EISDIR);
    cr_expect_eq(put_text("to-dir", "x"), -XFER_EISDIR);
    cr_expect_eq(put_text("out-dir", "x"), -XFER_EPERM);
    cr_expect_eq(put_text("out", "x"), -XFER_EPERM);
    cr_expect_eq(put_text("loop", "x"), -XFER_ELOOP);
    cr_expect_eq(put_text("fifo", "x"), -XFER_ENOTREG);
    cr_expect_eq(put_text("to-fifo", "x"), -XFER_ENOTREG);
    cr_expect(S_ISLNK(stat_of(&room, "out").st_mode));
    cr_expect(S_ISFIFO(stat_of(&room, "fifo").st_mode));
    cr_expect_eq(leftovers(&room, "."), 0);
}

Test(store_writer, symlink_to_a_file_is_itself_replaced)
{
    make_dir(&room, "d");
    make_file(&room, "d/f", "old");
    make_link(&room, "d/f", "l");
    make_link(&room, "nowhere", "dangling");
    cr_assert_eq(put_text("l", "new"), 0);
    cr_expect(S_ISREG(stat_of(&room, "l").st_mode));
    cr_expect(holds(&room, "l", "new"));
    cr_expect(holds(&room, "d/f", "old"));
    cr_assert_eq(put_text("dangling", "new"), 0);
    cr_expect(S_ISREG(stat_of(&room, "dangling").st_mode));
    cr_expect_eq(stat_of(&room, "dangling").st_mode & 0777, 0666 & ~room.st.umask);
}

Test(store_writer, parents)
{
    struct store_write_opts mk = {.mkpath = true};

    make_file(&room, "f", "x");
    cr_expect_eq(put_text("a/b/c", "x"), -ENOENT);
    cr_expect_eq(put_text("f/b", "x"), -XFER_ENOTDIR);
    cr_expect_eq(put(&room, "f/b/c", "x", 1, &mk, NULL), -XFER_ENOTDIR);
    cr_expect_eq(faccessat(room.fd, "a", F_OK, 0), -1);
    cr_assert_eq(put(&room, "a/b/c", "x", 1, &mk, NULL), 0);
    cr_expect(holds(&room, "a/b/c", "x"));
    cr_expect_eq(stat_of(&room, "a/b").st_mode & 07777, 0777 & ~room.st.umask);
    cr_assert_eq(put_text("a/b/c", "y"), 0);
    cr_expect(holds(&room, "a/b/c", "y"));
    make_link(&room, "/tmp", "out");
    cr_expect_eq(put(&room, "out/x/y", "x", 1, &mk, NULL), -XFER_EPERM);
}

Test(store_writer, directory_that_came_meanwhile)
{
    struct store_writer w;

    cr_assert_eq(store_write_open(&room.st, "f", &replace, &w), 0);
    cr_assert_eq(store_write_finish(&w, &plain), 0);
    make_dir(&room, "f");
    cr_expect_eq(store_write_publish(&w, false), -XFER_EISDIR);
    store_write_abort(&w, false);
    cr_expect_eq(leftovers(&room, "."), 0);
}

/* ---- never over an existing file ---- */

Test(store_writer, only_new)
{
    struct store_writer w;

    make_file(&room, "f", "old");
    make_link(&room, "nowhere", "dangling");
    make_dir(&room, "d");
    cr_expect_eq(store_write_open(&room.st, "f", &only_new, &w), -XFER_EEXISTS, "before any byte");
    cr_expect_eq(put(&room, "dangling", "new", 3, &only_new, NULL), -XFER_EEXISTS);
    cr_expect_eq(put(&room, "d", "new", 3, &only_new, NULL), -XFER_EISDIR);
    cr_expect(holds(&room, "f", "old"));
    cr_assert_eq(put(&room, "g", "new", 3, &only_new, NULL), 0);
    cr_expect(holds(&room, "g", "new"));
}

static int publish_late(struct room *r)
{
    struct store_writer w;
    int fd;

    NEED(store_write_open(&r->st, "f", &only_new, &w) == 0);
    NEED(store_write(&w, "late", 4) == 0);
    NEED(store_write_finish(&w, &plain) == 0);
    fd = openat(r->fd, "f", O_WRONLY | O_CREAT | O_EXCL, 0644);
    NEED(fd >= 0 && write(fd, "first", 5) == 5);
    close(fd);
    NEED(store_write_publish(&w, false) == -XFER_EEXISTS);
    store_write_abort(&w, false);
    NEED(holds(r, "f", "first"));
    NEED(leftovers(r, ".") == 0);
    NEED(put(r, "g", "new", 3, &only_new, NULL) == 0);
    NEED(holds(r, "g", "new"));
    NEED(leftovers(r, ".") == 0);
    return 0;
}

Test(store_writer, only_new_when_another_was_first)
{
    cr_assert_eq(in_child(publish_late, &room), 0);
}

static int publish_late_without_noreplace(struct room *r)
{
    if (deny_syscall(SYS_renameat2, EINVAL) < 0)
        return 77;
    return publish_late(r);
}

Test(store_writer, only_new_on_file_systems_without_noreplace)
{
    int r = in_child(publish_late_without_noreplace, &room);

    if (r == 77)
        cr_skip_test("no system call filters here");
    cr_assert_eq(r, 0);
}

/* ---- permissions ---- */

static int write_where_not_permitted(struct room *r)
{
    struct store_commit_opts read_only = {.set_mode = true, .mode = 0444};

    NEED(put(r, "ro", "old", 3, NULL, &read_only) == 0);
    NEED(put(r, "ro", "new", 3, NULL, NULL) == -EACCES);
    NEED(holds(r, "ro", "old"));
    NEED(store_mkdir(&r->st, "shut", 0555, false) == 0);
    NEED(put(r, "shut/f", "x", 1, NULL, NULL) == -EACCES);
    NEED(store_mkdir(&r->st, "shut/d", 0755, false) == -EACCES);
    NEED(leftovers(r, ".") == 0);
    return 0;
}

Test(store_writer, read_only_target_is_not_replaced)
{
    cr_assert_eq(as_ordinary_user(write_where_not_permitted, &room), 0);
}

static int write_into_drop_box(struct room *r)
{
    struct store_commit_opts sync = {.sync = true};
    struct store_write_opts resume = {.resume_id = (uint8_t[16]){7}};

    NEED(store_mkdir(&r->st, "box", 0300, false) == 0);
    NEED(openat(r->fd, "box", O_RDONLY | O_DIRECTORY) < 0);
    NEED(put(r, "box/f", "x", 1, NULL, &sync) == 0);
    NEED(put(r, "box/g", "x", 1, &resume, NULL) == 0);
    NEED(holds(r, "box/f", "x"));
    return 0;
}

Test(store_writer, drop_box_takes_files)
{
    cr_assert_eq(as_ordinary_user(write_into_drop_box, &room), 0);
}

/* ---- modes and times ---- */

static mode_t mode_of(const char *path)
{
    return stat_of(&room, path).st_mode & 07777;
}

Test(store_writer, modes)
{
    struct store_commit_opts all = {.set_mode = true, .mode = 07777};
    struct store_commit_opts none = {.set_mode = true, .mode = 0};
    struct store_commit_opts same = {.set_mode = true, .mode = 0600};

    cr_assert_eq(put_text("new", "x"), 0);
    cr_expect_eq(mode_of("new"), 0666 & ~room.st.umask);
    cr_assert_eq(put(&room, "all", "x", 1, NULL, &all), 0);
    cr_expect_eq(mode_of("all"), 0777, "never setuid, setgid or sticky");
    cr_assert_eq(put(&room, "none", "x", 1, NULL, &none), 0);
    cr_expect_eq(mode_of("none"), 0);
    cr_assert_eq(put(&room, "same", "x", 1, NULL, &same), 0);
    cr_expect_eq(mode_of("same"), 0600);
}

Test(store_writer, existing_mode_is_kept)
{
    static const mode_t modes[] = {0640, 0666, 0600, 0755};

    for (size_t i = 0; i < 4; i++) {
        make_file(&room, "f", "old");
        cr_assert_eq(fchmodat(room.fd, "f", modes[i], 0), 0);
        cr_assert_eq(put_text("f", "new"), 0);
        cr_expect_eq(mode_of("f"), modes[i]);
    }
    cr_assert_eq(fchmodat(room.fd, "f", 04755, 0), 0);
    cr_assert_eq(put_text("f", "new"), 0);
    cr_expect_eq(mode_of("f"), 0755, "other bytes have no claim to its setuid");
}

static int write_under_umask(struct room *r)
{
    struct store st;
    struct room inner = *r;
    struct stat sb;

    umask(027);
    NEED(store_open(&st, r->dir) == 0);
    inner.st = st;
    NEED(put(&inner, "f", "x", 1, NULL, NULL) == 0);
    NEED(fstatat(r->fd, "f", &sb, 0) == 0 && (sb.st_mode & 07777) == 0640);
    store_close(&st);
    return 0;
}

Test(store_writer, umask_counts_for_new_files)
{
    cr_assert_eq(in_child(write_under_umask, &room), 0);
}

/* What this file system makes of a time, set without us. */
static struct timespec kept_time(struct timespec t)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, t};

    make_file(&room, "reference", "x");
    cr_assert_eq(utimensat(room.fd, "reference", times, 0), 0);
    return stat_of(&room, "reference").st_mtim;
}

Test(store_writer, times_of_all_ages)
{
    static const struct timespec rows[] = {
        {0, 0},           {1, 999999999},         {-1, 500000000},         {-86400 * 365, 1},
        {-9999999999, 0}, {0x80000005L, 1234567}, {0x100000005L, 7654321}, {1700000000, 123456789},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct store_commit_opts k = {.set_mtime = true, .mtime = rows[i]};
        struct timespec want = kept_time(rows[i]), is;

        cr_assert_eq(put(&room, "f", "x", 1, NULL, &k), 0);
        is = stat_of(&room, "f").st_mtim;
        cr_expect(is.tv_sec == want.tv_sec && is.tv_nsec == want.tv_nsec, "%lld.%09ld",
                  (long long)rows[i].tv_sec, rows[i].tv_nsec);
    }
}

static int write_where_times_cannot_be_held(struct room *r)
{
    struct store_commit_opts k = {
        .set_mtime = true, .mtime = {5, 5}, .set_mode = true, .mode = 0644};

    if (deny_syscall(SYS_utimensat, EINVAL) < 0 || deny_syscall(SYS_fchmod, EPERM) < 0)
        return 77;
    NEED(put(r, "f", "x", 1, NULL, &k) == 0);
    NEED(holds(r, "f", "x"));
    return 0;
}

Test(store_writer, times_and_modes_that_cannot_be_held_are_no_error)
{
    int r = in_child(write_where_times_cannot_be_held, &room);

    if (r == 77)
        cr_skip_test("no system call filters here");
    cr_assert_eq(r, 0);
}

/* ---- zeros ---- */

static char pattern_at(size_t i)
{
    size_t block = i / 4096;

    return block % 3 == 0 || i == 4096 * 4 + 17 ? (char)(i * 31 % 251 + 1) : 0;
}

/* Blocks of data and of zeros, and a block with one byte in it; the end is in mid-block. */
static char *pattern(size_t n)
{
    char *p = malloc(n);

    cr_assert_not_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = pattern_at(i);
    return p;
}

static void write_in_pieces(struct store_writer *w, const char *p, size_t n, size_t piece)
{
    for (size_t i = 0; i < n; i += piece) {
        size_t k = n - i < piece ? n - i : piece;

        cr_assert_eq(store_write(w, p + i, k), 0);
        cr_assert_eq(w->offset, i + k);
    }
}

Test(store_writer, every_byte_arrives_however_it_is_cut)
{
    static const size_t pieces[] = {1, 7, 1000, 4095, 4096, 4097, 10000, 65536, 1 << 20};
    enum { SIZE = 70000 };
    char *want = pattern(SIZE);

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct store_writer w;
        size_t n;
        char *is;

        cr_assert_eq(store_write_open(&room.st, "f", &replace, &w), 0);
        write_in_pieces(&w, want, SIZE, pieces[i]);
        cr_assert_eq(store_write_finish(&w, &plain), 0);
        cr_assert_eq(store_write_publish(&w, false), 0);
        store_write_abort(&w, false);
        is = slurp(&room, "f", &n);
        cr_expect(n == SIZE && memcmp(is, want, SIZE) == 0, "in pieces of %zu", pieces[i]);
        free(is);
    }
    free(want);
}

static off_t on_disk(const char *path)
{
    return (off_t)stat_of(&room, path).st_blocks * 512;
}

/* 4 KiB of data at the begin, zeros, and 4 KiB of data in the end, if asked. */
static void put_sparse(const char *path, size_t zeros, bool tail, size_t piece)
{
    size_t n = 4096 + zeros + (tail ? 4096 : 0), k;
    char *want = calloc(1, n), *is;
    struct store_writer w;

    cr_assert_not_null(want);
    memset(want, 'a', 4096);
    if (tail)
        memset(want + 4096 + zeros, 'z', 4096);
    cr_assert_eq(store_write_open(&room.st, path, &replace, &w), 0);
    write_in_pieces(&w, want, n, piece);
    cr_assert_eq(store_write_finish(&w, &plain), 0);
    cr_assert_eq(store_write_publish(&w, true), 0);
    store_write_abort(&w, false);
    is = slurp(&room, path, &k);
    cr_expect(k == n && memcmp(is, want, n) == 0, "%s", path);
    free(is);
    free(want);
}

Test(store_writer, zeros_become_holes)
{
    enum { MANY = 4 << 20 };

    make_file(&room, "dense", "x");
    cr_assert_eq(posix_fallocate(openat(room.fd, "dense", O_RDWR), 0, MANY), 0);
    if (on_disk("dense") < MANY)
        cr_skip_test("this file system does not count blocks");
    put_sparse("middle", MANY, true, 1 << 16);
    cr_expect_lt(on_disk("middle"), MANY / 8);
    put_sparse("unaligned", MANY, true, 1000);
    cr_expect_lt(on_disk("unaligned"), MANY / 8);
    put_sparse("end", MANY, false, 1 << 16);
    cr_expect_lt(on_disk("end"), MANY / 8);
    cr_expect_eq(stat_of(&room, "end").st_size, MANY + 4096);
    put_sparse("odd-end", MANY + 13, false, 12345);
    cr_expect_eq(stat_of(&room, "odd-end").st_size, MANY + 13 + 4096);
}

Test(store_writer, nothing_but_zeros)
{
    static const char zeros[10000];
    size_t n;
    char *p;

    cr_assert_eq(put(&room, "f", zeros, sizeof(zeros), NULL, NULL), 0);
    p = slurp(&room, "f", &n);
    cr_expect_eq(n, sizeof(zeros));
    cr_expect_eq(memcmp(p, zeros, n), 0);
    free(p);
}

Test(store_writer, holes_after_a_restart_keep_no_old_bytes)
{
    enum { SIZE = 3 * 4096 };
    char data[SIZE], zeros[SIZE] = {0}, *is;
    struct store_writer w;
    size_t n;

    memset(data, 'x', SIZE);
    cr_assert_eq(store_write_open(&room.st, "f", &replace, &w), 0);
    cr_assert_eq(store_write(&w, data, SIZE), 0);
    cr_assert_eq(store_write_restart(&w), 0);
    cr_assert_eq(store_write(&w, zeros, SIZE), 0);
    cr_assert_eq(store_write(&w, "end", 3), 0);
    cr_assert_eq(store_write_finish(&w, &plain), 0);
    cr_assert_eq(store_write_publish(&w, false), 0);
    store_write_abort(&w, false);
    is = slurp(&room, "f", &n);
    cr_expect_eq(n, SIZE + 3);
    cr_expect_eq(memcmp(is, zeros, SIZE), 0);
    cr_expect_str_eq(is + SIZE, "end");
    free(is);
}

/* ---- two writers ---- */

Test(store_writer, several_write_one_file_out_of_order)
{
    struct store_writer w, front, back, again;
    char zeros[8192] = {0}, ones[8192], want[16384 + 1] = {0};

    memset(ones, '1', sizeof ones);
    memset(want, '1', 8192);
    cr_assert_eq(store_write_open(&room.st, "f", &replace, &w), 0);
    store_write_fork(&w, 8192, false, &back);
    store_write_fork(&w, 0, false, &front);
    cr_assert_eq(store_write(&back, ones, 8192), 0);
    cr_assert_eq(store_write(&front, ones, 8192), 0);
    store_write_fork(&w, 8192, true, &again); /* zeros this time, over what stands there */
    cr_assert_eq(store_write(&again, zeros, 8192), 0);
    cr_expect_eq(again.offset, 16384);
    cr_assert_eq(store_write_end_at(&w, 16384), 0);
    cr_assert_eq(store_write_finish(&w, &plain), 0);
    cr_assert_eq(store_write_publish(&w, false), 0);
    store_write_abort(&w, false);
    int fd = openat(room.fd, "f", O_RDONLY);
    char got[16384 + 1];
    cr_expect_eq(read(fd, got, sizeof got), 16384);
    cr_expect_eq(memcmp(got, want, 16384), 0);
    close(fd);
}

Test(store_writer, an_end_forgets_what_is_behind_it)
{
    struct store_writer w, back;

    cr_assert_eq(store_write_open(&room.st, "f", &replace, &w), 0);
    cr_assert_eq(store_write(&w, "front", 5), 0);
    store_write_fork(&w, 100, false, &back);
    cr_assert_eq(store_write(&back, "back", 4), 0);
    cr_assert_eq(store_write_end_at(&w, 5), 0);
    cr_assert_eq(store_write_finish(&w, &plain), 0);
    cr_assert_eq(store_write_publish(&w, false), 0);
    store_write_abort(&w, false);
    cr_expect(holds(&room, "f", "front"));
    w = (struct store_writer){.fd = -1, .dir_fd = -1};
    cr_expect_eq(store_write_end_at(&w, 5), 0);
}

Test(store_writer, last_of_two_wins)
{
    struct store_writer a, b;

    cr_assert_eq(store_write_open(&room.st, "f", &replace, &a), 0);
    cr_assert_eq(store_write_open(&room.st, "f", &replace, &b), 0);
    cr_assert_eq(store_write(&a, "aaaa", 4), 0);
    cr_assert_eq(store_write(&b, "bb", 2), 0);
    cr_assert_eq(store_write_finish(&b, &plain), 0);
    cr_assert_eq(store_write_publish(&b, false), 0);
    cr_expect(holds(&room, "f", "bb"));
    cr_assert_eq(store_write(&a, "aa", 2), 0);
    cr_assert_eq(store_write_finish(&a, &plain), 0);
    cr_assert_eq(store_write_publish(&a, false), 0);
    store_write_abort(&a, false);
    store_write_abort(&b, false);
    cr_expect(holds(&room, "f", "aaaaaa"));
    cr_expect_eq(leftovers(&room, "."), 0);
}

/* ---- what fails ---- */

static int write_beyond_limit(struct room *r)
{
    static char data[100000];
    struct rlimit limit = {65536, 65536};
    struct store_writer w;
    struct stat sb;

    memset(data, 'x', sizeof(data));
    NEED(put(r, "f", "old", 3, NULL, NULL) == 0);
    signal(SIGXFSZ, SIG_IGN);
    NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    NEED(store_write_open(&r->st, "f", &replace, &w) == 0);
    NEED(store_write(&w, data, sizeof(data)) == -EFBIG);
    NEED(w.offset == 65536);
    NEED(fstat(w.fd, &sb) == 0 && sb.st_size == 65536);
    store_write_abort(&w, false);
    NEED(holds(r, "f", "old"));
    NEED(leftovers(r, ".") == 0);
    NEED(store_write_open(&r->st, "f", &replace, &w) == 0);
    w.offset = 1 << 20; /* as if zeros had been skipped up to here */
    NEED(store_write_finish(&w, &plain) == -EFBIG);
    store_write_abort(&w, false);
    return 0;
}

Test(store_writer, write_that_fails_leaves_the_old_file)
{
    cr_assert_eq(in_child(write_beyond_limit, &room), 0);
}

static int write_on_full_disk(struct room *r)
{
    static char data[1 << 20];
    struct store_writer w;
    char dir[PATH_MAX + 8];
    struct room small = *r;

    snprintf(dir, sizeof(dir), "%s/small", r->dir);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mkdir(dir, 0755) < 0 || mount("none", dir, "tmpfs", 0, "size=128k") < 0)
        return 77;
    memset(data, 'x', sizeof(data));
    NEED(store_open(&small.st, dir) == 0);
    small.fd = open(dir, O_RDONLY | O_DIRECTORY);
    NEED(put(&small, "f", "old", 3, NULL, NULL) == 0);
    NEED(store_write_open(&small.st, "f", &replace, &w) == 0);
    NEED(store_write(&w, data, sizeof(data)) == -ENOSPC);
    NEED(w.offset > 0 && w.offset < 131072);
    store_write_abort(&w, false);
    NEED(holds(&small, "f", "old"));
    NEED(leftovers(&small, ".") == 0);
    NEED(put(&small, "f", "new", 3, NULL, NULL) == 0);
    close(small.fd);
    store_close(&small.st);
    return 0;
}

Test(store_writer, full_disk)
{
    int r = in_child(write_on_full_disk, &room);

    if (r == 77)
        cr_skip_test("no small file system can be mounted here");
    cr_assert_eq(r, 0);
}

static int sync_that_fails(struct room *r)
{
    struct store_commit_opts k = {.sync = true};

    NEED(put(r, "f", "old", 3, NULL, NULL) == 0);
    if (deny_syscall(SYS_fsync, EIO) < 0)
        return 77;
    NEED(put(r, "f", "new", 3, NULL, &k) == -EIO);
    NEED(holds(r, "f", "old"));
    NEED(leftovers(r, ".") == 0);
    return 0;
}

static int rename_that_fails(struct room *r)
{
    NEED(put(r, "f", "old", 3, NULL, NULL) == 0);
#ifdef SYS_renameat
    if (deny_syscall(SYS_renameat, EIO) < 0)
        return 77;
#endif
    if (deny_syscall(SYS_renameat2, EIO) < 0)
        return 77;
    NEED(put(r, "f", "new", 3, NULL, NULL) == -EIO);
    NEED(holds(r, "f", "old"));
    NEED(leftovers(r, ".") == 0);
    return 0;
}

/* Not even a descriptor that is closed only to learn of errors is closed in vain. */
static int close_that_fails(struct room *r)
{
    struct store_writer w;

    NEED(put(r, "f", "old", 3, NULL, NULL) == 0);
    NEED(store_write_open(&r->st, "f", &replace, &w) == 0);
    NEED(store_write(&w, "new", 3) == 0);
    if (deny_syscall(SYS_close, EIO) < 0)
        return 77;
    NEED(store_write_finish(&w, &plain) == -EIO);
    store_write_abort(&w, false);
    NEED(holds(r, "f", "old"));
    NEED(leftovers(r, ".") == 0);
    return 0;
}

static void expect_filtered(int (*fn)(struct room *))
{
    int r = in_child(fn, &room);

    if (r == 77)
        cr_skip_test("no system call filters here");
    cr_assert_eq(r, 0);
}

Test(store_writer, failing_sync_is_reported)
{
    expect_filtered(sync_that_fails);
}

Test(store_writer, failing_rename_is_reported)
{
    expect_filtered(rename_that_fails);
}

Test(store_writer, failing_close_is_reported_before_the_rename)
{
    expect_filtered(close_that_fails);
}

Test(store_writer, offset_does_not_wrap)
{
    struct store_writer w;

    cr_assert_eq(store_write_open(&room.st, "f", &replace, &w), 0);
    w.offset = INT64_MAX - 1;
    cr_expect_eq(store_write(&w, "xyz", 3), -EFBIG);
    store_write_abort(&w, false);
}
