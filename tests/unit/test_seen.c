#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "session/seen.h"

#define MANY 100000

static uint64_t key_of(const char *text)
{
    return seen_key(text, strlen(text));
}

Test(seen, what_was_added_is_there)
{
    struct seen s = {0};

    cr_expect_not(seen_has(&s, key_of("a")));
    cr_expect_eq(seen_add(&s, key_of("a")), 1);
    cr_expect(seen_has(&s, key_of("a")));
    cr_expect_not(seen_has(&s, key_of("b")));
    cr_expect_eq(seen_add(&s, key_of("a")), 0);
    cr_expect_eq(s.n, 1);
    seen_free(&s);
    cr_expect_not(seen_has(&s, key_of("a")));
    seen_free(&s);
}

Test(seen, keys_follow_the_bytes)
{
    cr_expect_eq(key_of("a/b"), key_of("a/b"));
    cr_expect_neq(key_of("a/b"), key_of("a/c"));
    cr_expect_neq(seen_key("a\0b", 3), seen_key("a\0c", 3));
    cr_expect_neq(seen_key("", 0), 0);
}

/* Keys that all want the same slot, 0 and -1 beside each other. */
Test(seen, keys_that_collide_are_kept_apart)
{
    struct seen s = {0};

    for (uint64_t i = 1; i <= 1000; i++)
        cr_assert_eq(seen_add(&s, i << 32), 1);
    cr_assert_eq(seen_add(&s, UINT64_MAX), 1);
    for (uint64_t i = 1; i <= 1000; i++)
        cr_assert_eq(seen_add(&s, i << 32), 0);
    cr_expect(seen_has(&s, UINT64_MAX));
    cr_expect_not(seen_has(&s, UINT64_C(1001) << 32));
    seen_free(&s);
}

Test(seen, many)
{
    struct seen s = {0};
    char name[32];

    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "dir-%u/file-%u", i % 317, i);
        cr_assert_eq(seen_add(&s, key_of(name)), 1, "%s", name);
    }
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "dir-%u/file-%u", i % 317, i);
        cr_assert_eq(seen_add(&s, key_of(name)), 0, "%s", name);
    }
    cr_expect_eq(s.n, MANY);
    cr_expect(s.cap >= 2 * s.n && s.cap <= 4 * s.n, "%zu slots", s.cap);
    cr_expect_not(seen_has(&s, key_of("dir-1/file-0")));
    seen_free(&s);
}
