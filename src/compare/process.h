/* process.h - processes of compare that are not at an end of a link, and what is looked after while
 * one waits for any. */
#ifndef XFER_COMPARE_PROCESS_H
#define XFER_COMPARE_PROCESS_H

#include <sys/types.h>

#include "xfer.h"

/* Waits are made of slices no longer than this. */
#define PROCESS_SLICE 0.1

struct watch {
    struct xfer_stop *stop;   /* raised: waits end early */
    void (*tick)(void *user); /* called in each slice, may raise stop; NULL: nothing to do */
    void *user;
};

/* Whether to go on waiting. */
bool watch_look(const struct watch *w);

double process_now(void); /* seconds, monotonic */
void process_pause(double seconds);

/* A fork that runs fn(arg), and dies with the caller. 0 or -errno. */
int process_start(int (*fn)(void *), void *arg, pid_t *ret);
/* Its exit status (128 + signal, where one ended it), -ETIMEDOUT, or -ECHILD. */
int process_wait(pid_t pid, double seconds);
void process_kill(pid_t pid); /* SIGKILL, and waited for */

/* From here on statuses of children are to be had, whatever was inherited, and whoever loses its
 * parent below the caller becomes a child of the caller; but not where that has children already,
 * of whatever it was before exec. */
void process_adopt(void);
/* Kills every child and whoever is adopted meanwhile: nothing is left, whatever was stopped before
 * it could see to its own end. Nothing where process_adopt found children. */
void process_kill_all(void);

#endif
