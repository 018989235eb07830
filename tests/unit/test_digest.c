#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

/* FIPS 180-2, appendix B, and the empty message. */
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define MILLION_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static const char *hex_of(const uint8_t d[DIGEST_LEN], char out[DIGEST_HEX + 1])
{
    digest_hex(d, out);
    return out;
}

Test(digest, known_answers_at_once)
{
    uint8_t d[DIGEST_LEN];
    char hex[DIGEST_HEX + 1];

    digest_of(NULL, 0, d);
    cr_expect_str_eq(hex_of(d, hex), EMPTY);
    digest_of("abc", 3, d);
    cr_expect_str_eq(hex_of(d, hex), ABC);
}

Test(digest, known_answer_in_pieces)
{
    struct digest *run = digest_new();
    char piece[1000], hex[DIGEST_HEX + 1];
    uint8_t d[DIGEST_LEN];

    cr_assert(run);
    memset(piece, 'a', sizeof piece);
    for (int i = 0; i < 1000; i++)
        digest_update(run, piece, sizeof piece);
    digest_peek(run, d);
    cr_expect_str_eq(hex_of(d, hex), MILLION_A);
    digest_free(run);
}

Test(digest, peeking_does_not_disturb)
{
    struct digest *run = digest_new();
    char hex[DIGEST_HEX + 1];
    uint8_t d[DIGEST_LEN];

    cr_assert(run);
    digest_peek(run, d);
    cr_expect_str_eq(hex_of(d, hex), EMPTY);
    digest_update(run, "ab", 2);
    digest_peek(run, d);
    digest_peek(run, d);
    digest_update(run, "", 0);
    digest_update(run, "c", 1);
    digest_peek(run, d);
    cr_expect_str_eq(hex_of(d, hex), ABC);
    digest_free(run);
}

Test(digest, reset_begins_anew)
{
    struct digest *run = digest_new();
    char hex[DIGEST_HEX + 1];
    uint8_t d[DIGEST_LEN];

    cr_assert(run);
    for (int i = 0; i < 3; i++) {
        digest_update(run, "abc", 3);
        digest_peek(run, d);
        cr_expect_str_eq(hex_of(d, hex), ABC, "round %d", i);
        digest_reset(run);
    }
    digest_peek(run, d);
    cr_expect_str_eq(hex_of(d, hex), EMPTY);
    digest_free(run);
    digest_free(NULL);
}

/* However the bytes are cut, the digest is the same. */
Test(digest, random_cuts)
{
    unsigned short seed[3] = {2, 0, 26};
    uint8_t data[5000], whole[DIGEST_LEN], cut[DIGEST_LEN];
    struct digest *run = digest_new();

    cr_assert(run);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)nrand48(seed);
    digest_of(data, sizeof data, whole);
    for (int round = 0; round < 50; round++) {
        digest_reset(run);
        for (size_t at = 0; at < sizeof data;) {
            size_t n = (size_t)nrand48(seed) % 300;

            n = n < sizeof data - at ? n : sizeof data - at;
            digest_update(run, data + at, n);
            at += n;
        }
        digest_peek(run, cut);
        cr_expect(memcmp(whole, cut, DIGEST_LEN) == 0);
    }
    digest_free(run);
}
