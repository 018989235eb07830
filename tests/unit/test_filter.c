#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "session/filter.h"

#define MAX_FILTERS 4

/* Filters as a user gives them: "-*.o" excludes, "+*.c" includes. */
static size_t read_filters(const char *const *words, struct xfer_filter *f)
{
    size_t n = 0;

    for (; n < MAX_FILTERS && words[n]; n++)
        f[n] = (struct xfer_filter){.exclude = words[n][0] == '-', .glob = words[n] + 1};
    return n;
}

/* What rsync does with the same --include and --exclude of a tree. A path with a trailing slash is
 * a directory. */
static const struct {
    const char *filters[MAX_FILTERS + 1];
    const char *path;
    bool out;
} table[] = {
    {{NULL}, "a.o", false},
    /* without a slash: the last component, wherever */
    {{"-*.o"}, "a.o", true},
    {{"-*.o"}, "d/e/a.o", true},
    {{"-*.o"}, "a.c", false},
    {{"-*.o"}, "a.o.txt", false},
    {{"-*.o"}, ".o", true},
    {{"-*"}, "a", true},
    {{"-*"}, ".hidden", true},
    {{"-a"}, "a", true},
    {{"-a"}, "ab", false},
    {{"-a?"}, "ab", true},
    {{"-[ab]"}, "b", true},
    {{"-[!ab]"}, "b", false},
    {{"-\\*"}, "*", true},
    {{"-\\*"}, "a", false},
    /* what is in an excluded directory is out, too */
    {{"-build"}, "build/", true},
    {{"-build"}, "build/a", true},
    {{"-build"}, "x/build/y/z", true},
    {{"-build"}, "rebuild/a", false},
    /* the first that matches decides */
    {{"+keep.o", "-*.o"}, "keep.o", false},
    {{"+keep.o", "-*.o"}, "lose.o", true},
    {{"-*.o", "+keep.o"}, "keep.o", true},
    {{"+*.c", "-*"}, "a.c", false},
    {{"+*.c", "-*"}, "a.h", true},
    {{"+*.c", "-*"}, "d/", true},
    {{"+*.c", "-*"}, "d/a.c", true},
    {{"+*/", "+*.c", "-*"}, "d/", false},
    {{"+*/", "+*.c", "-*"}, "d/a.c", false},
    {{"+*/", "+*.c", "-*"}, "d/a.h", true},
    /* an include takes nothing else out */
    {{"+*.c"}, "a.h", false},
    /* a trailing slash: directories only */
    {{"-d/"}, "d/", true},
    {{"-d/"}, "d", false},
    {{"-d/"}, "d/a", true},
    {{"-d/"}, "x/d/a", true},
    /* with a slash: the path from the top */
    {{"-/a"}, "a", true},
    {{"-/a"}, "d/a", false},
    {{"-/d/a"}, "d/a", true},
    {{"-d/a"}, "d/a", true},
    {{"-d/*"}, "d/a", true},
    {{"-d/*"}, "d/e/", true},
    {{"-d/*"}, "d/", false},
    {{"-d/*/f"}, "d/e/f", true},
    {{"-d/*/f"}, "d/e/e/f", false},
    {{"-/d/"}, "d/x/y", true},
    {{"-/d/"}, "e/d/x", false},
    /* bytes are bytes */
    {{"-a b"}, "a b", true},
    {{"-*\n*"}, "a\nb", true},
    {{"-[", NULL}, "[", true},
};

Test(filter, the_first_that_matches_decides)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct xfer_filter f[MAX_FILTERS];
        char path[64];
        size_t n = strlen(strcpy(path, table[i].path));
        bool dir = path[n - 1] == '/';

        if (dir)
            path[n - 1] = '\0';
        bool out = filter_excludes(f, read_filters(table[i].filters, f), path, dir);
        cr_expect_eq(out, table[i].out, "%zu: %s of %s", i, table[i].filters[0], table[i].path);
    }
}

Test(filter, no_filter_looks_at_nothing)
{
    cr_expect_not(filter_excludes(NULL, 0, "a", false));
}

Test(filter, what_is_too_long_to_match_matches_nothing)
{
    char *glob = malloc(PATH_CLEAN_MAX + 2);

    memset(glob, '*', PATH_CLEAN_MAX + 1);
    glob[PATH_CLEAN_MAX + 1] = '\0';
    struct xfer_filter f = {.exclude = true, .glob = glob};
    cr_expect_not(filter_excludes(&f, 1, "a", false));
    free(glob);
}
