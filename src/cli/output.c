#include "config.h"

#include <errno.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

#include "cli/out.h"
#include "cli/output.h"
#include "cli/records.h"

bool output_is_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

void output_init(struct output *out, bool quiet, bool verbose, bool json, struct xfer_stop *stop)
{
    memset(out, 0, sizeof *out);
    out->quiet = quiet;
    out->verbose = verbose;
    out->json = json;
    out->stop = stop;
    out->style.utf8 = output_is_utf8();
}

static struct wbuf begin(struct output *out)
{
    return wbuf_init(out->line, sizeof out->line - 1);
}

/* In one write, so that lines of several programs on one terminal stay whole. */
static void end_on_stderr(struct output *out, struct wbuf *w)
{
    out->line[w->len++] = '\n';
    progress_clear(&out->progress);
    fwrite(out->line, 1, w->len, stderr);
}

void output_line(struct output *out, const char *line, size_t n)
{
    progress_clear(&out->progress);
    if (!out_write(line, n))
        xfer_stop_raise(out->stop);
}

void output_record(struct output *out, json_t *record)
{
    char *line = record_line(record);

    if (line == NULL)
        return;
    output_line(out, line, strlen(line));
    if (!out_flush())
        xfer_stop_raise(out->stop);
    free(line);
}

void output_error(struct output *out, const char *name, int err, const char *text)
{
    struct wbuf w = begin(out);

    out->problems++;
    report_error(&out->style, name, err, text, &w);
    end_on_stderr(out, &w);
    if (out->json)
        output_record(out, record_error(err, name, text));
}

/* ---- events ---- */

/* Files that an interruption left out are not told one by one, nor a reader of standard output who
 * has seen enough. */
static bool is_told(const struct xfer_event *ev)
{
    bool to_stdout = ev->local != NULL && strcmp(ev->local, "-") == 0;

    return ev->err != -XFER_ECANCELED && !(ev->err == -EPIPE && to_stdout);
}

static void tell_problem(struct output *out, const struct xfer_event *ev)
{
    bool harmless = ev->outcome == XFER_SKIPPED && out->skip_special;
    struct wbuf w = begin(out);

    out->problems++;
    if (!is_told(ev) || (harmless && !out->verbose))
        return;
    report_problem(&out->style, ev, &w);
    end_on_stderr(out, &w);
}

static void tell_file(struct output *out, const struct xfer_event *ev)
{
    struct wbuf w = begin(out);

    if (ev->outcome == XFER_WOULD)
        out->would_bytes += ev->bytes;
    if (out->quiet || (ev->in_tree && !out->verbose && ev->outcome != XFER_WOULD))
        return;
    report_file(&out->style, ev, &w);
    end_on_stderr(out, &w);
}

static void print_checksum(struct output *out, const struct xfer_event *ev)
{
    struct wbuf w = begin(out);

    if (!ev->entry.has_sha256 || ev->local == NULL)
        return;
    report_checksum(ev->entry.sha256, ev->local, &w);
    out->line[w.len++] = '\n';
    output_line(out, out->line, w.len);
}

static void on_file(struct output *out, const struct xfer_event *ev)
{
    bool problem = ev->outcome == XFER_FAILED || ev->outcome == XFER_SKIPPED;

    out->saw_tree |= ev->in_tree;
    if (problem)
        tell_problem(out, ev);
    else
        tell_file(out, ev);
    if (out->json)
        output_record(out, record_file(ev));
    if (out->checksums && !problem)
        print_checksum(out, ev);
}

static void on_note(struct output *out, const struct xfer_event *ev)
{
    struct wbuf w = begin(out);

    if (!out->verbose || ev->text == NULL)
        return;
    report_escaped(ev->text, &w);
    end_on_stderr(out, &w);
}

/* With an error it is one that concerns no single file. */
static void on_warning(struct output *out, const struct xfer_event *ev)
{
    struct wbuf w = begin(out);

    if (ev->err != 0) {
        if (is_told(ev))
            output_error(out, ev->name, ev->err, ev->text);
        return;
    }
    if (ev->text == NULL)
        return;
    if (!out->quiet) {
        wbuf_str(&w, "xfer: warning: ");
        report_escaped(ev->text, &w);
        end_on_stderr(out, &w);
    }
    if (out->json)
        output_record(out, record_error(0, ev->name, ev->text));
}

void output_event(void *user, const struct xfer_event *ev)
{
    struct output *out = user;

    switch (ev->type) {
    case XFER_EV_FILE:
        on_file(out, ev);
        break;
    case XFER_EV_PROGRESS:
        progress_update(&out->progress, ev);
        break;
    case XFER_EV_NOTE:
        on_note(out, ev);
        break;
    case XFER_EV_WARNING:
        on_warning(out, ev);
        break;
    case XFER_EV_ENTRY:
        break;
    }
}

/* ---- the end ---- */

int output_exit_status(int result, int interrupt)
{
    if (result != 0 && result != -XFER_EINTEGRITY && interrupt != 0)
        return 128 + interrupt;
    return xfer_exit_status(result);
}

static void tell_interrupt(struct output *out)
{
    struct wbuf w = begin(out);

    wbuf_str(&w, "xfer: interrupted");
    if (out->style.resumes)
        wbuf_str(&w, "; a partial file is kept, and the same command goes on from there");
    end_on_stderr(out, &w);
}

static void tell_total(struct output *out, const struct xfer_totals *t)
{
    struct wbuf w = begin(out);

    report_total(&out->style, t, out->would_bytes, &w);
    end_on_stderr(out, &w);
}

int output_finish(struct output *out, int result, int interrupt, const char *target,
                  const struct xfer_totals *t)
{
    int status = output_exit_status(result, interrupt);

    progress_clear(&out->progress);
    if (result != 0 && result != -XFER_ECANCELED && out->problems == 0)
        output_error(out, target, result, NULL);
    /* Whoever closed standard output has seen enough: out_close has the last word then. */
    if (out_flush() && !out->quiet && (out->saw_tree || (out->recursive && result == 0)))
        tell_total(out, t);
    if (result != 0 && interrupt != 0)
        tell_interrupt(out);
    if (out->json && t != NULL)
        output_record(out, record_copy_summary(t, status));
    return status;
}
