#include "config.h"

#include "link/linkq.h"

#include <string.h>

#define NS_PER_S UINT64_C(1000000000)

/* ---- chance ---- */

/* A number for each kind of chance, so that none depends on how often another was asked. */
enum chance {
    CHANCE_LOSS,
    CHANCE_DUPLICATE,
    CHANCE_CORRUPT,
    CHANCE_BIT,
    CHANCE_JITTER,
    CHANCE_REORDER
};

/* The finalizer of splitmix64: every bit of v moves every bit of the result. */
static uint64_t mix(uint64_t v)
{
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

static uint64_t draw(const struct linkq *q, enum chance kind, uint64_t packet)
{
    const uint64_t step = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t v = mix(q->p.seed + step);

    v = mix(v + step * (q->p.direction + 1));
    v = mix(v + step * ((uint64_t)kind + 1));
    return mix(v + step * (packet + 1));
}

/* In [0, 1). */
static double uniform(const struct linkq *q, enum chance kind, uint64_t packet)
{
    return (double)(draw(q, kind, packet) >> 11) / 9007199254740992.0;
}

static bool happens(const struct linkq *q, enum chance kind, uint64_t packet, double chance)
{
    return chance > 0 && uniform(q, kind, packet) < chance;
}

/* ---- the heap ---- */

static bool is_before(const struct linkq_packet *a, const struct linkq_packet *b)
{
    return a->due != b->due ? a->due < b->due : a->seq < b->seq;
}

static void swap(struct linkq_packet *a, struct linkq_packet *b)
{
    struct linkq_packet t = *a;

    *a = *b;
    *b = t;
}

static void heap_add(struct linkq *q, const struct linkq_packet *packet)
{
    size_t i = q->n++;

    q->heap[i] = *packet;
    q->heap[i].seq = q->seq++;
    for (; i > 0 && is_before(&q->heap[i], &q->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&q->heap[i], &q->heap[(i - 1) / 2]);
}

static void heap_take(struct linkq *q, struct linkq_packet *ret)
{
    *ret = q->heap[0];
    q->heap[0] = q->heap[--q->n];
    for (size_t i = 0, child; (child = 2 * i + 1) < q->n; i = child) {
        if (child + 1 < q->n && is_before(&q->heap[child + 1], &q->heap[child]))
            child++;
        if (!is_before(&q->heap[child], &q->heap[i]))
            return;
        swap(&q->heap[i], &q->heap[child]);
    }
}

/* ---- the line ---- */

void linkq_init(struct linkq *q, const struct linkq_params *p, struct linkq_packet *mem, size_t cap)
{
    memset(q, 0, sizeof *q);
    q->p = *p;
    if (q->p.rate > LINKQ_RATE_MAX)
        q->p.rate = LINKQ_RATE_MAX;
    q->heap = mem;
    q->cap = cap;
    q->free_at = INT64_MIN;
    q->last_due = INT64_MIN;
}

uint64_t linkq_backlog(const struct linkq *q, int64_t now)
{
    if (q->p.rate == 0 || q->free_at <= now)
        return 0;

    uint64_t wait = (uint64_t)(q->free_at - now);

    return (wait / NS_PER_S * q->p.rate + wait % NS_PER_S * q->p.rate / NS_PER_S + 7) / 8;
}

/* When the line has sent len bytes more. */
static int64_t depart(struct linkq *q, uint32_t len, int64_t now)
{
    if (q->p.rate == 0)
        return now;
    if (q->free_at < now)
        q->free_at = now;
    q->free_at += (int64_t)(len * UINT64_C(8) * NS_PER_S / q->p.rate);
    return q->free_at;
}

static int64_t jitter(const struct linkq *q, uint64_t packet)
{
    return q->p.jitter > 0 ? (int64_t)(draw(q, CHANCE_JITTER, packet) % (uint64_t)q->p.jitter) : 0;
}

/* When a packet arrives that left at `left`. Jitter keeps the order; one that is held back does not
 * hold back those behind it. */
static int64_t arrival(struct linkq *q, uint64_t packet, int64_t left)
{
    int64_t due = left + q->p.delay + jitter(q, packet);

    if (due < q->last_due)
        due = q->last_due;
    q->last_reordered = happens(q, CHANCE_REORDER, packet, q->p.reorder);
    if (q->last_reordered)
        return due + q->p.reorder_delay;
    q->last_due = due;
    return due;
}

static void add(struct linkq *q, struct linkq_packet *p, uint64_t packet)
{
    q->counts.reordered += q->last_reordered;
    if (p->len > 0 && happens(q, CHANCE_CORRUPT, packet, q->p.corrupt)) {
        q->counts.corrupted++;
        p->flip = (int32_t)(draw(q, CHANCE_BIT, packet) % (p->len * UINT64_C(8)));
        p->fix_checksum = q->p.fix_checksum;
    }
    if (!happens(q, CHANCE_DUPLICATE, packet, q->p.duplicate) || q->cap - q->n < 2) {
        heap_add(q, p);
        return;
    }
    q->counts.duplicated++;
    p->more = true;
    heap_add(q, p);

    struct linkq_packet copy = *p;

    copy.more = false;
    copy.copy = true;
    heap_add(q, &copy);
}

enum linkq_fate linkq_push(struct linkq *q, void *handle, uint32_t len, int64_t now)
{
    uint64_t packet = q->packets++, backlog = linkq_backlog(q, now);
    struct linkq_packet p = {.handle = handle, .len = len, .flip = -1};

    q->counts.in_packets++;
    q->counts.in_bytes += len;
    if (q->n == q->cap) {
        q->counts.dropped_full++;
        return LINKQ_DROP_FULL;
    }
    if (q->p.queue > 0 && backlog > 0 && backlog + len > q->p.queue) {
        q->counts.dropped_queue++;
        return LINKQ_DROP_QUEUE;
    }
    if (q->p.rate > 0 && backlog + len > q->counts.queued_high)
        q->counts.queued_high = backlog + len;
    p.due = arrival(q, packet, depart(q, len, now));
    if (happens(q, CHANCE_LOSS, packet, q->p.loss)) {
        q->counts.dropped_loss++;
        q->last = p;
        return LINKQ_DROP_LOSS;
    }
    add(q, &p, packet);
    q->last = p;
    return LINKQ_SENT;
}

int64_t linkq_next(const struct linkq *q)
{
    return q->n > 0 ? q->heap[0].due : INT64_MAX;
}

bool linkq_pop(struct linkq *q, int64_t now, struct linkq_packet *ret)
{
    if (linkq_next(q) > now || q->n == 0)
        return false;
    heap_take(q, ret);
    q->counts.out_packets++;
    q->counts.out_bytes += ret->len;
    return true;
}
