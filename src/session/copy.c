#include "config.h"

#include "session/copy.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/clock.h"
#include "session/stop.h"
#include "session/tftp_client.h"

#define HASH_CHUNK (128 * 1024)
#define REMOTE_NAME_MAX (PATH_CLEAN_MAX + 300)

int64_t copy_deadline(const struct xfer_net_opts *o)
{
    return o->max_time > 0 ? clock_now() + clock_from_seconds(o->max_time) : CLOCK_NEVER;
}

int copy_parse(const struct xfer_copy_opts *o, struct tally *t, const char *word, bool put,
               struct remote *ret)
{
    char why[256] = "not a remote: write HOST:/PATH";
    const char *cannot = NULL;

    int r = remote_parse(word, ret, why, sizeof why);
    if (r == 1 && ret->scheme == REMOTE_XFERS)
        cannot = "this version speaks xfer:// and tftp:// only";
    else if (r == 1 && o->discard && (o->update || o->no_clobber))
        cannot = "what is thrown away is compared with nothing";
    else if (r == 1 && tftp_is_meant(o, ret))
        tftp_check(o, put, &cannot);
    if (r == 1 && !cannot)
        return 0;
    r = r < 0 ? r : -XFER_EUSAGE;
    tally_fail(t, word, r, cannot ? cannot : why);
    return r;
}

void copy_init(struct copy *c, const struct xfer_copy_opts *o, struct tally *t,
               const struct remote *remote, int64_t deadline)
{
    *c = (struct copy){.o = o, .tally = t, .remote = *remote, .deadline = deadline};
    c->pace.rate = o->limit_rate;
    pthread_mutex_init(&c->mutex, NULL);
    job_queue_init(&c->queue, COPY_QUEUE);
}

static void free_dir(struct job_dir *d)
{
    free(d->path);
    free(d->rel);
    free(d);
}

void copy_destroy(struct copy *c)
{
    struct job_dir *d;

    while ((d = c->dirs)) {
        c->dirs = d->next;
        free_dir(d);
    }
    seen_free(&c->made);
    job_queue_destroy(&c->queue);
    pthread_mutex_destroy(&c->mutex);
}

struct job_dir *copy_add_dir(struct copy *c, const char *path, const char *rel,
                             const struct job_dir *facts)
{
    struct job_dir *d = malloc(sizeof *d);

    if (!d)
        return NULL;
    *d = *facts;
    d->path = strdup(path);
    d->rel = strdup(rel);
    if (!d->path || !d->rel) {
        free_dir(d);
        return NULL;
    }
    pthread_mutex_lock(&c->mutex);
    d->next = c->dirs;
    c->dirs = d;
    pthread_mutex_unlock(&c->mutex);
    return d;
}

/* ---- threads ---- */

struct worker_arg {
    struct copy *c;
    unsigned index;
    void (*run)(struct copy *c, unsigned index);
};

static void *worker_main(void *p)
{
    const struct worker_arg *a = p;

    a->run(a->c, a->index);
    digest_thread_done();
    return NULL;
}

static unsigned start_workers(struct worker_arg *a, pthread_t *t, unsigned n)
{
    sigset_t all, before;
    unsigned started = 0;

    sigfillset(&all); /* signals are for the caller's threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (started < n && pthread_create(&t[started], NULL, worker_main, &a[started]) == 0)
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void copy_run(struct copy *c, void (*worker)(struct copy *c, unsigned index),
              int (*produce)(struct copy *c, void *arg), void *arg)
{
    unsigned n = c->o->jobs ? c->o->jobs : 1;
    struct worker_arg a[COPY_JOBS_MAX];
    pthread_t t[COPY_JOBS_MAX];

    if (n > COPY_JOBS_MAX)
        n = COPY_JOBS_MAX;
    for (unsigned i = 0; i < n; i++)
        a[i] = (struct worker_arg){c, i, worker};
    unsigned started = start_workers(a, t, n);
    if (started == 0) {
        copy_give_up(c, -EAGAIN, 0);
    } else {
        int r = produce(c, arg);
        if (r < 0 && r != -XFER_ECANCELED)
            tally_fail(c->tally, NULL, r, NULL);
    }
    job_queue_close(&c->queue);
    while (started)
        pthread_join(t[--started], NULL);
}

void copy_give_up(struct copy *c, int err, size_t left)
{
    char name[REMOTE_NAME_MAX], text[256];

    pthread_mutex_lock(&c->mutex);
    bool first = c->fatal == 0;
    c->fatal = first ? err : c->fatal;
    pthread_mutex_unlock(&c->mutex);
    job_queue_abort(&c->queue);
    if (!first)
        return;
    if (left > 1)
        snprintf(text, sizeof text, "%s (%zu files that were begun are not confirmed)",
                 xfer_strerror(err), left);
    tally_fail(c->tally, copy_remote_name(c, c->remote.path.s, name, sizeof name), err,
               left > 1 ? text : NULL);
}

int copy_pace(struct copy *c, uint64_t n)
{
    int64_t now = clock_now(), wait = 0;

    if (now >= c->deadline)
        return -XFER_EDEADLINE;
    if (c->o->limit_rate) {
        pthread_mutex_lock(&c->mutex);
        wait = pace_take(&c->pace, n, now);
        pthread_mutex_unlock(&c->mutex);
    }
    if (wait > c->deadline - now)
        wait = c->deadline - now;
    return stop_sleep(c->o->net.stop, wait > 0 ? wait : 0);
}

/* ---- comparing ---- */

bool copy_same_times(uint64_t size_a, struct timespec a, uint64_t size_b, struct timespec b)
{
    return size_a == size_b && a.tv_sec == b.tv_sec &&
           (a.tv_nsec == b.tv_nsec || a.tv_nsec == 0 || b.tv_nsec == 0);
}

int copy_local_sum(struct copy *c, int fd, const struct stat *sb, uint8_t out[DIGEST_LEN])
{
    time_t began = time(NULL);
    uint64_t off = 0;
    int r = 0;

    if (store_recall(fd, sb, out) == 1)
        return 0;
    struct digest *d = digest_new();
    uint8_t *buf = malloc(HASH_CHUNK);
    if (!d || !buf)
        r = -ENOMEM;
    while (r == 0) {
        ssize_t n = pread(fd, buf, HASH_CHUNK, (off_t)off);
        if (n == 0)
            break;
        if (n < 0) {
            r = errno == EINTR ? 0 : -errno;
            continue;
        }
        digest_update(d, buf, (size_t)n);
        off += (uint64_t)n;
        if (xfer_stop_is_raised(c->o->net.stop))
            r = -XFER_ECANCELED;
        else if (clock_now() >= c->deadline)
            r = -XFER_EDEADLINE;
    }
    if (r == 0 && !digest_peek(d, out))
        r = -ENOMEM;
    if (r == 0 && c->o->remember)
        store_remember(fd, sb, out, began);
    free(buf);
    digest_free(d);
    return r;
}

static uint64_t inode_key(const struct stat *sb)
{
    return seen_key(&(uint64_t[2]){sb->st_dev, sb->st_ino}, 2 * sizeof(uint64_t));
}

bool copy_made(struct copy *c, const struct stat *target)
{
    if (!target->st_mode)
        return false;
    pthread_mutex_lock(&c->mutex);
    bool made = seen_has(&c->made, inode_key(target));
    pthread_mutex_unlock(&c->mutex);
    return made;
}

int copy_note_made(struct copy *c, int fd)
{
    struct stat sb;

    if (fstat(fd, &sb) < 0)
        return -errno;
    pthread_mutex_lock(&c->mutex);
    int r = seen_add(&c->made, inode_key(&sb));
    pthread_mutex_unlock(&c->mutex);
    return r < 0 ? r : 0;
}

int copy_finish(const struct copy *c, const struct job *j, struct store_writer *w,
                const uint8_t sum[DIGEST_LEN], bool sync)
{
    struct store_commit_opts co = {.set_mode = !c->o->no_preserve && j->mode,
                                   .mode = j->mode,
                                   .set_mtime = !c->o->no_preserve,
                                   .mtime = j->mtime,
                                   .sync = sync,
                                   .remember_sha256 = sum};

    return store_write_finish(w, &co);
}

/* ---- reporting ---- */

char *copy_remote_name(const struct copy *c, const char *path, char *out, size_t cap)
{
    return remote_show(&c->remote, path, out, cap);
}

static void report(struct copy *c, struct job *j, struct xfer_event *ev)
{
    char remote[REMOTE_NAME_MAX];

    ev->name = j->name;
    ev->local = j->local;
    ev->remote = copy_remote_name(c, j->remote, remote, sizeof remote);
    ev->in_tree = j->in_tree;
    ev->entry.type = 'f';
    ev->entry.size = j->size;
    ev->entry.mtime = j->mtime;
    ev->entry.mode = j->mode;
    tally_file(c->tally, ev);
    job_free(j);
}

void copy_report(struct copy *c, struct job *j, enum xfer_outcome outcome, int err,
                 const char *text)
{
    struct xfer_event ev = {.outcome = outcome, .err = err, .text = text, .bytes = j->size};

    if (j->sum_known) {
        ev.entry.has_sha256 = true;
        memcpy(ev.entry.sha256, j->sum, DIGEST_LEN);
    }
    if (outcome == XFER_UNCHANGED)
        tally_moved(c->tally, j->size, false);
    report(c, j, &ev);
}

void copy_report_special(struct copy *c, struct job *j, char type, int err)
{
    const char *why =
        type == 'l' ? "a symlink that leads out of the tree or nowhere" : "not a regular file";

    if (!err)
        err = -XFER_ENOTREG;
    copy_report(c, j, XFER_SKIPPED, c->o->skip_special ? 0 : err, why);
}

void copy_report_done(struct copy *c, struct job *j, uint64_t bytes, uint64_t resumed_at,
                      const uint8_t sha256[DIGEST_LEN])
{
    struct xfer_event ev = {.outcome = XFER_DONE,
                            .verified = true,
                            .bytes = bytes,
                            .resumed_at = resumed_at,
                            .seconds = clock_seconds_since(j->began)};

    ev.entry.has_sha256 = sha256 != NULL;
    if (sha256)
        memcpy(ev.entry.sha256, sha256, DIGEST_LEN);
    j->size = bytes;
    report(c, j, &ev);
}

void copy_report_udp(struct copy *c, struct job *j, uint64_t bytes, bool verified,
                     const uint8_t sha256[DIGEST_LEN], const struct xfer_udp_facts *facts)
{
    struct xfer_event ev = {.outcome = XFER_DONE,
                            .verified = verified,
                            .bytes = bytes,
                            .seconds = clock_seconds_since(j->began),
                            .udp = facts};

    ev.entry.has_sha256 = true;
    memcpy(ev.entry.sha256, sha256, DIGEST_LEN);
    j->size = bytes;
    report(c, j, &ev);
}
