#include "config.h"

#include <math.h>

#include "compare/theory.h"

#define UDP_HEADER 8
#define TFTP_HEADER 4
#define CONTROL 130      /* bytes of a WRQ, RRQ or OACK with our options, about */
#define RTO_FIRST 1.0    /* all of our UDP side, src/tftp/sm.h */
#define RTO_SLACK 0.008  /* RTO = SRTT + max(8 ms, 4 RTTVAR) */
#define RTO_MIN 0.020    /* at least */
#define RTO_LINE 1e6     /* bits a second: what a line is taken for until a block was timed */
#define PACE_MAX 0.010   /* between the bursts of a window after a loss */
#define PARTS 8          /* a burst grows by an eighth of the window with each clean flight */
#define LATER (4u << 20) /* a longer file's digest is asked for after its last block */

uint64_t theory_blocks(uint64_t bytes, unsigned blksize)
{
    return bytes / blksize + 1; /* the last one is shorter than a full block, and may be empty */
}

/* IP packets that a datagram becomes. */
static unsigned fragments(const struct theory_path *p, unsigned payload)
{
    unsigned per_fragment = (p->mtu - THEORY_IP_HEADER) / 8 * 8, whole = payload + UDP_HEADER;

    if (whole + THEORY_IP_HEADER <= p->mtu)
        return 1;
    return (whole + per_fragment - 1) / per_fragment;
}

/* Bytes of a block's datagram besides the file's, and of all of it. */
static unsigned overhead(const struct theory_path *p, unsigned blksize)
{
    return TFTP_HEADER + UDP_HEADER + fragments(p, blksize + TFTP_HEADER) * THEORY_IP_HEADER;
}

static double block_seconds(const struct theory_path *p, unsigned blksize)
{
    return theory_serialize(blksize + overhead(p, blksize), p->rate);
}

static double ack_seconds(const struct theory_path *p)
{
    return theory_serialize(THEORY_IP_HEADER + UDP_HEADER + TFTP_HEADER, p->ack_rate);
}

double theory_exchange(const struct theory_path *p, unsigned blksize)
{
    return p->rtt + block_seconds(p, blksize) + ack_seconds(p);
}

bool theory_overflows(const struct theory_path *p, unsigned blksize, unsigned window)
{
    unsigned packets = window * fragments(p, blksize + TFTP_HEADER);
    double burst = (double)window * (blksize + overhead(p, blksize));

    /* The line sends the first packet while the others wait; a queue takes one whatever it is. */
    return p->rate > 0 && packets > 1 && burst > p->queue;
}

static double block_loss(const struct theory_path *p, unsigned blksize)
{
    return 1 - pow(1 - p->loss, fragments(p, blksize + TFTP_HEADER));
}

/* What a loss makes wait for, on average over n samples of a round trip: RTTVAR begins as half of
 * it, and comes down by a quarter with each sample, RFC 6298. */
static double timeout(const struct theory_path *p, double trip, double n)
{
    double variance = 2 * trip, least = fmax(RTO_SLACK, 4 * p->spread), more = 0;

    for (double i = 0; i < n && variance > least; i++, variance *= 0.75)
        more += variance - least;
    return fmax(RTO_MIN, trip + least + more / n);
}

/* Seconds that the request takes until its answer is there, and the digest's own exchange. That
 * they are lost is rare, and far from the median. */
static double asking(const struct theory_path *p, uint64_t bytes)
{
    double once =
        p->rtt + theory_serialize(CONTROL, p->rate) + theory_serialize(CONTROL, p->ack_rate);

    return p->get && bytes > LATER ? 2 * once : once;
}

/* Of all blocks, the last one as short as it is. */
static double line_seconds(const struct theory_path *p, uint64_t bytes, unsigned blksize)
{
    double n = (double)theory_blocks(bytes, blksize);

    return theory_serialize((double)bytes + n * overhead(p, blksize), p->rate);
}

double theory_stop_and_wait(const struct theory_path *p, uint64_t bytes, unsigned blksize)
{
    double n = (double)theory_blocks(bytes, blksize), exchange = theory_exchange(p, blksize);
    double q = 1 - (1 - block_loss(p, blksize)) * (1 - p->ack_loss);
    /* By Karn's rule a timeout that was doubled stays so until a block gets through at once. */
    double waits = q * (1 - q) / (1 - 4 * q + 2 * q * q);

    if (q >= THEORY_LOSS_MAX)
        return NAN;
    return asking(p, bytes) + n * (p->rtt + ack_seconds(p) + timeout(p, exchange, n) * waits) +
           line_seconds(p, bytes, blksize);
}

/* One flight of a window in its steady state. */
struct flight {
    double window, s; /* blocks; seconds of the line for one */
    double trip;      /* round trip of a whole window */
    double p, ack;    /* chances that a block, an acknowledgment is lost */
    double rto;
    double seconds, delivered; /* the means that are looked for */
    double clean, late;        /* chances that nothing is lost; that only a timeout tells it */
};

/* Go-back-N, RFC 7440: the first block behind a gap makes the receiver tell it, and the sender goes
 * back; without one, or where that word is lost, it waits for its timeout. */
static void mean_flight(const struct theory_path *p, struct flight *f)
{
    double left = 1; /* the chance that all before block j arrive */

    f->seconds = f->delivered = f->late = 0;
    for (double j = 1; j < f->window && left > 1e-9; j++, left *= 1 - f->p) {
        double told = fmax(p->rtt + (j + 1) * f->s, f->window * f->s);

        f->seconds += left * f->p * (told + f->ack * f->rto);
        f->delivered += left * f->p * (j - 1);
        f->late += left * f->p * f->ack;
    }
    f->clean = left * (1 - f->p) * (1 - f->ack);
    f->late += left - f->clean;
    f->seconds += f->clean * f->trip + (left - f->clean) * (f->rto + f->trip);
    f->delivered += left * f->window;
}

/* What a flight takes longer because of losses in those before it: its bursts are halved by each,
 * grow with each that lost nothing, and are spread over half a round trip. */
static double pacing(const struct theory_path *p, const struct flight *f)
{
    double share[PARTS + 1] = {0}, mean = 0;

    share[PARTS] = 1;
    for (int step = 0; step < 100; step++) {
        double next[PARTS + 1] = {0};

        for (int i = 1; i <= PARTS; i++) {
            next[i < PARTS ? i + 1 : i] += share[i] * f->clean;
            next[i > 1 ? i / 2 : 1] += share[i] * (1 - f->clean);
        }
        for (int i = 1; i <= PARTS; i++)
            share[i] = next[i];
    }
    for (int i = 1; i < PARTS; i++) {
        double burst = fmax(1, f->window * i / PARTS), gaps = ceil(f->window / burst) - 1;
        double gap = fmin(PACE_MAX, p->rtt / 2 * burst / f->window);

        mean += share[i] * gaps * fmax(0, gap - burst * f->s);
    }
    return mean;
}

/* What loss adds to each block, and to the first window: nothing was timed before it. */
static double loss_seconds(const struct theory_path *p, uint64_t bytes, unsigned blksize,
                           unsigned window)
{
    double n = (double)theory_blocks(bytes, blksize), first;
    struct flight f = {.window = fmin(window, n),
                       .s = block_seconds(p, blksize),
                       .p = block_loss(p, blksize),
                       .ack = p->ack_loss};

    f.trip = p->rtt + f.window * f.s + ack_seconds(p);
    f.rto = timeout(p, f.trip, ceil(n / window));
    mean_flight(p, &f);
    first = fmin(RTO_FIRST, 3 * p->rtt + 8.0 * window * blksize / RTO_LINE);
    return n * ((f.seconds + pacing(p, &f)) / f.delivered - f.trip / f.window) +
           f.late * fmax(0, first - f.rto);
}

double theory_window(const struct theory_path *p, uint64_t bytes, unsigned blksize, unsigned window)
{
    double flights = ceil((double)theory_blocks(bytes, blksize) / window);
    double clean =
        asking(p, bytes) + flights * (p->rtt + ack_seconds(p)) + line_seconds(p, bytes, blksize);

    if (window == 1)
        return theory_stop_and_wait(p, bytes, blksize);
    if (theory_overflows(p, blksize, window))
        return NAN;
    if (p->loss == 0 && p->ack_loss == 0)
        return clean;
    return 1 - (1 - block_loss(p, blksize)) * (1 - p->ack_loss) >= THEORY_LOSS_MAX
               ? NAN
               : clean + loss_seconds(p, bytes, blksize, window);
}
