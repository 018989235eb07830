#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "session/dest.h"
#include "store_fixture.h"

static struct room room;

/* Tests work in a directory of their own: dir/ file  link-to-dir  dangling */
static void set_up(void)
{
    room_open(&room);
    cr_assert_eq(fchdir(room.fd), 0);
    make_dir(&room, "dir");
    make_file(&room, "file", "text");
    make_link(&room, "dir", "link-to-dir");
    make_link(&room, "nowhere", "dangling");
}

static void tear_down(void)
{
    cr_assert_eq(chdir("/"), 0);
    room_close(&room);
}

TestSuite(dest, .init = set_up, .fini = tear_down);

enum { ONE = 0, SEVERAL = 1, TREE = 2 };

static const struct {
    const char *word;
    int kind;
    int err;           /* 0: it opens */
    const char *shown; /* how "name" below it is shown; with into NULL: into is false */
    const char *name;  /* of the file; NULL: into a directory */
} table[] = {
    {NULL, ONE, 0, "name", NULL},
    {".", ONE, 0, "name", NULL},
    {"./", ONE, 0, "name", NULL},
    {"dir", ONE, 0, "dir/name", NULL},
    {"dir/", ONE, 0, "dir/name", NULL},
    {"./dir", SEVERAL, 0, "./dir/name", NULL},
    {"link-to-dir", ONE, 0, "link-to-dir/name", NULL},
    {"dir", TREE, 0, "dir/name", NULL},
    {"file", ONE, 0, "name", "file"},
    {"new", ONE, 0, "name", "new"},
    {"dir/new", ONE, 0, "dir/name", "new"},
    {"./new", ONE, 0, "name", "new"},
    {"dangling", ONE, 0, "name", "dangling"},
    {"new", TREE, 0, "new/name", NULL},
    {"dir/new", TREE, 0, "dir/new/name", NULL},
    {"new/", TREE, 0, "new/name", NULL},
    {"new/", ONE, -ENOENT, NULL, NULL},
    {"new", SEVERAL, -ENOENT, NULL, NULL},
    {"no/new", ONE, -ENOENT, NULL, NULL},
    {"no/new", TREE, -ENOENT, NULL, NULL},
    {"file", SEVERAL, -ENOTDIR, NULL, NULL},
    {"file", TREE, -ENOTDIR, NULL, NULL},
    {"file/", ONE, -ENOTDIR, NULL, NULL},
    {"file/x", ONE, -ENOTDIR, NULL, NULL},
    {"", ONE, -XFER_EUSAGE, NULL, NULL},
    {"-", TREE, -XFER_EUSAGE, NULL, NULL},
};

static int open_dest(struct dest *d, const char *word, const struct xfer_copy_opts *o, int kind)
{
    return dest_error(dest_open(d, word, o, kind == SEVERAL, kind == TREE));
}

Test(dest, what_a_word_means)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct xfer_copy_opts o = {0};
        struct dest d;
        char shown[64];

        int r = open_dest(&d, table[i].word, &o, table[i].kind);
        cr_expect_eq(r, table[i].err, "%s, %d: %s", table[i].word, table[i].kind, xfer_strerror(r));
        if (r == 0) {
            cr_expect_eq(d.into, table[i].name == NULL, "%s", table[i].word);
            cr_expect_str_eq(d.name, table[i].name ? table[i].name : "");
            cr_expect_str_eq(dest_show(&d, "name", shown, sizeof shown), table[i].shown);
            cr_expect_geq(d.store.fd, 0);
            dest_close(&d);
        }
        rmdir("new");
        rmdir("dir/new");
    }
}

Test(dest, a_dash_is_standard_output)
{
    struct xfer_copy_opts o = {0};
    struct dest d;
    char shown[8];

    cr_assert_eq(open_dest(&d, "-", &o, ONE), 0);
    cr_expect(d.stream && d.store.fd == -1);
    cr_expect_str_eq(dest_show(&d, "name", shown, sizeof shown), "-");
    dest_close(&d);
    cr_assert_eq(open_dest(&d, "./-", &o, ONE), 0);
    cr_expect(!d.stream);
    cr_expect_str_eq(d.name, "-");
    dest_close(&d);
}

Test(dest, missing_parents_are_made_when_asked)
{
    static const struct {
        const char *word, *made;
        int kind;
    } t[] = {
        {"a/b/", "a/b", ONE}, {"c/d/file", "c/d", ONE}, {"e/f", "e/f", TREE}, {"g", "g", SEVERAL}};

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct xfer_copy_opts o = {.mkpath = true};
        struct stat sb;
        struct dest d;

        cr_assert_eq(open_dest(&d, t[i].word, &o, t[i].kind), 0, "%s", t[i].word);
        cr_expect(stat(t[i].made, &sb) == 0 && S_ISDIR(sb.st_mode), "%s", t[i].made);
        dest_close(&d);
    }
}

Test(dest, an_absolute_word)
{
    struct xfer_copy_opts o = {.mkpath = true};
    char word[PATH_MAX + 16], shown[2 * PATH_MAX], want[2 * PATH_MAX];
    struct dest d;

    snprintf(word, sizeof word, "%s/x/y/file", room.dir);
    cr_assert_eq(open_dest(&d, word, &o, ONE), 0);
    snprintf(want, sizeof want, "%s/x/y/name", room.dir);
    cr_expect_str_eq(dest_show(&d, "name", shown, sizeof shown), want);
    dest_close(&d);
}

Test(dest, a_dry_run_makes_nothing)
{
    struct xfer_copy_opts o = {.dry_run = true, .mkpath = true};
    struct stat sb;
    struct dest d;

    int r = dest_open(&d, "new", &o, false, true);
    cr_expect(stat("new", &sb) < 0, "made, with %d", r);
    if (r == 0)
        dest_close(&d);
    r = dest_open(&d, "a/b/file", &o, false, false);
    cr_expect(stat("a", &sb) < 0, "made, with %d", r);
    if (r == 0)
        dest_close(&d);
}

Test(dest, names_that_are_too_long)
{
    struct xfer_copy_opts o = {0};
    char word[PATH_CLEAN_MAX + 64];
    struct dest d;

    memset(word, 'a', sizeof word);
    word[256] = '\0';
    cr_expect_eq(open_dest(&d, word, &o, ONE), -ENAMETOOLONG);
    word[255] = '\0';
    cr_expect_eq(open_dest(&d, word, &o, ONE), 0);
    dest_close(&d);
    memset(word, '/', sizeof word);
    word[sizeof word - 1] = '\0';
    cr_expect_neq(open_dest(&d, word, &o, ONE), 0);
}

Test(dest, errors_of_the_store_are_ours_here)
{
    cr_expect_eq(dest_error(-XFER_ENOTREG), -EEXIST);
    cr_expect_eq(dest_error(-XFER_EISDIR), -EISDIR);
    cr_expect_eq(dest_error(-XFER_EPERM), -EACCES);
    cr_expect_eq(dest_error(-XFER_ELOOP), -ELOOP);
    cr_expect_eq(dest_error(-ENOSPC), -ENOSPC);
    cr_expect_eq(dest_error(-XFER_EINTEGRITY), -XFER_EINTEGRITY);
    cr_expect_eq(dest_error(0), 0);
}
