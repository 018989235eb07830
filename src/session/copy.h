/* copy.h - what put and get have in common: options, a queue of jobs, workers with a connection
 * each. */
#ifndef XFER_SESSION_COPY_H
#define XFER_SESSION_COPY_H

#include "base/pace.h"
#include "base/remote.h"
#include "session/job.h"
#include "session/seen.h"
#include "session/tally.h"

#define COPY_JOBS_MAX 64          /* connections */
#define COPY_QUEUE 1024           /* jobs found but not begun */
#define COPY_PENDING 256          /* requests without an answer, per connection */
#define COPY_RESUME_MIN (1 << 20) /* smaller files are cheaper to send again than to ask about */
#define COPY_CHANGED_TRIES 3      /* of a file that changes while it is read */

struct copy {
    const struct xfer_copy_opts *o;
    struct tally *tally;
    struct remote remote;
    int64_t deadline;
    struct job_queue queue;
    pthread_mutex_t mutex;
    struct pace pace;     /* mutex */
    struct job_dir *dirs; /* mutex: of all, newest first */
    struct seen made;     /* mutex: inodes of the files that this call has put in place */
    int fatal;            /* mutex: why the workers gave up; 0: they did not */
};

int64_t copy_deadline(const struct xfer_net_opts *o);

/* The remote that a word names, and whether what is asked can be done there; an error has been
 * told. */
int copy_parse(const struct xfer_copy_opts *o, struct tally *t, const char *word, bool put,
               struct remote *ret);

void copy_init(struct copy *c, const struct xfer_copy_opts *o, struct tally *t,
               const struct remote *remote, int64_t deadline);
void copy_destroy(struct copy *c);

/* Notes a directory with these facts, which needs its time set at the end. NULL: no memory. */
struct job_dir *copy_add_dir(struct copy *c, const char *path, const char *rel,
                             const struct job_dir *facts);

/* Runs worker(arg of each) in o->jobs threads while produce runs in this one; returns when all have
 * ended. produce's error ends up in the tally. */
void copy_run(struct copy *c, void (*worker)(struct copy *c, unsigned index),
              int (*produce)(struct copy *c, void *arg), void *arg);

/* After n bytes were moved: waits as the rate limit wants. -XFER_ECANCELED when stopped,
 * -XFER_EDEADLINE when the time for the whole call is over. */
int copy_pace(struct copy *c, uint64_t n);

/* A worker gives up: no more jobs for anybody. Says why, once; `left` files were still with it. */
void copy_give_up(struct copy *c, int err, size_t left);

/* Whether a listed or stat'ed version counts as the same by size and mtime. A time without fraction
 * may come from a file system that has none. */
bool copy_same_times(uint64_t size_a, struct timespec a, uint64_t size_b, struct timespec b);

/* Tells how a job ended and frees it. */
void copy_report(struct copy *c, struct job *j, enum xfer_outcome outcome, int err,
                 const char *text);

/* The same for what is no file ('o') or a symlink to none ('l'), in a tree; err may be 0. */
void copy_report_special(struct copy *c, struct job *j, char type, int err);

/* The same for a file that arrived; sha256 NULL: it was proved without being known whole. */
void copy_report_done(struct copy *c, struct job *j, uint64_t bytes, uint64_t resumed_at,
                      const uint8_t sha256[DIGEST_LEN]);

/* The same over UDP, where not every peer knows digests. */
void copy_report_udp(struct copy *c, struct job *j, uint64_t bytes, bool verified,
                     const uint8_t sha256[DIGEST_LEN], const struct xfer_udp_facts *facts);

/* The digest of a local file: as remembered, else computed (and remembered with --remember). */
int copy_local_sum(struct copy *c, int fd, const struct stat *sb, uint8_t out[DIGEST_LEN]);

/* Whether an existing target was put there by this very call: two names that the file system takes
 * for one, and the second would replace the first. */
bool copy_made(struct copy *c, const struct stat *target);
int copy_note_made(struct copy *c, int fd);

/* store_write_finish of what was got. */
int copy_finish(const struct copy *c, const struct job *j, struct store_writer *w,
                const uint8_t sum[DIGEST_LEN], bool sync);

/* HOST:/path again. */
char *copy_remote_name(const struct copy *c, const char *path, char *out, size_t cap);

#endif
