#include "config.h"

#include <string.h>

#include "sim.h"

uint64_t sim_packets(const struct world *w)
{
    return w->link[0].counts.in_packets + w->link[1].counts.in_packets;
}

uint64_t sim_blocks(const struct world *w)
{
    unsigned blksize = w->node[SIM_CLIENT].sm.p.blksize;

    return w->sc->size / (w->node[SIM_CLIENT].crude ? w->sc->blksize : blksize) + 1;
}

uint64_t sim_events(const struct world *w)
{
    uint64_t events = 0;

    for (unsigned side = 0; side < 2; side++) {
        const struct linkq_counts *c = &w->link[side].counts;

        events += c->dropped_loss + c->dropped_queue + c->duplicated + c->reordered + c->corrupted;
    }
    return events;
}

static unsigned window_of(const struct world *w)
{
    const struct node *client = &w->node[SIM_CLIENT];

    return client->crude ? w->sc->window : client->sm.p.window;
}

/* What those who give up have tried before, again and again. */
static uint64_t last_tries(const struct world *w)
{
    uint64_t packets = 0;

    for (unsigned side = 0; side < 2; side++)
        if (w->node[side].result == SIM_FAILED)
            packets += (w->sc->window + 1) * (TFTP_TRIES + 8);
    return packets;
}

/* A window may take longer on a slow line than the first timeout, and goes out again. */
static uint64_t early_timeouts(const struct world *w)
{
    const struct node *n = w->node;

    return w->sc->class == SIM_NARROW ? n[0].sm.counts.timeouts + n[1].sm.counts.timeouts : 0;
}

double sim_storm(const struct world *w)
{
    const struct scenario *sc = w->sc;
    unsigned window = window_of(w);
    uint64_t quiet = sim_blocks(w) + sim_blocks(w) / window + 8 + last_tries(w);
    uint64_t packets = sim_packets(w), events = sim_events(w) + early_timeouts(w);

    if (sc->peer == SIM_CRUDE_SENDER || sc->peer == SIM_CRUDE_RECEIVER || packets <= quiet)
        return 0;
    return (double)(packets - quiet) / ((window + 1.0) * (events > 0 ? (double)events : 0.01));
}

static bool counts_agree(const struct node *n)
{
    if (n->idle || n->crude)
        return true;
    return n->sm.counts.sent == n->packets_sent && n->sm.counts.resent <= n->sm.counts.data_sent &&
           n->sm.counts.data_sent == n->data_sent;
}

/* In lock-step nothing but time sends a block again (RFC 1123, 4.2.3.1), however often its ACK
 * comes: else everything behind it is sent twice, which no bound on a storm of few packets sees. */
static bool is_apprentice(const struct node *n)
{
    if (n->idle || n->crude || n->sm.p.window > 1)
        return false;
    return n->data_sent > n->sm.sent + n->sm.counts.timeouts;
}

/* And each packet but the first answers one, or a silence. */
static bool multiplies(const struct node *n)
{
    if (n->idle || n->crude || n->sm.p.window > 1)
        return false;
    return n->packets_sent > 1 + n->sm.counts.received + n->sm.counts.timeouts;
}

/* Without loss a transfer is windows times the round trip, and no timer ever fires. */
static bool is_slow(const struct world *w)
{
    const struct scenario *sc = w->sc;
    uint64_t windows = (sim_blocks(w) + sc->window - 1) / sc->window;
    int64_t rtt = 2 * sc->link[0].delay;

    if (sc->class != SIM_CLEAN)
        return false;
    return w->node[SIM_CLIENT].sm.counts.timeouts + w->node[SIM_SERVER].sm.counts.timeouts > 0 ||
           w->node[SIM_CLIENT].result_at > (int64_t)(windows + 2) * rtt;
}

/* Each step forward takes less than the time to give up. */
static bool is_endless(const struct world *w)
{
    return w->now > (int64_t)(sim_blocks(w) + 4) * w->sc->give_up;
}

const char *sim_check(const struct world *w)
{
    const struct scenario *sc = w->sc;
    const struct node *client = &w->node[SIM_CLIENT], *server = &w->node[SIM_SERVER];
    const struct node *from = sc->write ? client : server, *to = sc->write ? server : client;
    bool unconfirmed = !from->crude && from->sm.reason == TFTP_R_UNCONFIRMED;

    if (w->broken)
        return w->broken;
    if (!node_over(client) || (!server->idle && !node_over(server)))
        return "a side hangs";
    if (is_endless(w))
        return "it takes too long";
    if (to->result == SIM_DONE &&
        (to->size != sc->size || memcmp(to->target, w->content, sc->size) != 0))
        return "the receiver has something else";
    if (client->result == SIM_PENDING || (!server->idle && server->result == SIM_PENDING))
        return "a side is over without a result";
    if (client->result == SIM_FAILED && !client->crude && client->sm.reason == TFTP_R_NONE)
        return "a failure without a reason";
    if (sim_must_succeed(sc) && to->result != SIM_DONE)
        return "the transfer failed";
    if (sim_must_succeed(sc) && from->result != SIM_DONE && !unconfirmed && !from->crude)
        return "the sender failed";
    if (!counts_agree(client) || !counts_agree(server))
        return "the machine counts what was not sent";
    if (is_apprentice(client) || is_apprentice(server))
        return "a block is sent again though no time was out";
    if (multiplies(client) || multiplies(server))
        return "one packet is answered by several";
    if (is_slow(w))
        return "it is slow though nothing was lost";
    return sim_storm(w) > SIM_STORM ? "a storm of packets" : NULL;
}
