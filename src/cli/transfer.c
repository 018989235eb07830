#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/transfer.h"
#include "cli/out.h"
#include "cli/output.h"
#include "cli/signals.h"

#define JOBS_MAX 64

#define FIELD(name) .offset = offsetof(struct transfer_options, name)

static const struct opt transfer_rows[] = {
    {.name = "recursive",
     .letter = 'r',
     .kind = OPT_FLAG,
     FIELD(recursive),
     .help = "copy directories: 'src' makes DEST/src, 'src/' pours its contents into DEST"},
    {.name = "jobs",
     .letter = 'j',
     .arg = "N",
     .kind = OPT_COUNT,
     .min = 1,
     .max = JOBS_MAX,
     FIELD(jobs),
     .help = "use N connections side by side, also for a single large file of get (default 1)"},
    {.name = "no-resume",
     .kind = OPT_FLAG,
     FIELD(no_resume),
     .help = "begin each file anew, and keep nothing of one that is cut"},
    {.name = "no-clobber",
     .letter = 'n',
     .kind = OPT_FLAG,
     FIELD(no_clobber),
     .help = "skip files that exist at the destination"},
    {.name = "update",
     .letter = 'u',
     .arg = "times|digest",
     .arg_optional = true,
     .kind = OPT_CHOICE,
     .min = XFER_UPDATE_TIMES,
     FIELD(update),
     .help = "skip files of equal size and mtime, or of equal content (default: copy all)"},
    {.name = "include",
     .arg = "GLOB",
     .kind = OPT_INCLUDE,
     FIELD(filters),
     .help = "copy what matches, whatever a later --exclude says"},
    {.name = "exclude",
     .arg = "GLOB",
     .kind = OPT_EXCLUDE,
     FIELD(filters),
     .help = "leave out what matches; the first match of both counts"},
    {.name = "mkpath",
     .kind = OPT_FLAG,
     FIELD(mkpath),
     .help = "make missing directories of the destination"},
    {.name = "no-preserve",
     .kind = OPT_FLAG,
     FIELD(no_preserve),
     .help = "do not keep mtime and permission bits"},
    {.name = "limit-rate",
     .arg = "RATE",
     .kind = OPT_RATE,
     FIELD(limit_rate),
     .help = "bytes a second, as in 500K or 2M, or bits, as in 100mbit (default: no limit)"},
    {.name = "progress",
     .arg = "auto|always|never",
     .kind = OPT_CHOICE,
     .min = PROGRESS_AUTO,
     FIELD(progress),
     .help = "show a progress line; auto (the default): on a terminal"},
    {.name = "checksums",
     .kind = OPT_FLAG,
     FIELD(checksums),
     .help = "print lines for 'sha256sum -c' to standard output"},
    {.name = "dry-run", .kind = OPT_FLAG, FIELD(dry_run), .help = "tell what would be copied"},
    {.name = "sync",
     .arg = "none|file|batch",
     .kind = OPT_CHOICE,
     .min = XFER_SYNC_NONE,
     FIELD(sync),
     .help = "when to flush to the disk: not at all (the default), each file before its rename, or "
             "many files together"},
    {.name = "remember",
     .kind = OPT_FLAG,
     FIELD(remember),
     .help = "keep digests in extended attributes of the sources, too"},
    {.name = "skip-special",
     .kind = OPT_FLAG,
     FIELD(skip_special),
     .help = "take skipped special files and symlinks for no failure"},
    {.name = "blksize",
     .arg = "N",
     .kind = OPT_COUNT,
     .min = 8,
     .max = 65464,
     FIELD(blksize),
     .help = "UDP: bytes a block (default 1428, or what the path carries in one piece)"},
    {.name = "window",
     .arg = "N",
     .kind = OPT_COUNT,
     .min = 1,
     .max = 32767,
     FIELD(window),
     .help = "UDP: blocks on their way at once (default 1: stop and wait)"},
    {.name = "no-spin",
     .kind = OPT_FLAG,
     FIELD(no_spin),
     .help = "UDP: never wait in a loop, which saves processor time on short paths"},
    {.name = "require-verified",
     .kind = OPT_FLAG,
     FIELD(require_verified),
     .help = "UDP: fail where the server knows no digests"},
    {.kind = OPT_END}};

const struct opt *const transfer_tables[] = {transfer_rows, client_rows, NULL};

static bool is_stream(const char *name)
{
    return name != NULL && strcmp(name, "-") == 0;
}

/* What TFTP cannot do, and what nothing else can. -1 to go on, else the exit status. */
static int check_udp(const struct cmd *c, const struct transfer_options *o,
                     const struct transfer_job *job)
{
    const char *scheme = o->client.udp ? "--udp" : "tftp://";

    if (!o->client.udp && !job->tftp) {
        if (o->blksize || o->window || o->no_spin || o->require_verified)
            return cmd_wrong(c, "--%s is for --udp and tftp:// only",
                             o->blksize   ? "blksize"
                             : o->window  ? "window"
                             : o->no_spin ? "no-spin"
                                          : "require-verified");
        return -1;
    }
    if (o->recursive)
        return cmd_wrong(c, "TFTP knows no directories: -r goes without %s", scheme);
    if (o->update)
        return cmd_wrong(c, "TFTP tells no times and no digests: -u goes without %s", scheme);
    if (o->jobs > 1)
        return cmd_wrong(c, "TFTP moves one file after the other: -j goes without %s", scheme);
    if (job->put && o->no_clobber)
        return cmd_wrong(c,
                         "TFTP cannot ask what exists: --no-clobber goes without %s, or serve "
                         "with --write=new",
                         scheme);
    if (job->put && o->mkpath)
        return cmd_wrong(c, "TFTP makes no directories: --mkpath goes without %s", scheme);
    if (job->put && job->n > 1 && job->dest[strlen(job->dest) - 1] != '/')
        return cmd_wrong(c, "several files need a directory: end the remote with a slash");
    return -1;
}

/* What goes together; -1 to go on, else the exit status. */
static int check(const struct cmd *c, const struct transfer_options *o,
                 const struct transfer_job *job)
{
    bool to_stdout = is_stream(job->dest);
    size_t from_stdin = 0;

    for (size_t i = 0; i < job->n; i++)
        from_stdin += is_stream(job->sources[i]);
    if (o->client.json && o->checksums)
        return cmd_wrong(c, "--json and --checksums cannot share standard output");
    if (to_stdout && (o->client.json || o->checksums))
        return cmd_wrong(c, "--%s and the file's bytes cannot share standard output",
                         o->client.json ? "json" : "checksums");
    if (to_stdout && o->recursive)
        return cmd_wrong(c, "a tree cannot go to standard output");
    if (from_stdin > 1)
        return cmd_wrong(c, "standard input can be sent once only");
    int status = check_udp(c, o, job);
    return status < 0 ? client_check(c, &o->client) : status;
}

static struct xfer_copy_opts api_options(const struct transfer_options *o, struct output *out)
{
    return (struct xfer_copy_opts){
        .net = client_net(&o->client, out->stop, output_event, out),
        .recursive = o->recursive,
        .jobs = o->jobs,
        .no_resume = o->no_resume,
        .no_clobber = o->no_clobber,
        .update = (enum xfer_update)o->update,
        .filters = o->filters.items,
        .n_filters = o->filters.n,
        .mkpath = o->mkpath,
        .no_preserve = o->no_preserve,
        .limit_rate = o->limit_rate,
        .dry_run = o->dry_run,
        .sync = (enum xfer_sync)o->sync,
        .remember = o->remember,
        .skip_special = o->skip_special,
        .udp = o->client.udp,
        .blksize = o->blksize,
        .window = o->window,
        .no_spin = o->no_spin,
        .require_verified = o->require_verified,
    };
}

static void init_output(struct output *out, const struct transfer_options *o,
                        const struct transfer_job *job, struct xfer_stop *stop)
{
    enum progress_when when = (enum progress_when)o->progress;
    bool shares_terminal = is_stream(job->dest) && isatty(STDOUT_FILENO) == 1;

    output_init(out, o->client.quiet, o->client.verbose, o->client.json, stop);
    out->style.put = job->put;
    out->style.counting = o->no_clobber || o->update != XFER_UPDATE_ALL;
    out->style.resumes =
        !o->no_resume && !o->dry_run && !is_stream(job->dest) && !o->client.udp && !job->tftp;
    out->checksums = o->checksums;
    out->skip_special = o->skip_special;
    out->recursive = o->recursive;
    if (when == PROGRESS_AUTO && (o->client.quiet || shares_terminal))
        when = PROGRESS_NEVER;
    progress_init(&out->progress, when, out->style.utf8);
}

static int transfer(const struct transfer_options *o, const struct transfer_job *job,
                    struct output *out)
{
    struct xfer_copy_opts api = api_options(o, out);
    struct xfer_totals totals = {0};
    int rc = job->put ? xfer_put(&api, job->sources, job->n, job->dest, &totals)
                      : xfer_get(&api, job->sources, job->n, job->dest, &totals);

    if (rc == -EPIPE && is_stream(job->dest))
        return EXIT_CLOSED_PIPE;
    return output_finish(out, rc, signals_caught(), job->put ? job->dest : job->sources[0],
                         &totals);
}

static int run(const struct transfer_options *o, const struct transfer_job *job)
{
    struct xfer_stop *stop = xfer_stop_new();
    struct output *out = malloc(sizeof *out);
    int status;

    if (stop != NULL && out != NULL) {
        init_output(out, o, job, stop);
        signals_install(stop, SIGNALS_CLIENT);
        status = transfer(o, job, out);
    } else {
        status = cmd_no_memory();
    }
    free(out);
    /* The stop object stays: a signal may still come. */
    return status;
}

void transfer_options_free(struct transfer_options *o)
{
    free(o->filters.items);
}

int transfer_main(const struct cmd *self, int argc, char **argv, transfer_sort sort)
{
    struct transfer_options o = TRANSFER_OPTIONS_DEFAULTS;
    struct transfer_job job;
    struct operands ops;

    int status = cmd_parse(self, argc, argv, &o, &ops);
    if (status < 0)
        status = sort(self, &ops, &job);
    if (status < 0)
        status = check(self, &o, &job);
    if (status < 0)
        status = run(&o, &job);
    transfer_options_free(&o);
    return status;
}
