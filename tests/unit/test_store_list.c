/* Walks: every entry once, whatever it is, in bounded memory and with few descriptors. */
#include "config.h"

#include "store_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
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

TestSuite(store_list, .init = open_room, .fini = close_room);

struct seen {
    char path[PATH_CLEAN_MAX + 1];
    struct store_entry e;
};

struct listing {
    size_t n;
    int end; /* what the walk ended with */
    struct seen v[64];
};

static void list(struct listing *l, const char *path, bool recursive, bool self)
{
    struct store_list *walk;
    struct store_entry e;

    l->n = 0;
    cr_assert_eq(store_list_open(&room.st, path, recursive, self, &walk), 0, "%s", path);
    while ((l->end = store_list_next(walk, &e)) > 0) {
        cr_assert_lt(l->n, 64);
        strcpy(l->v[l->n].path, e.path);
        l->v[l->n++].e = e;
    }
    store_list_close(walk);
}

/* The entry of that path, which must be there once. */
static const struct store_entry *find(const struct listing *l, const char *path)
{
    const struct store_entry *e = NULL;

    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->v[i].path, path) == 0) {
            cr_assert_null(e, "%s: twice", path);
            e = &l->v[i].e;
        }
    }
    cr_assert_not_null(e, "%s: not listed", path);
    return e;
}

static size_t place(const struct listing *l, const char *path)
{
    size_t i = 0;

    while (i < l->n && strcmp(l->v[i].path, path) != 0)
        i++;
    return i;
}

static void expect(const struct listing *l, const char *path, char type, int err)
{
    const struct store_entry *e = find(l, path);

    cr_expect_eq(e->type, type, "%s: type %c", path, e->type);
    cr_expect_eq(e->err, err, "%s: err %d", path, e->err);
}

static struct listing got;

/* ---- what is listed ---- */

Test(store_list, one_directory)
{
    make_file(&room, "f", "four");
    make_dir(&room, "d");
    make_file(&room, "d/inner", "x");
    make_file(&room, ".hidden", "x");
    list(&got, "", false, false);
    cr_expect_eq(got.end, 0);
    cr_expect_eq(got.n, 3);
    expect(&got, "f", 'f', 0);
    expect(&got, "d", 'd', 0);
    expect(&got, ".hidden", 'f', 0);
    cr_expect_eq(find(&got, "f")->sb.st_size, 4);
    cr_expect_eq(find(&got, "f")->sb.st_ino, stat_of(&room, "f").st_ino);
    cr_expect_not(find(&got, "f")->symlink);
}

Test(store_list, tree_with_directories_before_what_is_in_them)
{
    make_dir(&room, "top");
    make_dir(&room, "top/d");
    make_dir(&room, "top/d/e");
    make_dir(&room, "top/empty");
    make_file(&room, "top/d/e/f", "x");
    make_file(&room, "top/d/g", "x");
    list(&got, "top", true, false);
    cr_expect_eq(got.n, 5);
    expect(&got, "d", 'd', 0);
    expect(&got, "d/e", 'd', 0);
    expect(&got, "d/e/f", 'f', 0);
    expect(&got, "d/g", 'f', 0);
    expect(&got, "empty", 'd', 0);
    cr_expect_lt(place(&got, "d"), place(&got, "d/e"));
    cr_expect_lt(place(&got, "d"), place(&got, "d/g"));
    cr_expect_lt(place(&got, "d/e"), place(&got, "d/e/f"));
}

Test(store_list, own_temporaries_are_not_listed)
{
    make_file(&room, ".xfer-0123456789abcdef0123456789abcdef.part", "x");
    make_file(&room, ".xfer-0123456789abcdef0123456789abcdef.tmp", "x");
    make_file(&room, ".xfer-0123456789abcdef0123456789abcdef.tmpx", "x");
    list(&got, "", true, false);
    cr_expect_eq(got.n, 1);
    expect(&got, ".xfer-0123456789abcdef0123456789abcdef.tmpx", 'f', 0);
}

Test(store_list, symlinks)
{
    make_dir(&room, "top");
    make_dir(&room, "top/d");
    make_file(&room, "top/d/f", "four");
    make_file(&room, "beside", "x");
    make_link(&room, "d/f", "top/file");
    make_link(&room, "../beside", "top/beside");
    make_link(&room, "/etc/passwd", "top/out");
    make_link(&room, "../../..", "top/up");
    make_link(&room, "nowhere", "top/dangling");
    make_link(&room, "loop", "top/loop");
    make_link(&room, "d", "top/dir");
    list(&got, "top", true, false);
    cr_expect_eq(got.n, 10);
    expect(&got, "d", 'd', 0);
    expect(&got, "d/f", 'f', 0);
    expect(&got, "file", 'f', 0);
    expect(&got, "beside", 'f', 0);
    expect(&got, "out", 'l', -XFER_EPERM);
    expect(&got, "up", 'l', -XFER_EPERM);
    expect(&got, "dangling", 'l', -ENOENT);
    expect(&got, "loop", 'l', -XFER_ELOOP);
    expect(&got, "dir", 'd', 0);
    expect(&got, "dir/f", 'f', 0);
    cr_expect(find(&got, "file")->symlink);
    cr_expect_eq(find(&got, "file")->sb.st_size, 4);
    cr_expect_not(find(&got, "dir/f")->symlink);
    cr_expect(S_ISLNK(find(&got, "out")->sb.st_mode));
}

Test(store_list, directory_that_is_its_own_ancestor)
{
    make_dir(&room, "d");
    make_dir(&room, "d/e");
    make_link(&room, "../..", "d/e/root");
    make_link(&room, ".", "d/e/self");
    make_link(&room, "..", "d/e/parent");
    list(&got, "", true, false);
    cr_expect_eq(got.end, 0);
    cr_expect_eq(got.n, 5);
    expect(&got, "d/e/root", 'l', -XFER_ELOOP);
    expect(&got, "d/e/self", 'l', -XFER_ELOOP);
    expect(&got, "d/e/parent", 'l', -XFER_ELOOP);
    list(&got, "d/e", false, false); /* nothing is entered: nothing circles */
    expect(&got, "self", 'd', 0);
}

Test(store_list, special_files)
{
    cr_assert_eq(mkfifoat(room.fd, "fifo", 0666), 0);
    cr_assert_eq(mknodat(room.fd, "socket", S_IFSOCK | 0666, 0), 0);
    make_link(&room, "fifo", "link");
    list(&got, "", true, false);
    cr_expect_eq(got.n, 3);
    expect(&got, "fifo", 'o', 0);
    expect(&got, "socket", 'o', 0);
    expect(&got, "link", 'o', 0);
}

Test(store_list, names_come_as_they_are)
{
    static const char *const names[] = {"new\nline", "esc\033[31m", "\xff\xfe", "-rf",
                                        " space ",   "back\\slash", "*",        "..."};
    char longest[256];

    memset(longest, 'n', 255);
    longest[255] = '\0';
    make_file(&room, longest, "x");
    for (size_t i = 0; i < 8; i++)
        make_file(&room, names[i], "x");
    list(&got, "", true, false);
    cr_expect_eq(got.n, 9);
    expect(&got, longest, 'f', 0);
    for (size_t i = 0; i < 8; i++)
        expect(&got, names[i], 'f', 0);
}

Test(store_list, the_thing_itself)
{
    make_dir(&room, "d");
    make_file(&room, "d/f", "four");
    make_link(&room, "f", "d/l");
    make_link(&room, "none", "d/dangling");
    list(&got, "d/f", false, true);
    cr_expect_eq(got.n, 1);
    expect(&got, "f", 'f', 0);
    cr_expect_eq(find(&got, "f")->sb.st_size, 4);
    list(&got, "d", true, true);
    cr_expect_eq(got.n, 1);
    expect(&got, "d", 'd', 0);
    list(&got, "", false, true);
    cr_expect_eq(got.n, 1);
    expect(&got, "", 'd', 0);
    list(&got, "d/l", false, true);
    expect(&got, "l", 'f', 0);
    cr_expect(find(&got, "l")->symlink);
    list(&got, "d/dangling", false, true);
    expect(&got, "dangling", 'l', -ENOENT);
}

Test(store_list, what_cannot_be_listed)
{
    struct store_list *l = NULL;

    make_file(&room, "f", "x");
    make_link(&room, "/", "out");
    cr_expect_eq(store_list_open(&room.st, "f", false, false, &l), -XFER_ENOTDIR);
    cr_expect_eq(store_list_open(&room.st, "none", false, false, &l), -ENOENT);
    cr_expect_eq(store_list_open(&room.st, "none", false, true, &l), -ENOENT);
    cr_expect_eq(store_list_open(&room.st, "out", true, false, &l), -XFER_EPERM);
    cr_expect_null(l);
    store_list_close(NULL);
}

static int walk_unreadable(struct room *r)
{
    struct store_list *l;
    struct store_entry e;
    unsigned shut = 0, unseen = 0, files = 0;
    int end;

    NEED(store_mkdir(&r->st, "shut", 0300, false) == 0);
    NEED(store_mkdir(&r->st, "names-only", 0700, false) == 0);
    NEED(put(r, "names-only/x", "x", 1, NULL, NULL) == 0);
    NEED(fchmodat(r->fd, "names-only", 0400, 0) == 0);
    NEED(put(r, "a", "x", 1, NULL, NULL) == 0);
    NEED(put(r, "z", "x", 1, NULL, NULL) == 0);
    NEED(store_list_open(&r->st, "shut", false, false, &l) == -EACCES);
    NEED(store_list_open(&r->st, "", true, false, &l) == 0);
    while ((end = store_list_next(l, &e)) > 0) {
        shut += e.type == 'd' && e.err == -EACCES && strcmp(e.path, "shut") == 0;
        unseen += e.type == 'f' && e.err == -EACCES && strcmp(e.path, "names-only/x") == 0;
        files += e.type == 'f' && e.err == 0;
    }
    store_list_close(l);
    NEED(end == 0 && shut == 1 && unseen == 1 && files == 2);
    return 0;
}

Test(store_list, unreadable_directory_is_one_entry)
{
    cr_assert_eq(as_ordinary_user(walk_unreadable, &room), 0);
}

/* ---- changes during the walk ---- */

Test(store_list, what_vanishes_is_left_out)
{
    struct store_list *l;
    struct store_entry e;
    char name[16], first[16];
    int r;

    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        make_file(&room, name, "x");
    }
    cr_assert_eq(store_list_open(&room.st, "", true, false, &l), 0);
    cr_assert_eq(store_list_next(l, &e), 1);
    snprintf(first, sizeof(first), "%s", e.path);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        cr_assert_eq(unlinkat(room.fd, name, 0), 0);
    }
    while ((r = store_list_next(l, &e)) > 0)
        cr_expect_str_eq(e.path, first, "gone, yet listed");
    cr_expect_eq(r, 0);
    store_list_close(l);
}

/* A chain of directories d/d/d..., each with a file before and after it. */
static void make_chain(unsigned depth)
{
    int fd = dup(room.fd);

    for (unsigned i = 0; i < depth; i++) {
        int next;

        cr_assert_eq(mkdirat(fd, "d", 0755), 0);
        close(openat(fd, "a", O_WRONLY | O_CREAT, 0644));
        close(openat(fd, "z", O_WRONLY | O_CREAT, 0644));
        next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        cr_assert_geq(next, 0);
        close(fd);
        fd = next;
    }
    close(fd);
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");

    cr_assert_not_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

Test(store_list, deep_trees_take_few_descriptors)
{
    enum { DEPTH = 200 };
    unsigned before = open_descriptors(), most = 0, files = 0, dirs = 0;
    struct store_list *l;
    struct store_entry e;
    int r;

    make_chain(DEPTH);
    cr_assert_eq(store_list_open(&room.st, "", true, false, &l), 0);
    while ((r = store_list_next(l, &e)) > 0) {
        unsigned now = open_descriptors();

        most = now > most ? now : most;
        cr_expect_eq(e.err, 0, "%s: %d", e.path, e.err);
        files += e.type == 'f';
        dirs += e.type == 'd';
    }
    store_list_close(l);
    cr_expect_eq(r, 0);
    cr_expect_eq(dirs, DEPTH);
    cr_expect_eq(files, 2 * DEPTH);
    cr_expect_leq(most - before, STORE_LIST_FDS + 1);
    cr_expect_eq(open_descriptors(), before);
}

Test(store_list, closing_in_the_middle_leaves_nothing_open)
{
    unsigned before = open_descriptors();
    struct store_list *l;
    struct store_entry e;

    make_chain(20);
    cr_assert_eq(store_list_open(&room.st, "", true, false, &l), 0);
    for (int i = 0; i < 30; i++)
        cr_assert_eq(store_list_next(l, &e), 1);
    store_list_close(l);
    cr_expect_eq(open_descriptors(), before);
}

/* What the walk ends with when, at its deepest, `path` is moved away and made anew. */
static int replace_while_far_below(const char *path)
{
    enum { DEPTH = 12 };
    struct store_list *l;
    struct store_entry e;
    unsigned dirs = 0;
    int r;

    make_chain(DEPTH);
    cr_assert_eq(store_list_open(&room.st, "", true, false, &l), 0);
    while ((r = store_list_next(l, &e)) > 0) {
        if (e.type != 'd' || ++dirs != DEPTH)
            continue;
        cr_assert_eq(renameat(room.fd, path, room.fd, "moved"), 0);
        make_dir(&room, path);
    }
    store_list_close(l);
    cr_expect_eq(dirs, DEPTH);
    return r;
}

Test(store_list, outer_directory_gone_while_far_below)
{
    cr_expect_eq(replace_while_far_below("d/d"), -XFER_ECHANGED);
}

/* The innermost of those that were closed: another directory has its name. */
Test(store_list, outer_directory_replaced_while_far_below)
{
    cr_expect_eq(replace_while_far_below("d/d/d/d"), -XFER_ECHANGED);
}

Test(store_list, no_room_for_names_is_said)
{
    char name[201];
    unsigned n = 0, refused = 0;
    struct store_list *l;
    struct store_entry e;
    int r, fd = dup(room.fd);

    memset(name, 'd', 200);
    name[200] = '\0';
    for (int i = 0; i < 22; i++) {
        int next;

        cr_assert_eq(mkdirat(fd, name, 0755), 0);
        next = openat(fd, name, O_RDONLY | O_DIRECTORY);
        cr_assert_geq(next, 0);
        close(fd);
        fd = next;
    }
    close(fd);
    cr_assert_eq(store_list_open(&room.st, "", true, false, &l), 0);
    while ((r = store_list_next(l, &e)) > 0) {
        n++;
        refused += e.err == -XFER_ETOOLONG && e.type == 'd';
        cr_expect(e.err == 0 || strlen(e.path) + 256 > PATH_CLEAN_MAX);
    }
    store_list_close(l);
    cr_expect_eq(r, 0);
    cr_expect_eq(refused, 1);
    cr_expect_eq(n, 20); /* 20 * 201 - 1 = 4019 */
}

/* ---- size ---- */

Test(store_list, a_hundred_thousand_entries_in_bounded_memory)
{
    enum { ENTRIES = 100000, PER_INODE = 25000 };
    struct store_list *l;
    struct store_entry e;
    char name[32], inode[32] = "";
    size_t n = 0, most = 0, before;
    int r;

    /* Links to few inodes: the walk cannot tell, and file systems are far quicker. */
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(name, sizeof(name), "name-of-an-entry-%06d", i);
        if (i % PER_INODE == 0) {
            strcpy(inode, name);
            make_file(&room, name, "x");
        } else {
            cr_assert_eq(linkat(room.fd, inode, room.fd, name, 0), 0, "%s", strerror(errno));
        }
    }
    before = heap_in_use();
    cr_assert_eq(store_list_open(&room.st, "", true, false, &l), 0);
    while ((r = store_list_next(l, &e)) > 0) {
        n++;
        if (n % 1000 == 0 && heap_in_use() > most)
            most = heap_in_use();
    }
    cr_expect_gt(most, before, "the heap was not measured");
    store_list_close(l);
    cr_expect_eq(r, 0);
    cr_expect_eq(n, ENTRIES);
    cr_expect_lt(most - before, 128 * 1024);
}
