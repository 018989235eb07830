#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "prng.h"
#include "sim.h"

#define CONTROL_MAX 1024
#define TARGET_SLACK (2 * TFTP_BLKSIZE_MAX)
#define DATAGRAM_MAX (TFTP_HEADER + TFTP_BLKSIZE_MAX)

static void perform(struct node *n, const struct tftp_actions *actions);

static bool is_client(const struct node *n)
{
    return n->side == SIM_CLIENT;
}

bool node_sends(const struct node *n)
{
    return n->w->sc->write == is_client(n);
}

bool node_over(const struct node *n)
{
    if (n->idle)
        return false;
    return n->crude ? n->deadline == INT64_MAX : tftp_sm_over(&n->sm);
}

void node_finish(struct node *n, enum sim_result result)
{
    const struct node *other = &n->w->node[!n->side];

    n->result = result;
    n->result_at = n->w->now;
    trace_line(n->w, n->side, "%s", result == SIM_DONE ? "is done" : "has failed");
    /* An ACK that somebody forged says what it likes. */
    if (result == SIM_DONE && node_sends(n) && other->result != SIM_DONE &&
        !sim_fixes_checksums(n->w->sc))
        n->w->broken = "the sender reports success before the receiver has it";
}

/* ---- actions ---- */

static void send_out(struct node *n, const void *bytes, size_t len, bool to_listener)
{
    n->packets_sent++;
    world_send(n->w, n->side, bytes, len, to_listener);
}

static void send_control(struct node *n, bool to_listener)
{
    send_out(n, n->control, n->control_len, to_listener);
}

static void send_ack(struct node *n, uint64_t block)
{
    uint8_t ack[TFTP_HEADER];

    send_out(n, ack, tftp_put_ack(ack, sizeof ack, (uint16_t)block), false);
}

static void send_error(struct node *n, enum tftp_error code, const char *text)
{
    uint8_t error[256];

    send_out(n, error, tftp_put_error(error, sizeof error, code, text), false);
}

/* Sends one block; false when it was the last. */
static bool send_block(struct node *n, unsigned blksize, uint64_t block)
{
    static uint8_t datagram[DATAGRAM_MAX];
    uint64_t offset = (block - 1) * blksize;
    size_t len = n->size - offset < blksize ? n->size - offset : blksize;

    if (offset > n->size)
        abort();
    tftp_put_data_header(datagram, sizeof datagram, (uint16_t)block);
    memcpy(datagram + TFTP_HEADER, n->source + offset, len);
    n->data_sent++;
    send_out(n, datagram, TFTP_HEADER + len, false);
    return len == blksize;
}

static void send_blocks(struct node *n, uint64_t block, unsigned count)
{
    for (uint64_t end = block + count; block < end; block++)
        if (!send_block(n, n->sm.p.blksize, block)) {
            tftp_sm_last(&n->sm, block);
            return;
        }
}

static void write_block(struct node *n, unsigned blksize, uint64_t block)
{
    uint64_t offset = (block - 1) * blksize;

    if (block != n->written + 1)
        n->w->broken = "a block is written out of order";
    if (offset + n->at_hand->len > n->w->sc->size + TARGET_SLACK)
        abort(); /* more than one block too many cannot be in order */
    memcpy(n->target + offset, n->at_hand->data, n->at_hand->len);
    n->written = block;
    n->size = offset + n->at_hand->len;
}

static void commit(struct node *n)
{
    struct tftp_actions then;
    uint8_t digest[32];

    prng_digest(n->target, n->size, digest);
    if (n->has_digest && memcmp(digest, n->digest, sizeof digest) != 0) {
        tftp_sm_abort(&n->sm, TFTP_E_UNDEFINED, "digest does not match", &then);
    } else {
        n->verified = n->has_digest;
        tftp_sm_committed(&n->sm, n->w->now, &then);
    }
    perform(n, &then);
}

static void perform(struct node *n, const struct tftp_actions *actions)
{
    for (unsigned i = 0; i < actions->n; i++) {
        const struct tftp_action *a = &actions->a[i];

        switch (a->what) {
        case TFTP_DO_REQUEST:
            send_control(n, true);
            break;
        case TFTP_DO_OACK:
            send_control(n, false);
            break;
        case TFTP_DO_DATA:
            send_blocks(n, a->block, a->count);
            break;
        case TFTP_DO_ACK:
            send_ack(n, a->block);
            break;
        case TFTP_DO_WRITE:
            write_block(n, n->sm.p.blksize, a->block);
            break;
        case TFTP_DO_COMMIT:
            commit(n);
            break;
        case TFTP_DO_ERROR:
            send_error(n, a->code, a->text);
            break;
        case TFTP_DO_DONE:
            node_finish(n, SIM_DONE);
            break;
        case TFTP_DO_FAIL:
            node_finish(n, SIM_FAILED);
            break;
        }
    }
}

/* ---- the client ---- */

static void ask_for(struct node *n)
{
    const struct scenario *sc = n->w->sc;
    struct tftp_opts *o = &n->asked;

    tftp_opts_init(o);
    if (sc->no_options || n->fell_back)
        return;
    o->have = TFTP_O_TSIZE | TFTP_O_SHA256;
    o->have |= sc->blksize != TFTP_BLKSIZE_DEFAULT ? TFTP_O_BLKSIZE : 0;
    o->have |= sc->window > 1 ? TFTP_O_WINDOW : 0;
    o->have |= sc->timeout > 0 ? TFTP_O_TIMEOUT : 0;
    o->have |= sc->discard ? TFTP_O_DISCARD : 0;
    o->blksize = sc->blksize;
    o->window = sc->window;
    o->timeout = sc->timeout;
    o->tsize = sc->write ? sc->size : 0;
    o->sha_kind = sc->write ? TFTP_SHA_KNOWN : TFTP_SHA_ASK;
    memcpy(o->sha256, n->w->digest, sizeof o->sha256);
}

void node_start(struct node *n)
{
    const struct scenario *sc = n->w->sc;
    struct tftp_params p = {.sender = sc->write,
                            .client = true,
                            .blksize = TFTP_BLKSIZE_DEFAULT,
                            .window = 1,
                            .give_up = sc->give_up};
    struct tftp_actions first;
    size_t len;

    ask_for(n);
    len = tftp_put_request(n->control, CONTROL_MAX, sc->write ? TFTP_WRQ : TFTP_RRQ, "file",
                           TFTP_OCTET);
    n->control_len = tftp_opts_put(&n->asked, n->control, len, CONTROL_MAX);
    n->packets_sent = 0;
    tftp_opts_init(&n->agreed);
    tftp_sm_init(&n->sm, &p, n->w->now);
    n->idle = false;
    if (n->crude) {
        crude_start(n);
        return;
    }
    tftp_sm_begin(&n->sm, n->w->now, &first);
    perform(n, &first);
}

/* What a client asked for that it does not go on without, if `have` is granted; else NULL. */
static const char *missed(const struct node *n, unsigned have)
{
    if (sim_fixes_checksums(n->w->sc) && !(have & TFTP_O_SHA256))
        return "no digest";
    return n->w->sc->discard && !(have & TFTP_O_DISCARD) ? "no discard" : NULL;
}

/* Whether the OACK can be accepted; if not, it is over. */
static bool take_answer(struct node *n, const struct tftp_pkt *pkt)
{
    struct tftp_actions then;
    const char *why = NULL;

    if (n->sm.state != TFTP_S_REQUEST)
        return true;
    if (tftp_opts_answer(pkt, &n->asked, &n->agreed, &why) == 0) {
        n->has_digest = !n->w->sc->write && n->agreed.have & TFTP_O_SHA256;
        memcpy(n->digest, n->agreed.sha256, sizeof n->digest);
        why = missed(n, n->agreed.have);
        if (!why) {
            tftp_sm_agree(&n->sm, n->agreed.blksize, n->agreed.window,
                          n->agreed.timeout * 1000 * SIM_MS);
            return true;
        }
    }
    tftp_sm_refuse(&n->sm, TFTP_E_OPTION, why, &then);
    perform(n, &then);
    return false;
}

/* Options were refused: once more without. */
static bool falls_back(struct node *n, const struct tftp_pkt *pkt)
{
    if (pkt->op != TFTP_ERROR || pkt->code != TFTP_E_OPTION || n->fell_back ||
        n->sm.state != TFTP_S_REQUEST || missed(n, 0))
        return false;
    n->fell_back = true;
    node_start(n);
    return true;
}

static void client_packet(struct node *n, const struct tftp_pkt *pkt)
{
    struct tftp_actions then;
    bool answered = n->sm.state != TFTP_S_REQUEST || pkt->op == TFTP_OACK;
    const char *why = answered ? NULL : missed(n, 0);

    if (falls_back(n, pkt) || (pkt->op == TFTP_OACK && !take_answer(n, pkt)))
        return;
    if (why && pkt->op != TFTP_ERROR) {
        tftp_sm_refuse(&n->sm, TFTP_E_OPTION, why, &then);
        perform(n, &then);
        return;
    }
    tftp_sm_packet(&n->sm, pkt, n->w->now, &then);
    perform(n, &then);
}

/* ---- the server ---- */

static void agree(struct node *n, const struct tftp_pkt *pkt)
{
    const struct scenario *sc = n->w->sc;
    struct tftp_opts *o = &n->agreed;

    if (sc->peer == SIM_PLAIN)
        tftp_opts_init(o);
    else
        tftp_opts_request(pkt->options, sc->write, pkt->mode == TFTP_NETASCII, o);
    if (sc->write) {
        n->has_digest = o->have & TFTP_O_SHA256;
        memcpy(n->digest, o->sha256, sizeof n->digest);
        return;
    }
    o->tsize = n->size;
    if (o->sha_kind == TFTP_SHA_ETAG)
        o->have &= ~(unsigned)TFTP_O_SHA256;
    o->sha_kind = TFTP_SHA_KNOWN;
    memcpy(o->sha256, n->w->digest, sizeof o->sha256);
}

static void serve(struct node *n, const struct tftp_pkt *pkt)
{
    struct tftp_actions first;

    agree(n, pkt);

    struct tftp_params p = {.sender = node_sends(n),
                            .oack = n->agreed.have != 0,
                            .blksize = n->agreed.blksize,
                            .window = n->agreed.window,
                            .fixed_rto = n->agreed.timeout * 1000 * SIM_MS,
                            .give_up = n->w->sc->give_up,
                            .unheard = TFTP_UNHEARD};

    n->control_len =
        tftp_opts_put(&n->agreed, n->control, tftp_put_oack(n->control, CONTROL_MAX), CONTROL_MAX);
    n->idle = false;
    n->packets_sent = 0; /* what was refused before is not the machine's */
    tftp_sm_init(&n->sm, &p, n->w->now);
    if (n->crude) {
        crude_start(n);
        return;
    }
    tftp_sm_begin(&n->sm, n->w->now, &first);
    perform(n, &first);
}

/* What comes to the known port. A request that comes again is left to the timer. */
static void listen_packet(struct node *n, const struct tftp_pkt *pkt)
{
    const struct scenario *sc = n->w->sc;

    if (pkt->op != TFTP_RRQ && pkt->op != TFTP_WRQ)
        return;
    if (!n->idle) {
        tftp_sm_asked_again(&n->sm, 1);
        return;
    }
    if (!pkt->mode_known || pkt->mode != TFTP_OCTET)
        send_error(n, TFTP_E_ILLEGAL, "unknown mode");
    else if (!tftp_text_is(pkt->file, "file"))
        send_error(n, TFTP_E_NOT_FOUND, "not found");
    else if (pkt->op != (sc->write ? TFTP_WRQ : TFTP_RRQ))
        send_error(n, TFTP_E_ACCESS, "not permitted");
    else if (sc->peer == SIM_REFUSES && pkt->options.n > 0)
        send_error(n, TFTP_E_OPTION, "no options here");
    else
        serve(n, pkt);
}

/* ---- both ---- */

void node_packet(struct node *n, const uint8_t *bytes, size_t len, bool to_listener)
{
    struct tftp_pkt pkt;
    struct tftp_actions then;

    if (tftp_decode(bytes, len, &pkt) < 0)
        return;
    n->at_hand = &pkt;
    if (to_listener) {
        listen_packet(n, &pkt);
    } else if (n->idle) {
        return;
    } else if (n->crude) {
        if (pkt.op != TFTP_OACK || !is_client(n) || take_answer(n, &pkt))
            crude_packet(n, &pkt);
    } else if (is_client(n)) {
        client_packet(n, &pkt);
    } else {
        tftp_sm_packet(&n->sm, &pkt, n->w->now, &then);
        perform(n, &then);
    }
    n->at_hand = NULL;
}

void node_tick(struct node *n)
{
    struct tftp_actions then;
    uint64_t timeouts = n->sm.counts.timeouts;

    if (n->crude) {
        crude_tick(n);
        return;
    }
    tftp_sm_tick(&n->sm, n->w->now, &then);
    if (n->sm.counts.timeouts != timeouts)
        trace_line(n->w, n->side, "times out");
    perform(n, &then);
}

int64_t node_deadline(const struct node *n)
{
    if (n->idle)
        return INT64_MAX;
    return n->crude ? n->deadline : tftp_sm_deadline(&n->sm);
}

void node_init(struct node *n, struct world *w, unsigned side)
{
    enum sim_peer peer = w->sc->peer;
    bool sends = w->sc->write == (side == SIM_CLIENT);

    n->w = w;
    n->side = side;
    n->idle = side == SIM_SERVER;
    n->crude = sends ? peer == SIM_CRUDE_SENDER : peer == SIM_CRUDE_RECEIVER;
    n->deadline = INT64_MAX;
    n->control = malloc(CONTROL_MAX);
    n->target = sends ? NULL : malloc(w->sc->size + TARGET_SLACK);
    if (!n->control || (!sends && !n->target))
        abort();
    n->source = sends ? w->content : NULL;
    n->size = sends ? w->sc->size : 0;
}

void node_free(struct node *n)
{
    free(n->control);
    free(n->target);
}
