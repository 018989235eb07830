/* job.h - one file to move, and the bounded queue between who finds them and who moves them. */
#ifndef XFER_SESSION_JOB_H
#define XFER_SESSION_JOB_H

#include <pthread.h>

#include "store/store.h"
#include "xfer.h"

/* A directory on the way, of a tree that is sent. Lives as long as the call. */
struct job_dir {
    struct job_dir *parent; /* NULL: the target that was named */
    struct job_dir *next;   /* of all, newest first */
    char *path;             /* clean, over there */
    char *rel;              /* within the tree */
    mode_t mode;
    struct timespec mtime;
    uint64_t made; /* bit per connection that has asked for it; under copy.mutex */
};

struct ranges;

struct job {
    struct job *next;
    struct ranges *ranges; /* get: what it is, or is to be, cut into; counted there */
    size_t piece;          /* of them, from 1 on; 0: the file */
    const struct store *store; /* of the tree the source or target is in; not owned */
    struct job_dir *dir;       /* put: to be made first; NULL: none */
    bool is_dir;               /* nothing but dir */
    bool stream;               /* standard input or output */
    bool in_tree;
    bool known; /* size, mtime, mode, type as listed or stat'ed hold */
    bool sent;  /* went out before without an answer: an "exists" may be our own doing */
    bool sum_known;
    uint64_t size;
    struct timespec mtime;
    mode_t mode;
    uint8_t sum[DIGEST_LEN];
    uint64_t reached; /* the furthest that any attempt got */
    unsigned tries;   /* because the source changed */
    int64_t began;
    time_t hashed_from;        /* wall clock, for store_remember */
    struct digest *out_digest; /* of what went to standard output so far; owned */
    uint64_t out_bytes;
    char out_etag[STORE_ETAG_MAX + 1]; /* of the version it came from */
    char *path;   /* put: source, below store or as given; get: target below store */
    char *remote; /* clean path over there */
    char *name;   /* as users know it */
    char *local;  /* local path, for events */
};

struct job *job_new(const char *path, const char *remote, const char *name, const char *local);
void job_free(struct job *j); /* NULL-safe */

struct job_list { /* a plain FIFO, of one thread */
    struct job *first, **end;
    size_t n;
};
void job_list_init(struct job_list *l);
void job_list_push(struct job_list *l, struct job *j);
struct job *job_list_pop(struct job_list *l); /* NULL when empty */
void job_list_free(struct job_list *l);

struct job_queue {
    pthread_mutex_t mutex;
    pthread_cond_t filled, drained;
    size_t takers, givers; /* who wait for that: nobody is woken otherwise */
    struct job_list list;
    size_t max;
    size_t workers; /* who joined and have not left */
    bool closed;    /* no more will be pushed */
    bool aborted;   /* nobody takes any more */
};

void job_queue_init(struct job_queue *q, size_t max);
void job_queue_destroy(struct job_queue *q);
/* Waits while the queue is full. Takes the job over, frees it when nobody takes jobs any more: then
 * -XFER_ECANCELED. */
int job_queue_push(struct job_queue *q, struct job *j);
void job_queue_close(struct job_queue *q);
void job_queue_abort(struct job_queue *q);
/* 1 with a job; 0: none now (only without wait); -1: there will be none any more. */
int job_queue_pop(struct job_queue *q, bool wait, struct job **ret);
/* More jobs, found by those who take them or not moved: behind all others. Frees them when nobody
 * takes jobs any more. */
void job_queue_return(struct job_queue *q, struct job_list *l);

/* Who takes jobs joins first. Those who have joined may return some until they leave. */
void job_queue_join(struct job_queue *q);
/* Waits until there is a job; where there will be none any more it leaves, and returns false. Who
 * connects only then does not take the place of the connection that finds the jobs, where a server
 * has few. */
bool job_queue_wait(struct job_queue *q);
/* Leaves the jobs to the others; false when there are none, and it has to go on. */
bool job_queue_leave(struct job_queue *q);

#endif
