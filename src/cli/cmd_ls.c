#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/records.h"
#include "cli/signals.h"

struct ls_options {
    struct client_options client;
    bool details, recursive, reverse, sha256;
};

#define FIELD(name) .offset = offsetof(struct ls_options, name)

static const struct opt ls_rows[] = {{.name = "long",
                                      .letter = 'l',
                                      .kind = OPT_FLAG,
                                      FIELD(details),
                                      .help = "show mode, size in bytes and mtime, too"},
                                     {.name = "recursive",
                                      .letter = 'R',
                                      .kind = OPT_FLAG,
                                      FIELD(recursive),
                                      .help = "list what is below directories, too"},
                                     {.name = "reverse",
                                      .letter = 'r',
                                      .kind = OPT_FLAG,
                                      FIELD(reverse),
                                      .help = "list in reverse order"},
                                     {.name = "sha256",
                                      .kind = OPT_FLAG,
                                      FIELD(sha256),
                                      .help = "list files with their digests, as sha256sum does"},
                                     {.kind = OPT_END}};

static const struct opt *const ls_tables[] = {ls_rows, client_rows, NULL};

/* One `ls` at work. */
struct ls {
    const struct ls_options *o;
    struct listing listing;
    struct output out;
    int err; /* our own */
    bool raw_names;
};

static void on_event(void *user, const struct xfer_event *ev)
{
    struct ls *ls = user;

    if (ev->type != XFER_EV_ENTRY) {
        output_event(&ls->out, ev);
        return;
    }
    if (ev->entry.err != 0)
        output_error(&ls->out, ev->remote != NULL ? ev->remote : ev->name, ev->entry.err, ev->text);
    if (ls->err == 0 && !listing_add(&ls->listing, ev)) {
        ls->err = -ENOMEM;
        xfer_stop_raise(ls->out.stop);
    }
}

/* ---- rows ---- */

static void add_name(const struct ls *ls, const struct listing_row *row, struct wbuf *w)
{
    size_t n = strlen(row->name);

    if (ls->raw_names)
        wbuf_str(w, row->name);
    else
        report_escaped(row->name, w);
    if (row->entry.type == 'd' && n > 0 && row->name[n - 1] != '/')
        wbuf_ch(w, '/');
}

/* With --sha256 alone the output is for `sha256sum -c`: files only. */
static bool add_row(const struct ls *ls, const struct listing_row *row, int size_columns,
                    struct wbuf *w)
{
    const struct xfer_entry *e = &row->entry;

    if (ls->o->sha256 && !ls->o->details) {
        if (!e->has_sha256)
            return false;
        report_checksum(e->sha256, row->name, w);
        return true;
    }
    if (ls->o->details)
        report_details(e, size_columns, w);
    if (ls->o->sha256 && e->has_sha256) {
        wbuf_hex(w, e->sha256, XFER_SHA256_LEN);
        wbuf_str(w, "  ");
    } else if (ls->o->sha256) {
        for (int i = 0; i < 2 * XFER_SHA256_LEN; i++)
            wbuf_ch(w, '-');
        wbuf_str(w, "  ");
    }
    add_name(ls, row, w);
    return true;
}

static void print_row(struct ls *ls, const struct listing_row *row, int size_columns)
{
    struct xfer_event ev = {.name = row->name, .remote = row->remote, .entry = row->entry};
    struct wbuf w = wbuf_init(ls->out.line, sizeof ls->out.line - 1);

    if (ls->o->client.json) {
        output_record(&ls->out, record_entry(&ev));
    } else if (add_row(ls, row, size_columns, &w)) {
        ls->out.line[w.len++] = '\n';
        output_line(&ls->out, ls->out.line, w.len);
    }
}

static int list(struct ls *ls, const char *remote)
{
    struct xfer_list_opts api = {.net = client_net(&ls->o->client, ls->out.stop, on_event, ls),
                                 .recursive = ls->o->recursive,
                                 .sha256 = ls->o->sha256};
    struct xfer_totals totals = {0};
    int rc = xfer_list(&api, remote, &totals), columns, status;

    if (ls->err != 0)
        rc = ls->err;
    listing_sort(&ls->listing, ls->o->reverse);
    columns = listing_size_columns(&ls->listing);
    for (size_t i = 0; i < ls->listing.n; i++)
        print_row(ls, &ls->listing.rows[i], columns);
    status = output_finish(&ls->out, rc, signals_caught(), remote, NULL);
    if (ls->o->client.json)
        output_record(&ls->out, record_list_summary(ls->listing.n, listing_bytes(&ls->listing),
                                                    totals.seconds, status));
    return status;
}

static int run_ls(const struct ls_options *o, const char *remote)
{
    struct xfer_stop *stop = xfer_stop_new();
    struct ls *ls = calloc(1, sizeof *ls);
    int status;

    if (stop != NULL && ls != NULL) {
        ls->o = o;
        ls->raw_names = isatty(STDOUT_FILENO) != 1;
        output_init(&ls->out, o->client.quiet, o->client.verbose, o->client.json, stop);
        signals_install(stop, SIGNALS_CLIENT);
        status = list(ls, remote);
        listing_free(&ls->listing);
    } else {
        status = cmd_no_memory();
    }
    free(ls);
    return status;
}

static int run(const struct cmd *self, int argc, char **argv)
{
    struct ls_options o = {.client = CLIENT_OPTIONS_DEFAULTS};
    struct operands ops;
    int status = cmd_parse(self, argc, argv, &o, &ops), remote;
    bool tftp;

    if (status >= 0)
        return status;
    if (ops.n != 1)
        return cmd_wrong(self, ops.n == 0
                                   ? "needs a remote such as nas:/dir/"
                                   : "takes one remote; quote wildcards, as in 'nas:/*.txt'");
    remote = client_is_remote(self, ops.items[0], &tftp, &status);
    if (remote < 0)
        return status;
    if (remote == 0)
        return cmd_wrong(self, "needs a remote such as nas:/dir/, not a local path");
    if (o.client.udp || tftp)
        return cmd_wrong(self, "TFTP has no listing: ask without %s",
                         o.client.udp ? "--udp" : "tftp://");
    status = client_check(self, &o.client);
    return status < 0 ? run_ls(&o, ops.items[0]) : status;
}

const struct cmd cmd_ls = {.name = "ls",
                           .operands = "REMOTE",
                           .summary = "List what a server has",
                           .tables = ls_tables,
                           .run = run};
