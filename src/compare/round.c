#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "compare/link.h"
#include "compare/method.h"
#include "compare/round.h"
#include "compare/spec.h"

static int aim_put(struct compare_run *run, struct trial *t, const char *target)
{
    char name[DATA_NAME_MAX];
    int err;

    snprintf(t->remote, sizeof t->remote, "%s", target);
    if (run->file != NULL && t->bytes == run->spec->size) {
        snprintf(t->local, sizeof t->local, "%s", run->file);
        return 0;
    }
    err = data_need(&run->data, t->bytes, t->limit, &run->place.watch, name);
    snprintf(t->local, sizeof t->local, "%s/%s", run->data.dir, name);
    return err;
}

/* The name that an upload has in the server's log. With a scheme, escapes are decoded. */
static void name_upload(const struct compare_run *run, char *out, size_t cap)
{
    const char *slash = run->file != NULL ? strrchr(run->file, '/') : NULL;
    const char *name = run->file == NULL ? "xfer-compare" : slash != NULL ? slash + 1 : run->file;
    bool escaped = strstr(run->remote, "://") != NULL;
    long n = escaped ? escape_percent(name, strlen(name), out, cap - 1) : -1;

    if (n >= 0)
        out[n] = '\0';
    else
        snprintf(out, cap, "%s", escaped ? "xfer-compare" : name);
}

/* A server that runs already: the directory that uploads are sent to, the file that is fetched. */
static int aim_remote(struct compare_run *run, struct trial *t)
{
    char target[sizeof t->remote], name[1024];

    if (t->direction == COMPARE_GET) {
        snprintf(t->remote, sizeof t->remote, "%s", run->remote);
        return 0;
    }
    name_upload(run, name, sizeof name);
    snprintf(target, sizeof target, "%s%s", run->remote, name);
    return aim_put(run, t, target);
}

/* On the link UDP has port 69, where Wireshark looks for TFTP. */
static int aim_own(struct compare_run *run, struct trial *t)
{
    bool udp = t->method.transport == COMPARE_UDP;
    char name[DATA_NAME_MAX] = "data", address[64];
    int err = t->direction == COMPARE_GET
                  ? data_need(&run->data, t->bytes, t->limit, &run->place.watch, name)
                  : 0;

    if (err < 0)
        return err;
    snprintf(t->dir, sizeof t->dir, "%s", run->data.dir);
    if (run->place.kind == PLACE_LINK)
        snprintf(t->listen, sizeof t->listen, "%s:%d", LINK_SERVER_ADDRESS, udp ? 69 : XFER_PORT);
    else
        snprintf(t->listen, sizeof t->listen, "127.0.0.1:0");
    snprintf(address, sizeof address, "%.*s:%%u/%s", (int)strcspn(t->listen, ":"), t->listen, name);
    if (t->direction == COMPARE_PUT)
        return aim_put(run, t, address);
    snprintf(t->remote, sizeof t->remote, "%s", address);
    return 0;
}

static int prepare(struct compare_run *run, const struct compare_round *round, double limit)
{
    struct trial *t = run->trial;

    memset(t, 0, sizeof *t);
    t->method = run->point.methods[round->method];
    t->direction = round->direction;
    t->bytes = round->bytes;
    t->limit = limit;
    t->stop = run->stop;
    t->family = run->family;
    if (run->bind != NULL)
        snprintf(t->bind, sizeof t->bind, "%s", run->bind);
    return run->remote != NULL ? aim_remote(run, t) : aim_own(run, t);
}

static void take_counts(struct compare_round *round, const struct place_facts *f)
{
    round->counted = f->counted;
    for (int i = 0; i < 2 && f->counted; i++) {
        const struct link_counts *c = &f->stats.path[i];

        round->way[i] = (struct compare_counts){.packets = c->in_packets,
                                                .bytes = c->in_bytes,
                                                .dropped_queue = c->dropped_queue,
                                                .dropped_loss = c->dropped_loss,
                                                .dropped_full = c->dropped_pool,
                                                .duplicated = c->duplicated,
                                                .corrupted = c->corrupted,
                                                .reordered = c->reordered};
    }
}

/* Of the first round of a method, but not of the warm-up, which has number 0. */
static struct compare_trace *trace_of(struct compare_run *run, const struct compare_round *round)
{
    bool put = run->spec->direction != COMPARE_GET &&
               compare_spec_refusal(&run->point.methods[round->method], COMPARE_PUT) == NULL;
    bool first = round->point == 0 && round->number == 1 &&
                 round->direction == (put ? COMPARE_PUT : COMPARE_GET);

    return run->traces != NULL && first ? &run->traces[round->method] : NULL;
}

static void add_ladder(struct compare_run *run, const struct compare_round *round)
{
    const struct compare_trace *t = trace_of(run, round);
    struct compare_ladder *l = &run->ladders[run->n_ladders];

    if (t == NULL || t->n == 0)
        return;
    compare_method_label(&run->point.methods[round->method], round->congestion, l->label);
    l->packets = t->packets;
    l->n = t->n;
    l->more = t->more;
    run->n_ladders++;
}

static int no_transfer(struct compare_run *run, int err, const struct link_problem *p)
{
    if (run->why[0] == '\0') {
        snprintf(run->why, sizeof run->why, "%s", p->why);
        snprintf(run->remedy, sizeof run->remedy, "%s", p->remedy);
        run->no_link = p->why[0] != '\0';
    }
    return run_fail(run, err, "transfer");
}

int round_none(struct compare_round *round, int err, const char *why)
{
    bool cut = err == -XFER_ECANCELED || err == -XFER_EDEADLINE;

    round->state = cut ? COMPARE_UNFINISHED : COMPARE_FAILED;
    round->bytes = 0;
    round->untold = true;
    snprintf(round->why, sizeof round->why, "%.*s", (int)sizeof round->why - 1,
             err == -XFER_ECANCELED ? "interrupted" : why);
    return xfer_exit_status(err);
}

static int no_data(const struct compare_run *run, struct compare_round *round, int err)
{
    char why[COMPARE_WHY_MAX];

    snprintf(why, sizeof why, "the bytes to move: %s%s%.100s", xfer_strerror(err),
             err == -ENOSPC ? ": " : "", err == -ENOSPC ? run->data.dir : "");
    return round_none(round, err, why);
}

int round_run(struct compare_run *run, struct compare_round *round, double limit, int *status)
{
    double until = process_now() + limit;
    char label[COMPARE_LABEL_MAX], name[COMPARE_LABEL_MAX + 40];
    struct place_facts facts;
    int err = prepare(run, round, limit);

    if (err < 0) {
        *status = no_data(run, round, err);
        return 0;
    }
    run->trial->limit = until - process_now();
    compare_method_name(&run->trial->method, label);
    snprintf(name, sizeof name, "%s %s, round %u", label,
             round->direction == COMPARE_PUT ? "put" : "get", round->number);
    err = place_run(&run->place, run->trial, run->point.link.seed + round->number - 1, name, &facts,
                    trace_of(run, round));
    if (err < 0)
        return no_transfer(run, err, &facts.problem);
    *status = xfer_exit_status(trial_result(run->trial, round));
    add_ladder(run, round);
    take_counts(round, &facts);
    if (facts.capture_err < 0 && run->capture_err == 0)
        run->capture_err = facts.capture_err;
    round->doubtful = facts.doubt != NULL;
    if (facts.doubt != NULL && run->doubt[0] == '\0')
        snprintf(run->doubt, sizeof run->doubt, "%s: %s", name, facts.doubt);
    return 0;
}
