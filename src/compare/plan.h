/* plan.h - what fits into the time: how much of the file by each method, how often. Pure.
 */
#ifndef XFER_COMPARE_PLAN_H
#define XFER_COMPARE_PLAN_H

#include "compare/compare.h"

struct compare_plan {
    struct {
        uint64_t bytes;  /* of the file, all of it unless it was cut */
        unsigned rounds; /* at least 1 */
        double seconds;  /* predicted, of one round in all its directions; 0: not known */
    } methods[COMPARE_METHODS_MAX];
    double seconds; /* predicted, of all rounds */
};

/* One round of each method first: where these do not all fit, those that take longest are cut to an
 * equal share of the time; those over TCP only if they need more than half of it. Then more rounds,
 * each in turn, as long as they fit. `s` is one point (no sweep), max_time what it may take;
 * congestion is the kernel's default, "" not known. */
void compare_plan(const struct compare_spec *s, const char *congestion, double max_time,
                  struct compare_plan *plan);

/* The seconds of `time` that the first of n (1 to COMPARE_SWEEP_MAX) gets, when each could use
 * need[i] (INFINITY: not known): who needs less than an equal share leaves the rest to the others,
 * and what nobody needs is shared alike. */
double compare_plan_share(const double *need, size_t n, double time);

/* The order of rounds, interleaved so that drift hits all alike: the k-th transfer, from 0, as
 * method and round number (from 1). False when there is none. */
bool compare_plan_turn(const struct compare_spec *s, const struct compare_plan *plan, size_t k,
                       unsigned *method, unsigned *number, enum compare_direction *direction);

#endif
