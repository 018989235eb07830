/* trial.h - one transfer of compare, in processes of its own: what its client and its
 * server do, and what they tell.
 *
 * A trial is memory that these processes share with the one that starts them: whoever ends without
 * a word has told nothing.
 */
#ifndef XFER_COMPARE_TRIAL_H
#define XFER_COMPARE_TRIAL_H

#include "compare/compare.h"
#include "xfer.h"

#define TRIAL_ADDRESS_MAX 512

struct trial {
    /* set before */
    struct compare_method method;
    enum compare_direction direction; /* PUT or GET */
    uint64_t bytes;
    double limit;      /* seconds */
    char dir[256];     /* the server's, or "" where there is a server already */
    char listen[64];   /* "10.77.0.2:7069" */
    char local[4096];  /* PUT: the file */
    char remote[4096]; /* address of the target or source; %u: the server's port */
    int family;        /* 0, 4 or 6 */
    char bind[64];     /* local address, or "" */
    int ready[2];      /* a pipe: a byte when the server listens */
    struct xfer_stop *stop;
    /* told by who waits: exit statuses, negative for a process that had to be killed */
    int client_end, server_end;
    int link_err; /* negative: the link did not last */
    /* told by the server */
    unsigned port;
    uint64_t resent, server_timeouts;
    double server_cpu;
    int server_err;
    char note[COMPARE_WHY_MAX];
    /* told by the client */
    bool told;
    int err; /* negative, as xfer_put and xfer_get return it */
    char why[COMPARE_WHY_MAX];
    bool heard; /* anything, from the server */
    bool verified;
    uint64_t size;  /* of what was moved whole */
    uint64_t moved; /* bytes over the network */
    double begun;
    double seconds; /* until the file was told of: who received it over UDP lingers then */
    double cpu;
    uint64_t retransmits, timeouts;
    double rtt;
    char congestion[COMPARE_NAME_MAX];
    unsigned blksize, window;
};

struct trial *trial_new(void); /* NULL without memory */
void trial_free(struct trial *t);

/* The processes; arg is the trial. The server ends by SIGTERM. */
int trial_server(void *arg);
int trial_client(void *arg);

/* What came of it; the error is that of a round that is not done, else 0. */
int trial_result(const struct trial *t, struct compare_round *round);

#endif
