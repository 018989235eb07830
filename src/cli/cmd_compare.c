#include "config.h"

#include <stdlib.h>

#include "cli/compare_job.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "compare/ability.h"

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
    {.name = "fix-checksums",
     .kind = OPT_FLAG,
     FIELD(fix_checksums),
     .help = "fix the checksums of those, so that nothing but a digest finds them"},
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
     .help = "from the client, to it, or one after the other (default put; get with tcp*N)"},
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
     .kind = OPT_TEXTS,
     FIELD(sweeps),
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
    {.name = "progress",
     .arg = "auto|always|never",
     .kind = OPT_CHOICE,
     .min = PROGRESS_AUTO,
     FIELD(progress),
     .help = "show what is at work on a line; auto (the default): on a terminal"},
    {.name = "bind",
     .arg = "ADDR",
     .kind = OPT_TEXT,
     FIELD(bind_addr),
     .help = "with a REMOTE: connect from this local address (default: the system's choice)"},
    {.name = "ipv4", .letter = '4', .kind = OPT_FLAG, FIELD(ipv4), .help = "use IPv4 only"},
    {.name = "ipv6", .letter = '6', .kind = OPT_FLAG, FIELD(ipv6), .help = "use IPv6 only"},
    {.name = "quiet", .letter = 'q', .kind = OPT_FLAG, FIELD(quiet), .help = "tell errors only"},
    {.name = "verbose",
     .letter = 'v',
     .kind = OPT_FLAG,
     FIELD(verbose),
     .help = "tell each round, and print packets, bytes, drops, timeouts and CPU time"},
    {.name = "help", .kind = OPT_HELP, .help = "print this help and exit"},
    {.kind = OPT_END}};

static const struct opt *const compare_tables[] = {option_rows, NULL};

#define LAST 0.1 /* s, for the table */
#define DRAWING 1.5

/* Less of a short time: then it is for transfers. */
static double time_after(const struct compare_options *o)
{
    double after = LAST + (o->plot != NULL ? DRAWING : 0) + (o->report != NULL ? LAST : 0);

    return after < o->max_time / 4 ? after : o->max_time / 4;
}

/* NULL without memory. The stream of the capture is the run's. */
static struct compare_run *new_run(struct job *job, struct xfer_stop *stop, FILE *pcap)
{
    const struct compare_options *o = job->o;
    struct compare_run *run = calloc(1, sizeof *run);

    if (run == NULL)
        return NULL;
    *run = (struct compare_run){
        .spec = &job->spec,
        .file = job->file,
        .remote = job->remote,
        .pcap = pcap,
        .trace = o->trace || (o->report != NULL && job->spec.link.emulated),
        .family = o->ipv4   ? 4
                  : o->ipv6 ? 6
                            : 0,
        .bind = o->bind_addr,
        .stop = stop,
        .begun = job->begun,
        .after = time_after(o),
        .on_point = compare_on_point,
        .on_round = compare_on_round,
        .on_tick = compare_on_tick,
        .user = job,
    };
    return run;
}

static int compare(struct job *job, struct xfer_stop *stop)
{
    FILE *pcap = job->pcap.name != NULL ? outfile_stream(&job->pcap) : NULL;
    struct compare_run *run = NULL;
    int status;

    if (job->pcap.name == NULL || pcap != NULL)
        run = new_run(job, stop, pcap);
    if (run == NULL) {
        if (pcap != NULL)
            fclose(pcap);
        return cmd_no_memory();
    }
    compare_run(run);
    status = compare_tell(job, run);
    compare_run_free(run);
    free(run);
    return status;
}

static int compare_with_files(const struct cmd *self, struct job *job)
{
    enum progress_when when = (enum progress_when)job->o->progress;
    struct xfer_stop *stop = xfer_stop_new(); /* stays: a signal may still come */
    int status;

    if (stop == NULL)
        return cmd_no_memory();
    signals_install(stop, SIGNALS_CLIENT);
    progress_init(&job->progress, when == PROGRESS_AUTO && job->o->quiet ? PROGRESS_NEVER : when,
                  output_is_utf8());
    status = compare_open_files(self, job);
    if (status >= 0)
        return status;
    status = compare_ask_size(job, stop);
    if (status < 0)
        status = compare(job, stop);
    compare_drop_files(job);
    return status;
}

static int run_options(const struct cmd *self, const struct compare_options *o,
                       const struct operands *ops)
{
    struct job job = {.o = o, .begun = process_now()};
    int status = compare_ask(self, ops, &job);

    if (status >= 0)
        return status;
    if (o->check)
        return compare_ability(stdout) ? 0 : EXIT_LOCAL;
    if (o->predict)
        return compare_tell_theory(&job);
    return compare_with_files(self, &job);
}

static int run(const struct cmd *self, int argc, char **argv)
{
    struct compare_options o = {.max_time = 30};
    struct operands ops;
    int status = cmd_parse(self, argc, argv, &o, &ops);

    if (status < 0)
        status = run_options(self, &o, &ops);
    free(o.methods.items);
    free(o.sweeps.items);
    return status;
}

const struct cmd cmd_compare = {.name = "compare",
                                .operands = "[FILE] [REMOTE]",
                                .summary = "Compare TCP and UDP on a link, emulated or real",
                                .tables = compare_tables,
                                .run = run};
