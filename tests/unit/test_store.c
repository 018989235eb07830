/* The root: paths that stay beneath it, whatever is done to them meanwhile. */
#include "config.h"

#include "store_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static struct room room;

static void open_room(void)
{
    room_open(&room);
}

static void close_room(void)
{
    room_close(&room);
}

TestSuite(store, .init = open_room, .fini = close_room);

/* The error of an open, or 0. */
static int try_open(const char *path, int flags)
{
    int fd = store_openat(&room.st, path, flags, 0);

    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static int try_read(const char *path)
{
    struct stat sb;
    int fd = store_read_open(&room.st, path, &sb);

    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

/* ---- root ---- */

Test(store, root_may_be_a_symlink)
{
    char link[PATH_MAX + 8];
    struct store st;

    make_dir(&room, "d");
    make_file(&room, "d/f", "x");
    make_link(&room, "d", "l");
    snprintf(link, sizeof(link), "%s/l", room.dir);
    cr_assert_eq(store_open(&st, link), 0);
    store_close(&st);
    store_close(&st); /* safe on a closed one */
}

Test(store, root_must_be_a_directory)
{
    char path[PATH_MAX + 8];
    struct store st;

    make_file(&room, "f", "x");
    snprintf(path, sizeof(path), "%s/f", room.dir);
    cr_assert_eq(store_open(&st, path), -XFER_ENOTDIR);
    cr_assert_eq(st.fd, -1);
    snprintf(path, sizeof(path), "%s/none", room.dir);
    cr_assert_eq(store_open(&st, path), -ENOENT);
    store_close(&st);
}

static int open_under_umask(struct room *r)
{
    struct store st;

    umask(0135);
    NEED(store_open(&st, r->dir) == 0);
    NEED(st.umask == 0135);
    NEED(umask(0) == 0135); /* reading it did not change it */
    store_close(&st);
    return 0;
}

Test(store, umask_is_read_not_changed)
{
    cr_assert_eq(in_child(open_under_umask, &room), 0);
}

static int open_without_openat2(struct room *r)
{
    struct store st;

    if (deny_syscall(SYS_openat2, ENOSYS) < 0)
        return 77;
    return store_open(&st, r->dir) == -ENOSYS ? 0 : 1;
}

static int open_with_openat2_filtered(struct room *r)
{
    struct store st;

    if (deny_syscall(SYS_openat2, EPERM) < 0)
        return 77;
    return store_open(&st, r->dir) == -ENOSYS ? 0 : 1;
}

static int open_with_eagain_for_ever(struct room *r)
{
    if (deny_syscall(SYS_openat2, EAGAIN) < 0)
        return 77;
    return store_openat(&r->st, "", O_PATH, 0) == -EAGAIN ? 0 : 1;
}

static void expect_filtered(int (*fn)(struct room *))
{
    int r = in_child(fn, &room);

    if (r == 77)
        cr_skip_test("no system call filters here");
    cr_assert_eq(r, 0);
}

Test(store, kernel_without_openat2_is_said)
{
    expect_filtered(open_without_openat2);
}

Test(store, filter_that_refuses_openat2_is_said)
{
    expect_filtered(open_with_openat2_filtered);
}

Test(store, eagain_is_tried_again_but_not_for_ever)
{
    expect_filtered(open_with_eagain_for_ever);
}

/* ---- paths ---- */

Test(store, empty_path_is_the_root)
{
    struct stat sb;

    cr_assert_eq(try_open("", O_PATH | O_DIRECTORY), 0);
    cr_assert_eq(store_stat(&room.st, "", false, &sb), 0);
    cr_assert_eq(sb.st_ino, stat_of(&room, ".").st_ino);
}

Test(store, descriptors_are_closed_on_exec)
{
    int fd = store_openat(&room.st, "", O_RDONLY | O_DIRECTORY, 0);

    cr_assert_geq(fd, 0);
    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

Test(store, what_leads_out_is_refused)
{
    static const struct {
        const char *path;
        int err;
    } rows[] = {
        {"..", -XFER_EPERM},
        {"/etc/passwd", -XFER_EPERM},
        {"d/../../x", -XFER_EPERM},
        {"abs", -XFER_EPERM},
        {"up", -XFER_EPERM},
        {"d/far", -XFER_EPERM},
        {"absdir/passwd", -XFER_EPERM},
        {"zero", -XFER_EPERM},
        {"proc", -XFER_EPERM},
        {"loop", -XFER_ELOOP},
        {"self/x", -XFER_ELOOP},
        {"none", -ENOENT},
        {"dangling", -ENOENT},
        {"none/x", -ENOENT},
        {"f/x", -XFER_ENOTDIR},
        {"d", -XFER_EISDIR},
        {"f", 0},
        {"d/in", 0},
        {"alias/in", 0},
        {"alias/../f", 0},
    };

    make_dir(&room, "d");
    make_file(&room, "f", "x");
    make_link(&room, "/etc/passwd", "abs");
    make_link(&room, "../..", "up");
    make_link(&room, "../../x", "d/far");
    make_link(&room, "../f", "d/in");
    make_link(&room, "/etc", "absdir");
    make_link(&room, "/dev/zero", "zero");
    make_link(&room, "/proc/self/root", "proc");
    make_link(&room, "loop", "loop");
    make_link(&room, "self", "self");
    make_link(&room, "nowhere", "dangling");
    make_link(&room, "d", "alias");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(try_read(rows[i].path), rows[i].err, "%s: %d", rows[i].path,
                     try_read(rows[i].path));
}

/* An operator may serve /proc; its links into other roots stay shut. */
Test(store, magic_links_are_not_followed)
{
    struct store st;
    char path[64];

    cr_assert_eq(store_open(&st, "/proc"), 0);
    snprintf(path, sizeof(path), "%d/fd/%d", getpid(), room.fd);
    cr_expect_lt(store_openat(&st, path, O_RDONLY, 0), 0);
    snprintf(path, sizeof(path), "%d/root/etc", getpid());
    cr_expect_lt(store_openat(&st, path, O_RDONLY, 0), 0);
    store_close(&st);
}

Test(store, stat_follows_unless_told)
{
    struct stat sb;

    make_file(&room, "f", "four");
    make_link(&room, "f", "l");
    cr_assert_eq(store_stat(&room.st, "l", false, &sb), 0);
    cr_expect(S_ISREG(sb.st_mode));
    cr_expect_eq(sb.st_size, 4);
    cr_assert_eq(store_stat(&room.st, "l", true, &sb), 0);
    cr_expect(S_ISLNK(sb.st_mode));
    cr_expect_eq(store_stat(&room.st, "none", true, &sb), -ENOENT);
}

Test(store, names_that_are_too_long)
{
    char name[300];
    struct store_writer w;
    struct store_write_opts o = {0};

    memset(name, 'n', 256);
    name[256] = '\0';
    cr_expect_eq(try_read(name), -XFER_ETOOLONG);
    cr_expect_eq(store_mkdir(&room.st, name, 0755, true), -XFER_ETOOLONG);
    cr_expect_eq(store_write_open(&room.st, name, &o, &w), -XFER_ETOOLONG);
    store_write_abort(&w, false);
}

/* ---- races ---- */

struct swapper {
    atomic_bool stop;
    const char *a, *b;
    unsigned flags;
};

static void *swap_until_told(void *arg)
{
    struct swapper *s = arg;

    while (!atomic_load(&s->stop)) {
        if (renameat2(room.fd, s->a, room.fd, s->b, s->flags) < 0)
            return "rename";
        if (renameat2(room.fd, s->b, room.fd, s->a, s->flags) < 0)
            return "rename back";
    }
    return NULL;
}

static pthread_t start_swapper(struct swapper *s)
{
    pthread_t t;

    cr_assert_eq(pthread_create(&t, NULL, swap_until_told, s), 0);
    return t;
}

static void stop_swapper(struct swapper *s, pthread_t t)
{
    void *fault;

    atomic_store(&s->stop, true);
    pthread_join(t, &fault);
    cr_assert_null(fault, "%s: %s", (char *)fault, strerror(errno));
}

/* tree/d is a directory one moment and a symlink that leads out of tree the next. */
static struct store swap_scene(const char *link)
{
    char path[PATH_MAX + 8];
    struct store st;

    make_dir(&room, "tree");
    make_dir(&room, "out");
    make_dir(&room, "tree/d");
    make_file(&room, "tree/d/f", "in");
    make_file(&room, "out/f", "OUT");
    make_link(&room, link, "tree/l");
    snprintf(path, sizeof(path), "%s/tree", room.dir);
    cr_assert_eq(store_open(&st, path), 0);
    return st;
}

#define SWAP_MIN 3000
#define SWAP_MAX 3000000

static void read_while_swapped(const char *link)
{
    struct store st = swap_scene(link);
    struct swapper s = {.a = "tree/d", .b = "tree/l", .flags = RENAME_EXCHANGE};
    pthread_t t = start_swapper(&s);
    unsigned in = 0, refused = 0, wrong = 0;

    for (unsigned i = 0; i < SWAP_MAX && (i < SWAP_MIN || !in || !refused); i++) {
        struct stat sb;
        char c = 0;
        int fd = store_read_open(&st, "d/f", &sb);

        if (fd >= 0 && pread(fd, &c, 1, 0) == 1 && c == 'i')
            in++;
        else if (fd == -XFER_EPERM)
            refused++;
        else
            wrong++;
        if (fd >= 0)
            close(fd);
    }
    stop_swapper(&s, t);
    store_close(&st);
    cr_expect_eq(wrong, 0);
    cr_expect(in && refused, "the race was not run: %u, %u", in, refused);
}

Test(store, swapped_directory_never_leads_out_relative)
{
    read_while_swapped("../out");
}

Test(store, swapped_directory_never_leads_out_absolute)
{
    char link[PATH_MAX + 8];

    snprintf(link, sizeof(link), "%s/out", room.dir);
    read_while_swapped(link);
}

Test(store, swapped_directory_takes_no_writes_out)
{
    struct store st = swap_scene("../out");
    struct room inner = {.st = st};
    struct swapper s = {.a = "tree/d", .b = "tree/l", .flags = RENAME_EXCHANGE};
    pthread_t t = start_swapper(&s);
    unsigned in = 0, refused = 0, wrong = 0;

    for (unsigned i = 0; i < SWAP_MAX && (i < SWAP_MIN || !in || !refused); i++) {
        int r = i & 1 ? put(&inner, "d/new", "x", 1, NULL, NULL)
                      : store_mkdir(&st, "d/sub", 0755, true);

        in += r >= 0;
        refused += r == -XFER_EPERM;
        wrong += r < 0 && r != -XFER_EPERM;
    }
    stop_swapper(&s, t);
    store_close(&st);
    cr_expect_eq(wrong, 0);
    cr_expect(in && refused, "the race was not run: %u, %u", in, refused);
    cr_expect_eq(faccessat(room.fd, "out/new", F_OK, 0), -1);
    cr_expect_eq(faccessat(room.fd, "out/sub", F_OK, 0), -1);
    cr_expect_eq(leftovers(&room, "out"), 0);
    cr_expect_eq(leftovers(&room, "tree/d"), 0);
}

Test(store, renames_elsewhere_do_not_disturb)
{
    struct swapper s = {.a = "x", .b = "y"};
    pthread_t t;
    unsigned failed = 0;

    make_dir(&room, "a");
    make_dir(&room, "x");
    make_file(&room, "f", "x");
    make_link(&room, "../a/../a/../f", "a/l");
    t = start_swapper(&s);
    for (int i = 0; i < 20000; i++)
        failed += try_read("a/l") != 0;
    stop_swapper(&s, t);
    cr_assert_eq(failed, 0);
}

/* ---- directories ---- */

Test(store, mkdir_makes_one)
{
    cr_assert_eq(store_mkdir(&room.st, "d", 07700, false), 0);
    cr_expect_eq(stat_of(&room, "d").st_mode, S_IFDIR | 0700);
    cr_expect_eq(store_mkdir(&room.st, "d", 0755, false), -EEXIST);
    cr_expect_eq(stat_of(&room, "d").st_mode, S_IFDIR | 0700);
    cr_expect_eq(store_mkdir(&room.st, "none/d", 0755, false), -ENOENT);
    make_file(&room, "f", "x");
    cr_expect_eq(store_mkdir(&room.st, "f", 0755, false), -EEXIST);
    cr_expect_eq(store_mkdir(&room.st, "f/d", 0755, false), -XFER_ENOTDIR);
    cr_expect_eq(store_mkdir(&room.st, "", 0755, false), -EEXIST);
}

Test(store, mkdir_makes_parents)
{
    cr_assert_eq(store_mkdir(&room.st, "a/b/c/d", 0700, true), 0);
    cr_expect_eq(stat_of(&room, "a/b/c/d").st_mode, S_IFDIR | 0700);
    cr_expect_eq(stat_of(&room, "a/b").st_mode, S_IFDIR | (0777 & ~room.st.umask));
    cr_expect_eq(store_mkdir(&room.st, "a/b/c/d", 0777, true), 1);
    cr_expect_eq(stat_of(&room, "a/b/c/d").st_mode, S_IFDIR | 0700);
    cr_expect_eq(store_mkdir(&room.st, "", 0755, true), 1);
    make_file(&room, "f", "x");
    cr_expect_eq(store_mkdir(&room.st, "f", 0755, true), -XFER_ENOTDIR);
    cr_expect_eq(store_mkdir(&room.st, "f/x/y", 0755, true), -XFER_ENOTDIR);
}

Test(store, mkdir_and_symlinks)
{
    make_dir(&room, "d");
    make_dir(&room, "e");
    make_link(&room, "../e", "d/in");
    make_link(&room, "/tmp", "out");
    make_link(&room, "nowhere", "dangling");
    cr_expect_eq(store_mkdir(&room.st, "d/in", 0755, true), 1);
    cr_expect_eq(store_mkdir(&room.st, "d/in/x/y", 0755, true), 0);
    cr_expect(S_ISDIR(stat_of(&room, "e/x/y").st_mode));
    cr_expect_eq(store_mkdir(&room.st, "out", 0755, true), -XFER_EPERM);
    cr_expect_eq(store_mkdir(&room.st, "out/x", 0755, true), -XFER_EPERM);
    cr_expect_eq(store_mkdir(&room.st, "dangling/x/y", 0755, true), -ENOENT);
}

Test(store, mkdir_as_deep_as_a_path_goes)
{
    char path[PATH_CLEAN_MAX + 1];
    struct stat sb;

    for (size_t i = 0; i < PATH_CLEAN_MAX; i++)
        path[i] = i & 1 ? '/' : 'd';
    path[PATH_CLEAN_MAX] = '\0';
    cr_assert_eq(store_mkdir(&room.st, path, 0755, true), 0);
    cr_assert_eq(store_stat(&room.st, path, false, &sb), 0);
    cr_assert(S_ISDIR(sb.st_mode));
}

Test(store, directory_gets_its_time)
{
    struct timespec t = {1234567890, 987654321};

    make_dir(&room, "d");
    cr_assert_eq(store_set_dir_mtime(&room.st, "d", t), 0);
    cr_expect_eq(stat_of(&room, "d").st_mtim.tv_sec, t.tv_sec);
    cr_expect_eq(stat_of(&room, "d").st_mtim.tv_nsec, t.tv_nsec);
    make_file(&room, "f", "x");
    cr_expect_eq(store_set_dir_mtime(&room.st, "f", t), -XFER_ENOTDIR);
    cr_expect_eq(store_set_dir_mtime(&room.st, "none", t), -ENOENT);
}

/* ---- reading ---- */

Test(store, reads_a_file)
{
    struct stat sb;
    char buf[8];
    int fd;

    make_file(&room, "f", "hello");
    fd = store_read_open(&room.st, "f", &sb);
    cr_assert_geq(fd, 0);
    cr_expect_eq(sb.st_size, 5);
    cr_expect_eq(read(fd, buf, sizeof(buf)), 5);
    close(fd);
}

Test(store, special_files_are_refused_at_once)
{
    struct stat sb = {.st_size = 77};

    alarm(20); /* an open that blocks would last for ever */
    make_dir(&room, "d");
    cr_assert_eq(mkfifoat(room.fd, "fifo", 0666), 0);
    make_link(&room, "fifo", "to-fifo");
    cr_expect_eq(store_read_open(&room.st, "fifo", &sb), -XFER_ENOTREG);
    cr_expect_eq(store_read_open(&room.st, "to-fifo", &sb), -XFER_ENOTREG);
    cr_expect_eq(store_read_open(&room.st, "d", &sb), -XFER_EISDIR);
    cr_expect_eq(store_read_open(&room.st, "", &sb), -XFER_EISDIR);
    cr_expect_eq(sb.st_size, 77);
    cr_assert_eq(mknodat(room.fd, "socket", S_IFSOCK | 0666, 0), 0);
    cr_expect_eq(store_read_open(&room.st, "socket", &sb), -XFER_ENOTREG);
}

Test(store, device_is_refused)
{
    if (mknodat(room.fd, "zero", S_IFCHR | 0666, makedev(1, 5)) < 0)
        cr_skip_test("device nodes cannot be made here");
    cr_expect_eq(try_read("zero"), -XFER_ENOTREG);
}

static int read_unreadable(struct room *r)
{
    struct stat sb;

    NEED(put(r, "f", "x", 1, NULL, &(struct store_commit_opts){.set_mode = true}) == 0);
    NEED(store_read_open(&r->st, "f", &sb) == -EACCES);
    return 0;
}

Test(store, unreadable_file_is_said)
{
    cr_assert_eq(as_ordinary_user(read_unreadable, &room), 0);
}

/* ---- versions ---- */

Test(store, etag_tells_versions_apart)
{
    struct stat a = {.st_dev = 1, .st_ino = 2, .st_size = 3}, v[7];
    char base[STORE_ETAG_MAX + 1], tag[STORE_ETAG_MAX + 1];

    for (int i = 0; i < 7; i++)
        v[i] = a;
    v[0].st_dev++;
    v[1].st_ino++;
    v[2].st_size++;
    v[3].st_mtim.tv_sec++;
    v[4].st_mtim.tv_nsec++;
    v[5].st_ctim.tv_sec++;
    v[6].st_ctim.tv_nsec++;
    store_etag(&a, base);
    cr_expect_eq(strspn(base, "0123456789abcdef"), strlen(base));
    cr_expect_geq(strlen(base), 16);
    for (int i = 0; i < 7; i++) {
        store_etag(&v[i], tag);
        cr_expect_str_neq(tag, base, "field %d", i);
    }
    a.st_nlink++;
    a.st_atim.tv_sec++;
    store_etag(&a, tag);
    cr_expect_str_eq(tag, base);
}

Test(store, same_version)
{
    struct stat a = {.st_size = 3, .st_nlink = 1}, b;

    b = a;
    cr_expect(store_same_version(&a, &b));
    b.st_size++;
    cr_expect_not(store_same_version(&a, &b));
    b = a;
    b.st_mtim.tv_nsec++;
    cr_expect_not(store_same_version(&a, &b));
    b = a;
    b.st_ctim.tv_nsec++;
    cr_expect_not(store_same_version(&a, &b));
    b.st_nlink = 0;
    cr_expect(store_same_version(&a, &b), "renamed over: our bytes are the same");
    b.st_mtim.tv_sec++;
    cr_expect_not(store_same_version(&a, &b));
}

Test(store, file_renamed_over_is_still_the_same_version)
{
    struct stat a, b;
    int fd;

    make_file(&room, "f", "old");
    fd = store_read_open(&room.st, "f", &a);
    cr_assert_geq(fd, 0);
    cr_assert_eq(put(&room, "f", "new", 3, NULL, NULL), 0);
    cr_assert_eq(fstat(fd, &b), 0);
    cr_expect(store_same_version(&a, &b));
    close(fd);
}
