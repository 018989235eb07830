#include "config.h"

#include <math.h>

#include "compare/trace.h"

#define FIN 1 /* flags of a segment */
#define SYN 2
#define ACK 16
#define DATA 3 /* opcodes of TFTP */
#define DATA_ACK 4

/* What is known of one way of a connection while its packets are gone through. */
struct sender {
    bool sent;
    uint32_t base, end; /* TCP: first sequence number, and the first that was not sent */
};

struct connection {
    uint16_t port; /* the client's */
    struct sender sender[2];
};

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
    k.duplicated = r->what & LINK_DUPLICATED;
    k.corrupted = r->what & LINK_CORRUPTED;
    k.reordered = r->what & LINK_REORDERED;
    return k;
}

/* ---- TCP ---- */

/* Sequence numbers from 0, and whether any of it was sent before. */
static void follow(struct connection *c, struct compare_packet *k)
{
    struct sender *s = &c->sender[k->way];
    uint32_t n = k->len + (k->flags & (SYN | FIN) ? 1 : 0);

    if (!s->sent)
        *s = (struct sender){.sent = true, .base = k->seq};
    k->seq -= s->base;
    if (k->flags & ACK)
        k->ack -= c->sender[!k->way].base;
    k->again = n > 0 && (int32_t)(k->seq - s->end) < 0;
    if ((int32_t)(k->seq + n - s->end) > 0)
        s->end = k->seq + n;
}

static struct connection *connection_of(struct connection *all, size_t *n,
                                        const struct compare_packet *k)
{
    uint16_t port = k->way == 0 ? k->from : k->to;

    for (size_t i = 0; i < *n; i++)
        if (all[i].port == port)
            return &all[i];
    all[*n] = (struct connection){.port = port};
    return &all[(*n)++];
}

/* Numbers of connections are told where there are several. */
static void follow_streams(struct compare_packet *p, size_t n)
{
    struct connection all[COMPARE_TRACE_PACKETS];
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        if (p[i].kind == COMPARE_SEGMENT) {
            struct connection *c = connection_of(all, &found, &p[i]);

            p[i].connection = (unsigned)(c - all) + 1;
            follow(c, &p[i]);
        }
    for (size_t i = 0; i < n && found < 2; i++)
        p[i].connection = 0;
}

/* ---- TFTP ---- */

static void follow_blocks(struct compare_packet *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i && p[i].kind == COMPARE_TFTP && !p[i].again; k++)
            p[i].again = p[k].kind == COMPARE_TFTP && p[k].way == p[i].way &&
                         p[k].from == p[i].from && p[k].opcode == p[i].opcode &&
                         p[k].block == p[i].block;
}

/* ---- timeouts ---- */

/* What the fastest packet takes there and back; 0: none arrived. */
static double round_trip(const struct compare_packet *p, size_t n)
{
    double least = INFINITY;

    for (size_t i = 0; i < n; i++)
        if (p[i].fate == COMPARE_ARRIVES)
            least = fmin(least, p[i].arrives - p[i].seconds);
    return isfinite(least) ? 2 * least : 0;
}

static bool is_same_stream(const struct compare_packet *a, const struct compare_packet *b)
{
    return a->kind == b->kind && a->connection == b->connection;
}

/* Whether p[i] was sent again with nothing to cause it but time: nothing has come in since its
 * sender's last packet. After a timeout the packets behind it follow at once: they are not due to
 * another one. */
static bool is_by_timeout(const struct compare_packet *p, size_t i, double rtt)
{
    const struct compare_packet *k = &p[i], *last = NULL;

    if (!k->again)
        return false;
    for (size_t j = 0; j < i; j++)
        if (p[j].way == k->way && is_same_stream(&p[j], k))
            last = &p[j];
    if (last == NULL || (k->kind == COMPARE_SEGMENT && k->seconds - last->seconds < rtt) ||
        (k->kind == COMPARE_TFTP && k->opcode == DATA && last->opcode == DATA &&
         k->block == (uint16_t)(last->block + 1)))
        return false;
    for (size_t j = 0; j < i; j++)
        if (p[j].way != k->way && is_same_stream(&p[j], k) && p[j].fate == COMPARE_ARRIVES &&
            !p[j].corrupted && p[j].arrives > last->seconds && p[j].arrives <= k->seconds)
            return false;
    return true;
}

/* A receiver that has the last block repeats its ACK, to learn whether the sender is gone. */
static bool is_lingering(const struct compare_packet *p, size_t n, const struct compare_packet *k)
{
    bool has_block = false;

    if (k->kind != COMPARE_TFTP || k->opcode != DATA_ACK)
        return false;
    for (size_t i = 0; i < n; i++)
        if (p[i].kind == COMPARE_TFTP && p[i].opcode == DATA && p[i].way != k->way) {
            if (p[i].block > k->block)
                return false;
            has_block = has_block || p[i].block == k->block;
        }
    return has_block;
}

void compare_trace_take(struct compare_trace *t, const struct link_record *r, size_t n)
{
    struct compare_packet p[COMPARE_TRACE_PACKETS];
    size_t shown = n < COMPARE_TRACE_PACKETS ? n : COMPARE_TRACE_PACKETS;
    double rtt;

    *t = (struct compare_trace){.more = n > shown};
    for (size_t i = 0; i < shown; i++)
        p[i] = packet_of(&r[i], r[0].time);
    follow_streams(p, shown);
    follow_blocks(p, shown);
    rtt = round_trip(p, shown);
    for (size_t i = 0; i < shown; i++) {
        if (is_by_timeout(p, i, rtt) && (t->more || !is_lingering(p, shown, &p[i])))
            t->packets[t->n++] = (struct compare_packet){.seconds = p[i].seconds,
                                                         .way = p[i].way,
                                                         .connection = p[i].connection,
                                                         .kind = COMPARE_TIMEOUT};
        t->packets[t->n++] = p[i];
    }
}
