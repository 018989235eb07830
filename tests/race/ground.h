/* ground.h - what race programs stand on: a server in a thread of this very process, files of known
 * content, clients that begin together, TAP. */
#ifndef XFER_TESTS_GROUND_H
#define XFER_TESTS_GROUND_H

#include <limits.h>
#include <pthread.h>

#include "base/digest.h"
#include "xfer.h"

/* ---- TAP; by one thread at a time ---- */

void tap_check(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints the plan; the exit status. */
int tap_end(void);
/* small, or large with XFER_TEST_FULL in the environment. */
unsigned rounds(unsigned small, unsigned large);

/* ---- a server ---- */

struct ground {
    char dir[PATH_MAX];  /* of everything, below TMPDIR */
    char root[PATH_MAX]; /* what is served */
    char addr[80];       /* 127.0.0.1:PORT */
    struct xfer_serve_opts o;
    pthread_t thread;
    int served; /* what xfer_serve returned */
    pthread_mutex_t mutex;
    pthread_cond_t ready;
    bool listening;         /* mutex */
    unsigned long requests; /* counted by the server's log, under its own lock */
    unsigned long resumed;
};

/* A directory and a server on it, ready when this returns. Options: all but dir, listen, stop and
 * the callbacks; NULL for one that takes writes. */
void ground_open(struct ground *g, const struct xfer_serve_opts *o);
/* Raises its stop, waits for its end, removes the directory; checks that it ended well. */
void ground_close(struct ground *g);
/* The path of a name below g->dir, printf-like. Returns out (PATH_MAX bytes). */
char *ground_path(const struct ground *g, char *out, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- files; all end the program when the machine fails them ---- */

uint64_t next_random(uint64_t *state);
void make_dir(const char *path);
/* n bytes that follow from the seed; what they hash to, if sum is not NULL. */
void make_file(const char *path, uint64_t seed, uint64_t n, uint8_t sum[DIGEST_LEN]);
/* Whether a file holds just what make_file wrote there. */
bool holds(const char *path, uint64_t seed, uint64_t n);
/* How many of xfer's temporaries and parts are in the tree below a directory. */
unsigned leftovers(const char *dir);
/* The size of the largest of them. */
uint64_t largest_part(const char *dir);
/* Whether two trees hold the same names, types and bytes. */
bool same_tree(const char *a, const char *b);

/* ---- clients ---- */

/* Runs fn(arg of each) in n threads that begin at one moment; returns when all have ended. args is
 * an array of n structs of that size. */
void run_together(unsigned n, void (*fn)(void *arg), void *args, size_t size);

/* What a call told its event function. */
struct told {
    unsigned done, failed, entries;
    bool all_verified;
    uint64_t resumed_at;
    uint8_t sum[DIGEST_LEN]; /* of the last file or entry that had one */
    struct xfer_stop *stop;  /* raised at the first file that is done; NULL: not */
    char why[256];           /* of the last failure */
};

/* Options of a client that reports to t. */
struct xfer_net_opts client_net(struct told *t);
struct xfer_copy_opts client_copy(struct told *t);

/* One put or get of one file; checks nothing. remote is "/path" on the ground's server. */
int put_one(const struct ground *g, const struct xfer_copy_opts *o, const char *local,
            const char *remote, struct xfer_totals *totals);
int get_one(const struct ground *g, const struct xfer_copy_opts *o, const char *remote,
            const char *local, struct xfer_totals *totals);

#endif
