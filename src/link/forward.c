#include "config.h"

#include "link/forward.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "link/damage.h"
#include "link/hist.h"
#include "link/linkq.h"

enum { SLOTS = 1 << 16, AT_ONCE = 64 };
#define NS_PER_S INT64_C(1000000000)
#define SLICE (NS_PER_S / 10000)
#define SPIN_MAX (NS_PER_S / 5000) /* a timer wakes us up to so late */
#define SPIN_SHARE 10              /* one part in so many of the time, at most */
#define DRAIN_MAX (5 * NS_PER_S)   /* then, or in a hurry, what is left arrives at once */

/* A packet on its way. */
struct held {
    uint32_t len; /* of the frame */
    uint8_t frame[];
};

struct way {
    struct port *from, *to;
    struct linkq q;
    struct hist lateness;
    uint64_t backlog_sum, not_damaged, hidden;
    int64_t last; /* time of the last packet taken */
};

enum state { IDLE, RUNNING, DRAINING };

struct forwarder {
    int control;
    const struct link_settings *s;
    struct way way[2];
    struct forward_records *records;
    enum state state;
    int64_t begun, real_to_mono, drain_until;
    int64_t empty_at;              /* no packet came before that we have not taken */
    int64_t may_spin, may_spin_at; /* ns, and when that was reckoned */
};

static int64_t now_of(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t now(void)
{
    return now_of(CLOCK_MONOTONIC);
}

/* ---- records ---- */

static uint8_t what_happened(const struct linkq *q)
{
    return (uint8_t)((q->last.more ? LINK_DUPLICATED : 0) |
                     (q->last.flip >= 0 ? LINK_CORRUPTED : 0) |
                     (q->last_reordered ? LINK_REORDERED : 0));
}

static void record(struct forwarder *f, unsigned side, const struct port_frame *in, int64_t time,
                   enum linkq_fate fate)
{
    struct forward_records *all = f->records;
    const struct linkq *q = &f->way[side].q;
    uint32_t len = in->len - PORT_HEADER;

    if (!all)
        return;
    if (all->n == f->s->records) {
        all->missed++;
        return;
    }

    struct link_record *r = &all->r[all->n++];
    bool queued = fate == LINKQ_SENT || fate == LINKQ_DROP_LOSS;
    static const uint8_t fates[] = {[LINKQ_SENT] = LINK_PASSED,
                                    [LINKQ_DROP_QUEUE] = LINK_LOST_IN_QUEUE,
                                    [LINKQ_DROP_LOSS] = LINK_LOST_BY_CHANCE,
                                    [LINKQ_DROP_FULL] = LINK_LOST_POOL};

    *r = (struct link_record){.time = time,
                              .due = queued ? q->last.due : 0,
                              .number = (uint32_t)(q->packets - 1),
                              .length = len,
                              .captured = (uint16_t)(len < LINK_SNAP ? len : LINK_SNAP),
                              .side = (uint8_t)side,
                              .fate = fates[fate],
                              .what = fate == LINKQ_SENT ? what_happened(q) : 0};
    memcpy(r->bytes, in->bytes + PORT_HEADER, r->captured);
}

/* ---- in ---- */

/* Time that does not go back, is not in the future, and not before the port was seen empty: the
 * kernel tells it by the clock of the day, which somebody may set meanwhile. */
static int64_t entry_time(const struct forwarder *f, struct way *w, int64_t told)
{
    int64_t latest = now();

    told = told > latest ? latest : told;
    told = told < f->empty_at ? f->empty_at : told;
    w->last = told > w->last ? told : w->last;
    return w->last;
}

static void take(struct forwarder *f, unsigned side, const struct port_frame *in)
{
    struct way *w = &f->way[side];
    struct held *h = malloc(sizeof *h + in->len);
    int64_t time = entry_time(f, w, in->time);
    enum linkq_fate fate;

    if (h) {
        h->len = in->len;
        memcpy(h->frame, in->bytes, in->len);
    }
    w->backlog_sum += linkq_backlog(&w->q, time);
    fate = linkq_push(&w->q, h, in->len - PORT_HEADER, time);
    record(f, side, in, time, fate);
    if (fate != LINKQ_SENT)
        free(h);
}

/* The port whose first frame came first; -1: none waits. */
static int first_port(struct forwarder *f, struct port_frame *in)
{
    struct port_frame other;
    bool client = port_peek(f->way[0].from, f->real_to_mono, in);
    bool server = port_peek(f->way[1].from, f->real_to_mono, &other);

    if (server && (!client || other.time < in->time)) {
        *in = other;
        return LINK_SERVER;
    }
    return client ? LINK_CLIENT : -1;
}

/* Takes some of what waits; outside of a run it goes nowhere. Whether there was any. */
static bool take_some(struct forwarder *f)
{
    struct port_frame in;
    int64_t begun = now();
    int side;

    f->real_to_mono = begun - now_of(CLOCK_REALTIME);
    for (unsigned i = 0; i < AT_ONCE; i++) {
        side = first_port(f, &in);
        if (side < 0) {
            f->empty_at = begun;
            return i > 0;
        }
        if (f->state == RUNNING && in.len > PORT_HEADER)
            take(f, (unsigned)side, &in);
        port_next(f->way[side].from);
    }
    return true;
}

/* All that waits by now: somebody may send faster than we take. */
static void take_all(struct forwarder *f)
{
    for (unsigned i = 0; i < SLOTS / AT_ONCE && take_some(f); i++)
        ;
}

/* ---- out ---- */

static void damage(struct way *w, struct held *h, const struct linkq_packet *p)
{
    uint8_t *packet = h->frame + PORT_HEADER;

    if (p->flip < 0 || p->copy) /* both are one memory, which is damaged by now */
        return;
    if (!p->fix_checksum)
        damage_flip(packet, p->len, (uint32_t)p->flip);
    else
        w->not_damaged += !damage_flip_fixed(packet, p->len, (uint32_t)p->flip);
}

static void deliver(struct way *w, int64_t until)
{
    struct linkq_packet p;

    while (linkq_pop(&w->q, until, &p)) {
        struct held *h = p.handle;

        if (h) {
            damage(w, h, &p);
            w->hidden += !port_send(w->to, h->frame, h->len);
        } else {
            w->hidden++;
        }
        hist_add(&w->lateness, now() - p.due);
        if (!p.more)
            free(h);
    }
}

/* ---- control ---- */

static void begin(struct forwarder *f, uint64_t seed)
{
    f->state = IDLE;
    take_all(f);
    for (unsigned side = 0; side < 2; side++) {
        const struct link_path *p = &f->s->path[side];
        struct linkq_params params = {.rate = p->rate,
                                      .delay = p->delay,
                                      .jitter = p->jitter,
                                      .loss = p->loss,
                                      .duplicate = p->duplicate,
                                      .corrupt = p->corrupt,
                                      .fix_checksum = p->fix_checksum,
                                      .reorder = p->reorder,
                                      .reorder_delay = p->reorder_delay,
                                      .queue = p->queue,
                                      .seed = seed,
                                      .direction = side};
        struct way *w = &f->way[side];

        linkq_init(&w->q, &params, w->q.heap, SLOTS);
        memset(&w->lateness, 0, sizeof w->lateness);
        w->backlog_sum = w->not_damaged = w->hidden = 0;
        port_hidden_drops(w->from);
    }
    if (f->records)
        f->records->n = f->records->missed = 0;
    f->begun = now();
    f->state = RUNNING;
}

static struct link_counts counted(struct way *w)
{
    const struct linkq_counts *c = &w->q.counts;

    return (struct link_counts){.in_packets = c->in_packets,
                                .in_bytes = c->in_bytes,
                                .out_packets = c->out_packets,
                                .out_bytes = c->out_bytes,
                                .dropped_queue = c->dropped_queue,
                                .dropped_loss = c->dropped_loss,
                                .dropped_pool = c->dropped_full,
                                .duplicated = c->duplicated,
                                .corrupted = c->corrupted - w->not_damaged,
                                .reordered = c->reordered,
                                .backlog_max = c->queued_high,
                                .backlog_mean =
                                    c->in_packets > 0 ? w->backlog_sum / c->in_packets : 0,
                                .hidden = w->hidden + port_hidden_drops(w->from),
                                .lateness_p50 = hist_percentile(&w->lateness, 50),
                                .lateness_p99 = hist_percentile(&w->lateness, 99)};
}

static void answer(struct forwarder *f, const struct forward_answer *a)
{
    if (send(f->control, a, sizeof *a, MSG_NOSIGNAL) < 0)
        _exit(0);
}

static int64_t next_due(const struct forwarder *f)
{
    int64_t a = linkq_next(&f->way[0].q), b = linkq_next(&f->way[1].q);

    return a < b ? a : b;
}

static void end_when_empty(struct forwarder *f)
{
    struct forward_answer a = {.err = 0};

    if (next_due(f) != INT64_MAX)
        return;
    f->state = IDLE;
    for (unsigned side = 0; side < 2; side++)
        a.stats.path[side] = counted(&f->way[side]);
    a.stats.begun = f->begun;
    a.stats.ended = now();
    a.stats.records_missed = f->records ? f->records->missed : 0;
    answer(f, &a);
}

/* What was sent before the end was asked for still counts. */
static void start_drain(struct forwarder *f)
{
    take_all(f);
    f->state = DRAINING;
    f->drain_until = now() + DRAIN_MAX;
}

static void obey(struct forwarder *f)
{
    struct forward_command c;
    struct forward_answer a = {.err = -EINVAL};
    ssize_t n = recv(f->control, &c, sizeof c, MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        _exit(0);
    if (n != sizeof c)
        return;
    if (c.verb == FORWARD_BEGIN && f->state == IDLE) {
        begin(f, c.seed);
        a.err = 0;
    } else if (c.verb == FORWARD_END && f->state == RUNNING) {
        start_drain(f);
        return;
    } else if (c.verb == FORWARD_HURRY) {
        f->drain_until = 0;
        return;
    }
    answer(f, &a);
}

/* Sleeps until something comes, or for `left` ns. */
static void sleep_for(struct forwarder *f, int64_t left)
{
    struct pollfd fds[] = {{.fd = f->control, .events = POLLIN},
                           {.fd = f->way[0].from->fd, .events = POLLIN},
                           {.fd = f->way[1].from->fd, .events = POLLIN}};
    struct timespec ts;

    left = left < 0 ? 0 : left > NS_PER_S ? NS_PER_S : left;
    ts = (struct timespec){.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S};
    if (ppoll(fds, 3, &ts, NULL) > 0 && fds[0].revents)
        obey(f);
}

/* How long we may spin: what the share has given since, no more than one wait needs. */
static int64_t spin_allowance(struct forwarder *f)
{
    int64_t t = now();

    f->may_spin += (t - f->may_spin_at) / SPIN_SHARE;
    f->may_spin = f->may_spin > 2 * SPIN_MAX ? 2 * SPIN_MAX : f->may_spin;
    f->may_spin_at = t;
    return f->may_spin < SPIN_MAX ? f->may_spin : SPIN_MAX;
}

/* The last moments before a packet is due: no timer is as exact as looking at the clock. */
static void spin_until(struct forwarder *f, int64_t due)
{
    struct port_frame in;
    int64_t begun = now(), t = begun;

    while (t < due && first_port(f, &in) < 0)
        t = now();
    f->may_spin -= t - begun;
}

static void wait_for_work(struct forwarder *f, bool busy)
{
    int64_t due = next_due(f), spin = spin_allowance(f), left = due - now();

    if (due == INT64_MAX)
        sleep_for(f, busy ? 0 : NS_PER_S);
    else if (busy || left <= 0 || left > spin)
        sleep_for(f, busy ? 0 : left - spin);
    else
        spin_until(f, due);
}

/* A short slice is served sooner on a busy machine (Linux 6.12; older kernels take no notice). */
static void ask_for_short_slices(void)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } a = {.size = 0};

    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) < 0 || a.policy != SCHED_OTHER)
        return;
    a.runtime = SLICE;
    syscall(SYS_sched_setattr, 0, &a, 0);
}

int forward_new(struct forwarder **ret, int control, struct port ports[2],
                const struct link_settings *s, struct forward_records *records)
{
    struct forwarder *f = calloc(1, sizeof *f);

    *ret = f;
    if (!f)
        return -ENOMEM;
    *f = (struct forwarder){.control = control, .s = s, .records = records};
    for (unsigned side = 0; side < 2; side++) {
        f->way[side].from = &ports[side];
        f->way[side].to = &ports[!side];
        f->way[side].q.heap = malloc(SLOTS * sizeof *f->way[side].q.heap);
        if (!f->way[side].q.heap)
            return -ENOMEM; /* which ends the process, and all of it */
    }
    return 0;
}

void forward_run(struct forwarder *f)
{
    prctl(PR_SET_TIMERSLACK, 1);
    ask_for_short_slices();
    for (;;) {
        bool busy = take_some(f);

        for (unsigned side = 0; side < 2; side++)
            deliver(&f->way[side], now());
        if (f->state == DRAINING) {
            for (unsigned side = 0; side < 2 && now() > f->drain_until; side++)
                deliver(&f->way[side], INT64_MAX);
            end_when_empty(f);
        }
        wait_for_work(f, busy);
    }
}
