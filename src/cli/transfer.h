/* transfer.h - what put and get have in common. */
#ifndef XFER_CLI_TRANSFER_H
#define XFER_CLI_TRANSFER_H

#include "cli/client.h"

struct transfer_options {
    struct client_options client;
    bool recursive, no_resume, no_clobber, mkpath, no_preserve, checksums, dry_run, remember,
        skip_special, no_spin, require_verified;
    unsigned jobs, blksize, window;
    int update, sync, progress; /* enum xfer_update, xfer_sync, progress_when */
    uint64_t limit_rate;
    struct filter_list filters;
};

#define TRANSFER_OPTIONS_DEFAULTS                                                                  \
    {                                                                                              \
        .client = CLIENT_OPTIONS_DEFAULTS, .jobs = 1                                               \
    }

extern const struct opt *const transfer_tables[];

/* What a command copies, its operands sorted out. */
struct transfer_job {
    bool put;
    bool tftp; /* a remote says so by its scheme */
    const char *const *sources;
    size_t n;
    const char *dest; /* the remote of a put; what get was given, or NULL */
};

/* What differs between the commands: sorts operands into job; -1 to go on, else the exit status. */
typedef int (*transfer_sort)(const struct cmd *self, const struct operands *ops,
                             struct transfer_job *job);

/* All that such a command does, with signals, output and all; returns the exit status. */
int transfer_main(const struct cmd *self, int argc, char **argv, transfer_sort sort);

void transfer_options_free(struct transfer_options *o);

#endif
