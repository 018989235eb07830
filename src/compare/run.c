#include "config.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/escape.h"
#include "compare/link.h"
#include "compare/method.h"
#include "compare/plan.h"
#include "compare/row.h"
#include "compare/run.h"
#include "compare/spec.h"

#define MARGIN 1.0 /* s, for what comes after the last transfer */
#define LEAST 1.0  /* s that a transfer gets however late it is */
#define SHARE 0.85 /* of the time may be planned for: chance takes its part, and so do programs */
#define SHARE_ELSEWHERE 0.6 /* there nobody knows rate and loss beforehand */
#define SILENCE_MIN 3.0     /* s without any answer until a transport is given up */
#define SILENCE_MAX 10.0
#define PER_TRIAL 0.1
#define TRIPS 4      /* round trips of a trial that theory does not count: asking, ending */
#define WARM_UP 1000 /* bytes: less than a block */

/* One point of the sweep at work. */
struct turn_state {
    struct compare_plan plan;
    double until; /* since begun */
    struct {
        double last; /* seconds that a round took, or should take */
        unsigned tried;
        bool over; /* more of it would tell nothing new */
    } methods[COMPARE_METHODS_MAX];
};

static double elapsed(const struct compare_run *run)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec - run->begun;
}

static int fail(struct compare_run *run, int err, const char *what)
{
    if (run->why[0] == '\0')
        snprintf(run->why, sizeof run->why, "%s: %s", what, xfer_strerror(err));
    run->status = xfer_exit_status(err);
    return -1;
}

/* ---- one trial ---- */

static int aim_put(struct compare_run *run, struct trial *t, const char *target)
{
    char name[DATA_NAME_MAX];
    int err;

    snprintf(t->remote, sizeof t->remote, "%s", target);
    if (run->file != NULL && t->bytes == run->spec->size) {
        snprintf(t->local, sizeof t->local, "%s", run->file);
        return 0;
    }
    err = data_need(&run->data, t->bytes, name);
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
    int err = t->direction == COMPARE_GET ? data_need(&run->data, t->bytes, name) : 0;

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

/* round: point, method, number, direction and bytes are set. */
static int run_trial(struct compare_run *run, struct compare_round *round, double limit)
{
    char label[COMPARE_LABEL_MAX], name[COMPARE_LABEL_MAX + 40];
    struct place_facts facts;
    int err = prepare(run, round, limit);

    if (err < 0)
        return fail(run, err, run->data.dir);
    compare_method_name(&run->trial->method, label);
    snprintf(name, sizeof name, "%s %s, round %u", label,
             round->direction == COMPARE_PUT ? "put" : "get", round->number);
    err = place_run(&run->place, run->trial, run->point.link.seed + round->number - 1, name, &facts,
                    trace_of(run, round));
    if (err < 0)
        return fail(run, err, "transfer");
    trial_result(run->trial, round);
    add_ladder(run, round);
    take_counts(round, &facts);
    if (facts.doubt != NULL && run->doubt[0] == '\0')
        snprintf(run->doubt, sizeof run->doubt, "%s: %s", name, facts.doubt);
    return 0;
}

/* ---- what comes before the rounds of a point ---- */

/* Of a first transfer: little, but what is fetched from elsewhere is fetched whole. */
static uint64_t warm_up_bytes(const struct compare_run *run)
{
    bool all = run->remote != NULL && run->point.direction == COMPARE_GET;

    return all || run->point.size < WARM_UP ? run->point.size : WARM_UP;
}

static double warm_up_limit(const struct compare_run *run)
{
    double max_time = run->spec->max_time;

    return fmin(fmin(fmax(max_time / 6, SILENCE_MIN), SILENCE_MAX), max_time / 3);
}

/* One transfer of each transport: the first finds cold caches, and the kernel without its modules.
 * A path that is not ours tells its round trip, and whether anybody is there at all. */
static int warm_up_all(struct compare_run *run)
{
    bool done[2] = {false, false};
    struct compare_round round;
    int err = 0;

    for (unsigned i = 0; i < run->point.n && !xfer_stop_is_raised(run->stop); i++) {
        enum compare_transport transport = run->point.methods[i].transport;

        if (done[transport])
            continue;
        round = (struct compare_round){
            .method = i,
            .direction = run->point.direction == COMPARE_GET ? COMPARE_GET : COMPARE_PUT,
            .bytes = warm_up_bytes(run)};
        if (run_trial(run, &round, warm_up_limit(run)) < 0)
            return -1;
        done[transport] = true;
        run->silent[transport] =
            run->remote != NULL && round.state == COMPARE_UNFINISHED && !run->trial->heard;
        if (run->place.kind != PLACE_LINK && run->result.measured_rtt == 0)
            run->result.measured_rtt = round.rtt;
        err = round.state != COMPARE_DONE && err <= 0 ? run->trial->err : 1;
    }
    if (run->remote == NULL || err >= 0 || xfer_stop_is_raised(run->stop))
        return 0;
    if (err == -XFER_EDEADLINE)
        snprintf(run->why, sizeof run->why, "%.200s: no answer within %.2g s", run->remote,
                 warm_up_limit(run));
    return fail(run, err, run->remote);
}

/* The delays of an emulated link would be waited for in vain. */
static int warm_up(struct compare_run *run)
{
    struct place before = run->place;
    int rc;

    for (int i = 0; i < 2; i++)
        run->place.settings.path[i] = (struct link_path){.rate = 0};
    run->place.capture = NULL;
    rc = warm_up_all(run);
    run->place = before;
    run->doubt[0] = '\0';
    return rc;
}

static void check_link(struct compare_run *run, struct link *link)
{
    struct link_problem p = {.why = ""};
    struct link_measure m;
    int err = link_measure(link, &m);

    if (err < 0) {
        snprintf(run->warning, sizeof run->warning, "the link could not be checked: %s",
                 xfer_strerror(err));
        return;
    }
    run->result.measured_rtt = m.rtt > 0 ? (double)m.rtt / 1e9 : 0;
    run->result.measured_rate = m.rate[0];
    if (!link_is_trustworthy(&run->place.settings, &m.stats, &p) ||
        !link_is_faithful(&run->place.settings, &m, &p))
        snprintf(run->warning, sizeof run->warning, "%s", p.why);
}

/* Opens the link once for its own check; 0 or -1, told. */
static int try_link(struct compare_run *run)
{
    struct link_problem p = {.why = ""};
    struct link_settings checked;
    struct link *link;
    int err;

    place_settings(&run->point.link,
                   run->pcap != NULL ? place_records(run->point.size)
                   : run->trace      ? COMPARE_TRACE_PACKETS + 1
                                     : 0,
                   &run->place.settings);
    checked = run->place.settings;
    /* A flipped bit in what the check sends would be taken for a time. */
    checked.path[0].corrupt = checked.path[1].corrupt = 0;
    err = link_open(&link, &checked, &p);
    if (err < 0) {
        snprintf(run->why, sizeof run->why, "%s", p.why);
        snprintf(run->remedy, sizeof run->remedy, "%s", p.remedy);
        return fail(run, err, "emulated link");
    }
    check_link(run, link);
    link_close(link);
    return 0;
}

/* A path that is no link of ours is planned for by its measured round trip; its theory, told by
 * the table, stays what it was: none. */
static void plan(struct compare_run *run, struct turn_state *s, double time)
{
    struct compare_spec known = run->point;

    if (run->place.kind == PLACE_REMOTE)
        known.link.way[0].delay = known.link.way[1].delay = run->result.measured_rtt / 2;
    time = (run->place.kind == PLACE_REMOTE ? SHARE_ELSEWHERE : SHARE) * time -
           (double)run->point.n * (PER_TRIAL + TRIPS * compare_link_rtt(&known.link));
    compare_plan(&known, run->congestion, fmax(time, 0.1), &s->plan);
    for (size_t i = 0; i < run->point.n; i++) {
        /* What is fetched from elsewhere is fetched whole. */
        if (run->remote != NULL && run->point.direction == COMPARE_GET)
            s->plan.methods[i].bytes = run->point.size;
        s->methods[i].last = s->plan.methods[i].seconds;
    }
    run->result.estimate = s->plan.seconds;
}

/* ---- rounds ---- */

/* What the other methods need that had no round yet. */
static double reserved(const struct compare_run *run, const struct turn_state *s, unsigned method)
{
    double sum = 0;

    for (unsigned i = 0; i < run->point.n; i++)
        if (i != method && s->methods[i].tried == 0)
            sum += fmax(s->plan.methods[i].seconds, 0.1);
    return sum;
}

static double limit_of(const struct compare_run *run, const struct turn_state *s, unsigned method)
{
    return fmax(s->until - elapsed(run) - reserved(run, s, method), LEAST);
}

static bool is_worth_it(const struct compare_run *run, const struct turn_state *s, unsigned method,
                        unsigned number)
{
    /* The first round is due whatever happened, so that each direction has its row. */
    return number == 1 ||
           (!s->methods[method].over && elapsed(run) + s->methods[method].last < s->until);
}

static int keep(struct compare_run *run, const struct compare_round *round)
{
    if (run->result.n_rounds == run->rounds_cap) {
        size_t cap = 2 * run->rounds_cap + 64;
        struct compare_round *more = realloc(run->rounds, cap * sizeof *more);

        if (more == NULL)
            return fail(run, -ENOMEM, "rounds");
        run->rounds = more;
        run->rounds_cap = cap;
    }
    run->rounds[run->result.n_rounds++] = *round;
    run->result.rounds = run->rounds;
    return 0;
}

static int status_of(const struct compare_round *round, int err)
{
    switch (round->state) {
    case COMPARE_DONE:
        return 0;
    case COMPARE_REFUSED:
        return xfer_exit_status(-XFER_ECONGESTION);
    case COMPARE_UNFINISHED:
        return xfer_exit_status(-XFER_EDEADLINE);
    case COMPARE_FAILED:
        break;
    }
    return xfer_exit_status(err != 0 ? err : -XFER_EUNVERIFIED);
}

/* 5 if any digest failed, else what all failures have in common, else 1. */
static void add_status(struct compare_run *run, int status)
{
    if (status == 0 || run->status == status || run->status == 5)
        return;
    run->status = run->status == 0 || status == 5 ? status : 1;
}

/* Nothing runs, and the row says why: once is enough. */
static int refuse(struct compare_run *run, struct compare_round *round, const char *why)
{
    if (round->number > 1)
        return 0;
    round->state = COMPARE_REFUSED;
    snprintf(round->why, sizeof round->why, "%s", why);
    return keep(run, round);
}

/* Nobody answered the first transfer: another would take as long, and tell as little. */
static void give_up(struct compare_run *run, struct compare_round *round)
{
    round->state = COMPARE_UNFINISHED;
    round->bytes = 0;
    run->trial->err = -XFER_EDEADLINE;
    snprintf(round->why, sizeof round->why, "no answer within %.2g s: %s", warm_up_limit(run),
             run->point.methods[round->method].transport == COMPARE_UDP
                 ? "is UDP blocked on the way?"
                 : "is TCP blocked on the way?");
}

static int one_round(struct compare_run *run, struct turn_state *s, struct compare_round *round)
{
    unsigned m = round->method;
    const char *refusal = compare_spec_refusal(&run->point.methods[m], round->direction);

    round->bytes = s->plan.methods[m].bytes;
    round->size = run->point.size;
    if (refusal != NULL)
        return refuse(run, round, refusal);
    if (run->silent[run->point.methods[m].transport])
        give_up(run, round);
    else if (run_trial(run, round, limit_of(run, s, m)) < 0)
        return -1;
    s->methods[m].tried++;
    if (round->state == COMPARE_DONE)
        s->methods[m].last = fmax(s->methods[m].last, round->seconds);
    else
        s->methods[m].over = round->state != COMPARE_FAILED;
    /* What was cut by a signal is told only of a method that has nothing else to tell. */
    if (xfer_stop_is_raised(run->stop) && round->state != COMPARE_DONE && round->number > 1)
        return 0;
    if (!xfer_stop_is_raised(run->stop))
        add_status(run, status_of(round, run->trial->err));
    if (keep(run, round) < 0)
        return -1;
    run->on_round(run->user, &run->result, &run->rounds[run->result.n_rounds - 1]);
    return 0;
}

static int run_point(struct compare_run *run, double until)
{
    struct turn_state s = {.until = until - MARGIN};
    struct compare_round round = {.point = run->point_number};

    if ((run->place.kind == PLACE_LINK && try_link(run) < 0) || warm_up(run) < 0)
        return -1;
    if (xfer_stop_is_raised(run->stop))
        return 0;
    plan(run, &s, fmax(s.until - elapsed(run), LEAST));
    run->result.warning = run->warning[0] ? run->warning : compare_spec_warning(&run->point);
    run->on_point(run->user, &run->result, run->point_number);
    for (size_t k = 0;
         !xfer_stop_is_raised(run->stop) &&
         compare_plan_turn(&run->point, &s.plan, k, &round.method, &round.number, &round.direction);
         k++) {
        struct compare_round next = {.point = round.point,
                                     .method = round.method,
                                     .number = round.number,
                                     .direction = round.direction};

        if (is_worth_it(run, &s, next.method, next.number) && one_round(run, &s, &next) < 0)
            return -1;
    }
    return 0;
}

/* ---- all ---- */

static void read_default(char congestion[COMPARE_NAME_MAX])
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t n = COMPARE_NAME_MAX - 1;

    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, &n) < 0)
        congestion[0] = '\0';
    if (fd >= 0)
        close(fd);
}

static int set_up(struct compare_run *run)
{
    int err = data_open(&run->data, run->file, run->spec->link.seed);

    if (err < 0)
        return fail(run, err, run->data.dir);
    run->trial = trial_new();
    if (run->trial == NULL)
        return fail(run, -ENOMEM, "compare");
    run->place.kind = run->remote != NULL        ? PLACE_REMOTE
                      : run->spec->link.emulated ? PLACE_LINK
                                                 : PLACE_LOOPBACK;
    if (run->trace)
        run->traces = calloc(COMPARE_METHODS_MAX, sizeof *run->traces);
    if (run->trace && run->traces == NULL)
        return fail(run, -ENOMEM, "traces");
    if (run->pcap != NULL) {
        err = link_capture_open(&run->place.capture, run->pcap);
        if (err < 0)
            return fail(run, err, run->pcap);
    }
    return 0;
}

static void run_points(struct compare_run *run)
{
    size_t n = compare_spec_points(run->spec);

    for (unsigned i = 0; i < n && !xfer_stop_is_raised(run->stop); i++) {
        double now = elapsed(run);

        compare_spec_point(run->spec, i, &run->point, run->why);
        run->point_number = i;
        if (run_point(run, now + (run->spec->max_time - now) / (double)(n - i)) < 0)
            return;
    }
}

static void sum_up(struct compare_run *run)
{
    size_t max = compare_rows_max(run->spec);

    run->rows = calloc(max, sizeof *run->rows);
    if (run->rows == NULL) {
        fail(run, -ENOMEM, "rows");
        return;
    }
    run->result.rows = run->rows;
    run->result.n_rows = compare_rows(run->spec, run->rounds, run->result.n_rounds, run->rows, max);
}

void compare_run(struct compare_run *run)
{
    int err;

    run->result.spec = run->spec;
    run->result.file = run->file;
    run->result.remote = run->remote;
    run->begun = 0;
    run->begun = elapsed(run);
    run->data.lifeline = -1;
    read_default(run->congestion);
    if (set_up(run) == 0)
        run_points(run);
    err = link_capture_close(run->place.capture);
    if (err < 0)
        fail(run, err, run->pcap);
    data_close(&run->data);
    trial_free(run->trial);
    sum_up(run);
}

void compare_run_free(struct compare_run *run)
{
    free(run->rounds);
    free(run->rows);
    free(run->traces);
}
