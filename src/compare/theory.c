#include "config.h"

#include <math.h>
#include <string.h>

#include "compare/link.h"
#include "compare/theory.h"

#define IP_HEADER 20
#define UDP_HEADER 8
#define TFTP_HEADER 4
#define TCP_HEADER 32  /* with timestamps, as Linux sends them */
#define TCP_INITIAL 10 /* segments, RFC 6928 */
#define MATHIS 1.22
#define RTO_SLACK 0.008 /* of our UDP side: RTO = SRTT + max(8 ms, 4 RTTVAR), at least 20 ms */
#define RTO_MIN 0.020

struct theory_path theory_path(const struct compare_link *l, enum compare_direction direction)
{
    const struct compare_way *data = &l->way[direction == COMPARE_GET];
    const struct compare_way *ack = &l->way[direction != COMPARE_GET];

    return (struct theory_path){
        /* Uniform in [0, jitter): half of it on average. */
        .rtt = compare_link_rtt(l) + (data->jitter + ack->jitter) / 2,
        .rate = (double)data->rate,
        .ack_rate = (double)ack->rate,
        .loss = 1 - (1 - data->loss) * (1 - (l->fix_checksums ? 0 : data->corrupt)),
        .ack_loss = 1 - (1 - ack->loss) * (1 - (l->fix_checksums ? 0 : ack->corrupt)),
        /* The mean deviation of the sum of two uniform numbers is a third of their range. */
        .spread = (data->jitter + ack->jitter) / 2 / 3,
        .mtu = l->mtu,
    };
}

uint64_t theory_blocks(uint64_t bytes, unsigned blksize)
{
    return bytes / blksize + 1; /* the last one is shorter than a full block, and may be empty */
}

/* IP packets that a datagram becomes, and its bytes with all their headers. */
static unsigned fragments(const struct theory_path *p, unsigned payload)
{
    unsigned per_fragment = (p->mtu - IP_HEADER) / 8 * 8, whole = payload + UDP_HEADER;

    if (whole + IP_HEADER <= p->mtu)
        return 1;
    return (whole + per_fragment - 1) / per_fragment;
}

static double serialize(double bytes, double rate)
{
    return rate > 0 ? 8 * bytes / rate : 0;
}

static double block_seconds(const struct theory_path *p, unsigned blksize)
{
    unsigned payload = blksize + TFTP_HEADER;

    return serialize(payload + UDP_HEADER + fragments(p, payload) * IP_HEADER, p->rate);
}

double theory_exchange(const struct theory_path *p, unsigned blksize)
{
    return p->rtt + block_seconds(p, blksize) +
           serialize(IP_HEADER + UDP_HEADER + TFTP_HEADER, p->ack_rate);
}

double theory_stop_and_wait(const struct theory_path *p, uint64_t bytes, unsigned blksize)
{
    double n = (double)theory_blocks(bytes, blksize), exchange = theory_exchange(p, blksize);
    double arrives = pow(1 - p->loss, fragments(p, blksize + TFTP_HEADER)) * (1 - p->ack_loss);
    double q = 1 - arrives;
    double rto = fmax(RTO_MIN, exchange + fmax(RTO_SLACK, 4 * p->spread));

    if (q >= 0.5)
        return NAN; /* the timeout doubles at least as fast as luck returns: no mean exists */
    return n * (exchange + rto * q / (1 - 2 * q));
}

double theory_window(const struct theory_path *p, uint64_t bytes, unsigned blksize, unsigned window)
{
    double n = (double)theory_blocks(bytes, blksize), s = block_seconds(p, blksize);
    double share = p->rtt / window;
    double lost = 1 - pow(1 - p->loss, fragments(p, blksize + TFTP_HEADER));
    double clean = ceil(n / window) * p->rtt + n * s;

    if (window == 1)
        return theory_stop_and_wait(p, bytes, blksize);
    return lost == 0 ? clean : fmax(clean, n * (fmax(share, s) + lost * p->rtt));
}

/* What the line stands idle while the congestion window is smaller than a round trip's worth. */
static double slow_start_idle(const struct theory_path *p, double segments, double s,
                              unsigned streams)
{
    double idle = 0, flight = TCP_INITIAL * (double)streams, sent = 0;

    while (flight * s < p->rtt && sent + flight < segments) {
        idle += p->rtt - flight * s;
        sent += flight;
        flight *= 2;
    }
    return idle;
}

static double mss(const struct theory_path *p)
{
    return (double)p->mtu - IP_HEADER - TCP_HEADER;
}

double theory_tcp(const struct theory_path *p, uint64_t bytes, unsigned streams, double after)
{
    double segments = ceil((double)bytes / mss(p));
    double s = serialize(p->mtu, p->rate);
    double line = serialize((double)bytes + segments * (IP_HEADER + TCP_HEADER), p->rate);

    if (p->rate <= 0)
        return NAN;
    return p->rtt + slow_start_idle(p, segments, s, streams) + line + after;
}

double theory_mathis(const struct theory_path *p, uint64_t bytes, unsigned streams)
{
    double rate = MATHIS * mss(p) / (p->rtt * sqrt(p->loss)); /* bytes a second */

    return (double)bytes / (rate * streams);
}

double theory_seconds(const struct compare_link *l, const struct compare_method *m,
                      const char *congestion, enum compare_direction direction, uint64_t bytes)
{
    struct theory_path p = theory_path(l, direction);
    const char *cc = congestion[0] ? congestion : m->congestion;
    double clean;

    if (p.rtt <= 0)
        return NAN;
    if (m->transport == COMPARE_UDP)
        return theory_window(&p, bytes, m->blksize, m->window);
    clean = theory_tcp(&p, bytes, m->streams, p.rtt);
    if (p.loss == 0 || strncmp(cc, "bbr", 3) == 0)
        return clean;
    return fmax(clean, theory_mathis(&p, bytes, m->streams));
}

uint64_t theory_fits(const struct compare_link *l, const struct compare_method *m,
                     const char *congestion, enum compare_direction direction, uint64_t bytes,
                     double seconds)
{
    uint64_t unit = m->transport == COMPARE_UDP ? m->blksize : l->mtu;
    uint64_t low = 1, high = bytes / unit; /* in units; low always counts as fitting */

    /* "Does not fit" is spelled so that no prediction means that all fits. */
    if (!(theory_seconds(l, m, congestion, direction, bytes) > seconds) || high <= 1)
        return bytes;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;

        if (theory_seconds(l, m, congestion, direction, middle * unit) > seconds)
            high = middle - 1;
        else
            low = middle;
    }
    return low * unit;
}
