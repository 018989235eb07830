#include "config.h"

#include <math.h>

#include "compare/theory.h"

#define TCP_HEADER 32 /* with timestamps, as Linux sends them */
#define MATHIS 1.22
#define RANGE (256 << 10) /* asked for by the first connection, before it knows the size */
#define JOINING 2         /* round trips that the other connections begin later */
#define TRIPS_MAX 2000
#define RTO_MIN                                                                                    \
    0.2 /* of Linux, behind the round trip: what a segment that is lost twice waits for */

static double mss(const struct theory_path *p)
{
    return (double)p->mtu - THEORY_IP_HEADER - TCP_HEADER;
}

/* What the line stands idle while the congestion windows are smaller than a round trip's worth. */
static double slow_start_idle(const struct theory_path *p, double segments, double s,
                              unsigned streams)
{
    double idle = 0, first = THEORY_TCP_INITIAL, others = 0, sent = 0;

    for (int trip = 0; (first + others) * s < p->rtt && sent + first + others < segments; trip++) {
        idle += p->rtt - (first + others) * s;
        sent += first + others;
        first *= 2;
        others = trip + 1 < JOINING    ? 0
                 : trip + 1 == JOINING ? THEORY_TCP_INITIAL * (double)(streams - 1)
                                       : 2 * others;
    }
    return idle;
}

static double clean_seconds(const struct theory_path *p, uint64_t bytes, unsigned streams,
                            double after)
{
    double segments = ceil((double)bytes / mss(p));
    double s = theory_serialize(p->mtu, p->rate);
    double line =
        theory_serialize((double)bytes + segments * (THEORY_IP_HEADER + TCP_HEADER), p->rate);

    return p->rtt + slow_start_idle(p, segments, s, streams) + line + after;
}

double theory_tcp(const struct theory_path *p, uint64_t bytes, unsigned streams, double after)
{
    if (p->rate <= 0)
        return NAN;
    if (streams == 1 || bytes <= RANGE)
        return clean_seconds(p, bytes, 1, after);
    return fmax(clean_seconds(p, RANGE, 1, after), clean_seconds(p, bytes, streams, after));
}

double theory_mathis(const struct theory_path *p, uint64_t bytes, unsigned streams)
{
    double rate = MATHIS * mss(p) / (p->rtt * sqrt(p->loss)); /* bytes a second */

    return (double)bytes / (rate * streams);
}

/* Whether a flight is more than the queue holds: the first is sent at once, in slow start each
 * acknowledgment lets two segments go, later the line holds a round trip's worth. */
static bool overflows(const struct theory_path *p, double window, double s, int trip,
                      bool slow_start)
{
    double waits = trip == 0 ? window - 1 : slow_start ? window / 2 : window - p->rtt / s;

    return p->queue > 0 && waits * p->mtu > p->queue;
}

/* The saw-tooth of Mathis, begun by slow start: one segment is lost in every 1/p, or when the queue
 * is full, and the window falls to a part of itself. As many trips as tell it; what is left has the
 * mean rate. 0 where slow start lasts to the end. */
static double sawtooth_seconds(const struct theory_path *p, double segments, double s,
                               const struct theory_aimd *aimd)
{
    double window = THEORY_TCP_INITIAL, seconds = 0, left = 1 / p->loss;
    bool slow_start = true, recovery = false; /* RFC 6675: a round trip without growth */

    for (int trip = 0; trip < TRIPS_MAX && segments > 0; trip++) {
        double sent = fmin(fmin(window, segments), left), duration = fmax(p->rtt, window * s);
        bool lost = sent == left || overflows(p, window, s, trip, slow_start);

        segments -= sent;
        left -= sent;
        seconds += segments > 0 ? duration * sent / window : sent * s;
        if (!lost) {
            window = slow_start ? 2 * window : recovery ? window : window + aimd->more;
        } else {
            window = fmax(2, window * aimd->less);
            left = 1 / p->loss;
        }
        slow_start &= !lost;
        recovery = lost;
    }
    if (slow_start)
        return 0;
    return seconds + fmax(segments * s, theory_mathis(p, (uint64_t)(segments * mss(p)), 1));
}

static double lossy_seconds(const struct theory_path *p, uint64_t bytes, unsigned streams,
                            const struct theory_aimd *aimd)
{
    double segments = ceil((double)bytes / mss(p) / streams);
    double s = theory_serialize(
        (double)bytes / segments + (THEORY_IP_HEADER + TCP_HEADER) * streams, p->rate);
    double joining = JOINING * p->rtt * (streams - 1) / streams;
    double twice = segments * p->loss * p->loss * (p->rtt + RTO_MIN);

    return 2 * p->rtt + joining + twice + sawtooth_seconds(p, segments, s, aimd);
}

double theory_tcp_loss(const struct theory_path *p, uint64_t bytes, unsigned streams,
                       const struct theory_aimd *aimd)
{
    double clean = theory_tcp(p, bytes, streams, p->rtt);

    if (streams == 1 || bytes <= RANGE)
        return fmax(clean, lossy_seconds(p, bytes, 1, aimd));
    return fmax(clean,
                fmax(lossy_seconds(p, RANGE, 1, aimd), lossy_seconds(p, bytes, streams, aimd)));
}
