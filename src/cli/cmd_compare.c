#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/remote.h"
#include "cli/cmd.h"
#include "compare/ability.h"
#include "compare/csv.h"
#include "compare/json.h"
#include "compare/link.h"
#include "compare/method.h"
#include "compare/pictures.h"
#include "compare/run.h"
#include "compare/spec.h"
#include "compare/table.h"
#include "cli/client.h"
#include "cli/out.h"
#include "cli/output.h"
#include "cli/records.h"
#include "cli/signals.h"

struct compare_options {
    bool quiet, verbose, json, csv, check, predict, trace, mend, ipv4, ipv6;
    double max_time;
    unsigned rounds;
    int direction; /* enum compare_direction, plus 1; 0: not given */
    const char *link, *size, *sweep, *pcap, *plot, *report, *bind_addr;
    const char *rtt, *rate, *loss, *jitter, *reorder, *duplicate, *corrupt, *queue, *mtu, *seed;
    struct text_list methods;
};

#define FIELD(name) .offset = offsetof(struct compare_options, name)

static const struct opt option_rows[] = {
    {.name = "method",
     .letter = 'm',
     .arg = "METHOD",
     .kind = OPT_TEXTS,
     FIELD(methods),
     .help = "compare this one: tcp, tcp:NAME (congestion control), tcp*N (connections, to get), "
             "udp, udp:blksize=N,window=N; may be given again (default tcp, udp:window=16, udp)"},
    {.name = "link",
     .arg = "NAME",
     .kind = OPT_TEXT,
     FIELD(link),
     .help = "emulate a lan, broadband, mobile or satellite, or use loopback without emulation; "
             "KEY=VALUE after commas sets one thing (default 20 Mbit/s, 20 ms)"},
    {.name = "rtt", .arg = "TIME", .kind = OPT_TEXT, FIELD(rtt), .help = "round trip, as in 50ms"},
    {.name = "rate",
     .arg = "RATE",
     .kind = OPT_TEXT,
     FIELD(rate),
     .help = "of the link each way, as in 100mbit"},
    {.name = "loss", .arg = "P", .kind = OPT_TEXT, FIELD(loss), .help = "packets lost, as in 0.5%"},
    {.name = "jitter",
     .arg = "TIME",
     .kind = OPT_TEXT,
     FIELD(jitter),
     .help = "random delay that is added each way"},
    {.name = "reorder",
     .arg = "P",
     .kind = OPT_TEXT,
     FIELD(reorder),
     .help = "packets held back, so that later ones overtake them"},
    {.name = "duplicate",
     .arg = "P",
     .kind = OPT_TEXT,
     FIELD(duplicate),
     .help = "packets that arrive twice"},
    {.name = "corrupt",
     .arg = "P",
     .kind = OPT_TEXT,
     FIELD(corrupt),
     .help = "packets with a flipped bit"},
    {.name = "mend",
     .kind = OPT_FLAG,
     FIELD(mend),
     .help = "mend the checksums of those, so that nothing but a digest finds them"},
    {.name = "queue",
     .arg = "SIZE",
     .kind = OPT_TEXT,
     FIELD(queue),
     .help = "bytes that may wait for the link (default: what is on its way in a round trip)"},
    {.name = "mtu",
     .arg = "N",
     .kind = OPT_TEXT,
     FIELD(mtu),
     .help = "largest packet in bytes (default 1500)"},
    {.name = "seed",
     .arg = "N",
     .kind = OPT_TEXT,
     FIELD(seed),
     .help = "of chance, and of the bytes without FILE (default 1)"},
    {.name = "size",
     .arg = "SIZE",
     .kind = OPT_TEXT,
     FIELD(size),
     .help = "bytes to make and move without FILE (default 1M)"},
    {.name = "direction",
     .arg = "put|get|both",
     .kind = OPT_CHOICE,
     .min = COMPARE_PUT + 1,
     FIELD(direction),
     .help = "from the client, to it, or one after the other (default put)"},
    {.name = "rounds",
     .arg = "N",
     .kind = OPT_COUNT,
     .min = 1,
     .max = COMPARE_ROUNDS_MAX,
     FIELD(rounds),
     .help = "of each method, in turn, as far as the time allows (default 3)"},
    {.name = "max-time",
     .arg = "TIME",
     .kind = OPT_SECONDS,
     FIELD(max_time),
     .help = "limit the whole command: what would take longer moves the first part of the file "
             "(default 30 seconds)"},
    {.name = "sweep",
     .arg = "KEY=A,B,C",
     .kind = OPT_TEXT,
     FIELD(sweep),
     .help = "compare for each value of rtt, rate, loss, size, blksize, window, ..."},
    {.name = "predict",
     .kind = OPT_FLAG,
     FIELD(predict),
     .help = "tell what theory says, and run nothing"},
    {.name = "check",
     .kind = OPT_FLAG,
     FIELD(check),
     .help = "tell what this machine can do, and run nothing"},
    {.name = "json",
     .kind = OPT_FLAG,
     FIELD(json),
     .help = "print one JSON object a line: each round, then each method"},
    {.name = "csv", .kind = OPT_FLAG, FIELD(csv), .help = "print the rows as CSV"},
    {.name = "pcap",
     .arg = "FILE",
     .kind = OPT_TEXT,
     FIELD(pcap),
     .help = "write the packets of the emulated link to FILE (pcapng, for Wireshark)"},
    {.name = "trace",
     .kind = OPT_FLAG,
     FIELD(trace),
     .help = "show the first packets of each method on the emulated link as a ladder"},
    {.name = "plot",
     .arg = "FILE",
     .kind = OPT_TEXT,
     FIELD(plot),
     .help = "draw a chart by gnuplot: FILE.svg or FILE.png; with --trace and .svg the ladders, "
             "too, as FILE-trace-1.svg, ..."},
    {.name = "report",
     .arg = "FILE",
     .kind = OPT_TEXT,
     FIELD(report),
     .help = "write a page of HTML with table, charts, ladders and words, which opens offline"},
    {.name = "bind",
     .arg = "ADDR",
     .kind = OPT_TEXT,
     FIELD(bind_addr),
     .help = "with a REMOTE: connect from this local address (default: the system's choice)"},
    {.name = "ipv4", .letter = '4', .kind = OPT_FLAG, FIELD(ipv4), .help = "use IPv4 only"},
    {.name = "ipv6", .letter = '6', .kind = OPT_FLAG, FIELD(ipv6), .help = "use IPv6 only"},
    {.name = "quiet", .letter = 'q', .kind = OPT_FLAG, FIELD(quiet), .help = "tell errors only"},
    {.name = "verbose", .letter = 'v', .kind = OPT_FLAG, FIELD(verbose), .help = "tell each round"},
    {.name = "help", .kind = OPT_HELP, .help = "print this help and exit"},
    {.kind = OPT_END}};

static const struct opt *const compare_tables[] = {option_rows, NULL};

/* One comparison, as it was asked for. */
struct job {
    const struct compare_options *o;
    struct compare_spec spec;
    const char *file, *remote;
    char remote_text[1024];
};

/* ---- what is asked for ---- */

static bool set_link(const struct compare_options *o, struct compare_link *l, char *why)
{
    const struct {
        const char *key, *value;
    } t[] = {{"rtt", o->rtt},         {"rate", o->rate},           {"loss", o->loss},
             {"jitter", o->jitter},   {"reorder", o->reorder},     {"queue", o->queue},
             {"corrupt", o->corrupt}, {"duplicate", o->duplicate}, {"mtu", o->mtu},
             {"seed", o->seed}};

    if (o->link != NULL && !compare_link_parse(o->link, l, why))
        return false;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        if (t[i].value != NULL && !compare_link_set(l, t[i].key, t[i].value, NULL, why))
            return false;
    l->mend = o->mend;
    if (o->mend && l->way[0].corrupt + l->way[1].corrupt == 0)
        snprintf(why, COMPARE_WHY_MAX, "--mend goes with --corrupt");
    return !o->mend || l->way[0].corrupt + l->way[1].corrupt > 0;
}

static bool is_about_link(const struct compare_options *o)
{
    return o->link != NULL || o->rtt != NULL || o->rate != NULL || o->loss != NULL ||
           o->jitter != NULL || o->reorder != NULL || o->duplicate != NULL || o->corrupt != NULL ||
           o->queue != NULL || o->mtu != NULL || o->mend;
}

static bool set_spec(const struct compare_options *o, struct compare_spec *s, char *why)
{
    bool given = false;

    compare_spec_default(s);
    if (o->direction != 0)
        s->direction = (enum compare_direction)(o->direction - 1);
    if (o->rounds != 0)
        s->rounds = o->rounds;
    s->max_time = o->max_time;
    for (size_t i = 0; i < o->methods.n; i++)
        if (!compare_spec_method(s, o->methods.items[i], &given, why))
            return false;
    return set_link(o, &s->link, why) && (o->size == NULL || compare_spec_size(s, o->size, why)) &&
           (o->sweep == NULL || compare_spec_sweep(s, o->sweep, why));
}

/* An upload is one stream of bytes; several connections share a download alone. */
static bool check_streams(const struct compare_spec *s, char *why)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->methods[i].streams > 1 && s->direction != COMPARE_GET) {
            snprintf(why, COMPARE_WHY_MAX,
                     "tcp*%u: several connections share a file to get alone: --direction get",
                     s->methods[i].streams);
            return false;
        }
    return true;
}

/* ---- operands ---- */

static int take_file(const struct cmd *c, struct job *job, const char *name)
{
    char shown[256];
    struct stat sb;

    escape_show(name, strlen(name), shown, sizeof shown);
    if (job->o->size != NULL || strcmp(job->spec.sweep.key, "size") == 0)
        return cmd_wrong(c, "%s has the size that it has: --size goes without FILE", shown);
    if (stat(name, &sb) < 0 || access(name, R_OK) < 0) {
        fprintf(stderr, "xfer: %s: %s\n", shown, xfer_strerror(-errno));
        return EXIT_LOCAL;
    }
    if (!S_ISREG(sb.st_mode) || sb.st_size == 0) {
        fprintf(stderr, "xfer: %s: %s\n", shown,
                S_ISREG(sb.st_mode) ? "is empty: there is nothing to compare"
                                    : xfer_strerror(S_ISDIR(sb.st_mode) ? -EISDIR : -XFER_ENOTREG));
        return EXIT_LOCAL;
    }
    job->file = name;
    job->spec.size = (uint64_t)sb.st_size;
    return -1;
}

static int take_remote(const struct cmd *c, struct job *job, const char *text)
{
    bool to_directory = text[strlen(text) - 1] == '/', tftp;
    struct compare_spec *s = &job->spec;
    int status, rc = client_is_remote(c, text, &tftp, &status);

    if (rc < 0)
        return status;
    if (tftp)
        return cmd_wrong(c, "compare talks TCP and UDP to an xfer server: HOST:/PATH");
    if (is_about_link(job->o) || job->o->pcap != NULL || job->o->trace || s->sweep.n > 0)
        return cmd_wrong(c, "options of the emulated link go without a remote");
    if (to_directory && job->o->direction != 0 && s->direction != COMPARE_PUT)
        return cmd_wrong(c, "to get, name a file over there: %s needs no slash at its end", text);
    if (!to_directory && (job->file != NULL || job->o->direction == COMPARE_PUT + 1))
        return cmd_wrong(c, "to put, name a directory over there: end the remote with a slash");
    s->direction = to_directory ? COMPARE_PUT : COMPARE_GET;
    s->link = (struct compare_link){.mtu = COMPARE_MTU, .seed = s->link.seed};
    job->remote = text;
    return -1;
}

static int take_operands(const struct cmd *c, struct job *job, const struct operands *ops)
{
    for (size_t i = 0; i < ops->n; i++) {
        bool tftp;
        int status, rc = client_is_remote(c, ops->items[i], &tftp, &status);

        if (rc < 0)
            return status;
        if (i > 1 || (rc == 0 && i > 0) || (rc == 1 && job->remote != NULL))
            return cmd_wrong(c, "takes one FILE and one REMOTE such as nas:/dir/");
        status = rc == 0 ? take_file(c, job, ops->items[i]) : take_remote(c, job, ops->items[i]);
        if (status >= 0)
            return status;
    }
    return -1;
}

static int check_output(const struct cmd *c, const struct compare_options *o)
{
    if (o->json && o->csv)
        return cmd_wrong(c, "--json and --csv cannot share standard output");
    if (o->predict && (o->json || o->csv || o->check))
        return cmd_wrong(c, "--predict goes alone");
    if (o->check && (o->json || o->csv))
        return cmd_wrong(c, "--check goes alone");
    if (o->trace && (o->json || o->csv))
        return cmd_wrong(c, "--trace and --%s cannot share standard output",
                         o->json ? "json" : "csv");
    return -1;
}

/* All that can be known to be wrong, before anything runs. -1 to go on, else the exit status. */
static int check_link_settings(const struct cmd *c, const struct job *job)
{
    struct compare_spec point;
    struct link_settings settings;
    struct link_problem p;
    char why[COMPARE_WHY_MAX];

    for (size_t i = 0; i < compare_spec_points(&job->spec); i++) {
        if (!compare_spec_point(&job->spec, i, &point, why))
            return cmd_wrong(c, "%s", why);
        place_settings(&point.link, 0, &settings);
        if (link_settings_check(&settings, &p) < 0)
            return cmd_wrong(c, "%s", p.why);
    }
    return -1;
}

static int check(const struct cmd *c, struct job *job)
{
    char why[COMPARE_WHY_MAX];

    if (job->o->ipv4 && job->o->ipv6)
        return cmd_wrong(c, "-4 and -6 exclude each other");
    if (job->o->pcap != NULL && !job->spec.link.emulated)
        return cmd_wrong(c, "--pcap is of the emulated link");
    if (job->o->trace && !job->spec.link.emulated)
        return cmd_wrong(c, "--trace is of the emulated link");
    if (!compare_spec_check(&job->spec, why) || !check_streams(&job->spec, why))
        return cmd_wrong(c, "%s", why);
    return job->spec.link.emulated ? check_link_settings(c, job) : -1;
}

/* ---- what is told ---- */

static void on_point(void *user, const struct compare_result *r, unsigned point)
{
    const struct job *job = user;
    bool table = !job->o->json && !job->o->csv && r->spec->sweep.n == 0;

    if (!table && job->o->quiet)
        return;
    compare_table_head(r, point, table ? stdout : stderr);
    if (table)
        out_flush();
}

static void print_record(json_t *record)
{
    char *line = record_line(record);

    if (line != NULL)
        out_write(line, strlen(line));
    free(line);
}

static void on_round(void *user, const struct compare_result *r, const struct compare_round *round)
{
    const struct job *job = user;
    char name[COMPARE_LABEL_MAX];

    if (job->o->json) {
        print_record(compare_json_round(r, round));
        out_flush();
    }
    if (!job->o->verbose)
        return;
    compare_method_label(&r->spec->methods[round->method], round->congestion, name);
    fprintf(stderr, "%s, %s, round %u: %.3f s%s%s\n", name,
            round->direction == COMPARE_PUT ? "put" : "get", round->number, round->seconds,
            round->why[0] ? ": " : "", round->why);
}

static void show(const struct job *job, const struct compare_run *run)
{
    const struct compare_result *r = &run->result;
    char *text = NULL;
    size_t n = 0;
    FILE *f;

    if (job->o->json) {
        for (size_t i = 0; i < r->n_rows; i++)
            print_record(compare_json_summary(r, &r->rows[i]));
        return;
    }
    f = open_memstream(&text, &n);
    if (f == NULL)
        return;
    if (job->o->csv)
        compare_csv(r, f);
    else
        compare_table(r, output_is_utf8(), f);
    if (job->o->trace)
        for (size_t i = 0; i < run->n_ladders; i++) {
            fputc('\n', f);
            compare_ladder_text(&run->ladders[i], output_is_utf8(), f);
        }
    if (fclose(f) == 0)
        out_write(text, n);
    free(text);
}

static int predict(const struct job *job)
{
    struct compare_result r = {.spec = &job->spec};

    compare_table_predicted(&r, stdout);
    return 0;
}

/* What is beside the table. False, told, where it could not be made. */
static bool draw(const struct job *job, const struct compare_run *run)
{
    const struct compare_pictures p = {.plot = job->o->plot,
                                       .report = job->o->report,
                                       .trace = job->o->trace,
                                       .ladders = run->ladders,
                                       .n = run->n_ladders};
    char why[COMPARE_WHY_MAX];
    bool ok = compare_pictures_draw(&p, &run->result, why);

    if (!ok)
        fprintf(stderr, "xfer: %s\n", why);
    return ok;
}

static int tell(const struct job *job, struct compare_run *run)
{
    if (run->result.n_rows > 0) {
        show(job, run);
        if (!draw(job, run) && run->status == 0)
            run->status = EXIT_LOCAL;
    }
    out_flush();
    if (run->why[0] != '\0')
        fprintf(stderr, "xfer: %s%s%s\n", run->why, run->remedy[0] ? "\nxfer: " : "", run->remedy);
    if (run->doubt[0] != '\0')
        fprintf(stderr, "xfer: warning: %s\n", run->doubt);
    if (signals_caught()) {
        fputs("xfer: interrupted: what was measured until then is above\n", stderr);
        return 128 + signals_caught();
    }
    return run->status;
}

static int compare(struct job *job)
{
    struct compare_run *run = calloc(1, sizeof *run);
    struct xfer_stop *stop = xfer_stop_new(); /* stays: a signal may still come */
    int status;

    if (run == NULL || stop == NULL) {
        free(run);
        return cmd_no_memory();
    }
    signals_install(stop, SIGNALS_CLIENT);
    run->spec = &job->spec;
    run->file = job->file;
    run->remote = job->remote;
    run->pcap = job->o->pcap;
    run->trace = job->o->trace || (job->o->report != NULL && job->spec.link.emulated);
    run->family = job->o->ipv4 ? 4 : job->o->ipv6 ? 6 : 0;
    run->bind = job->o->bind_addr;
    run->stop = stop;
    run->on_point = on_point;
    run->on_round = on_round;
    run->user = job;
    compare_run(run);
    status = tell(job, run);
    compare_run_free(run);
    free(run);
    return status;
}

static void on_entry(void *user, const struct xfer_event *ev)
{
    uint64_t *size = user;

    if (ev->type == XFER_EV_ENTRY && ev->entry.type == 'f')
        *size = ev->entry.size;
}

/* The size of what is fetched has to be known. */
static int ask_size(struct job *job)
{
    uint64_t size = 0;
    struct xfer_list_opts o = {.net = {.timeout = 30, .on_event = on_entry, .user = &size}};
    char shown[256];
    int rc = xfer_list(&o, job->remote, NULL);

    if (rc == 0 && size > 0) {
        job->spec.size = size;
        return -1;
    }
    fprintf(stderr, "xfer: %s: %s\n",
            escape_show(job->remote, strlen(job->remote), shown, sizeof shown),
            rc != 0 ? xfer_strerror(rc) : "no file with anything in it");
    return rc != 0 ? xfer_exit_status(rc) : EXIT_LOCAL;
}

static int run_options(const struct cmd *self, const struct compare_options *o,
                       const struct operands *ops)
{
    struct job job = {.o = o};
    char why[COMPARE_WHY_MAX];
    int status = check_output(self, o);

    if (status >= 0)
        return status;
    if (!set_spec(o, &job.spec, why))
        return cmd_wrong(self, "%s", why);
    status = take_operands(self, &job, ops);
    if (status < 0)
        status = check(self, &job);
    if (status >= 0)
        return status;
    if (o->check)
        return compare_ability(stdout) ? 0 : EXIT_LOCAL;
    if (o->predict)
        return predict(&job);
    if (!compare_pictures_check(o->plot, o->report, why)) {
        fprintf(stderr, "xfer: %s\n", why);
        return EXIT_LOCAL;
    }
    if (job.remote != NULL && job.spec.direction == COMPARE_GET)
        status = ask_size(&job);
    return status < 0 ? compare(&job) : status;
}

static int run(const struct cmd *self, int argc, char **argv)
{
    struct compare_options o = {.max_time = 30};
    struct operands ops;
    int status = cmd_parse(self, argc, argv, &o, &ops);

    if (status < 0)
        status = run_options(self, &o, &ops);
    free(o.methods.items);
    return status;
}

const struct cmd cmd_compare = {.name = "compare",
                                .operands = "[FILE] [REMOTE]",
                                .summary = "Compare TCP and UDP on a link, emulated or real",
                                .tables = compare_tables,
                                .run = run};
