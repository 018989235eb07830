/* round.h - one round: its trial aimed at a server, run, and taken down. */
#ifndef XFER_COMPARE_ROUND_H
#define XFER_COMPARE_ROUND_H

#include "compare/run.h"

/* round: point, method, number, direction and bytes are set; the rest is found within limit s. 0
 * with the exit status that the round stands for, or -1 when nothing more can run, told in run. */
int round_run(struct compare_run *run, struct compare_round *round, double limit, int *status);

/* A round that has no transfer: it is told all the same, with why, as unfinished where err says
 * that it was cut, else as failed. Returns the exit status that it stands for. */
int round_none(struct compare_round *round, int err, const char *why);

#endif
