/* place.h - where the transfers of compare happen: on an emulated link, on the loopback
 * device, or between here and a server that runs already. */
#ifndef XFER_COMPARE_PLACE_H
#define XFER_COMPARE_PLACE_H

#include "compare/process.h"
#include "compare/trace.h"
#include "compare/trial.h"
#include "link/link.h"

struct place {
    enum { PLACE_LINK, PLACE_LOOPBACK, PLACE_REMOTE } kind;
    struct link_settings settings; /* PLACE_LINK */
    struct link_capture *capture;  /* gets the packets of each trial; NULL: none */
    struct watch watch;            /* while a trial runs */
};

/* What a trial leaves behind besides its own words. */
struct place_facts {
    bool counted; /* stats holds something */
    struct link_stats stats;
    const char *doubt; /* why the link was not what was asked for; NULL: it was */
    char text[COMPARE_WHY_MAX];
    struct link_problem problem; /* why there is no link */
    int capture_err;             /* negative: packets are missing in the capture */
};

/* The settings of the emulated link that a spec asks for, recording up to so many packets. */
void place_settings(const struct compare_link *l, size_t records, struct link_settings *ret);
/* Seconds that a trial takes after its client has ended, at most. */
double place_ending(const struct place *p);
/* How many packets moving so many bytes takes at most. */
size_t place_records(uint64_t bytes);

/* Runs a trial: its server (where there is none yet) and its client. `name` is that of its packets
 * in the capture; `trace` (may be NULL) gets the first of them. 0, or a negative error when it
 * could not even begin. */
int place_run(const struct place *p, struct trial *t, uint64_t seed, const char *name,
              struct place_facts *facts, struct compare_trace *trace);

#endif
