#include "config.h"

#include "compare/trace.h"

static struct compare_packet packet_of(const struct link_record *r, int64_t begun)
{
    struct compare_packet k = {.kind = COMPARE_OTHER};

    compare_packet_decode(r->bytes, r->captured, &k);
    k.seconds = 1e-9 * (double)(r->time - begun);
    k.arrives = 1e-9 * (double)(r->due - begun);
    k.way = r->side;
    k.fate = r->fate == LINK_PASSED           ? COMPARE_ARRIVES
             : r->fate == LINK_LOST_BY_CHANCE ? COMPARE_LOST
                                              : COMPARE_OVERFLOW;
    return k;
}

/* Whether it went out before, and nothing has come in since its sender's last packet. */
static bool is_by_timeout(const struct compare_trace *t, const struct compare_packet *k)
{
    bool again = false;
    double last = 0;

    for (size_t i = 0; i < t->n; i++) {
        const struct compare_packet *p = &t->packets[i];

        if (p->kind == COMPARE_TFTP && p->way == k->way) {
            again = again || (p->opcode == k->opcode && p->block == k->block);
            last = p->seconds;
        }
    }
    for (size_t i = 0; i < t->n; i++) {
        const struct compare_packet *p = &t->packets[i];

        if (p->way != k->way && p->fate == COMPARE_ARRIVES && p->arrives > last &&
            p->arrives <= k->seconds)
            return false;
    }
    return again && k->kind == COMPARE_TFTP;
}

void compare_trace_take(struct compare_trace *t, const struct link_record *r, size_t n)
{
    size_t shown = n < COMPARE_TRACE_PACKETS ? n : COMPARE_TRACE_PACKETS;

    *t = (struct compare_trace){.more = n > shown};
    for (size_t i = 0; i < shown; i++) {
        struct compare_packet k = packet_of(&r[i], r[0].time);

        if (is_by_timeout(t, &k))
            t->packets[t->n++] = (struct compare_packet){
                .seconds = k.seconds, .way = k.way, .kind = COMPARE_TIMEOUT};
        t->packets[t->n++] = k;
    }
}
