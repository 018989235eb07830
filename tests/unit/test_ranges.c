/* How a file is cut into ranges, and when it is. */
#include "config.h"

#include <criterion/criterion.h>

#include "session/ranges.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

Test(ranges, lengths)
{
    static const struct {
        uint64_t rest;
        unsigned jobs;
        uint64_t length;
    } t[] = {
        {0, 4, 256 * KIB},
        {1, 4, 256 * KIB},
        {4 * MIB, 4, 256 * KIB},
        {16 * MIB, 4, MIB},
        {16 * MIB, 0, 4 * MIB},
        {16 * MIB + 1, 4, MIB},
        {64 * MIB, 4, 4 * MIB},
        {64 * MIB, 64, 256 * KIB},
        {1024 * MIB, 4, 16 * MIB},
        {1024 * MIB, 2, 16 * MIB},
        {1024 * 1024 * MIB, 8, 256 * MIB},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
        cr_expect_eq(ranges_length(t[i].rest, t[i].jobs), t[i].length, "%zu: %llu", i,
                     (unsigned long long)ranges_length(t[i].rest, t[i].jobs));
}

Test(ranges, whatever_the_size_there_are_few_and_they_are_whole_blocks)
{
    for (uint64_t rest = 1; rest < (uint64_t)INT64_MAX / 3; rest = rest * 3 + 1)
        for (unsigned jobs = 1; jobs <= 64; jobs *= 4) {
            uint64_t n = ranges_length(rest, jobs);
            cr_expect(n >= 256 * KIB && n % (64 * KIB) == 0);
            cr_expect(rest / n <= 4096, "%llu: %llu", (unsigned long long)rest,
                      (unsigned long long)n);
        }
    cr_expect(ranges_length(INT64_MAX, 64) <= (uint64_t)INT64_MAX / 4000);
}

static enum ranges_how how(uint32_t keys, uint64_t size, uint64_t offset)
{
    struct wire_msg m = {.verb = WIRE_REPLY, .code = 200, .keys = keys, .size = size};

    return ranges_how(&m, offset);
}

Test(ranges, what_the_first_answer_means)
{
    const uint32_t all = WIRE_K_SIZE | WIRE_K_OFFSET | WIRE_K_ETAG;

    cr_expect_eq(how(all, RANGES_FIRST, 0), RANGES_WHOLE);
    cr_expect_eq(how(WIRE_K_SIZE, 1, 0), RANGES_WHOLE);
    cr_expect_eq(how(all, RANGES_FIRST + 1, 0), RANGES_CUT);
    cr_expect_eq(how(all, RANGES_FIRST, 1), RANGES_CUT,
                 "the digest of a range says nothing of all");
    cr_expect_eq(how(all, 5, 5), RANGES_CUT);
    cr_expect_eq(how(all, INT64_MAX, 0), RANGES_CUT);
    cr_expect_eq(how(all, 5, 6), RANGES_PLAIN);
    cr_expect_eq(how(all, 0, 0), RANGES_PLAIN, "a file of no known size");
    cr_expect_eq(how(0, 0, 0), RANGES_PLAIN);
    cr_expect_eq(how(all & ~(uint32_t)WIRE_K_ETAG, MIB, 0), RANGES_PLAIN);
    cr_expect_eq(how(all & ~(uint32_t)WIRE_K_OFFSET, MIB, 0), RANGES_PLAIN);
    cr_expect_eq(how(all & ~(uint32_t)WIRE_K_SIZE, MIB, 0), RANGES_PLAIN);
}
