/* sm.h - the TFTP machine: one transfer, as sender or receiver, client or server. Pure.
 *
 * It owns no socket, no file, no buffer and no clock. It is told what happened and when, and
 * answers with a list of actions to be carried out in order; tftp_sm_deadline says until when it
 * wants to be called at the latest. Time is in nanoseconds from any beginning, below 2^60.
 *
 * Stop-and-wait (RFC 1350) is a window of 1 (RFC 7440). Blocks are counted in 64 bits from 1; their
 * low 16 bits reach the wire in one place of the driver, and come back through tftp_sm_packet.
 *
 *     REQUEST     client: request sent, nothing heard            RFC 1350, 4
 *     OFFER       server: OACK sent, ACK 0 or DATA 1 awaited     RFC 2347
 *     TRANSFER    blocks and their ACKs                          RFC 1350, 2; RFC 7440, 4
 *     COMMIT      receiver: the last block is here, the driver puts the file in place
 *     LINGER      receiver: the last ACK was sent and may be lost RFC 1350, 6
 *     DONE, FAILED
 *
 * What a driver does:
 *     tftp_sm_init, tftp_sm_begin, carry out the actions
 *     until tftp_sm_over: wait for a datagram until tftp_sm_deadline; tftp_decode it (what is no
 *     packet is ignored) and give it to tftp_sm_packet, or call tftp_sm_tick; carry out the actions
 * A driver that lost its patience, its file or its peer calls tftp_sm_abort or tftp_sm_unreachable.
 */
#ifndef XFER_TFTP_SM_H
#define XFER_TFTP_SM_H

#include "tftp/pkt.h"

enum tftp_state {
    TFTP_S_REQUEST,
    TFTP_S_OFFER,
    TFTP_S_TRANSFER,
    TFTP_S_COMMIT,
    TFTP_S_LINGER,
    TFTP_S_DONE,
    TFTP_S_FAILED
};

/* Why a transfer failed. */
enum tftp_reason {
    TFTP_R_NONE,
    TFTP_R_PEER,        /* the peer sent ERROR: code in .peer_code */
    TFTP_R_LOCAL,       /* tftp_sm_abort */
    TFTP_R_TIMEOUT,     /* given up */
    TFTP_R_UNREACHABLE, /* tftp_sm_unreachable */
    TFTP_R_UNCONFIRMED, /* sender: all was sent, the last ACK never came */
    TFTP_R_PROTOCOL /* also tftp_sm_refuse: the peer broke the protocol: what we told it is in the
                       ERROR action */
};

enum tftp_do {
    TFTP_DO_REQUEST, /* the request; the same bytes each time */
    TFTP_DO_OACK,    /* the OACK; the same bytes each time */
    TFTP_DO_DATA,    /* blocks block .. block + count - 1, as far as the file goes */
    TFTP_DO_ACK,     /* ACK of block */
    TFTP_DO_WRITE,   /* the payload of the packet at hand is block `block` */
    TFTP_DO_COMMIT,  /* check and publish, then call tftp_sm_committed */
    TFTP_DO_ERROR,   /* ERROR code text, once; it is never answered */
    TFTP_DO_DONE,    /* the transfer is a success (a receiver may still linger) */
    TFTP_DO_FAIL     /* the transfer is over and has failed */
};

struct tftp_action {
    enum tftp_do what;
    uint64_t block;
    unsigned count;
    enum tftp_error code;
    const char *text; /* static, or what tftp_sm_abort was given */
};

#define TFTP_ACTIONS_MAX 4

struct tftp_actions {
    unsigned n;
    struct tftp_action a[TFTP_ACTIONS_MAX];
};

struct tftp_params {
    bool sender; /* we send DATA */
    bool client; /* we sent the request */
    bool oack;   /* server: an OACK goes first */
    unsigned blksize, window;
    int64_t fixed_rto; /* negotiated timeout option: used exactly; 0: adaptive */
    int64_t give_up;   /* ns without any progress */
    unsigned unheard;  /* server: resends to a peer that was never heard; see below */
};

struct tftp_counts {
    uint64_t sent, received;    /* packets */
    uint64_t data_sent, resent; /* DATA packets; of them again */
    uint64_t timeouts;
    uint64_t duplicates, stray; /* packets that came again; that make no sense here or now */
};

struct tftp_sm {
    struct tftp_params p; /* as agreed so far */
    enum tftp_state state;
    enum tftp_reason reason;
    unsigned peer_code;
    /* All are block numbers, 0 before the first. Sender: acked <= sent, the highest ever sent.
     * Receiver: acked <= received; acked is the last one that we acknowledged. */
    uint64_t acked, sent, received;
    uint64_t last;     /* the short block that ends the file; 0: not met yet */
    uint64_t next;     /* sender: to be sent next; it goes back after a loss */
    uint64_t recover;  /* sender: blocks below it may be answered twice, for they were sent twice */
    unsigned burst;    /* sender: blocks sent at once; halves after a loss, grows back */
    int64_t flight_at; /* sender: when next last began behind acked */
    int64_t sent_at;   /* sender: when a burst was last sent */
    uint64_t gap_acked;        /* receiver: received when a gap was told; UINT64_MAX: not told */
    int64_t srtt, rttvar, rto; /* RFC 6298; srtt 0: nothing measured yet */
    int64_t rtt_min;           /* the shortest measured */
    int64_t deadline, progress_at;
    int64_t timed_at; /* when what is being timed was sent; -1: nothing is (Karn) */
    uint64_t timed_block;
    bool data_timed;  /* srtt is not from small packets alone */
    unsigned unheard; /* server: resends left to a peer that was never heard */
    int64_t linger_end;
    struct tftp_counts counts;
};

#define TFTP_MS INT64_C(1000000)
#define TFTP_RTO_FIRST (1000 * TFTP_MS)
#define TFTP_RTO_MIN (20 * TFTP_MS)
#define TFTP_RTO_MAX (8000 * TFTP_MS)
#define TFTP_TRIES 16 /* RTO backs off to 1/16 of give_up at most, but never below RTO_FIRST */
#define TFTP_LINE_SLOW 1000000 /* bits a second: what RTO takes a line for, until it timed DATA */
#define TFTP_RTO_SLACK (8 * TFTP_MS) /* in RTO = SRTT + max(slack, 4 RTTVAR) */
/* A server lingers two RTO, but at least twice a usual peer's first timeout: ours may be 20 ms
 * while the peer, who has not measured or does not, waits for a second. */
#define TFTP_LINGER_MIN (2000 * TFTP_MS)
#define TFTP_LINGER_MAX (10000 * TFTP_MS)
#define TFTP_LINGER_CLIENT (1000 * TFTP_MS) /* the most; a client has no least */
/* The address of a request may be forged. Until something comes from it, time alone sends the first
 * packet again p.unheard times; each repetition of the request allows one more. */
#define TFTP_UNHEARD 2                      /* a usual p.unheard */
#define TFTP_UNHEARD_WAIT (20000 * TFTP_MS) /* given up after this, if give_up is not less */
/* Between the bursts of a window. */
#define TFTP_PACE_MIN (TFTP_MS / 10)
#define TFTP_PACE_MAX (10 * TFTP_MS)

/* A transfer about to begin. p->blksize and p->window are what was agreed (server) or what holds
 * until tftp_sm_agree says otherwise (client: 512 and 1). */
void tftp_sm_init(struct tftp_sm *sm, const struct tftp_params *p, int64_t now);

/* The first step: the client's request; the server's OACK, DATA or ACK 0. */
void tftp_sm_begin(struct tftp_sm *sm, int64_t now, struct tftp_actions *ret);

/* Client, before an OACK is given to tftp_sm_packet: what it says, checked by the driver. Does
 * nothing unless the machine is in REQUEST: an OACK that comes again changes nothing. */
void tftp_sm_agree(struct tftp_sm *sm, unsigned blksize, unsigned window, int64_t fixed_rto);

/* A packet from the peer of this transfer. */
void tftp_sm_packet(struct tftp_sm *sm, const struct tftp_pkt *pkt, int64_t now,
                    struct tftp_actions *ret);

/* Server: the request came again `times` times, to the known port. Nothing is sent now: the timer
 * may send once more for each, while the peer is not heard otherwise. */
void tftp_sm_asked_again(struct tftp_sm *sm, unsigned times);
/* Whether a peer that was never heard gets nothing more by time. */
static inline bool tftp_sm_is_silent(const struct tftp_sm *sm)
{
    return !sm->p.client && sm->counts.received == 0 && sm->unheard == 0;
}

/* Time has come to tftp_sm_deadline (or not: then nothing happens). */
void tftp_sm_tick(struct tftp_sm *sm, int64_t now, struct tftp_actions *ret);
int64_t tftp_sm_deadline(const struct tftp_sm *sm); /* INT64_MAX: none */

/* Sender, while a DATA action is carried out: this block is shorter than blksize, nothing follows.
 * It was sent; blocks behind it were not. */
void tftp_sm_last(struct tftp_sm *sm, uint64_t block);

/* Receiver, after COMMIT: the file is in place (the last ACK goes out now). A failure is
 * tftp_sm_abort. */
void tftp_sm_committed(struct tftp_sm *sm, int64_t now, struct tftp_actions *ret);

/* Something failed here: the peer gets ERROR, if it was heard already. Lingering just ends. */
void tftp_sm_abort(struct tftp_sm *sm, enum tftp_error code, const char *text,
                   struct tftp_actions *ret);

/* What the peer sent cannot be accepted, for a reason that the driver alone sees (an OACK of what
 * was not asked): ERROR, even as the first answer, and failure. */
void tftp_sm_refuse(struct tftp_sm *sm, enum tftp_error code, const char *text,
                    struct tftp_actions *ret);

/* The network says that nobody is there (ICMP): over at once, nothing is sent. */
void tftp_sm_unreachable(struct tftp_sm *sm, struct tftp_actions *ret);

static inline bool tftp_sm_over(const struct tftp_sm *sm)
{
    return sm->state == TFTP_S_DONE || sm->state == TFTP_S_FAILED;
}

#endif
