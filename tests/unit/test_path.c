#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/err.h"
#include "base/path.h"

#define HEX32 "0123456789abcdef0123456789abcdef"

static void expect_clean(const char *in, size_t n, const char *want, bool slash)
{
    struct path p;
    bool got = !slash;
    int err = path_clean(in, n, &p, &got);

    cr_assert(err == 0, "\"%s\": %s", in, xfer_strerror(err));
    cr_expect_str_eq(p.s, want, "\"%s\" became \"%s\"", in, p.s);
    cr_expect(p.len == strlen(want));
    cr_expect(got == slash, "slash of \"%s\"", in);
}

Test(path, cleans)
{
    static const struct {
        const char *in, *out;
        bool slash;
    } t[] = {
        {"", "", false},
        {"/", "", true},
        {"///", "", true},
        {".", "", true},
        {"./", "", true},
        {"/.", "", true},
        {"a", "a", false},
        {"/a", "a", false},
        {"a/", "a", true},
        {"a/.", "a", true},
        {"//a///b//", "a/b", true},
        {"./a/./b", "a/b", false},
        {"a/b/c.txt", "a/b/c.txt", false},
        {"...", "...", false},
        {"..a/b..", "..a/b..", false},
        {".a", ".a", false},
        {"a.", "a.", false},
        {"new\nline/\033[2J", "new\nline/\033[2J", false},
        {"\xff\xfe/\xc3", "\xff\xfe/\xc3", false},
        {"-rf", "-rf", false},
        {" / ", " / ", false},
        {"a\\..\\b", "a\\..\\b", false},
        {".xfer-" HEX32, ".xfer-" HEX32, false},
        {".xfer-short.part", ".xfer-short.part", false},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
        expect_clean(t[i].in, strlen(t[i].in), t[i].out, t[i].slash);
    expect_clean("abcdef", 3, "abc", false);
    expect_clean(NULL, 0, "", false);
}

Test(path, refuses_and_leaves_the_result_alone)
{
    static const struct {
        const char *in;
        size_t n;
    } t[] = {
        {"..", 2},
        {"/..", 3},
        {"../a", 4},
        {"a/../b", 6},
        {"a/..", 4},
        {"a/../", 5},
        {"./..", 4},
        {"a\0b", 3},
        {"\0", 1},
        {"a/\0", 3},
        {".xfer-" HEX32 ".part", 6 + 32 + 5},
        {"d/.xfer-" HEX32 ".tmp", 8 + 32 + 4},
        {".xfer-" HEX32 ".part/x", 6 + 32 + 7},
        {".XFER-0123456789ABCDEF0123456789abcdef.Part", 6 + 32 + 5},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct path p = {.len = 3, .s = "old"};
        bool slash = true;

        cr_expect(path_clean(t[i].in, t[i].n, &p, &slash) == -XFER_ENAME, "row %zu", i);
        cr_expect_str_eq(p.s, "old");
        cr_expect(p.len == 3 && slash);
    }
}

Test(path, limits)
{
    char in[2 * PATH_CLEAN_MAX];
    struct path p = {0};

    memset(in, 'x', sizeof in);
    cr_expect(path_clean(in, PATH_NAME_MAX, &p, NULL) == 0 && p.len == PATH_NAME_MAX);
    cr_expect(path_clean(in, PATH_NAME_MAX + 1, &p, NULL) == -XFER_ETOOLONG);
    for (size_t i = 1; i < sizeof in; i += 2)
        in[i] = '/';
    cr_expect(path_clean(in, PATH_CLEAN_MAX, &p, NULL) == 0 && p.len == PATH_CLEAN_MAX);
    cr_expect(p.s[PATH_CLEAN_MAX] == '\0');
    cr_expect(path_clean(in, PATH_CLEAN_MAX + 1, &p, NULL) == 0, "the last byte is a slash");
    cr_expect(path_clean(in, PATH_CLEAN_MAX + 2, &p, NULL) == -XFER_ETOOLONG);
    in[PATH_CLEAN_MAX] = 'x';
    cr_expect(path_clean(in, PATH_CLEAN_MAX + 1, &p, NULL) == -XFER_ETOOLONG);
    memset(in, '/', sizeof in);
    in[sizeof in - 1] = 'a';
    cr_expect(path_clean(in, sizeof in, &p, NULL) == 0 && p.len == 1, "only the clean form counts");
}

Test(path, cleaning_in_place_and_twice_changes_nothing)
{
    struct path p = {.s = "/./a//b/./c/"}, again;

    cr_expect(path_clean(p.s, strlen(p.s), &p, NULL) == 0);
    cr_expect_str_eq(p.s, "a/b/c");
    cr_expect(path_clean(p.s, p.len, &again, NULL) == 0);
    cr_expect_str_eq(again.s, p.s);
}

Test(path, listed_names_must_be_clean)
{
    static const char *const good[] = {"a", "a/b", ".a", "...", "a b", "\n", "\xff", "-x"};
    static const char *const bad[] = {"",
                                      "/",
                                      "/a",
                                      "a/",
                                      "a//b",
                                      ".",
                                      "..",
                                      "./a",
                                      "a/.",
                                      "../a",
                                      "a/../b",
                                      ".xfer-" HEX32 ".part",
                                      "a/.xfer-" HEX32 ".tmp"};
    char longest[PATH_NAME_MAX + 1];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_expect(path_check_listed(good[i], strlen(good[i])) == 0, "\"%s\"", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect(path_check_listed(bad[i], strlen(bad[i])) == -XFER_ENAME, "\"%s\"", bad[i]);
    cr_expect(path_check_listed("a\0b", 3) == -XFER_ENAME);
    memset(longest, 'x', sizeof longest);
    cr_expect(path_check_listed(longest, PATH_NAME_MAX) == 0);
    cr_expect(path_check_listed(longest, sizeof longest) == -XFER_ENAME);
}

Test(path, joins)
{
    static const struct {
        const char *dir, *name, *out;
    } t[] = {
        {"", "", ""}, {"a", "", "a"}, {"", "b", "b"}, {"a", "b", "a/b"}, {"a/b", "c/d", "a/b/c/d"}};

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct path dir = {.len = strlen(t[i].dir)}, out;

        strcpy(dir.s, t[i].dir);
        cr_expect(path_join(&dir, t[i].name, &out) == 0);
        cr_expect_str_eq(out.s, t[i].out);
        cr_expect(path_join(&dir, t[i].name, &dir) == 0);
        cr_expect_str_eq(dir.s, t[i].out, "in place");
        cr_expect(out.len == strlen(t[i].out) && dir.len == out.len);
    }
}

Test(path, joins_up_to_the_limit)
{
    struct path dir = {.len = PATH_CLEAN_MAX - 2}, out = {.len = 3, .s = "old"};

    memset(dir.s, 'x', dir.len);
    cr_expect(path_join(&dir, "yz", &out) == -XFER_ETOOLONG);
    cr_expect_str_eq(out.s, "old");
    cr_expect(path_join(&dir, "y", &out) == 0 && out.len == PATH_CLEAN_MAX);
    cr_expect_str_eq(out.s + PATH_CLEAN_MAX - 3, "x/y");
}

Test(path, base_names)
{
    cr_expect_str_eq(path_base("a/b/c"), "c");
    cr_expect_str_eq(path_base("c"), "c");
    cr_expect_str_eq(path_base("/c"), "c");
    cr_expect_str_eq(path_base(""), "");
}

Test(path, hidden_names)
{
    static const char *const hidden[] = {".xfer-" HEX32 ".part", ".xfer-" HEX32 ".tmp",
                                         ".Xfer-" HEX32 ".TMP"};
    static const char *const shown[] = {"",
                                        ".xfer-",
                                        ".xfer-" HEX32,
                                        ".xfer-" HEX32 ".parts",
                                        ".xfer-" HEX32 "0.part",
                                        ".xfer-" HEX32 ".bak",
                                        "xfer-" HEX32 ".part",
                                        ".xfer-0123456789abcdef0123456789abcdeg.part"};

    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        cr_expect(path_is_hidden(hidden[i], strlen(hidden[i])), "%s", hidden[i]);
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        cr_expect(!path_is_hidden(shown[i], strlen(shown[i])), "%s", shown[i]);
}
