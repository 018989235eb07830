/* pace.h - a token bucket with time as an argument: how long to wait so that a rate holds. Pure. */
#ifndef XFER_BASE_PACE_H
#define XFER_BASE_PACE_H

#include <stddef.h>
#include <stdint.h>

struct pace {
    uint64_t rate;    /* bytes a second, 0: unlimited */
    int64_t free_at;  /* ns: when everything granted so far has been paid for */
};

/* Takes n bytes at time now (ns). Returns the ns to wait before moving them; 0 when unlimited. At
 * most 100 ms of unused time is saved up. */
int64_t pace_take(struct pace *p, uint64_t n, int64_t now);

/* How much to move at once so that waits stay near 50 ms: between 1 and max. */
size_t pace_chunk(const struct pace *p, size_t max);

#endif
