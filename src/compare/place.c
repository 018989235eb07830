#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compare/place.h"

#define MS INT64_C(1000000)
#define SEC (1000 * MS)
#define SLICE (100 * MS)     /* how late a signal may be noticed */
#define READY_MAX 10000      /* ms */
#define GRACE (5 * SEC)      /* for a client to say that its time is over */
#define SERVER_END (5 * SEC) /* for a server to end by itself */
#define QUEUE_MIN 16         /* packets */
#define RECORDS_MAX (4u << 20)

void place_settings(const struct compare_link *l, size_t records, struct link_settings *ret)
{
    *ret = (struct link_settings){.mtu = l->mtu, .records = records};
    for (int i = 0; i < 2; i++) {
        const struct compare_way *w = &l->way[i];
        double product = (double)w->rate / 8 * (l->way[0].delay + l->way[1].delay);
        uint64_t least = (uint64_t)QUEUE_MIN * l->mtu;
        int64_t delay = (int64_t)(w->delay * 1e9);

        ret->path[i] = (struct link_path){
            .rate = w->rate,
            .delay = delay,
            .jitter = (int64_t)(w->jitter * 1e9),
            .loss = w->loss,
            .duplicate = w->duplicate,
            .corrupt = w->corrupt,
            .fix_checksum = l->fix_checksums,
            .reorder = w->reorder,
            /* As much later as the way takes, but so much that later packets can overtake it. */
            .reorder_delay = delay > MS ? delay : MS,
            .queue = w->queue > 0              ? w->queue
                     : product > (double)least ? (uint64_t)product
                                               : least};
    }
}

/* DATA and ACK of the smallest block, some of them again. */
size_t place_records(uint64_t bytes)
{
    uint64_t n = bytes / 8 + 4096;

    return n < RECORDS_MAX ? (size_t)n : RECORDS_MAX;
}

/* ---- processes without a link ---- */

static int start_fork(int (*fn)(void *), void *arg, pid_t *ret)
{
    pid_t parent = getpid();

    *ret = fork();
    if (*ret == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(getppid() == parent ? fn(arg) : 1);
    }
    return *ret < 0 ? -errno : 0;
}

static int wait_fork(pid_t pid, int64_t timeout)
{
    struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    int n, status;

    if (p.fd < 0)
        return -errno;
    n = poll(&p, 1, (int)(timeout / MS));
    close(p.fd);
    if (n <= 0)
        return -ETIMEDOUT;
    return waitpid(pid, &status, 0) == pid ? status : -errno;
}

static int start(struct link *link, enum link_side side, int (*fn)(void *), struct trial *t,
                 pid_t *ret)
{
    return link != NULL ? link_start(link, side, fn, t, ret) : start_fork(fn, t, ret);
}

static int wait_some(struct link *link, pid_t pid, int64_t timeout)
{
    return link != NULL ? link_wait(link, pid, timeout) : wait_fork(pid, timeout);
}

static void end_by_force(struct link *link, pid_t pid)
{
    if (link != NULL) {
        link_kill(link, pid);
    } else {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * SEC + ts.tv_nsec;
}

/* ---- a trial ---- */

/* Until its end, its limit or a signal. */
static void wait_for_client(struct link *link, pid_t pid, const struct trial *t)
{
    int64_t until = now() + (int64_t)(t->limit * 1e9) + GRACE;
    bool told = false;

    while (wait_some(link, pid, SLICE) == -ETIMEDOUT) {
        if (xfer_stop_is_raised(t->stop) && !told) {
            kill(pid, SIGTERM);
            until = now() + GRACE;
            told = true;
        }
        if (now() > until) {
            end_by_force(link, pid);
            return;
        }
    }
}

static void end_server(struct link *link, pid_t pid)
{
    kill(pid, SIGTERM);
    if (wait_some(link, pid, SERVER_END) == -ETIMEDOUT)
        end_by_force(link, pid);
}

static int start_server(struct link *link, struct trial *t, pid_t *ret)
{
    struct pollfd p;
    char byte;
    int err, n;

    if (pipe(t->ready) < 0)
        return -errno;
    err = start(link, LINK_SERVER, trial_server, t, ret);
    close(t->ready[1]);
    p = (struct pollfd){.fd = t->ready[0], .events = POLLIN};
    if (err == 0) {
        do
            n = poll(&p, 1, READY_MAX);
        while (n < 0 && errno == EINTR);
        if (n != 1 || read(t->ready[0], &byte, 1) != 1)
            t->server_err = t->server_err != 0 ? t->server_err : -XFER_ELOST;
    }
    close(t->ready[0]);
    return err;
}

/* The last segments of a connection are still on their way when its client has ended: a server that
 * is told to end before they arrive would take its leave of it, and be reset. */
static void settle(const struct place *p)
{
    int64_t rtt = p->settings.path[0].delay + p->settings.path[1].delay, wait = 2 * rtt + 20 * MS;
    struct timespec ts = {.tv_sec = wait / SEC, .tv_nsec = wait % SEC};

    nanosleep(&ts, NULL);
}

static int run_processes(const struct place *p, struct link *link, struct trial *t)
{
    pid_t server = 0, client;
    int err = p->kind != PLACE_REMOTE ? start_server(link, t, &server) : 0;

    if (err == 0 && t->server_err == 0) {
        err = start(link, LINK_CLIENT, trial_client, t, &client);
        if (err == 0)
            wait_for_client(link, client, t);
    }
    if (link != NULL && t->method.transport == COMPARE_TCP)
        settle(p);
    if (server > 0)
        end_server(link, server);
    return err;
}

static int finish_link(const struct place *p, struct link *link, const char *name,
                       struct place_facts *f, struct compare_trace *trace)
{
    struct link_problem problem = {.why = ""};
    const struct link_record *records;
    size_t n;
    int err = link_end(link, &f->stats);

    if (err != 0)
        return err;
    f->counted = true;
    if (!link_is_trustworthy(&p->settings, &f->stats, &problem)) {
        snprintf(f->text, sizeof f->text, "%s", problem.why);
        f->doubt = f->text;
    }
    if (p->capture != NULL && f->stats.records_missed > 0) {
        snprintf(f->text, sizeof f->text, "the capture lacks the last %llu packets: it was full",
                 (unsigned long long)f->stats.records_missed);
        f->doubt = f->text;
    }
    records = link_records(link, &n);
    if (trace != NULL)
        compare_trace_take(trace, records, n);
    return p->capture != NULL ? link_capture_add(p->capture, name, records, n) : 0;
}

/* A link of its own for each trial: what one leaves in the kernel (a last segment that is sent
 * again, a route's metrics) does not meet the next. */
int place_run(const struct place *p, struct trial *t, uint64_t seed, const char *name,
              struct place_facts *facts, struct compare_trace *trace)
{
    struct link_problem problem;
    struct link *link = NULL;
    int err = 0;

    *facts = (struct place_facts){.counted = false};
    if (p->kind == PLACE_LINK)
        err = link_open(&link, &p->settings, &problem);
    if (err == 0 && link != NULL)
        err = link_begin(link, seed);
    if (err == 0)
        err = run_processes(p, link, t);
    if (err == 0 && link != NULL)
        err = finish_link(p, link, name, facts, trace);
    link_close(link);
    return err;
}
