#include "config.h"

#include "base/pace.h"

#define NS_PER_SEC INT64_C(1000000000)
#define SAVED_MAX (NS_PER_SEC / 10)
#define CHUNKS_PER_SEC 20
/* The longest debt, some 146 years: beyond it sums would overflow. */
#define DEBT_MAX (INT64_MAX / 2)

/* What n bytes cost, rounded up: rounding down would let a fast rate of small pieces go free. */
static int64_t cost(const struct pace *p, uint64_t n)
{
    unsigned __int128 ns = ((unsigned __int128)n * NS_PER_SEC + p->rate - 1) / p->rate;

    return ns < DEBT_MAX ? (int64_t)ns : DEBT_MAX;
}

int64_t pace_take(struct pace *p, uint64_t n, int64_t now)
{
    if (p->rate == 0)
        return 0;

    int64_t from = p->free_at > now - SAVED_MAX ? p->free_at : now - SAVED_MAX;
    int64_t price = cost(p, n);

    p->free_at = from < DEBT_MAX - price ? from + price : DEBT_MAX;
    return p->free_at > now ? p->free_at - now : 0;
}

size_t pace_chunk(const struct pace *p, size_t max)
{
    uint64_t n = p->rate / CHUNKS_PER_SEC;

    if (p->rate == 0 || n > max)
        return max;
    return n > 0 ? (size_t)n : 1;
}
