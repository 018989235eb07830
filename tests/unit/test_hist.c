#include "config.h"

#include <criterion/criterion.h>
#include <stdint.h>

#include "link/hist.h"

Test(hist, of_nothing_is_nothing)
{
    struct hist h = {0};

    cr_assert_eq(hist_percentile(&h, 50), 0);
    cr_assert_eq(hist_percentile(&h, 99), 0);
}

/* Never too small, and an eighth too large at most. */
Test(hist, one_value_is_found_again)
{
    for (int64_t v = 0; v < INT64_MAX / 3; v += v / 8 + 1) {
        struct hist h = {0};
        int64_t got;

        hist_add(&h, v);
        got = hist_percentile(&h, 99);
        cr_assert(got >= v && got <= v + v / 8, "%lld: %lld", (long long)v, (long long)got);
    }
}

Test(hist, far_ends_have_a_bucket)
{
    struct hist h = {0};

    hist_add(&h, -5);
    cr_assert_eq(hist_percentile(&h, 99), 0);
    hist_add(&h, INT64_MAX);
    cr_assert_eq(hist_percentile(&h, 99), INT64_MAX);
    cr_assert_eq(hist_percentile(&h, 50), 0);
}

Test(hist, percentiles_count)
{
    struct hist h = {0};

    for (int64_t v = 1; v <= 1000; v++)
        hist_add(&h, v * 1000);
    cr_assert(hist_percentile(&h, 50) >= 500000 && hist_percentile(&h, 50) <= 563000);
    cr_assert(hist_percentile(&h, 99) >= 990000 && hist_percentile(&h, 99) <= 1120000);
}
