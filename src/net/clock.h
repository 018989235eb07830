/* clock.h - monotonic time in nanoseconds. */
#ifndef XFER_NET_CLOCK_H
#define XFER_NET_CLOCK_H

#include <stdint.h>

#define CLOCK_SEC INT64_C(1000000000)
#define CLOCK_NEVER INT64_MAX

int64_t clock_now(void);
double clock_seconds_since(int64_t then);
static inline int64_t clock_from_seconds(double s)
{
    return s > 9e9 ? CLOCK_NEVER : (int64_t)(s * 1e9);
}

#endif
