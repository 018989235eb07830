#include "config.h"

#include "tftp/sm.h"

#include <string.h>

#define NEVER UINT64_MAX
#define TIME_MAX (INT64_C(1) << 60) /* no sum of two overflows */

/* ---- actions ---- */

static struct tftp_action *act(struct tftp_actions *to, enum tftp_do what)
{
    struct tftp_action *a = &to->a[to->n++];

    *a = (struct tftp_action){.what = what};
    return a;
}

static void begin_actions(struct tftp_actions *to)
{
    to->n = 0;
}

static void send_control(struct tftp_sm *sm, struct tftp_actions *to, enum tftp_do what)
{
    act(to, what);
    sm->counts.sent++;
}

static void send_ack(struct tftp_sm *sm, struct tftp_actions *to, uint64_t block)
{
    act(to, TFTP_DO_ACK)->block = block;
    sm->counts.sent++;
    sm->acked = block;
}

static void send_error(struct tftp_sm *sm, struct tftp_actions *to, enum tftp_error code,
                       const char *text)
{
    struct tftp_action *a = act(to, TFTP_DO_ERROR);

    a->code = code;
    a->text = text;
    sm->counts.sent++;
}

static void fail(struct tftp_sm *sm, struct tftp_actions *to, enum tftp_reason reason)
{
    act(to, TFTP_DO_FAIL);
    sm->state = TFTP_S_FAILED;
    sm->reason = reason;
    sm->deadline = INT64_MAX;
}

/* The sender knows that it has sent the last block, and whatever stands before it. */
static bool all_sent(const struct tftp_sm *sm)
{
    return sm->p.sender && sm->last != 0 && sm->sent == sm->last;
}

/* ---- time ---- */

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* A deadline must be worth some tries: with 20 % loss each way a third of them fails. */
static int64_t max_rto(const struct tftp_sm *sm)
{
    return clamp(sm->p.give_up / TFTP_TRIES, TFTP_RTO_FIRST, TFTP_RTO_MAX);
}

/* A round trip of small packets says nothing of how long a window takes on a slow line. */
static int64_t window_time(const struct tftp_sm *sm)
{
    return (int64_t)sm->p.window * sm->p.blksize * (8000 * TFTP_MS / TFTP_LINE_SLOW);
}

static int64_t base_rto(const struct tftp_sm *sm)
{
    int64_t rto = sm->srtt + larger(TFTP_RTO_SLACK, 4 * sm->rttvar);

    if (sm->p.fixed_rto > 0)
        return sm->p.fixed_rto;
    if (sm->srtt == 0)
        return TFTP_RTO_FIRST;
    if (!sm->data_timed && rto < TFTP_RTO_FIRST)
        rto = clamp(rto + window_time(sm), rto, TFTP_RTO_FIRST);
    return clamp(rto, TFTP_RTO_MIN, TFTP_RTO_MAX);
}

static bool is_unheard(const struct tftp_sm *sm)
{
    return !sm->p.client && sm->counts.received == 0;
}

static int64_t patience(const struct tftp_sm *sm)
{
    bool less = is_unheard(sm) && sm->p.give_up > TFTP_UNHEARD_WAIT;

    return less ? TFTP_UNHEARD_WAIT : sm->p.give_up;
}

static void back_off(struct tftp_sm *sm)
{
    if (sm->p.fixed_rto == 0)
        sm->rto = clamp(2 * sm->rto, sm->rto, larger(sm->rto, max_rto(sm)));
}

/* RFC 6298, 2.2 and 2.3. What small packets said before, and a server that took its time, is
 * forgotten with the first DATA. */
static void measure(struct tftp_sm *sm, int64_t rtt, bool data)
{
    rtt = clamp(rtt, 1, 1000 * TFTP_RTO_MAX);
    if (sm->rtt_min == 0 || rtt < sm->rtt_min)
        sm->rtt_min = rtt;
    if (sm->srtt == 0 || (data && !sm->data_timed)) {
        sm->srtt = rtt;
        sm->rttvar = rtt / 2;
    } else {
        int64_t off = sm->srtt > rtt ? sm->srtt - rtt : rtt - sm->srtt;

        sm->rttvar += (off - sm->rttvar) / 4;
        sm->srtt = larger(1, sm->srtt + (rtt - sm->srtt) / 8);
    }
    sm->data_timed |= data;
    sm->rto = base_rto(sm);
}

static void start_timing(struct tftp_sm *sm, uint64_t block, int64_t now)
{
    sm->timed_at = now;
    sm->timed_block = block;
}

/* Karn's rule, RFC 6298, 3: what was sent twice is not timed. */
static void stop_timing(struct tftp_sm *sm)
{
    sm->timed_at = -1;
}

static void end_timing(struct tftp_sm *sm, uint64_t block, int64_t now)
{
    if (sm->timed_at >= 0 && block == sm->timed_block)
        measure(sm, now - sm->timed_at, block > 0);
    if (block >= sm->timed_block)
        stop_timing(sm);
}

static void wait_rto(struct tftp_sm *sm, int64_t now)
{
    sm->deadline = now + sm->rto;
}

/* A receiver in mid-window knows that more should have come. Behind its ACK it is the sender's
 * turn, whose own timer leads: many a foreign one would answer an ACK that comes again by sending
 * all twice from then on. */
static void wait_data(struct tftp_sm *sm, int64_t now)
{
    bool patient = sm->acked == sm->received && sm->p.fixed_rto == 0;

    sm->deadline = now + (patient ? larger(2 * sm->rto, TFTP_RTO_FIRST) : sm->rto);
}

/* What was sent last may be lost, or its answer: it goes out again, and the answer is not timed. */
static void send_again(struct tftp_sm *sm, struct tftp_actions *to, enum tftp_do what, int64_t now)
{
    send_control(sm, to, what);
    stop_timing(sm);
    wait_rto(sm, now);
}

static void ack_again(struct tftp_sm *sm, struct tftp_actions *to, int64_t now)
{
    send_ack(sm, to, sm->received);
    stop_timing(sm);
    wait_data(sm, now);
}

/* ---- sender ---- */

/* The last block that may be sent before another is acknowledged. */
static uint64_t limit(const struct tftp_sm *sm)
{
    uint64_t end = sm->acked + sm->p.window;

    return sm->last != 0 && end > sm->last ? sm->last : end;
}

/* Bursts are spread over half a round trip: a window in single blocks takes half as long again. */
static int64_t pace(const struct tftp_sm *sm)
{
    return clamp(sm->srtt / 2 / sm->p.window * sm->burst, TFTP_PACE_MIN, TFTP_PACE_MAX);
}

/* Sends the next burst, or nothing when the window is used up. */
static void send_data(struct tftp_sm *sm, struct tftp_actions *to, int64_t now)
{
    uint64_t end = limit(sm), left = end - sm->next + 1;
    unsigned count = left < sm->burst ? (unsigned)left : sm->burst;

    if (sm->next <= end) {
        struct tftp_action *a = act(to, TFTP_DO_DATA);

        a->block = sm->next;
        a->count = count;
        sm->counts.sent += count;
        sm->counts.data_sent += count;
        if (sm->next <= sm->sent)
            sm->counts.resent += sm->next + count - 1 > sm->sent ? sm->sent - sm->next + 1 : count;
        sm->next += count;
    }
    sm->sent_at = now;
    if (sm->next <= end) {
        sm->deadline = now + pace(sm);
    } else {
        if (end > sm->sent && sm->timed_at < 0)
            start_timing(sm, end, now);
        wait_rto(sm, now);
    }
    if (sm->next - 1 > sm->sent)
        sm->sent = sm->next - 1;
}

static void go_back(struct tftp_sm *sm, int64_t now)
{
    sm->recover = sm->sent + 1;
    sm->next = sm->acked + 1;
    sm->flight_at = now;
    sm->burst = sm->burst > 1 ? sm->burst / 2 : 1;
    stop_timing(sm);
}

/* Whether an ACK of block n, behind which more was sent, means that n + 1 is lost. It cannot say so
 * earlier than a round trip after n + 1 was sent; half of one leaves room for jitter. Blocks that
 * were sent twice are acknowledged twice by many receivers: believing the second would send the
 * next window twice as well, and so on (RFC 1123, 4.2.3.1, for windows). */
static bool tells_loss(const struct tftp_sm *sm, uint64_t n, bool progress, int64_t now)
{
    bool in_time = now - sm->flight_at >= (sm->rtt_min != 0 ? sm->rtt_min / 2 : sm->rto);

    if (sm->p.window == 1)
        return false; /* RFC 1123, 4.2.3.1 */
    if (progress)
        return n >= sm->recover || in_time;
    return n >= sm->recover && in_time;
}

static void sender_progress(struct tftp_sm *sm, struct tftp_actions *to, uint64_t n, int64_t now)
{
    const unsigned window = sm->p.window, step = 1 + window / 8;
    bool loss = n + 1 < sm->next && tells_loss(sm, n, true, now);

    /* In mid-flight what is timed is still under way, and will be sent again: the way of the
     * flight up to here says enough, if none of it was sent twice. */
    if (loss && n >= sm->recover)
        start_timing(sm, n, sm->flight_at);
    end_timing(sm, n, now);
    sm->acked = n;
    sm->progress_at = now;
    if (sm->last != 0 && n == sm->last) {
        sm->state = TFTP_S_DONE;
        sm->deadline = INT64_MAX;
        act(to, TFTP_DO_DONE);
        return;
    }
    if (loss) {
        go_back(sm, now);
        /* With losses in every window nothing is ever timed, and RTO would only grow. */
        sm->rto = larger(base_rto(sm), sm->rto / 2);
    } else if (sm->next <= n + 1) {
        sm->next = n + 1;
        sm->flight_at = now;
        if (n >= sm->recover)
            sm->burst = sm->burst + step < window ? sm->burst + step : window;
    }
    send_data(sm, to, now);
}

static void sender_ack(struct tftp_sm *sm, const struct tftp_pkt *pkt, int64_t now,
                       struct tftp_actions *to)
{
    uint16_t ahead = (uint16_t)(pkt->block - (uint16_t)sm->acked);

    if (ahead > sm->sent - sm->acked) {
        sm->counts.stray++; /* older, or of what was not sent yet */
    } else if (ahead > 0) {
        sender_progress(sm, to, sm->acked + ahead, now);
    } else {
        sm->counts.duplicates++;
        if (sm->acked + 1 < sm->next && tells_loss(sm, sm->acked, false, now)) {
            go_back(sm, now);
            send_data(sm, to, now);
        }
    }
}

/* ---- receiver ---- */

static void receiver_block(struct tftp_sm *sm, const struct tftp_pkt *pkt, int64_t now,
                           struct tftp_actions *to)
{
    sm->received++;
    sm->progress_at = now;
    end_timing(sm, sm->received, now);
    act(to, TFTP_DO_WRITE)->block = sm->received;
    if (pkt->len < sm->p.blksize) {
        sm->last = sm->received;
        sm->state = TFTP_S_COMMIT;
        sm->deadline = INT64_MAX;
        act(to, TFTP_DO_COMMIT);
        return;
    }
    if (sm->received - sm->acked >= sm->p.window) {
        send_ack(sm, to, sm->received);
        start_timing(sm, sm->received + 1, now);
    }
    wait_data(sm, now);
}

static void receiver_data(struct tftp_sm *sm, const struct tftp_pkt *pkt, int64_t now,
                          struct tftp_actions *to)
{
    uint16_t ahead = (uint16_t)(pkt->block - (uint16_t)sm->received);

    if (pkt->len > sm->p.blksize) {
        send_error(sm, to, TFTP_E_ILLEGAL, "block longer than agreed");
        fail(sm, to, TFTP_R_PROTOCOL);
    } else if (ahead == 1) {
        receiver_block(sm, pkt, now, to);
    } else if (ahead == 0 && sm->received > 0) {
        /* The newest again: our ACK of it is lost, if there was one. In mid-window there was none,
         * and to the sender it would look like a gap. */
        sm->counts.duplicates++;
        if (sm->acked == sm->received)
            ack_again(sm, to, now);
    } else if (ahead > INT16_MAX || sm->received + ahead == 0) {
        sm->counts.duplicates++;
    } else {
        /* RFC 7440, 4: the last block in order is acknowledged; once, for each further packet of
         * this window would say the same. */
        sm->counts.stray++;
        if (sm->p.window > 1 && sm->gap_acked != sm->received) {
            sm->gap_acked = sm->received;
            ack_again(sm, to, now);
        }
    }
}

static void wait_linger(struct tftp_sm *sm, int64_t now)
{
    int64_t least = sm->p.client ? 0 : TFTP_LINGER_MIN;
    int64_t end = now + larger(2 * sm->rto, least);

    sm->deadline = end < sm->linger_end ? end : sm->linger_end;
}

static void linger_data(struct tftp_sm *sm, const struct tftp_pkt *pkt, int64_t now,
                        struct tftp_actions *to)
{
    sm->counts.duplicates++;
    if (pkt->block != (uint16_t)sm->last)
        return;
    send_ack(sm, to, sm->last);
    wait_linger(sm, now);
}

/* ---- first packets ---- */

static void enter_transfer(struct tftp_sm *sm, int64_t now)
{
    end_timing(sm, 0, now);
    sm->state = TFTP_S_TRANSFER;
    sm->progress_at = now;
    sm->rto = base_rto(sm);
}

static void begin_sending(struct tftp_sm *sm, struct tftp_actions *to, int64_t now)
{
    sm->flight_at = now;
    send_data(sm, to, now);
}

static void ack_zero(struct tftp_sm *sm, struct tftp_actions *to, int64_t now)
{
    send_ack(sm, to, 0);
    start_timing(sm, 1, now);
    wait_data(sm, now);
}

/* Client, before anything was heard: RFC 1350, 4; RFC 2347. */
static void in_request(struct tftp_sm *sm, const struct tftp_pkt *pkt, int64_t now,
                       struct tftp_actions *to)
{
    bool oack = pkt->op == TFTP_OACK;

    if (sm->p.sender && (oack || (pkt->op == TFTP_ACK && pkt->block == 0))) {
        enter_transfer(sm, now);
        begin_sending(sm, to, now);
    } else if (!sm->p.sender && oack) {
        enter_transfer(sm, now);
        ack_zero(sm, to, now);
    } else if (!sm->p.sender && pkt->op == TFTP_DATA && pkt->block == 1) {
        enter_transfer(sm, now);
        receiver_data(sm, pkt, now, to);
    } else {
        sm->counts.stray++;
    }
}

/* Server, OACK sent: RFC 2347. */
static void in_offer(struct tftp_sm *sm, const struct tftp_pkt *pkt, int64_t now,
                     struct tftp_actions *to)
{
    enum tftp_op request = sm->p.sender ? TFTP_RRQ : TFTP_WRQ;

    if (pkt->op == request) {
        sm->counts.duplicates++;
        send_again(sm, to, TFTP_DO_OACK, now);
    } else if (sm->p.sender && pkt->op == TFTP_ACK && pkt->block == 0) {
        enter_transfer(sm, now);
        begin_sending(sm, to, now);
    } else if (!sm->p.sender && pkt->op == TFTP_DATA && pkt->block != 0 &&
               pkt->block <= sm->p.window) {
        enter_transfer(sm, now);
        receiver_data(sm, pkt, now, to);
    } else {
        sm->counts.stray++;
    }
}

static void in_transfer(struct tftp_sm *sm, const struct tftp_pkt *pkt, int64_t now,
                        struct tftp_actions *to)
{
    if (sm->p.sender && pkt->op == TFTP_ACK) {
        sender_ack(sm, pkt, now, to);
    } else if (!sm->p.sender && pkt->op == TFTP_DATA) {
        receiver_data(sm, pkt, now, to);
    } else if (pkt->op == TFTP_OACK && sm->p.client) {
        sm->counts.duplicates++;
        if (!sm->p.sender && sm->received == 0)
            ack_again(sm, to, now); /* our ACK 0 is lost */
    } else if (pkt->op == TFTP_RRQ || pkt->op == TFTP_WRQ) {
        sm->counts.duplicates++;
    } else {
        sm->counts.stray++;
    }
}

/* An ERROR is never answered. One that comes after all was done and said changes nothing. */
static void peer_error(struct tftp_sm *sm, const struct tftp_pkt *pkt, struct tftp_actions *to)
{
    if (sm->state == TFTP_S_LINGER) {
        sm->state = TFTP_S_DONE;
        sm->deadline = INT64_MAX;
    } else if (sm->state != TFTP_S_COMMIT) {
        sm->peer_code = pkt->code;
        fail(sm, to, TFTP_R_PEER);
    }
}

/* ---- the door ---- */

static unsigned window_of(unsigned asked)
{
    return asked < 1 ? 1 : asked > TFTP_WINDOW_MAX ? TFTP_WINDOW_MAX : asked;
}

void tftp_sm_init(struct tftp_sm *sm, const struct tftp_params *p, int64_t now)
{
    memset(sm, 0, sizeof *sm);
    sm->p = *p;
    sm->p.window = window_of(p->window);
    sm->p.give_up = clamp(p->give_up, 0, TIME_MAX);
    sm->p.fixed_rto = clamp(p->fixed_rto, 0, TIME_MAX);
    sm->state = p->client ? TFTP_S_REQUEST : p->oack ? TFTP_S_OFFER : TFTP_S_TRANSFER;
    sm->burst = sm->p.window;
    sm->unheard = p->unheard;
    sm->next = 1;
    sm->gap_acked = NEVER;
    sm->rto = base_rto(sm);
    sm->deadline = INT64_MAX;
    sm->progress_at = now;
    stop_timing(sm);
}

void tftp_sm_begin(struct tftp_sm *sm, int64_t now, struct tftp_actions *ret)
{
    begin_actions(ret);
    if (sm->state == TFTP_S_TRANSFER && sm->p.sender) {
        begin_sending(sm, ret, now);
    } else if (sm->state == TFTP_S_TRANSFER) {
        ack_zero(sm, ret, now);
    } else {
        send_control(sm, ret, sm->p.client ? TFTP_DO_REQUEST : TFTP_DO_OACK);
        start_timing(sm, 0, now);
        wait_rto(sm, now);
    }
}

void tftp_sm_agree(struct tftp_sm *sm, unsigned blksize, unsigned window, int64_t fixed_rto)
{
    if (sm->state != TFTP_S_REQUEST)
        return;
    sm->p.blksize = blksize;
    sm->p.window = window_of(window);
    sm->p.fixed_rto = clamp(fixed_rto, 0, TIME_MAX);
    sm->burst = sm->p.window;
}

void tftp_sm_packet(struct tftp_sm *sm, const struct tftp_pkt *pkt, int64_t now,
                    struct tftp_actions *ret)
{
    begin_actions(ret);
    if (tftp_sm_over(sm))
        return;
    sm->counts.received++;
    if (pkt->op == TFTP_ERROR) {
        peer_error(sm, pkt, ret);
        return;
    }
    switch (sm->state) {
    case TFTP_S_REQUEST:
        in_request(sm, pkt, now, ret);
        break;
    case TFTP_S_OFFER:
        in_offer(sm, pkt, now, ret);
        break;
    case TFTP_S_TRANSFER:
        in_transfer(sm, pkt, now, ret);
        break;
    case TFTP_S_LINGER:
        if (pkt->op == TFTP_DATA)
            linger_data(sm, pkt, now, ret);
        break;
    case TFTP_S_COMMIT:
    case TFTP_S_DONE:
    case TFTP_S_FAILED:
        break;
    }
}

void tftp_sm_asked_again(struct tftp_sm *sm, unsigned times)
{
    if (is_unheard(sm))
        sm->unheard += times;
}

static void time_out(struct tftp_sm *sm, int64_t now, struct tftp_actions *to)
{
    if (tftp_sm_is_silent(sm)) {
        wait_rto(sm, now); /* nothing more for an address that may be a victim's */
        return;
    }
    sm->unheard -= is_unheard(sm);
    sm->counts.timeouts++;
    back_off(sm);
    if (sm->state == TFTP_S_REQUEST) {
        send_again(sm, to, TFTP_DO_REQUEST, now);
    } else if (sm->state == TFTP_S_OFFER) {
        send_again(sm, to, TFTP_DO_OACK, now);
    } else if (sm->p.sender) {
        go_back(sm, now);
        send_data(sm, to, now);
    } else {
        ack_again(sm, to, now);
    }
}

void tftp_sm_tick(struct tftp_sm *sm, int64_t now, struct tftp_actions *ret)
{
    begin_actions(ret);
    if (now < tftp_sm_deadline(sm))
        return;
    if (sm->state == TFTP_S_LINGER) {
        sm->state = TFTP_S_DONE;
        sm->deadline = INT64_MAX;
    } else if (now - sm->progress_at >= patience(sm)) {
        fail(sm, ret, all_sent(sm) ? TFTP_R_UNCONFIRMED : TFTP_R_TIMEOUT);
    } else if (sm->state == TFTP_S_TRANSFER && sm->p.sender && sm->next <= limit(sm)) {
        send_data(sm, ret, now);
    } else {
        time_out(sm, now, ret);
    }
}

int64_t tftp_sm_deadline(const struct tftp_sm *sm)
{
    int64_t end = sm->progress_at + patience(sm);

    if (sm->state > TFTP_S_TRANSFER)
        return sm->deadline;
    return sm->deadline < end ? sm->deadline : end;
}

void tftp_sm_last(struct tftp_sm *sm, uint64_t block)
{
    if (sm->last != 0 || !sm->p.sender || block <= sm->acked || block > sm->sent)
        return;
    sm->last = block;
    sm->counts.sent -= sm->sent - block;
    sm->counts.data_sent -= sm->sent - block;
    sm->sent = block;
    sm->next = block + 1;
    if (sm->timed_at < 0 || sm->timed_block > block)
        start_timing(sm, block, sm->sent_at);
    wait_rto(sm, sm->sent_at); /* no further burst */
}

void tftp_sm_committed(struct tftp_sm *sm, int64_t now, struct tftp_actions *ret)
{
    begin_actions(ret);
    if (sm->state != TFTP_S_COMMIT)
        return;
    send_ack(sm, ret, sm->last);
    act(ret, TFTP_DO_DONE);
    sm->state = TFTP_S_LINGER;
    sm->linger_end = now + (sm->p.client ? TFTP_LINGER_CLIENT : TFTP_LINGER_MAX);
    wait_linger(sm, now);
}

void tftp_sm_abort(struct tftp_sm *sm, enum tftp_error code, const char *text,
                   struct tftp_actions *ret)
{
    begin_actions(ret);
    if (tftp_sm_over(sm))
        return;
    if (sm->state == TFTP_S_LINGER) {
        sm->state = TFTP_S_DONE;
        sm->deadline = INT64_MAX;
        return;
    }
    if (sm->state != TFTP_S_REQUEST)
        send_error(sm, ret, code, text);
    fail(sm, ret, TFTP_R_LOCAL);
}

void tftp_sm_refuse(struct tftp_sm *sm, enum tftp_error code, const char *text,
                    struct tftp_actions *ret)
{
    begin_actions(ret);
    if (tftp_sm_over(sm) || sm->state == TFTP_S_LINGER)
        return;
    sm->counts.received++;
    send_error(sm, ret, code, text);
    fail(sm, ret, TFTP_R_PROTOCOL);
}

void tftp_sm_unreachable(struct tftp_sm *sm, struct tftp_actions *ret)
{
    begin_actions(ret);
    if (tftp_sm_over(sm))
        return;
    if (sm->state == TFTP_S_LINGER) {
        sm->state = TFTP_S_DONE;
        sm->deadline = INT64_MAX;
    } else {
        fail(sm, ret, all_sent(sm) ? TFTP_R_UNCONFIRMED : TFTP_R_UNREACHABLE);
    }
}
