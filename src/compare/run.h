/* run.h - runs a comparison: points, methods and rounds in turn, within the time. */
#ifndef XFER_COMPARE_RUN_H
#define XFER_COMPARE_RUN_H

#include "compare/compare.h"
#include "compare/data.h"
#include "compare/ladder.h"
#include "compare/place.h"
#include "xfer.h"

struct compare_run {
    /* set before */
    const struct compare_spec *spec;
    const char *file;   /* what is moved; NULL: bytes made from the seed */
    const char *remote; /* a server's directory (put) or file (get); NULL: a server of our own */
    FILE *pcap;         /* gets the packets, and is closed; NULL: none */
    bool trace;         /* keep the first packets of each method */
    int family;
    const char *bind;
    struct xfer_stop *stop;
    double begun; /* process_now() when the command began: its time runs from there */
    double after; /* s of it that the caller needs afterwards */
    /* Told of each point before its transfers, and of each round when it is over. */
    void (*on_point)(void *user, const struct compare_result *r, unsigned point);
    void (*on_round)(void *user, const struct compare_result *r, const struct compare_round *round);
    /* Several times a second; may raise stop. NULL: not wanted. */
    void (*on_tick)(void *user, const struct compare_run *run);
    void *user;
    /* found */
    struct compare_result result;
    struct compare_round *rounds;
    size_t rounds_cap;
    struct compare_row *rows;
    struct compare_ladder ladders[COMPARE_METHODS_MAX]; /* of the first point */
    size_t n_ladders;
    int status;                    /* exit status */
    bool no_link;                  /* this machine does not allow one */
    int capture_err;               /* negative: pcap is not whole */
    char warning[COMPARE_WHY_MAX]; /* before the transfers */
    char doubt[COMPARE_WHY_MAX];   /* by the transfers: the link was not what was asked for */
    char why[COMPARE_WHY_MAX];     /* why nothing could run */
    char remedy[COMPARE_WHY_MAX];
    /* now at work on */
    char doing[COMPARE_LABEL_MAX + 80];
    double ready_at; /* process_now() when all may be over; 0: not known yet */
    /* inside */
    struct place place;
    struct data data;
    struct trial *trial;
    struct compare_trace *traces;
    bool silent[2];            /* by enum compare_transport: nobody answered its first transfer */
    struct compare_spec point; /* the one at work */
    unsigned point_number;
    double needs[COMPARE_SWEEP_MAX]; /* s that each point could use; INFINITY: not known */
    char congestion[COMPARE_NAME_MAX]; /* the kernel's default */
};

/* Runs all of it; the rows are summed up even of what was interrupted. The result holds until
 * compare_run_free. */
void compare_run(struct compare_run *run);
void compare_run_free(struct compare_run *run);

/* For what runs parts of it: nothing more can run because of err, at `what`. An earlier reason
 * stays. Returns -1. */
int run_fail(struct compare_run *run, int err, const char *what);

/* The kernel's default, in a buffer of zeros; "" where it does not tell. */
void compare_default_congestion(char congestion[COMPARE_NAME_MAX]);

#endif
