#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prng.h"
#include "sim.h"

#define STEPS_MAX UINT64_C(20000000)

/* ---- packets ---- */

struct sim_packet *packet_new(const void *bytes, size_t len, bool to_listener)
{
    struct sim_packet *p = malloc(sizeof *p + len);

    if (!p)
        abort();
    *p = (struct sim_packet){.refs = 1, .to_listener = to_listener, .len = (uint32_t)len};
    memcpy(p->bytes, bytes, len);
    return p;
}

void packet_drop(struct sim_packet *p)
{
    if (--p->refs == 0)
        free(p);
}

/* ---- what golden traces do ---- */

static bool rule_fits(const struct sim_rule *r, unsigned side, const char *text)
{
    size_t n = strlen(r->packet);

    return !r->used && r->side == side && strncmp(text, r->packet, n) == 0 &&
           (text[n] == '\0' || text[n] == ' ');
}

static struct sim_rule *rule_for(struct world *w, unsigned side, const void *bytes, size_t len)
{
    char text[512];

    if (w->n_rules == 0)
        return NULL;
    packet_text(bytes, len, text, sizeof text);
    for (unsigned i = 0; i < w->n_rules; i++)
        if (rule_fits(&w->rules[i], side, text)) {
            w->rules[i].used = true;
            return &w->rules[i];
        }
    return NULL;
}

void world_inject(struct world *w, int64_t at, unsigned to, struct sim_packet *p)
{
    if (w->n_injects == SIM_INJECTS)
        abort();
    w->injects[w->n_injects++] = (struct sim_inject){at, to, p};
}

static struct sim_inject *next_inject(struct world *w)
{
    struct sim_inject *first = NULL;

    for (unsigned i = 0; i < w->n_injects; i++)
        if (!first || w->injects[i].at < first->at)
            first = &w->injects[i];
    return first;
}

/* ---- sending ---- */

static void push(struct world *w, unsigned side, struct sim_packet *p, const char **fate)
{
    uint64_t twice = w->link[side].counts.duplicated;

    switch (linkq_push(&w->link[side], p, p->len, w->now)) {
    case LINKQ_SENT:
        p->refs++;
        if (w->link[side].counts.duplicated != twice)
            *fate = "  (twice)";
        return;
    case LINKQ_DROP_QUEUE:
        *fate = "  (queue full)";
        return;
    case LINKQ_DROP_LOSS:
        *fate = "  (lost)";
        return;
    case LINKQ_DROP_FULL:
        w->broken = "more packets on their way than slots";
        return;
    }
}

void world_send(struct world *w, unsigned side, const void *bytes, size_t len, bool to_listener)
{
    struct sim_rule *rule = rule_for(w, side, bytes, len);
    struct sim_packet *p = packet_new(bytes, len, to_listener);
    const char *fate = "";
    char text[512];

    if (rule && rule->what == RULE_LOSE) {
        fate = "  (lost)";
    } else if (rule && rule->what == RULE_HOLD) {
        fate = "  (held)";
        p->refs++;
        world_inject(w, w->now + rule->hold, !side, p);
    } else {
        push(w, side, p, &fate);
        if (rule)
            push(w, side, p, &fate);
        if (rule)
            fate = "  (twice)";
    }
    if (w->trace) {
        packet_text(bytes, len, text, sizeof text);
        trace_line(w, side, "sends %s%s", text, fate);
    }
    packet_drop(p);
}

/* ---- arriving ---- */

static void deliver(struct world *w, unsigned to, struct sim_packet *p)
{
    char text[512];

    if (w->trace) {
        packet_text(p->bytes, p->len, text, sizeof text);
        trace_line(w, to, "  gets %s%s", text, node_over(&w->node[to]) ? "  (over)" : "");
    }
    node_packet(&w->node[to], p->bytes, p->len, p->to_listener);
}

/* A flipped bit: a checksum finds it, unless somebody has fixed that. */
static void deliver_flipped(struct world *w, unsigned to, const struct sim_packet *p,
                            const struct linkq_packet *got)
{
    if (!got->fix_checksum) {
        trace_line(w, to, "  gets a packet with a wrong checksum");
        return;
    }

    struct sim_packet *flipped = packet_new(p->bytes, p->len, p->to_listener);

    flipped->bytes[got->flip / 8] ^= (uint8_t)(1 << got->flip % 8);
    trace_line(w, to, "  (bit %d flipped)", (int)got->flip);
    deliver(w, to, flipped);
    packet_drop(flipped);
}

static bool arrive(struct world *w, unsigned side)
{
    struct linkq_packet got;

    if (!linkq_pop(&w->link[side], w->now, &got))
        return false;

    struct sim_packet *p = got.handle;

    p->refs += got.more;
    if (got.flip >= 0)
        deliver_flipped(w, !side, p, &got);
    else
        deliver(w, !side, p);
    packet_drop(p);
    return true;
}

static bool arrive_injected(struct world *w)
{
    struct sim_inject *i = next_inject(w);

    if (!i || i->at > w->now)
        return false;

    struct sim_inject it = *i;

    *i = w->injects[--w->n_injects];
    deliver(w, it.to, it.packet);
    packet_drop(it.packet);
    return true;
}

/* ---- the loop ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_event(struct world *w)
{
    struct sim_inject *i = next_inject(w);
    int64_t at = earlier(linkq_next(&w->link[0]), linkq_next(&w->link[1]));

    at = earlier(at, i ? i->at : INT64_MAX);
    return earlier(at, earlier(node_deadline(&w->node[0]), node_deadline(&w->node[1])));
}

static void step(struct world *w)
{
    if (arrive_injected(w) || arrive(w, SIM_CLIENT) || arrive(w, SIM_SERVER))
        return;
    for (unsigned side = 0; side < 2; side++)
        if (node_deadline(&w->node[side]) <= w->now) {
            node_tick(&w->node[side]);
            return;
        }
}

void world_run(struct world *w)
{
    node_start(&w->node[SIM_CLIENT]);
    while (!w->broken) {
        int64_t at = next_event(w);

        if (at == INT64_MAX)
            break;
        if (at > w->now)
            w->now = at;
        step(w);
        if (++w->steps > STEPS_MAX)
            w->broken = "no end";
    }
}

void world_init(struct world *w, const struct scenario *sc, struct text *trace)
{
    memset(w, 0, sizeof *w);
    w->sc = sc;
    w->trace = trace;
    w->content = prng_content(sc->seed, sc->size);
    prng_digest(w->content, sc->size, w->digest);
    for (unsigned side = 0; side < 2; side++) {
        w->slots[side] = malloc(SIM_SLOTS * sizeof *w->slots[side]);
        if (!w->slots[side])
            abort();
        linkq_init(&w->link[side], &sc->link[side], w->slots[side], SIM_SLOTS);
        node_init(&w->node[side], w, side);
    }
}

void world_free(struct world *w)
{
    for (unsigned side = 0; side < 2; side++) {
        struct linkq_packet left;

        while (linkq_pop(&w->link[side], INT64_MAX, &left)) {
            struct sim_packet *p = left.handle;

            p->refs += left.more;
            packet_drop(p);
        }
        free(w->slots[side]);
        node_free(&w->node[side]);
    }
    while (w->n_injects > 0)
        packet_drop(w->injects[--w->n_injects].packet);
}
