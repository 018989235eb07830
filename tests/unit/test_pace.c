#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/pace.h"

#define MS INT64_C(1000000)
#define SEC (1000 * MS)
#define START (12345 * SEC)

Test(pace, no_rate_no_wait)
{
    struct pace p = {0};

    cr_expect(pace_take(&p, UINT64_MAX, START) == 0);
    cr_expect(pace_chunk(&p, 4096) == 4096);
}

Test(pace, saves_up_a_tenth_of_a_second_and_no_more)
{
    struct pace p = {.rate = 1000};

    cr_expect(pace_take(&p, 100, START) == 0, "what was saved");
    cr_expect(pace_take(&p, 1, START) == 1 * MS);
    cr_expect(pace_take(&p, 100, START + 3600 * SEC) == 0, "an hour saves no more");
    cr_expect(pace_take(&p, 50, START + 3600 * SEC) == 50 * MS);
}

Test(pace, debts_add_up)
{
    struct pace p = {.rate = 1000, .free_at = START};

    cr_expect(pace_take(&p, 500, START) == 500 * MS);
    cr_expect(pace_take(&p, 500, START) == SEC);
    cr_expect(pace_take(&p, 500, START + SEC) == 500 * MS);
}

/* Whoever waits as told never gets ahead of the rate by more than was saved up, nor falls behind.
 */
Test(pace, rate_holds)
{
    static const uint64_t rates[] = {1, 999, 10000, 12500000, UINT64_C(3000000007)};
    unsigned short seed[3] = {7, 6, 5};

    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct pace p = {.rate = rates[i]};
        int64_t now = START;
        double moved = 0;

        for (int step = 0; step < 2000; step++) {
            size_t n = 1 + (size_t)nrand48(seed) % pace_chunk(&p, 1 << 20);

            now += pace_take(&p, n, now);
            moved += (double)n;

            double due = (double)(now - START) / 1e9 * (double)p.rate;

            cr_assert(moved <= due + 0.1 * (double)p.rate + 1, "rate %zu, step %d", i, step);
        }

        double took = (double)(now - START) / 1e9;

        cr_expect(moved >= took * (double)p.rate * 0.999, "rate %zu: too slow", i);
    }
}

Test(pace, extremes_saturate)
{
    struct pace p = {.rate = 1};

    cr_expect(pace_take(&p, UINT64_MAX, START) > 0);
    cr_expect(pace_take(&p, UINT64_MAX, START) > 0);
    cr_expect(pace_take(&p, 1, START) > 0);
    p = (struct pace){.rate = UINT64_MAX};
    cr_expect(pace_take(&p, UINT64_MAX, START) == 900 * MS);
}

Test(pace, chunks_last_fifty_milliseconds)
{
    static const struct {
        uint64_t rate;
        size_t max, chunk;
    } t[] = {{1, 4096, 1},
             {20, 4096, 1},
             {2000, 4096, 100},
             {1 << 20, 1 << 20, 52428},
             {UINT64_MAX, 65536, 65536}};

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct pace p = {.rate = t[i].rate};

        cr_expect(pace_chunk(&p, t[i].max) == t[i].chunk, "row %zu", i);
    }
}
