/* hist.h - percentiles of times in bounded memory: buckets of an eighth of a power of two. Pure. */
#ifndef XFER_LINK_HIST_H
#define XFER_LINK_HIST_H

#include <stdint.h>

struct hist {
    uint64_t n, bucket[512];
};

void hist_add(struct hist *h, int64_t v); /* below 0: as 0 */
/* The value that `percent` of all are not above, at most an eighth too much; 0 of none. */
int64_t hist_percentile(const struct hist *h, unsigned percent);

#endif
