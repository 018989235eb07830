#include "config.h"

#include <time.h>

#include "net/clock.h"

int64_t clock_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * CLOCK_SEC + ts.tv_nsec;
}

double clock_seconds_since(int64_t then)
{
    return (double)(clock_now() - then) / (double)CLOCK_SEC;
}
