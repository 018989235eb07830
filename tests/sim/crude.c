#include "config.h"

#include <string.h>

#include "sim.h"

#define WAIT (1000 * SIM_MS)
#define TRIES 60

static uint8_t ack_bytes[TFTP_HEADER];

static void out(struct node *n, const void *bytes, size_t len, bool to_listener)
{
    world_send(n->w, n->side, bytes, len, to_listener);
    n->deadline = n->w->now + WAIT;
}

static void out_ack(struct node *n)
{
    out(n, ack_bytes, tftp_put_ack(ack_bytes, sizeof ack_bytes, (uint16_t)n->block), false);
}

static size_t block_len(const struct node *n)
{
    uint64_t offset = (n->block - 1) * n->agreed.blksize;

    return n->size - offset < n->agreed.blksize ? n->size - offset : n->agreed.blksize;
}

static void out_block(struct node *n)
{
    static uint8_t datagram[TFTP_HEADER + TFTP_BLKSIZE_MAX];
    size_t len = block_len(n);

    tftp_put_data_header(datagram, sizeof datagram, (uint16_t)n->block);
    memcpy(datagram + TFTP_HEADER, n->source + (n->block - 1) * n->agreed.blksize, len);
    out(n, datagram, TFTP_HEADER + len, false);
}

static void over(struct node *n, enum sim_result result)
{
    node_finish(n, result);
    n->deadline = INT64_MAX;
}

/* The first packet, or again what was sent last. */
static void out_current(struct node *n)
{
    bool client = n->side == SIM_CLIENT, begun = n->sm.state != TFTP_S_REQUEST;

    if (client && !begun)
        out(n, n->control, n->control_len, true);
    else if (n->block == 0 && !client && n->agreed.have != 0)
        out(n, n->control, n->control_len, false);
    else if (node_sends(n))
        out_block(n);
    else
        out_ack(n);
}

void crude_start(struct node *n)
{
    if (n->side == SIM_SERVER && node_sends(n) && n->agreed.have == 0)
        n->block = 1;
    out_current(n);
}

static void sender_packet(struct node *n, const struct tftp_pkt *pkt)
{
    uint16_t acked = pkt->op == TFTP_OACK ? 0 : pkt->block;

    if (n->result != SIM_PENDING || (pkt->op != TFTP_ACK && pkt->op != TFTP_OACK))
        return;
    if (acked == (uint16_t)n->block) {
        if (n->block > 0 && block_len(n) < n->agreed.blksize) {
            over(n, SIM_DONE);
            return;
        }
        n->block++;
        n->tries = 0;
    } else if (acked != (uint16_t)(n->block - 1)) {
        return;
    }
    out_block(n); /* after a second ACK too: the Sorcerer's Apprentice */
}

static void receiver_packet(struct node *n, const struct tftp_pkt *pkt)
{
    if (pkt->op == TFTP_DATA && n->result == SIM_PENDING &&
        pkt->block == (uint16_t)(n->block + 1)) {
        n->block++;
        n->tries = 0;
        memcpy(n->target + (n->block - 1) * n->agreed.blksize, pkt->data, pkt->len);
        n->size += pkt->len;
        if (pkt->len < n->agreed.blksize)
            node_finish(n, SIM_DONE);
    }
    if (pkt->op == TFTP_DATA || pkt->op == TFTP_OACK)
        out_ack(n);
}

void crude_packet(struct node *n, const struct tftp_pkt *pkt)
{
    if (n->deadline == INT64_MAX)
        return;
    if (pkt->op == TFTP_ERROR && n->result == SIM_PENDING) {
        over(n, SIM_FAILED);
        return;
    }
    n->sm.state = TFTP_S_TRANSFER;
    if (node_sends(n))
        sender_packet(n, pkt);
    else
        receiver_packet(n, pkt);
}

void crude_tick(struct node *n)
{
    if (n->result != SIM_PENDING)
        n->deadline = INT64_MAX;
    else if (++n->tries > TRIES)
        over(n, SIM_FAILED);
    else
        out_current(n);
}
