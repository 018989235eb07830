/* A thread that hashes: the digest of what was fed, whatever the pieces; buffers come back unread by
 * nobody. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session/hasher.h"

#define SIZE 4096

static void fill(uint8_t *p, size_t n, unsigned *seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)rand_r(seed);
}

static struct hasher *start(struct digest *d)
{
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        cr_skip_test("one processor: hashing stays inline");
    struct hasher *h = hasher_start(d, SIZE);
    cr_assert_not_null(h);
    return h;
}

/* Pieces of any length, buffers overwritten as soon as they come back. */
Test(hasher, same_digest_as_inline)
{
    for (unsigned round = 0; round < 20; round++) {
        struct digest *apart = digest_new(), *inline_ = digest_new();
        struct hasher *h = start(apart);
        uint8_t *buf = malloc(SIZE), a[DIGEST_LEN], b[DIGEST_LEN];
        unsigned seed = round;
        for (unsigned i = 0; i < 500; i++) {
            buf = hasher_exchange(h, buf);
            fill(buf, SIZE, &seed);
            size_t cut = (size_t)rand_r(&seed) % SIZE;
            hasher_feed(h, buf, cut);
            hasher_feed(h, buf + cut, SIZE - cut);
            digest_update(inline_, buf, SIZE);
        }
        hasher_finish(h);
        digest_peek(apart, a);
        digest_peek(inline_, b);
        cr_assert_arr_eq(a, b, DIGEST_LEN, "round %u", round);
        free(buf);
        digest_free(apart);
        digest_free(inline_);
    }
}

/* More pieces in one buffer than the ring has places: feeding waits, nothing is lost. */
Test(hasher, many_pieces_of_one_buffer)
{
    struct digest *apart = digest_new();
    struct hasher *h = start(apart);
    uint8_t *buf = malloc(SIZE), a[DIGEST_LEN], b[DIGEST_LEN];
    unsigned seed = 1;

    fill(buf, SIZE, &seed);
    for (size_t i = 0; i < SIZE; i++)
        hasher_feed(h, buf + i, 1);
    hasher_finish(h);
    digest_peek(apart, a);
    digest_of(buf, SIZE, b);
    cr_assert_arr_eq(a, b, DIGEST_LEN);
    free(buf);
    digest_free(apart);
}

Test(hasher, nothing_fed)
{
    struct digest *apart = digest_new();
    uint8_t a[DIGEST_LEN], b[DIGEST_LEN];

    hasher_finish(start(apart));
    hasher_finish(NULL);
    digest_peek(apart, a);
    digest_of("", 0, b);
    cr_assert_arr_eq(a, b, DIGEST_LEN);
    digest_free(apart);
}
