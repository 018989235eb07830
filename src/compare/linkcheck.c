#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "compare/linkcheck.h"

#define TRAINS 1.0 /* s of packets both ways, and what is around them */
#define ECHOES 21  /* a round trip apart, but within: */
#define APART_MIN .005
#define APART_MAX .05

/* Shared with the process that measures. */
struct probe {
    struct link_settings settings;
    struct linkcheck found;
};

static void measure(struct probe *p, struct link *link)
{
    struct linkcheck *f = &p->found;
    struct link_measure m;
    int err = link_measure(link, &m);

    if (err < 0) {
        snprintf(f->problem.why, sizeof f->problem.why, "the link could not be checked: %s",
                 xfer_strerror(err));
        return;
    }
    f->rtt = m.rtt > 0 ? (double)m.rtt / 1e9 : 0;
    f->rate = m.rate[0];
    if (link_is_trustworthy(&p->settings, &m.stats, &f->problem))
        link_is_faithful(&p->settings, &m, &f->problem);
}

static int probe(void *arg)
{
    struct probe *p = arg;
    struct link *link;

    p->found.err = link_open(&link, &p->settings, &p->found.problem);
    if (p->found.err == 0)
        measure(p, link);
    link_close(link);
    p->found.finished = true;
    return 0;
}

double linkcheck_time(const struct link_settings *s)
{
    double rtt = (double)(s->path[0].delay + s->path[1].delay) / 1e9;

    return TRAINS + ECHOES * fmin(fmax(rtt, APART_MIN), APART_MAX) + 5 * rtt;
}

int linkcheck_run(const struct link_settings *s, double seconds, const struct watch *w,
                  struct linkcheck *ret)
{
    struct probe *p =
        mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double until = process_now() + seconds;
    int err, status;
    pid_t pid;

    if (p == MAP_FAILED)
        return -errno;
    p->settings = *s;
    /* A flipped bit in what the check sends would be taken for a time. */
    p->settings.path[0].corrupt = p->settings.path[1].corrupt = 0;
    err = process_start(probe, p, &pid);
    if (err == 0) {
        do
            status = process_wait(pid, PROCESS_SLICE);
        while (status == -ETIMEDOUT && watch_look(w) && process_now() < until);
        if (status == -ETIMEDOUT)
            process_kill(pid);
        *ret = p->found;
    }
    munmap(p, sizeof *p);
    return err;
}
