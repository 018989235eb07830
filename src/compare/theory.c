#include "config.h"

#include <math.h>
#include <string.h>

#include "compare/link.h"
#include "compare/theory.h"

struct theory_path theory_path(const struct compare_link *l, enum compare_direction direction)
{
    const struct compare_way *data = &l->way[direction == COMPARE_GET];
    const struct compare_way *ack = &l->way[direction != COMPARE_GET];

    return (struct theory_path){
        .get = direction == COMPARE_GET,
        /* Uniform in [0, jitter): half of it on average. */
        .rtt = compare_link_rtt(l) + (data->jitter + ack->jitter) / 2,
        .rate = (double)data->rate,
        .ack_rate = (double)ack->rate,
        .loss = 1 - (1 - data->loss) * (1 - (l->fix_checksums ? 0 : data->corrupt)),
        .ack_loss = 1 - (1 - ack->loss) * (1 - (l->fix_checksums ? 0 : ack->corrupt)),
        /* The mean deviation of the sum of two uniform numbers is a third of their range. */
        .spread = (data->jitter + ack->jitter) / 2 / 3,
        .queue = (double)compare_link_queue(l, direction == COMPARE_GET),
        .mtu = l->mtu,
    };
}

double theory_seconds(const struct compare_link *l, const struct compare_method *m,
                      const char *congestion, enum compare_direction direction, uint64_t bytes)
{
    struct theory_path p = theory_path(l, direction);
    /* RFC 5681; RFC 9438, 4.3: as fast as Reno, in smaller teeth. */
    static const struct theory_aimd reno = {1, 0.5}, cubic = {0.53, 0.7};
    const char *cc = m->congestion[0] ? m->congestion : congestion;

    if (p.rtt <= 0)
        return NAN;
    if (m->transport == COMPARE_UDP)
        return theory_window(&p, bytes, m->blksize, m->window);
    if (strncmp(cc, "bbr", 3) == 0 && p.queue < THEORY_TCP_INITIAL * p.mtu && bytes > p.queue)
        return NAN; /* what a burst that overflows makes it do, no formula tells */
    if (p.rate <= 0 || strncmp(cc, "bbr", 3) == 0)
        return theory_tcp(&p, bytes, m->streams, p.rtt);
    return theory_tcp_loss(&p, bytes, m->streams, strncmp(cc, "reno", 4) == 0 ? &reno : &cubic);
}

double theory_allow(const struct compare_link *l, const struct compare_method *m,
                    const char *congestion, enum compare_direction direction, uint64_t bytes)
{
    struct theory_path p = theory_path(l, direction);

    if (m->transport == COMPARE_UDP && p.rtt > 0 && theory_overflows(&p, m->blksize, m->window))
        return 1 + (double)bytes / fmax(m->blksize, p.queue);
    return theory_seconds(l, m, congestion, direction, bytes);
}

uint64_t theory_fits(const struct compare_link *l, const struct compare_method *m,
                     const char *congestion, enum compare_direction direction, uint64_t bytes,
                     double seconds)
{
    uint64_t unit = m->transport == COMPARE_UDP ? m->blksize : l->mtu;
    uint64_t low = 1, high = bytes / unit; /* in units; low always counts as fitting */

    /* "Does not fit" is spelled so that no prediction means that all fits. */
    if (!(theory_allow(l, m, congestion, direction, bytes) > seconds) || high <= 1)
        return bytes;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;

        if (theory_allow(l, m, congestion, direction, middle * unit) > seconds)
            high = middle - 1;
        else
            low = middle;
    }
    return low * unit;
}
