/* linkcheck.h - measures an emulated link before anything is measured on it. */
#ifndef XFER_COMPARE_LINKCHECK_H
#define XFER_COMPARE_LINKCHECK_H

#include "compare/process.h"
#include "link/link.h"

struct linkcheck {
    bool finished;               /* else the time was over, or a signal came */
    int err;                     /* negative: no link could be opened, problem says why */
    struct link_problem problem; /* else what the machine does not hold, empty: all is as asked */
    double rtt;                  /* s, measured; 0: not known */
    uint64_t rate;
};

/* How long it takes on a machine that is not busy, in seconds. */
double linkcheck_time(const struct link_settings *s);

/* Opens a link in a process of its own, so that it can be ended at any moment, and measures it for
 * at most so many seconds. 0, or a negative error when it could not begin. */
int linkcheck_run(const struct link_settings *s, double seconds, const struct watch *w,
                  struct linkcheck *ret);

#endif
