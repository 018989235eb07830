#include "config.h"

#include <math.h>

#include "compare/json.h"
#include "compare/method.h"
#include "compare/spec.h"

static void set_count(json_t *o, const char *key, uint64_t v)
{
    json_object_set_new(o, key, json_integer((json_int_t)v));
}

static void set_real(json_t *o, const char *key, double v)
{
    json_object_set_new(o, key, isfinite(v) ? json_real(v) : json_null());
}

static void set_text(json_t *o, const char *key, const char *v)
{
    json_object_set_new(o, key, json_string(v));
}

static const char *outcome(enum compare_state state)
{
    static const char *const words[] = {[COMPARE_DONE] = "done",
                                        [COMPARE_FAILED] = "failed",
                                        [COMPARE_REFUSED] = "refused",
                                        [COMPARE_UNFINISHED] = "unfinished"};

    return words[state];
}

/* What was run: the same of a round and of a summary. */
static json_t *begin(const struct compare_result *r, const char *type, unsigned point,
                     unsigned method, enum compare_direction direction)
{
    json_t *o = json_pack("{s:i, s:s}", "schema", COMPARE_SCHEMA, "type", type);
    const struct compare_method *m = &r->spec->methods[method];
    char name[COMPARE_LABEL_MAX];

    compare_method_name(m, name);
    set_text(o, "method", name);
    set_text(o, "transport", m->transport == COMPARE_TCP ? "tcp" : "udp");
    set_text(o, "direction", direction == COMPARE_PUT ? "put" : "get");
    if (r->spec->sweep.n > 0) {
        set_text(o, "sweep_key", r->spec->sweep.key);
        set_text(o, "sweep_value", r->spec->sweep.values[point]);
    }
    return o;
}

static void set_state(json_t *o, enum compare_state state, const char *why)
{
    set_text(o, "outcome", outcome(state));
    if (why[0] != '\0')
        set_text(o, "message", why);
}

static json_t *way(const struct compare_counts *c)
{
    json_t *o = json_object();

    set_count(o, "packets", c->packets);
    set_count(o, "wire_bytes", c->bytes);
    set_count(o, "dropped_queue", c->dropped_queue);
    set_count(o, "dropped_loss", c->dropped_loss);
    set_count(o, "dropped_full", c->dropped_full);
    set_count(o, "duplicated", c->duplicated);
    set_count(o, "corrupted", c->corrupted);
    set_count(o, "reordered", c->reordered);
    return o;
}

static void set_agreed(json_t *o, const struct compare_method *m, const struct compare_round *round)
{
    if (m->transport == COMPARE_TCP) {
        if (round->congestion[0] != '\0')
            set_text(o, "congestion_control", round->congestion);
        set_count(o, "connections", m->streams);
    } else {
        set_count(o, "block_size_bytes", round->blksize);
        set_count(o, "window", round->window);
        if (!round->untold)
            set_count(o, "timeouts", round->timeouts);
    }
    if (round->rtt > 0)
        set_real(o, "rtt_seconds", round->rtt);
}

json_t *compare_json_round(const struct compare_result *r, const struct compare_round *round)
{
    json_t *o = begin(r, "round", round->point, round->method, round->direction);

    set_count(o, "round", round->number);
    set_count(o, "seed", r->spec->link.seed + round->number - 1);
    set_state(o, round->state, round->why);
    json_object_set_new(o, "verified", json_boolean(round->verified));
    set_count(o, "bytes", round->bytes);
    set_count(o, "size_bytes", round->size);
    set_real(o, "seconds", round->seconds);
    if (!round->untold)
        set_real(o, "cpu_seconds", round->cpu_seconds);
    if (!round->untold && (r->remote == NULL || round->direction == COMPARE_PUT))
        set_count(o, "retransmits", round->retransmits);
    set_agreed(o, &r->spec->methods[round->method], round);
    if (round->counted) {
        json_object_set_new(o, "doubtful", json_boolean(round->doubtful));
        json_object_set_new(o, "client_to_server", way(&round->way[0]));
        json_object_set_new(o, "server_to_client", way(&round->way[1]));
    }
    return o;
}

static json_t *asked_way(const struct compare_way *w)
{
    json_t *o = json_object();

    set_real(o, "rate_bits_per_second", w->rate > 0 ? (double)w->rate : NAN);
    set_real(o, "delay_seconds", w->delay);
    set_real(o, "jitter_seconds", w->jitter);
    set_real(o, "loss", w->loss);
    set_real(o, "duplicate", w->duplicate);
    set_real(o, "corrupt", w->corrupt);
    set_real(o, "reorder", w->reorder);
    if (w->queue > 0)
        set_count(o, "queue_bytes", w->queue);
    else
        json_object_set_new(o, "queue_bytes", json_null());
    return o;
}

/* What was asked of the link, so that figures can be read without the command that made them. */
static void set_link(json_t *o, const struct compare_result *r, unsigned point)
{
    struct compare_spec s;
    char why[COMPARE_WHY_MAX];
    json_t *link;

    if (r->spec->sweep.n == 0 && r->measured_rtt > 0)
        set_real(o, "measured_rtt_seconds", r->measured_rtt);
    if (!compare_spec_point(r->spec, point, &s, why) || !s.link.emulated)
        return;
    link = json_object();
    set_count(link, "mtu_bytes", s.link.mtu);
    json_object_set_new(link, "fix_checksums", json_boolean(s.link.fix_checksums));
    json_object_set_new(link, "client_to_server", asked_way(&s.link.way[0]));
    json_object_set_new(link, "server_to_client", asked_way(&s.link.way[1]));
    json_object_set_new(o, "link", link);
}

static void set_measured(json_t *o, const struct compare_row *row)
{
    set_real(o, "median_seconds", row->median);
    set_real(o, "min_seconds", row->min);
    set_real(o, "max_seconds", row->max);
    set_count(o, "bits_per_second", (uint64_t)row->bits_per_second);
    set_real(o, "link_share", row->share > 0 ? row->share : NAN);
    set_real(o, "ratio", row->ratio);
}

static void set_counted(json_t *o, const struct compare_row *row)
{
    if (!row->untold) {
        set_real(o, "cpu_seconds", row->cpu_seconds);
        if (!row->resent_unknown)
            set_count(o, "retransmits", row->retransmits);
        set_count(o, "timeouts", row->timeouts);
    }
    if (row->counted) {
        set_count(o, "packets", row->packets);
        set_count(o, "wire_bytes", row->wire_bytes);
        set_count(o, "dropped_loss", row->dropped_loss);
        set_count(o, "dropped_queue", row->dropped_queue);
    }
}

json_t *compare_json_summary(const struct compare_result *r, const struct compare_row *row)
{
    json_t *o = begin(r, "summary", row->point, row->method, row->direction);

    set_text(o, "label", row->label);
    set_count(o, "rounds", row->rounds);
    set_count(o, "rounds_failed", row->failed);
    set_count(o, "rounds_doubtful", row->doubtful);
    set_state(o, row->state, row->why);
    set_count(o, "bytes", row->bytes);
    set_count(o, "size_bytes", row->size);
    set_real(o, "theory_seconds", row->theory);
    set_link(o, r, row->point);
    if (row->state == COMPARE_DONE)
        set_measured(o, row);
    set_counted(o, row);
    return o;
}
