#include "config.h"

#include "link/hist.h"

/* Values below 16 have a bucket each; above, three bits behind the highest tell it. */
static unsigned bucket_of(uint64_t v)
{
    if (v < 16)
        return (unsigned)v;

    unsigned high = 63 - (unsigned)__builtin_clzll(v);

    return (high - 2) * 8 + (unsigned)(v >> (high - 3) & 7);
}

/* The highest value in a bucket. */
static int64_t top_of(unsigned bucket)
{
    if (bucket < 16)
        return bucket;

    unsigned shift = bucket / 8 - 1;

    return (int64_t)(((UINT64_C(9) + bucket % 8) << shift) - 1);
}

void hist_add(struct hist *h, int64_t v)
{
    h->bucket[bucket_of(v > 0 ? (uint64_t)v : 0)]++;
    h->n++;
}

int64_t hist_percentile(const struct hist *h, unsigned percent)
{
    uint64_t below = 0, want = (h->n * percent + 99) / 100;

    for (unsigned i = 0; i < sizeof h->bucket / sizeof h->bucket[0]; i++) {
        below += h->bucket[i];
        if (below >= want && below > 0)
            return top_of(i);
    }
    return 0;
}
