#include "config.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "link/internal.h"
#include "base/err.h"

#define SLACK LINK_MS
#define SLACK_PART 20 /* 5 % */

static __attribute__((format(printf, 2, 3))) bool say(struct link_problem *p, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(p->why, sizeof p->why, fmt, ap);
    va_end(ap);
    p->remedy[0] = '\0';
    return false;
}

/* ---- what a link can be ---- */

static bool is_chance(double v)
{
    return v >= 0 && v <= 1;
}

static bool is_passable(double v)
{
    return is_chance(v) && v < 1;
}

static bool is_time(int64_t v)
{
    return v >= 0 && v <= LINK_DELAY_MAX;
}

static bool is_path(const struct link_path *w, uint32_t mtu, struct link_problem *p)
{
    if (!is_passable(w->loss) || !is_passable(w->corrupt))
        return say(p, "a chance of loss or corruption is from 0 to less than 100%%");
    if (!is_chance(w->duplicate) || !is_chance(w->reorder))
        return say(p, "a chance of duplication or reordering is from 0 to 100%%");
    if (!is_time(w->delay) || !is_time(w->jitter) || !is_time(w->reorder_delay))
        return say(p, "a delay is from 0 to %d s", (int)(LINK_DELAY_MAX / LINK_SEC));
    if (w->rate > 0 && (w->rate < LINK_RATE_MIN || w->rate > LINK_RATE_MAX))
        return say(p, "a rate is from 1 kbit/s to 10 Gbit/s");
    if (w->reorder > 0 && w->reorder_delay == 0)
        return say(p, "reordering needs a time to hold packets back");
    if (w->queue > 0 && w->queue < mtu)
        return say(p, "the queue, of %llu bytes, is smaller than a packet, of %u",
                   (unsigned long long)w->queue, mtu);
    return true;
}

int link_settings_check(const struct link_settings *s, struct link_problem *p)
{
    *p = (struct link_problem){.why = ""};
    if (s->mtu < LINK_MTU_MIN || s->mtu > LINK_MTU_MAX) {
        say(p, "an MTU is from %d to %d bytes", LINK_MTU_MIN, LINK_MTU_MAX);
        return -XFER_EUSAGE;
    }
    return is_path(&s->path[0], s->mtu, p) && is_path(&s->path[1], s->mtu, p) ? 0 : -XFER_EUSAGE;
}

/* ---- what a run was worth ---- */

static double ms(int64_t ns)
{
    return (double)ns / LINK_MS;
}

bool link_is_trustworthy(const struct link_settings *s, const struct link_stats *st,
                         struct link_problem *p)
{
    int64_t rtt = s->path[0].delay + s->path[1].delay, most = SLACK + rtt / SLACK_PART;

    *p = (struct link_problem){.why = ""};
    for (unsigned side = 0; side < 2; side++) {
        const struct link_counts *c = &st->path[side];

        if (c->hidden + c->dropped_pool > 0)
            return say(p, "not trustworthy on this machine: it dropped %llu packets of its own",
                       (unsigned long long)(c->hidden + c->dropped_pool));
        if (c->out_packets >= 100 && c->lateness_p99 > most)
            return say(p,
                       "not trustworthy on this machine: one packet of 100 was more than "
                       "%.1f ms late (of a round trip of %.1f ms)",
                       ms(c->lateness_p99), ms(rtt));
    }
    return true;
}

/* How far a median of echoes may be off by chance: four standard deviations of it are a quarter of
 * the jitter of both ways. */
static int64_t off_by_chance(const struct link_settings *s)
{
    int64_t sum = 0;

    for (unsigned side = 0; side < 2; side++) {
        const struct link_path *w = &s->path[side];

        sum += w->jitter / 4 + (w->reorder > 0.2 ? w->reorder_delay : 0);
    }
    return sum;
}

static bool is_rate(const struct link_path *w, double rate, int64_t took)
{
    double want = (double)w->rate;
    double most = 1.0 / SLACK_PART +
                  (double)(w->jitter + (w->reorder > 0 ? w->reorder_delay : 0)) / (double)took;

    return rate >= want * (1 - most) && rate <= want * (1 + most);
}

bool link_is_faithful(const struct link_settings *s, const struct link_measure *m,
                      struct link_problem *p)
{
    int64_t off = m->rtt - m->rtt_expected;
    int64_t most = SLACK + m->rtt_expected / SLACK_PART + off_by_chance(s);

    *p = (struct link_problem){.why = ""};
    if (m->rtt < 0)
        return say(p, "none of %u packets came back over the link", m->echoes);
    if (off > most || off < -most)
        return say(p, "not trustworthy on this machine: a round trip takes %.1f ms, not %.1f",
                   ms(m->rtt), ms(m->rtt_expected));
    for (unsigned side = 0; side < 2; side++) {
        double want = (double)s->path[side].rate, got = (double)m->rate[side];

        if (got > 0 && want > 0 && !is_rate(&s->path[side], got, m->took[side]))
            return say(p, "not trustworthy on this machine: the link carries %.4g Mbit/s, not %.4g",
                       got / 1e6, want / 1e6);
    }
    return true;
}

const char *link_record_comment(const struct link_record *r)
{
    static const char *const lost[] = {[LINK_LOST_IN_QUEUE] = "dropped: queue full",
                                       [LINK_LOST_BY_CHANCE] = "dropped: random loss",
                                       [LINK_LOST_POOL] = "dropped: no memory in the emulator"};

    if (r->fate != LINK_PASSED)
        return lost[r->fate];
    if (r->what & LINK_CORRUPTED)
        return "corrupted on the way";
    if (r->what & LINK_DUPLICATED)
        return "duplicated on the way";
    return r->what & LINK_REORDERED ? "delayed: reordered" : NULL;
}

/* ---- what this machine allows ---- */

static void read_congestion_controls(char *out, size_t cap)
{
    int fd = open("/proc/sys/net/ipv4/tcp_available_congestion_control", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, cap - 1);

    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

void link_check(struct link_ability *ret)
{
    const struct link_settings s = {.mtu = 1500};
    struct link *link;

    *ret = (struct link_ability){.way = LINK_NO_WAY};
    read_congestion_controls(ret->congestion_controls, sizeof ret->congestion_controls);
    if (link_open(&link, &s, &ret->problem) == 0)
        ret->way = link_way(link);
    link_close(link);
}
