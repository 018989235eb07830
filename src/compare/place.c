#include "config.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "compare/link.h"
#include "compare/place.h"

#define MS INT64_C(1000000)
#define SEC 1e9
#define READY_MAX 10.0 /* s */
#define GRACE 3.0      /* s for a client to say that its time is over */
#define SERVER_END 5.0 /* s for a server to end by itself */
#define HURRIED 0.5    /* the same, after an interrupt */
#define DRAIN_MAX 5.0  /* s that a link takes to empty itself */
#define RECORDS_MAX (4u << 20)

void place_settings(const struct compare_link *l, size_t records, struct link_settings *ret)
{
    *ret = (struct link_settings){.mtu = l->mtu, .records = records};
    for (int i = 0; i < 2; i++) {
        const struct compare_way *w = &l->way[i];
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
            .queue = compare_link_queue(l, i)};
    }
}

/* DATA and ACK of the smallest block, some of them again. */
size_t place_records(uint64_t bytes)
{
    uint64_t n = bytes / 8 + 4096;

    return n < RECORDS_MAX ? (size_t)n : RECORDS_MAX;
}

/* ---- processes, with a link and without ---- */

static int start(struct link *link, enum link_side side, int (*fn)(void *), struct trial *t,
                 pid_t *ret)
{
    return link != NULL ? link_start(link, side, fn, t, ret) : process_start(fn, t, ret);
}

static int wait_some(struct link *link, pid_t pid, double seconds)
{
    return link != NULL ? link_wait(link, pid, (int64_t)(seconds * SEC))
                        : process_wait(pid, seconds);
}

static void end_by_force(struct link *link, pid_t pid)
{
    if (link != NULL)
        link_kill(link, pid);
    else
        process_kill(pid);
}

/* ---- a trial ---- */

/* Until its end, its limit or a signal; its exit status, negative where it had to be killed. */
static int wait_for_client(const struct place *p, struct link *link, pid_t pid,
                           const struct trial *t)
{
    double until = process_now() + t->limit + GRACE;
    bool told = false;
    int status;

    while ((status = wait_some(link, pid, PROCESS_SLICE)) == -ETIMEDOUT && process_now() < until)
        if (!watch_look(&p->watch) && !told) {
            kill(pid, SIGTERM);
            until = process_now() + GRACE;
            told = true;
        }
    if (status < 0)
        end_by_force(link, pid);
    return status;
}

static int end_server(const struct place *p, struct link *link, pid_t pid)
{
    double until = process_now() + SERVER_END;
    bool told = false;
    int status;

    kill(pid, SIGTERM);
    while ((status = wait_some(link, pid, PROCESS_SLICE)) == -ETIMEDOUT && process_now() < until)
        if (!watch_look(&p->watch) && !told) {
            until = fmin(until, process_now() + HURRIED);
            told = true;
        }
    if (status < 0)
        end_by_force(link, pid);
    return status;
}

/* Whether the server wrote its byte: it listens. */
static bool is_ready(const struct place *p, int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    double until = process_now() + READY_MAX;
    char byte;

    while (poll(&pfd, 1, (int)(1e3 * PROCESS_SLICE)) <= 0)
        if (!watch_look(&p->watch) || process_now() > until)
            return false;
    return read(fd, &byte, 1) == 1;
}

static int start_server(const struct place *p, struct link *link, struct trial *t, pid_t *ret)
{
    int err;

    if (pipe(t->ready) < 0)
        return -errno;
    err = start(link, LINK_SERVER, trial_server, t, ret);
    close(t->ready[1]);
    if (err == 0 && !is_ready(p, t->ready[0])) {
        /* One that ended by itself has said why, or its status does. */
        t->server_end = wait_some(link, *ret, xfer_stop_is_raised(t->stop) ? 0 : 1);
        if (t->server_end < 0)
            end_by_force(link, *ret);
        if (t->server_end <= 0 && t->server_err == 0)
            t->server_err = -XFER_ELOST;
        *ret = 0;
    }
    close(t->ready[0]);
    return err;
}

/* The last segments of a connection are still on their way when its client has ended: a server that
 * is told to end before they arrive would take its leave of it, and be reset. */
static double settling(const struct place *p)
{
    return 2e-9 * (double)(p->settings.path[0].delay + p->settings.path[1].delay) + .02;
}

double place_ending(const struct place *p)
{
    double drain = 0;

    for (int i = 0; i < 2 && p->kind == PLACE_LINK; i++) {
        const struct link_path *path = &p->settings.path[i];
        double queue = path->rate > 0 ? 8 * (double)path->queue / (double)path->rate : 0;

        drain = fmax(drain, 1e-9 * (double)(path->delay + path->jitter) + queue);
    }
    return p->kind == PLACE_LINK ? settling(p) + fmin(drain, DRAIN_MAX) + .05 : .05;
}

static void settle(const struct place *p)
{
    double until = process_now() + settling(p), left;

    while (watch_look(&p->watch) && (left = until - process_now()) > 0)
        process_pause(fmin(left, PROCESS_SLICE));
}

static bool is_interrupted(void *arg)
{
    const struct trial *t = arg;

    return xfer_stop_is_raised(t->stop);
}

static void end_link(struct link *link, struct trial *t, struct place_facts *f)
{
    if (link == NULL)
        return;
    t->link_err = link_end_unless(link, is_interrupted, t, &f->stats);
    f->counted = t->link_err == 0;
}

/* The server first, so that its last packets count; but after an interrupt it hears at once, from
 * a link that ends, that its client has gone. */
static void end_both(const struct place *p, struct link *link, pid_t server, struct trial *t,
                     struct place_facts *f)
{
    bool hurry = is_interrupted(t);

    if (hurry)
        end_link(link, t, f);
    if (server > 0)
        t->server_end = end_server(p, link, server);
    if (!hurry)
        end_link(link, t, f);
}

static int run_processes(const struct place *p, struct link *link, struct trial *t,
                         struct place_facts *f)
{
    pid_t server = 0, client;
    int err = p->kind != PLACE_REMOTE ? start_server(p, link, t, &server) : 0;

    if (err == 0 && (server > 0 || p->kind == PLACE_REMOTE)) {
        err = start(link, LINK_CLIENT, trial_client, t, &client);
        if (err == 0)
            t->client_end = wait_for_client(p, link, client, t);
    }
    if (link != NULL && t->method.transport == COMPARE_TCP)
        settle(p);
    end_both(p, link, server, t, f);
    return err;
}

static void read_link(const struct place *p, struct link *link, const char *name,
                      struct place_facts *f, struct compare_trace *trace)
{
    struct link_problem problem = {.why = ""};
    const struct link_record *records;
    size_t n;

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
    if (p->capture != NULL)
        f->capture_err = link_capture_add(p->capture, name, records, n);
}

/* A link of its own for each trial: what one leaves in the kernel (a last segment that is sent
 * again, a route's metrics) does not meet the next. */
int place_run(const struct place *p, struct trial *t, uint64_t seed, const char *name,
              struct place_facts *facts, struct compare_trace *trace)
{
    struct link *link = NULL;
    int err = 0;

    *facts = (struct place_facts){.counted = false};
    if (p->kind == PLACE_LINK)
        err = link_open(&link, &p->settings, &facts->problem);
    if (err == 0 && link != NULL)
        err = link_begin(link, seed);
    if (err == 0)
        err = run_processes(p, link, t, facts);
    if (err == 0 && facts->counted)
        read_link(p, link, name, facts, trace);
    link_close(link);
    return err;
}
