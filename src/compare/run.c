#include "config.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/escape.h"
#include "compare/link.h"
#include "compare/linkcheck.h"
#include "compare/method.h"
#include "compare/plan.h"
#include "compare/round.h"
#include "compare/row.h"
#include "compare/run.h"
#include "compare/spec.h"
#include "compare/words.h"

#define LEAST 1.0  /* s that a transfer gets however late it is, if there are so many */
#define SHARE 0.85 /* of the time may be planned for: chance takes its part, and so do programs */
#define SHARE_ELSEWHERE 0.6 /* there nobody knows rate and loss beforehand */
#define SILENCE_MIN 3.0     /* s without any answer until a transport is given up */
#define SILENCE_MAX 10.0
#define PER_TRIAL 0.1
#define CHECK_SHARE 3 /* a link is checked if that takes less than this part of a point's time */
#define WARMING_UP 1.0
#define FOREVER 1e9  /* s */
#define TRIPS 2      /* round trips of a trial that theory does not count: asking, ending */
#define WARM_UP 1000 /* bytes: less than a block */

/* One point of the sweep at work. */
struct turn_state {
    struct compare_plan plan;
    double until; /* process_now() */
    struct {
        double last; /* seconds that a round took, or should take */
        unsigned tried;
        bool over; /* more of it would tell nothing new */
    } methods[COMPARE_METHODS_MAX];
};

/* Seconds until transfers have to be over. */
static double rest(const struct compare_run *run)
{
    return run->begun + run->spec->max_time - run->after - place_ending(&run->place) -
           process_now();
}

static void on_tick(void *user)
{
    struct compare_run *run = user;

    if (run->on_tick != NULL)
        run->on_tick(run->user, run);
}

static void set_doing(struct compare_run *run, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void set_doing(struct compare_run *run, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(run->doing, sizeof run->doing, fmt, ap);
    va_end(ap);
    on_tick(run); /* a short transfer is not waited for so long */
}

/* 5 if any digest failed, else what all failures have in common, else 1. */
static void add_status(struct compare_run *run, int status)
{
    if (status == 0 || run->status == status || run->status == 5)
        return;
    run->status = run->status == 0 || status == 5 ? status : 1;
}

int run_fail(struct compare_run *run, int err, const char *what)
{
    if (run->why[0] == '\0')
        snprintf(run->why, sizeof run->why, "%s: %s", what, xfer_strerror(err));
    add_status(run, xfer_exit_status(err));
    return -1;
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
    struct compare_round round = {.why = ""};
    char shown[120];
    int err = 0, status;

    for (unsigned i = 0; i < run->point.n && !xfer_stop_is_raised(run->stop); i++) {
        enum compare_transport transport = run->point.methods[i].transport;
        double limit = fmin(warm_up_limit(run), rest(run));

        if (done[transport] || limit < PER_TRIAL)
            continue;
        round = (struct compare_round){
            .method = i,
            .direction = run->point.direction == COMPARE_GET ? COMPARE_GET : COMPARE_PUT,
            .bytes = warm_up_bytes(run)};
        if (round_run(run, &round, limit, &status) < 0)
            return -1;
        done[transport] = true;
        run->silent[transport] =
            run->remote != NULL && round.state == COMPARE_UNFINISHED && !run->trial->heard;
        if (run->place.kind != PLACE_LINK && run->result.measured_rtt == 0)
            run->result.measured_rtt = round.rtt;
        if (round.state != COMPARE_FAILED && !run->silent[transport])
            err = 1; /* somebody is there, whatever the time was enough for */
        else if (err <= 0)
            err = run->trial->err;
    }
    if (run->remote == NULL || err >= 0 || xfer_stop_is_raised(run->stop))
        return 0;
    if (err == -XFER_EDEADLINE)
        snprintf(round.why, sizeof round.why, "no answer within %.2g s", warm_up_limit(run));
    snprintf(run->why, sizeof run->why, "%s: %.120s",
             escape_show(run->remote, strlen(run->remote), shown, sizeof shown),
             round.why[0] ? round.why : xfer_strerror(err));
    return run_fail(run, err, run->remote);
}

/* The delays of an emulated link would be waited for in vain. */
static int warm_up(struct compare_run *run)
{
    struct place before = run->place;
    int rc;

    set_doing(run, "warming up");
    for (int i = 0; i < 2; i++)
        run->place.settings.path[i] = (struct link_path){.rate = 0};
    run->place.capture = NULL;
    rc = warm_up_all(run);
    run->place = before;
    run->doubt[0] = '\0';
    return rc;
}

static int take_check(struct compare_run *run, const struct linkcheck *found)
{
    if (found->err < 0) {
        snprintf(run->why, sizeof run->why, "%s", found->problem.why);
        snprintf(run->remedy, sizeof run->remedy, "%s", found->problem.remedy);
        run->no_link = true;
        return run_fail(run, found->err, "emulated link");
    }
    run->result.measured_rtt = found->rtt;
    run->result.measured_rate = found->rate;
    snprintf(run->warning, sizeof run->warning, "%s",
             found->finished ? found->problem.why : "the link's own check did not end in time");
    return 0;
}

/* Else it has the link of the point before. */
static bool has_check(const struct compare_run *run, unsigned point)
{
    return point == 0 || compare_link_is_key(run->spec->sweep.key);
}

/* Sets the link up as this point wants it, and has it checked where the time allows; 0 or -1, told.
 */
static int check_link(struct compare_run *run, double until)
{
    struct link_settings *s = &run->place.settings;
    struct linkcheck found = {.err = 0};
    double time;
    int err;

    place_settings(&run->point.link,
                   run->pcap != NULL ? place_records(run->point.size)
                   : run->trace      ? COMPARE_TRACE_PACKETS + 1
                                     : 0,
                   s);
    if (!has_check(run, run->point_number))
        return 0;
    time = fmin(until - process_now(), rest(run));
    run->result.measured_rtt = 0;
    run->result.measured_rate = 0;
    if (CHECK_SHARE * linkcheck_time(s) > time) {
        snprintf(run->warning, sizeof run->warning,
                 "the link was not checked: --max-time leaves no time for it");
        return 0;
    }
    set_doing(run, "checking the link");
    err = linkcheck_run(s, 2 * linkcheck_time(s), &run->place.watch, &found);
    return err < 0 ? run_fail(run, err, "the link's check") : take_check(run, &found);
}

/* Of one round of each method. */
static double overhead(const struct compare_spec *point)
{
    return (double)point->n * (PER_TRIAL + TRIPS * compare_link_rtt(&point->link));
}

/* A path that is no link of ours is planned for by its measured round trip; its theory, told by
 * the table, stays what it was: none. */
static void make_plan(const struct compare_run *run, const struct compare_spec *point, double time,
                      struct compare_plan *plan)
{
    struct compare_spec known = *point;

    if (run->remote != NULL)
        known.link.way[0].delay = known.link.way[1].delay = run->result.measured_rtt / 2;
    time = (run->remote != NULL ? SHARE_ELSEWHERE : SHARE) * time - overhead(&known);
    compare_plan(&known, run->congestion, fmax(time, 0.1), plan);
    /* What is fetched from elsewhere is fetched whole. */
    for (size_t i = 0; i < point->n && run->remote != NULL; i++)
        if (point->direction == COMPARE_GET)
            plan->methods[i].bytes = point->size;
}

/* The seconds that a point could use: with all rounds of the whole file. INFINITY where no link of
 * ours is there to tell. */
static double need_of(const struct compare_run *run, unsigned i)
{
    struct compare_spec point;
    struct compare_plan plan;
    struct link_settings link;
    char why[COMPARE_WHY_MAX];
    double check = 0, transfers;

    if (run->place.kind != PLACE_LINK || !compare_spec_point(run->spec, i, &point, why))
        return INFINITY;
    place_settings(&point.link, 0, &link);
    if (has_check(run, i))
        check = linkcheck_time(&link);
    make_plan(run, &point, FOREVER, &plan);
    transfers = (plan.seconds + overhead(&point)) / SHARE + (i == 0 ? WARMING_UP : 0);
    return fmax(transfers + check, CHECK_SHARE * check + PER_TRIAL);
}

static void begin_turns(struct compare_run *run, struct turn_state *s)
{
    size_t points = compare_spec_points(run->spec);
    double now = process_now(), time = fmin(s->until - now, rest(run));

    make_plan(run, &run->point, time, &s->plan);
    for (size_t i = 0; i < run->point.n; i++)
        s->methods[i].last = s->plan.methods[i].seconds;
    run->result.estimate = s->plan.seconds;
    if (s->plan.seconds == 0)
        return;
    run->ready_at = now + s->plan.seconds;
    for (unsigned i = run->point_number + 1; i < points; i++)
        run->ready_at += isinf(run->needs[i]) ? s->plan.seconds : run->needs[i];
    run->ready_at = fmin(run->ready_at, now + rest(run));
}

/* ---- rounds ---- */

/* What the other methods need that had no round yet; where nobody knows, as much as this one. */
static double limit_of(const struct compare_run *run, const struct turn_state *s, unsigned method)
{
    double time = fmin(s->until - process_now(), rest(run)), reserved = 0;
    unsigned alike = 1;

    for (unsigned i = 0; i < run->point.n; i++) {
        if (i == method || s->methods[i].tried > 0)
            continue;
        if (s->plan.methods[i].seconds > 0)
            reserved += fmax(s->plan.methods[i].seconds, PER_TRIAL);
        else
            alike++;
    }
    return fmin(fmax((time - reserved) / alike, LEAST), rest(run));
}

static bool is_worth_it(const struct turn_state *s, unsigned method, unsigned number)
{
    /* The first round is due whatever happened, so that each direction has its row. */
    return number == 1 || (!s->methods[method].over &&
                           process_now() + s->methods[method].last + PER_TRIAL < s->until);
}

static int keep(struct compare_run *run, const struct compare_round *round)
{
    if (run->result.n_rounds == run->rounds_cap) {
        size_t cap = 2 * run->rounds_cap + 64;
        struct compare_round *more = realloc(run->rounds, cap * sizeof *more);

        if (more == NULL)
            return run_fail(run, -ENOMEM, "rounds");
        run->rounds = more;
        run->rounds_cap = cap;
    }
    run->rounds[run->result.n_rounds++] = *round;
    run->result.rounds = run->rounds;
    return 0;
}

static int tell_round(struct compare_run *run, const struct compare_round *round, int status)
{
    bool stopped = xfer_stop_is_raised(run->stop);

    /* What was cut by a signal is told only of a method that has nothing else to tell. */
    if (stopped && round->state != COMPARE_DONE && round->number > 1)
        return 0;
    /* Later rounds are run as far as the time allows. */
    if (!stopped && (round->number == 1 || round->state != COMPARE_UNFINISHED))
        add_status(run, status);
    if (keep(run, round) < 0)
        return -1;
    run->on_round(run->user, &run->result, &run->rounds[run->result.n_rounds - 1]);
    return 0;
}

/* Nothing runs, and the row says why: once is enough. What was asked for is not all done then. */
static int refuse(struct compare_run *run, struct compare_round *round, const char *why)
{
    if (round->number > 1)
        return 0;
    round->state = COMPARE_REFUSED;
    round->untold = true;
    snprintf(round->why, sizeof round->why, "%s", why);
    return tell_round(run, round, xfer_exit_status(-XFER_ESOME));
}

/* Nobody answered the first transfer: another would take as long, and tell as little. */
static int give_up(const struct compare_run *run, struct compare_round *round)
{
    bool udp = run->point.methods[round->method].transport == COMPARE_UDP;
    char why[COMPARE_WHY_MAX];

    snprintf(why, sizeof why, "no answer within %.2g s: is %s blocked on the way?",
             warm_up_limit(run), udp ? "UDP" : "TCP");
    return round_none(round, -XFER_EDEADLINE, why);
}

static int one_round(struct compare_run *run, struct turn_state *s, struct compare_round *round)
{
    unsigned m = round->method;
    const char *refusal = compare_spec_refusal(&run->point.methods[m], round->direction);
    double limit = limit_of(run, s, m);
    char label[COMPARE_LABEL_MAX];
    int status;

    round->bytes = s->plan.methods[m].bytes;
    round->size = run->point.size;
    if (refusal != NULL)
        return refuse(run, round, refusal);
    compare_method_label(&run->point.methods[m], "", label);
    set_doing(run, "%s, round %u of %u", label, round->number, s->plan.methods[m].rounds);
    if (round->number > 1 && limit < PER_TRIAL)
        return 0;
    if (run->silent[run->point.methods[m].transport])
        status = give_up(run, round);
    else if (limit < PER_TRIAL)
        status = round_none(round, -XFER_EDEADLINE, "no time was left for it");
    else if (round_run(run, round, limit, &status) < 0)
        return -1;
    s->methods[m].tried++;
    if (round->state == COMPARE_DONE)
        s->methods[m].last = fmax(s->methods[m].last, round->seconds);
    else
        s->methods[m].over = round->state != COMPARE_FAILED;
    return tell_round(run, round, status);
}

static int run_rounds(struct compare_run *run, struct turn_state *s)
{
    struct compare_round next = {.point = run->point_number};

    for (size_t k = 0;
         !xfer_stop_is_raised(run->stop) &&
         compare_plan_turn(&run->point, &s->plan, k, &next.method, &next.number, &next.direction);
         k++) {
        struct compare_round round = next;

        if (is_worth_it(s, next.method, next.number) && one_round(run, s, &round) < 0)
            return -1;
    }
    return 0;
}

static int run_point(struct compare_run *run, double until)
{
    struct turn_state s = {.until = until};

    if (run->place.kind == PLACE_LINK && check_link(run, until) < 0)
        return -1;
    if (run->point_number == 0 && warm_up(run) < 0)
        return -1;
    if (xfer_stop_is_raised(run->stop))
        return 0;
    begin_turns(run, &s);
    run->result.warning = run->warning[0] ? run->warning : compare_spec_warning(&run->point);
    run->on_point(run->user, &run->result, run->point_number);
    return run_rounds(run, &s);
}

/* ---- all ---- */

void compare_default_congestion(char congestion[COMPARE_NAME_MAX])
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t n = COMPARE_NAME_MAX - 1;

    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, &n) < 0)
        congestion[0] = '\0';
    if (fd >= 0)
        close(fd);
}

/* Bytes of the files that a point has made in the directory. */
static uint64_t room_of(const struct compare_run *run, const struct compare_spec *point,
                        const struct compare_plan *plan)
{
    bool upload_alone = point->direction == COMPARE_PUT;
    uint64_t sum = 0;

    if (run->remote != NULL && point->direction == COMPARE_GET)
        return 0;
    for (size_t i = 0; i < point->n; i++) {
        uint64_t n = plan->methods[i].bytes;
        bool there = run->file != NULL && upload_alone && n == point->size;

        for (size_t k = 0; k < i && !there; k++)
            there = plan->methods[k].bytes == n;
        sum += there ? 0 : n;
    }
    return sum;
}

/* What does not fit is told before anything runs. */
static int check_room(struct compare_run *run)
{
    size_t points = compare_spec_points(run->spec);
    uint64_t need = 0, space = data_space(&run->data);
    struct compare_spec point;
    struct compare_plan plan;
    char needed[24], there[24];

    for (unsigned i = 0; i < points && compare_spec_point(run->spec, i, &point, run->why); i++) {
        uint64_t n;

        make_plan(run, &point, run->spec->max_time, &plan); /* at most */
        n = room_of(run, &point, &plan);
        need = n > need ? n : need;
    }
    if (need <= space)
        return 0;
    run->status = xfer_exit_status(-ENOSPC);
    snprintf(run->why, sizeof run->why, "%.100s has room for %s, and the bytes to move take %s",
             run->data.dir, compare_words_size(space, there, sizeof there),
             compare_words_size(need, needed, sizeof needed));
    snprintf(run->remedy, sizeof run->remedy, "set TMPDIR to a directory with more room");
    return -1;
}

static int set_up(struct compare_run *run)
{
    int err = data_open(&run->data, run->file, run->spec->link.seed);

    if (err < 0)
        return run_fail(run, err, run->data.dir);
    run->trial = trial_new();
    if (run->trial == NULL)
        return run_fail(run, -ENOMEM, "compare");
    run->place.kind = run->remote != NULL        ? PLACE_REMOTE
                      : run->spec->link.emulated ? PLACE_LINK
                                                 : PLACE_LOOPBACK;
    run->place.watch = (struct watch){.stop = run->stop, .tick = on_tick, .user = run};
    if (run->trace)
        run->traces = calloc(COMPARE_METHODS_MAX, sizeof *run->traces);
    if (run->trace && run->traces == NULL)
        return run_fail(run, -ENOMEM, "traces");
    if (check_room(run) < 0)
        return -1;
    err = run->pcap != NULL ? link_capture_open(&run->place.capture, run->pcap) : 0;
    return err < 0 ? run_fail(run, err, "capture") : 0;
}

/* Of the time that is left each point gets its share. */
static void run_points(struct compare_run *run)
{
    size_t n = compare_spec_points(run->spec);

    for (unsigned i = 0; i < n; i++)
        run->needs[i] = need_of(run, i);
    for (unsigned i = 0; i < n && !xfer_stop_is_raised(run->stop); i++) {
        compare_spec_point(run->spec, i, &run->point, run->why);
        run->point_number = i;
        data_clear(&run->data, run->point.size);
        if (run_point(run, process_now() + compare_plan_share(run->needs + i, n - i, rest(run))) <
            0)
            return;
    }
}

static void sum_up(struct compare_run *run)
{
    size_t max = compare_rows_max(run->spec);

    run->rows = calloc(max, sizeof *run->rows);
    if (run->rows == NULL) {
        run_fail(run, -ENOMEM, "rows");
        return;
    }
    run->result.rows = run->rows;
    run->result.doubt = run->doubt[0] ? run->doubt : NULL;
    run->result.n_rows = compare_rows(run->spec, run->rounds, run->result.n_rounds, run->rows, max);
}

void compare_run(struct compare_run *run)
{
    int err;

    run->result.spec = run->spec;
    run->result.file = run->file;
    run->result.remote = run->remote;
    run->data.lifeline = -1;
    process_adopt();
    compare_default_congestion(run->congestion);
    if (set_up(run) == 0)
        run_points(run);
    err = link_capture_close(run->place.capture);
    if (run->capture_err == 0)
        run->capture_err = err;
    data_close(&run->data);
    trial_free(run->trial);
    process_kill_all();
    sum_up(run);
}

void compare_run_free(struct compare_run *run)
{
    free(run->rounds);
    free(run->rows);
    free(run->traces);
}
