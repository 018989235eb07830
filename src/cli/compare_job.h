/* compare_job.h - one comparison as the command line asks for it: what the parts of cmd_compare.c
 * share. */
#ifndef XFER_CLI_COMPARE_JOB_H
#define XFER_CLI_COMPARE_JOB_H

#include "cli/cmd.h"
#include "cli/progress.h"
#include "compare/outfile.h"
#include "compare/pictures.h"
#include "compare/run.h"

struct compare_options {
    bool quiet, verbose, json, csv, check, predict, trace, fix_checksums, ipv4, ipv6;
    double max_time;
    unsigned rounds;
    int direction; /* enum compare_direction, plus 1; 0: not given */
    int progress;  /* enum progress_when */
    const char *link, *size, *pcap, *plot, *report, *bind_addr;
    const char *rtt, *rate, *loss, *jitter, *reorder, *duplicate, *corrupt, *queue, *mtu, *seed;
    struct text_list methods, sweeps; /* of sweeps no more than one */
};

struct job {
    const struct compare_options *o;
    struct compare_spec spec;
    const char *file, *remote;
    double begun; /* process_now() */
    struct progress progress;
    struct outfile pcap;
    struct compare_pictures pictures;
    int output_status; /* of what a round prints: 0 or why it could not */
};

/* Takes options and operands. -1 to go on, else the exit status, all that is wrong told: before
 * anything runs. */
int compare_ask(const struct cmd *c, const struct operands *ops, struct job *job);

/* The size of what is fetched from elsewhere has to be known: asks for it, as above. */
int compare_ask_size(struct job *job, struct xfer_stop *stop);

/* What a run calls, with the job. */
void compare_on_point(void *user, const struct compare_result *r, unsigned point);
void compare_on_round(void *user, const struct compare_result *r,
                      const struct compare_round *round);
void compare_on_tick(void *user, const struct compare_run *run);

/* Opens the files that are asked for: none has its name before all is over. -1 to go on, else the
 * exit status, told. */
int compare_open_files(const struct cmd *c, struct job *job);
void compare_drop_files(struct job *job);

/* Tells what a run came to, and draws; the exit status. */
int compare_tell(struct job *job, struct compare_run *run);
int compare_tell_theory(const struct job *job);

#endif
