/* linkq.h - one direction of an emulated link, as a queue of packets. Pure: time is an argument,
 * memory is the caller's, chance is a function of seed and packet number.
 *
 * Order of things per packet: tail drop on the bytes queued -> serialization at the rate, on a
 * virtual clock (depart = max(arrival, free_at) + bits / rate) -> loss, corruption, duplication ->
 * delay, jitter, reordering. Random numbers are hash(seed, direction, kind, packet number):
 * switching one impairment on does not move another.
 *
 * To add an impairment: one field in struct linkq_params, used in linkq_push.
 */
#ifndef XFER_LINK_LINKQ_H
#define XFER_LINK_LINKQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINKQ_RATE_MAX UINT64_C(10000000000)

struct linkq_params {
    uint64_t rate;  /* bits a second, at most LINKQ_RATE_MAX; 0: no limit */
    int64_t delay;  /* ns one way */
    int64_t jitter; /* ns, uniform in [0, jitter), added; order is kept */
    double loss;    /* chances, 0 to 1 */
    double duplicate;
    double corrupt;        /* one bit flipped */
    bool fix_checksum;     /* and the checksum made to fit, so that no network layer sees it */
    double reorder;        /* held back by reorder_delay, so that later ones overtake it */
    int64_t reorder_delay; /* ns, added, never removed */
    uint64_t queue;        /* bytes that may wait for the rate; 0: no limit */
    uint64_t seed;
    unsigned direction; /* 0 or 1 */
};

enum linkq_fate { LINKQ_SENT, LINKQ_DROP_QUEUE, LINKQ_DROP_LOSS, LINKQ_DROP_FULL /* no slot */ };

/* A packet on its way; the caller keeps its bytes, we keep a handle. */
struct linkq_packet {
    int64_t due;  /* when it arrives */
    uint64_t seq; /* ties are first come, first served */
    void *handle;
    uint32_t len;
    int32_t flip;      /* bit to flip on arrival; -1: none */
    bool fix_checksum; /* and the checksum fixed with it */
    bool more;         /* a duplicate follows: the handle comes once more */
    bool copy;         /* it is that duplicate */
};

struct linkq_counts {
    uint64_t in_packets, in_bytes, out_packets, out_bytes;
    uint64_t dropped_queue, dropped_loss, dropped_full, duplicated, corrupted, reordered;
    uint64_t queued_high; /* bytes */
};

struct linkq {
    struct linkq_params p;
    struct linkq_packet *heap; /* by (due, seq); the caller's memory */
    size_t n, cap;
    int64_t free_at;  /* when the line has sent all that is queued */
    int64_t last_due; /* of the packets in order */
    uint64_t packets, seq;
    struct linkq_packet
        last;            /* as linkq_push sent it, or would have: for those who keep a record */
    bool last_reordered; /* and whether reordering held it back */
    struct linkq_counts counts;
};

void linkq_init(struct linkq *q, const struct linkq_params *p, struct linkq_packet *mem,
                size_t cap);

/* A packet of len bytes enters at `now`, which never goes back. The fate is known on entry. A
 * duplicate takes a second slot, and is left out when there is none. In all: in = out + dropped -
 * duplicated + what is on its way. A packet that finds the line idle is sent however small the
 * queue. */
enum linkq_fate linkq_push(struct linkq *q, void *handle, uint32_t len, int64_t now);

/* Bytes that wait for the rate at `now`. */
uint64_t linkq_backlog(const struct linkq *q, int64_t now);

/* When the next packet arrives; INT64_MAX: none is on its way. */
int64_t linkq_next(const struct linkq *q);

/* The next packet that is due at `now`; false when none is. */
bool linkq_pop(struct linkq *q, int64_t now, struct linkq_packet *ret);

#endif
