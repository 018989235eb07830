#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/escape.h"
#include "cli/cmd.h"
#include "cli/log.h"
#include "cli/out.h"
#include "cli/records.h"
#include "cli/report.h"
#include "cli/signals.h"

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct serve_options {
    bool insecure, no_tcp, no_udp, tftp, udp_single_port, remember, quiet, verbose;
    int write, sync, log_format; /* enum xfer_write, xfer_sync, log_format */
    unsigned max_connections, udp_port;
    double timeout;
    const char *user, *xferlog, *udp_ports;
    unsigned port_lo, port_hi; /* of udp_ports */
    struct text_list listen;
};

#define FIELD(name) .offset = offsetof(struct serve_options, name)

static const struct opt serve_rows[] = {
    {.name = "listen",
     .arg = "ADDR:PORT",
     .kind = OPT_TEXTS,
     FIELD(listen),
     .help = "listen here; also ADDR, or :PORT for every address; may be given again (default "
             "127.0.0.1 and ::1, port 7069; port 0 is any free one)"},
    {.name = "write",
     .arg = "replace|new",
     .arg_optional = true,
     .kind = OPT_CHOICE,
     .min = XFER_WRITE_REPLACE,
     FIELD(write),
     .help = "let clients write: replace files, the meaning without a word, or make new ones only "
             "(default: read-only)"},
    {.name = "insecure",
     .kind = OPT_FLAG,
     FIELD(insecure),
     .help = "allow addresses beyond loopback though nothing is encrypted"},
    {.name = "no-tcp", .kind = OPT_FLAG, FIELD(no_tcp), .help = "serve UDP (TFTP) alone"},
    {.name = "no-udp",
     .kind = OPT_FLAG,
     FIELD(no_udp),
     .help = "serve TCP alone (default: TFTP on UDP, too, same address and port)"},
    {.name = "udp-port",
     .arg = "PORT",
     .kind = OPT_COUNT,
     .min = 1,
     .max = 65535,
     FIELD(udp_port),
     .help = "take UDP requests on this port (default: the number that TCP has)"},
    {.name = "tftp",
     .kind = OPT_FLAG,
     FIELD(tftp),
     .help = "take UDP requests on port 69, where TFTP clients look for them"},
    {.name = "udp-ports",
     .arg = "LO-HI",
     .kind = OPT_TEXT,
     FIELD(udp_ports),
     .help = "use local ports of this range for UDP transfers, for firewalls (default: any)"},
    {.name = "udp-single-port",
     .kind = OPT_FLAG,
     FIELD(udp_single_port),
     .help = "use the port that UDP requests come to for transfers, too, for NAT and containers"},
    {.name = "user",
     .arg = "NAME",
     .kind = OPT_TEXT,
     FIELD(user),
     .help = "become this user once the sockets are there (default: stay)"},
    {.name = "max-connections",
     .arg = "N",
     .kind = OPT_COUNT,
     .min = 1,
     .max = 100000,
     FIELD(max_connections),
     .help = "serve so many at once, and tell the next one so (default 1024); over UDP a quarter "
             "of them, at least 64, to one address"},
    {.name = "timeout",
     .arg = "TIME",
     .kind = OPT_SECONDS,
     FIELD(timeout),
     .help = "end a connection after this long without progress (default 60 seconds)"},
    {.name = "log-format",
     .arg = "text|json",
     .kind = OPT_CHOICE,
     .min = LOG_FORMAT_TEXT,
     FIELD(log_format),
     .help = "form of the log on standard error (default text)"},
    {.name = "xferlog",
     .arg = "FILE",
     .kind = OPT_TEXT,
     FIELD(xferlog),
     .help = "append each GET and PUT to FILE, too, in the classic xferlog format"},
    {.name = "sync",
     .arg = "none|file|batch",
     .kind = OPT_CHOICE,
     .min = XFER_SYNC_NONE,
     FIELD(sync),
     .help = "when to flush what was written to the disk: not at all (the default), each file "
             "before its rename, or many files together"},
    {.name = "remember",
     .kind = OPT_FLAG,
     FIELD(remember),
     .help =
         "keep digests in extended attributes of all files, not of those written by xfer alone"},
    {.name = "quiet",
     .letter = 'q',
     .kind = OPT_FLAG,
     FIELD(quiet),
     .help = "log failed requests only"},
    {.name = "verbose",
     .letter = 'v',
     .kind = OPT_FLAG,
     FIELD(verbose),
     .help = "tell at the start what is served and how"},
    {.name = "help", .kind = OPT_HELP, .help = "print this help and exit"},
    {.kind = OPT_END}};

static const struct opt *const serve_tables[] = {serve_rows, NULL};

/* One server at work. */
struct serve {
    const struct serve_options *o;
    struct xfer_stop *stop;
    int xferlog_fd; /* -1: none */
    unsigned notes;
    char line[LOG_LINE_MAX];
};

/* ---- what the library tells ---- */

static void on_listening(void *user, const char *proto, const char *addr)
{
    struct serve *s = user;
    char line[256];
    int n = snprintf(line, sizeof line, "listening on %s %s\n", proto, addr);

    /* Whoever waits for the line would wait for ever: better no server than such a one. */
    if (!out_write(line, (size_t)n) || !out_flush())
        xfer_stop_raise(s->stop);
}

static void log_json(json_t *record)
{
    char *line = record_line(record);

    if (line != NULL)
        fwrite(line, 1, strlen(line), stderr);
    free(line);
}

static void append_xferlog(struct serve *s, const struct xfer_request *r, const struct timespec *t)
{
    struct wbuf w = wbuf_init(s->line, sizeof s->line);

    if (s->xferlog_fd < 0 || !log_xferlog(r, t, &w) || w.failed)
        return;
    /* One write: lines of two servers on one file stay whole. */
    if (write(s->xferlog_fd, s->line, w.len) != (ssize_t)w.len)
        fprintf(stderr, "xfer: %s: cannot be written: %s\n", s->o->xferlog, strerror(errno));
}

static void on_request(void *user, const struct xfer_request *r)
{
    struct serve *s = user;
    struct wbuf w = wbuf_init(s->line, sizeof s->line - 1);
    struct timespec now;
    char time[LOG_TIME_MAX];

    clock_gettime(CLOCK_REALTIME, &now);
    if (s->o->quiet && r->err == 0) {
        append_xferlog(s, r, &now);
        return;
    }
    if (s->o->log_format == LOG_FORMAT_JSON) {
        log_json(record_request(r, log_time(&now, time)));
    } else {
        log_text(r, &now, &w);
        s->line[w.len++] = '\n';
        fwrite(s->line, 1, w.len, stderr);
    }
    append_xferlog(s, r, &now);
}

static void on_note(void *user, const char *text)
{
    struct serve *s = user;
    struct wbuf w = wbuf_init(s->line, sizeof s->line - 1);

    s->notes++;
    if (s->o->log_format == LOG_FORMAT_JSON) {
        log_json(record_error(0, NULL, text));
        return;
    }
    wbuf_str(&w, "xfer: ");
    report_escaped(text, &w);
    s->line[w.len++] = '\n';
    fwrite(s->line, 1, w.len, stderr);
}

/* ---- set-up ---- */

static int fail(const char *what, int err)
{
    char shown[256];

    fprintf(stderr, "xfer: %s: %s\n", escape_show(what, strlen(what), shown, sizeof shown),
            xfer_strerror(err));
    return EXIT_LOCAL;
}

/* "LO-HI", or one port. */
static bool parse_ports(struct serve_options *o)
{
    const char *dash = strchr(o->udp_ports, '-');
    size_t n = dash != NULL ? (size_t)(dash - o->udp_ports) : strlen(o->udp_ports);
    const char *high = dash != NULL ? dash + 1 : o->udp_ports;
    uint64_t lo, hi;

    if (!parse_u64(o->udp_ports, n, 65535, &lo) || !parse_u64(high, strlen(high), 65535, &hi) ||
        lo == 0 || hi < lo)
        return false;
    o->port_lo = (unsigned)lo;
    o->port_hi = (unsigned)hi;
    return true;
}

/* -1 to go on, else the exit status. */
static int check_udp(const struct cmd *c, struct serve_options *o)
{
    if (o->no_tcp && o->no_udp)
        return cmd_wrong(c, "--no-tcp and --no-udp leave nothing to serve");
    if (o->tftp && o->udp_port)
        return cmd_wrong(c, "--tftp means --udp-port 69");
    if (o->tftp)
        o->udp_port = 69;
    if (o->no_udp && (o->udp_port || o->udp_ports != NULL || o->udp_single_port))
        return cmd_wrong(c, "--no-udp excludes other options of UDP");
    if (o->udp_ports != NULL && o->udp_single_port)
        return cmd_wrong(c, "--udp-ports and --udp-single-port exclude each other");
    if (o->udp_ports != NULL && !parse_ports(o))
        return cmd_wrong(c, "--udp-ports takes LO-HI, as in 50000-50099");
    return -1;
}

/* What the library would refuse with less to say. -1 to go on, else the exit status. */
static int check(const struct cmd *c, struct serve_options *o, const struct operands *ops)
{
    char shown[128];
    struct stat sb;

    if (ops->n != 1)
        return cmd_wrong(c, ops->n == 0 ? "needs the directory to serve" : "serves one directory");
    if (o->user != NULL && getpwnam(o->user) == NULL)
        return cmd_wrong(c, "--user: there is no user '%s'",
                         escape_show(o->user, strlen(o->user), shown, sizeof shown));
    if (stat(ops->items[0], &sb) != 0)
        return fail(ops->items[0], -errno);
    if (!S_ISDIR(sb.st_mode))
        return fail(ops->items[0], -ENOTDIR);
    return check_udp(c, o);
}

static int tell_failure(const struct cmd *c, const struct serve *s, int rc)
{
    const struct text_list *l = &s->o->listen;

    if (rc == -XFER_EUSAGE && s->notes == 0)
        return cmd_wrong(c, "--listen takes ADDR:PORT, and --insecure for more than loopback");
    if (rc == -XFER_EUSAGE)
        return EXIT_USAGE;
    if (s->notes == 0)
        fail(l->n == 1 ? l->items[0] : "cannot listen", rc);
    return EXIT_LOCAL;
}

static void tell_start(const struct serve_options *o, const char *dir)
{
    static const char *const write_text[] = {"read-only", "files can be written and replaced",
                                             "new files can be written"};
    char shown[256];

    fprintf(stderr, "xfer: serving %s: %s, at most %u connections, %g s timeout\n",
            escape_show(dir, strlen(dir), shown, sizeof shown), write_text[o->write],
            o->max_connections, o->timeout);
}

static int serve(const struct cmd *c, struct serve *s, const char *dir)
{
    const struct serve_options *o = s->o;
    struct xfer_serve_opts api = {.dir = dir,
                                  .listen = o->listen.items,
                                  .n_listen = o->listen.n,
                                  .insecure = o->insecure,
                                  .write = (enum xfer_write)o->write,
                                  .max_connections = o->max_connections,
                                  .timeout = o->timeout,
                                  .sync = (enum xfer_sync)o->sync,
                                  .remember = o->remember,
                                  .user_name = o->user,
                                  .no_tcp = o->no_tcp,
                                  .no_udp = o->no_udp,
                                  .udp_port = o->udp_port,
                                  .udp_port_lo = o->port_lo,
                                  .udp_port_hi = o->port_hi,
                                  .udp_single_port = o->udp_single_port,
                                  .stop = s->stop,
                                  .on_listening = on_listening,
                                  .on_request = on_request,
                                  .on_note = on_note,
                                  .user = s};
    int rc;

    signals_install(s->stop, SIGNALS_SERVER);
    if (o->verbose)
        tell_start(o, dir);
    rc = xfer_serve(&api);
    if (rc != 0)
        return tell_failure(c, s, rc);
    return signals_caught() == SIGINT ? 128 + SIGINT : 0;
}

static int run_serve(const struct cmd *c, const struct serve_options *o, const char *dir)
{
    struct serve *s = calloc(1, sizeof *s);
    int status = EXIT_LOCAL;

    if (s == NULL || (s->stop = xfer_stop_new()) == NULL) {
        free(s);
        return cmd_no_memory();
    }
    s->o = o;
    s->xferlog_fd = -1;
    if (o->xferlog != NULL)
        s->xferlog_fd = open(o->xferlog, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (o->xferlog != NULL && s->xferlog_fd < 0) {
        fail(o->xferlog, -errno);
        xfer_stop_free(s->stop);
    } else {
        status = serve(c, s, dir); /* its stop object stays: a signal may still come */
    }
    if (s->xferlog_fd >= 0 && close(s->xferlog_fd) != 0 && status == 0)
        status = fail(o->xferlog, -errno);
    free(s);
    return status;
}

static int run(const struct cmd *self, int argc, char **argv)
{
    struct serve_options o = {.timeout = 60, .max_connections = 1024};
    struct operands ops;
    int status = cmd_parse(self, argc, argv, &o, &ops);

    if (status < 0)
        status = check(self, &o, &ops);
    if (status < 0)
        status = run_serve(self, &o, ops.items[0]);
    free(o.listen.items);
    return status;
}

const struct cmd cmd_serve = {.name = "serve",
                              .operands = "DIR",
                              .summary = "Serve a directory",
                              .tables = serve_tables,
                              .run = run};
