/* The machine under any sequence of packets, ticks and calls. An input is a head that says what
 * transfer it is, and events of four bytes. */
#include "config.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tftp/sm.h"

#define HEAD 6
#define EVENT 4
#define MS TFTP_MS

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct tftp_sm sm;
    int64_t now;
    uint64_t written;
    uint64_t blocks; /* of the file, when we send */
    bool over, done, commit_fails;
    uint64_t sent;    /* packets, by the actions */
    unsigned unheard; /* resends allowed to a peer that was never heard */
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void act_all(struct run *r, const struct tftp_actions *acts);

static void sent_data(struct run *r, const struct tftp_action *a)
{
    check(r->sm.p.sender && a->count >= 1 && a->count <= r->sm.p.window);
    check(a->block > r->sm.acked && a->block + a->count - 1 <= r->sm.acked + r->sm.p.window);
    check(r->sm.last == 0 || a->block + a->count - 1 <= r->sm.last);
    for (unsigned i = 0; i < a->count; i++) {
        r->sent++;
        if (a->block + i == r->blocks) {
            tftp_sm_last(&r->sm, a->block + i);
            check(r->sm.last == r->blocks);
            return;
        }
    }
}

static void commit(struct run *r)
{
    struct tftp_actions then;

    if (r->commit_fails)
        tftp_sm_abort(&r->sm, TFTP_E_DISK_FULL, "no space", &then);
    else
        tftp_sm_committed(&r->sm, r->now, &then);
    check(then.n == 2);
    act_all(r, &then);
}

static void act_one(struct run *r, const struct tftp_action *a)
{
    check(!r->over);
    switch (a->what) {
    case TFTP_DO_REQUEST:
        check(r->sm.p.client);
        r->sent++;
        break;
    case TFTP_DO_OACK:
        check(!r->sm.p.client);
        r->sent++;
        break;
    case TFTP_DO_DATA:
        sent_data(r, a);
        break;
    case TFTP_DO_ACK:
        check(!r->sm.p.sender && a->block == r->written);
        r->sent++;
        break;
    case TFTP_DO_WRITE:
        check(!r->done && a->block == ++r->written);
        break;
    case TFTP_DO_COMMIT:
        commit(r);
        break;
    case TFTP_DO_ERROR:
        check(a->text != NULL);
        r->sent++;
        break;
    case TFTP_DO_DONE:
        check(!r->done);
        r->done = true;
        break;
    case TFTP_DO_FAIL:
        check(!r->done && r->sm.reason != TFTP_R_NONE);
        r->over = true;
        break;
    }
}

static void act_all(struct run *r, const struct tftp_actions *acts)
{
    check(acts->n <= TFTP_ACTIONS_MAX);
    for (unsigned i = 0; i < acts->n; i++)
        act_one(r, &acts->a[i]);
}

static void invariants(const struct run *r)
{
    const struct tftp_sm *sm = &r->sm;

    check(sm->acked <= (sm->p.sender ? sm->sent : sm->received));
    check(!sm->p.sender || sm->sent - sm->acked <= sm->p.window);
    check(sm->next <= sm->sent + 1);
    check(!sm->p.sender || tftp_sm_over(sm) || sm->next > sm->acked);
    check(sm->burst >= 1 && sm->burst <= sm->p.window);
    check(sm->counts.sent == r->sent);
    check(sm->counts.resent <= sm->counts.data_sent);
    /* In lock-step only time sends again (RFC 1123, 4.2.3.1); who was never heard gets little. */
    check(sm->p.window > 1 || sm->counts.data_sent <= sm->sent + sm->counts.timeouts);
    check(sm->p.client || sm->counts.received > 0 || sm->counts.timeouts <= r->unheard);
    check(sm->p.fixed_rto > 0 || (sm->rto >= TFTP_RTO_MIN && sm->rto <= TFTP_RTO_MAX));
    check(!tftp_sm_over(sm) || tftp_sm_deadline(sm) == INT64_MAX);
    check(tftp_sm_over(sm) || sm->state == TFTP_S_COMMIT || tftp_sm_deadline(sm) < INT64_MAX);
    check(r->over == (sm->state == TFTP_S_FAILED));
}

static void packet(struct run *r, const uint8_t *e)
{
    static const uint8_t bytes[65536];
    static const enum tftp_op ops[8] = {TFTP_ACK, TFTP_ACK,   TFTP_DATA, TFTP_DATA,
                                        TFTP_RRQ, TFTP_ERROR, TFTP_OACK, TFTP_WRQ};
    uint64_t base = r->sm.p.sender ? r->sm.acked : r->sm.received;
    struct tftp_pkt p = {.op = ops[e[0] & 7], .data = bytes};
    bool forced = p.op == TFTP_OACK && r->sm.state == TFTP_S_REQUEST && e[2] & 1;
    struct tftp_actions acts;

    /* Mostly near what is awaited, now and then anywhere. */
    p.block = e[0] & 8 ? (uint16_t)(e[1] << 8 | e[2]) : (uint16_t)(base + (uint64_t)(int8_t)e[1]);
    p.len = e[0] & 16 ? (size_t)r->sm.p.blksize : (size_t)e[2] << (e[0] & 32 ? 8 : 0);
    p.code = e[1];
    if (forced)
        tftp_sm_agree(&r->sm, 8 + e[3], 1 + (e[2] >> 1), 0);
    tftp_sm_packet(&r->sm, &p, r->now, &acts);
    if (p.op == TFTP_ERROR)
        check(acts.n <= 1 && (acts.n == 0 || acts.a[0].what == TFTP_DO_FAIL));
    act_all(r, &acts);
}

static void tick(struct run *r)
{
    struct tftp_actions acts;
    int64_t at = tftp_sm_deadline(&r->sm);

    if (at == INT64_MAX)
        return;
    tftp_sm_tick(&r->sm, at - 1, &acts);
    check(acts.n == 0);
    r->now = at > r->now ? at : r->now;
    tftp_sm_tick(&r->sm, r->now, &acts);
    act_all(r, &acts);
    check(tftp_sm_over(&r->sm) || tftp_sm_deadline(&r->sm) > r->now); /* no busy loop */
}

static void asked_again(struct run *r)
{
    tftp_sm_asked_again(&r->sm, 1);
    r->unheard++;
}

static void event(struct run *r, const uint8_t *e)
{
    struct tftp_actions acts;

    r->now += (int64_t)e[3] * e[3] * (MS / 8);
    acts.n = 0;
    switch (e[0] >> 6) {
    case 0:
    case 1:
        packet(r, e);
        break;
    case 2:
        tick(r);
        break;
    case 3:
        if (e[1] == 0)
            tftp_sm_abort(&r->sm, TFTP_E_UNDEFINED, "stopped", &acts);
        else if (e[1] == 1)
            tftp_sm_unreachable(&r->sm, &acts);
        else if (e[1] == 2)
            tftp_sm_refuse(&r->sm, TFTP_E_OPTION, "no", &acts);
        else if (e[1] == 3)
            asked_again(r);
        else
            tick(r);
        act_all(r, &acts);
        break;
    }
    invariants(r);
}

static void begin(struct run *r, const uint8_t *head)
{
    struct tftp_params p = {.sender = head[0] & 1,
                            .client = head[0] & 2,
                            .oack = head[0] & 4,
                            .blksize = 8 + head[1],
                            .window = 1u + head[2],
                            .fixed_rto = head[0] & 16 ? (head[3] + 1) * 1000 * MS : 0,
                            .give_up = (head[4] + 1) * 1000 * MS,
                            .unheard = head[0] >> 7};
    struct tftp_actions acts;

    if (p.client)
        p.window = 1;
    memset(r, 0, sizeof *r);
    r->unheard = p.unheard;
    r->commit_fails = head[0] & 32;
    r->blocks = head[0] & 64 ? UINT64_C(1) + head[5] : UINT64_MAX;
    tftp_sm_init(&r->sm, &p, 0);
    tftp_sm_begin(&r->sm, 0, &acts);
    act_all(r, &acts);
    invariants(r);
}

/* Left alone it comes to its end. */
static void run_out(struct run *r)
{
    for (unsigned n = 0; !tftp_sm_over(&r->sm); n++) {
        check(n < 2000000);
        tick(r);
        invariants(r);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run r;

    if (size < HEAD)
        return 0;
    begin(&r, data);
    for (size_t at = HEAD; at + EVENT <= size && at < 4096 * EVENT; at += EVENT)
        event(&r, data + at);
    run_out(&r);
    return 0;
}
