#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/units.h"
#include "cli/report.h"

#define DIGEST_SHOWN 4 /* bytes of a digest in a line for people */

static void add_size(struct wbuf *w, uint64_t bytes)
{
    char text[32];

    wbuf_str(w, units_size(bytes, text, sizeof text));
}

static void add_time_and_rate(struct wbuf *w, uint64_t bytes, double seconds)
{
    char time[32], rate[32];

    wbuf_fmt(w, "  %s  %s", units_time(seconds, time, sizeof time),
             units_rate(bytes, seconds, rate, sizeof rate));
}

void report_escaped(const char *s, struct wbuf *w)
{
    /* Straight into the buffer: names are long, stacks of threads are not. */
    if (w->failed || w->cap - w->len < 8) {
        w->failed = true;
        return;
    }
    escape_show(s, strlen(s), w->p + w->len, w->cap - w->len);
    w->len += strlen(w->p + w->len);
}

/* ---- files ---- */

static const char *name_of(const struct xfer_event *ev)
{
    const char *name = ev->name != NULL ? ev->name : ev->remote != NULL ? ev->remote : ev->local;

    return name != NULL ? name : "?";
}

static void add_done(const struct report_style *st, const struct xfer_event *ev, struct wbuf *w)
{
    wbuf_str(w, "  ");
    add_size(w, ev->bytes);
    if (ev->resumed_at > 0) {
        wbuf_str(w, " (resumed at ");
        add_size(w, ev->resumed_at);
        wbuf_str(w, ")");
    }
    add_time_and_rate(w, ev->bytes - (ev->resumed_at < ev->bytes ? ev->resumed_at : 0),
                      ev->seconds);
    if (ev->entry.has_sha256) {
        wbuf_str(w, "  sha256 ");
        wbuf_hex(w, ev->entry.sha256, DIGEST_SHOWN);
        wbuf_str(w, st->utf8 ? "…" : "...");
    }
    wbuf_str(w, ev->verified ? "  verified" : "  unverified");
}

void report_file(const struct report_style *st, const struct xfer_event *ev, struct wbuf *w)
{
    if (ev->outcome == XFER_WOULD)
        wbuf_str(w, st->put ? "would send " : "would get ");
    report_escaped(name_of(ev), w);
    if (ev->outcome == XFER_DONE) {
        add_done(st, ev, w);
        return;
    }
    wbuf_str(w, "  ");
    add_size(w, ev->bytes);
    if (ev->outcome == XFER_UNCHANGED)
        wbuf_str(w, "  unchanged");
}

/* ---- problems ---- */

enum where { ON_PUT = 1, ON_GET = 2, ANYWHERE = 3 };

/* What to do about an error, where there is something to do. */
static const struct hint {
    int err;
    enum where where;
    bool if_resumes;
    const char *text;
} hints[] = {
    {ECONNREFUSED, ANYWHERE, false, "is 'xfer serve' running there, on that port?"},
    {XFER_EHOST, ANYWHERE, false, "check the spelling"},
    {XFER_EBUSY, ANYWHERE, false, "try again later"},
    {XFER_EREADONLY, ON_PUT, false, "the server has to be started with --write"},
    {XFER_ENOTFOUND, ON_PUT, false, "--mkpath makes missing directories"},
    {ENOENT, ON_GET, false, "--mkpath makes missing directories"},
    {XFER_EISDIR, ANYWHERE, false, "-r copies directories"},
    {EISDIR, ANYWHERE, false, "-r copies directories"},
    {XFER_ELOST, ANYWHERE, true, "the same command goes on from there"},
    {ETIMEDOUT, ANYWHERE, true, "the same command goes on from there"},
    {XFER_EDEADLINE, ANYWHERE, true, "the same command goes on from there"},
    {ENOSPC, ANYWHERE, true, "make room, then the same command goes on from there"},
};

static const char *hint_of(const struct report_style *st, int err)
{
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (hints[i].err == abs(err) && (hints[i].where & (st->put ? ON_PUT : ON_GET)) != 0 &&
            (!hints[i].if_resumes || st->resumes))
            return hints[i].text;
    return NULL;
}

/* Text that already says what the error says is not said twice; a hint is for who was told no more
 * than the error. */
void report_error(const struct report_style *st, const char *name, int err, const char *text,
                  struct wbuf *w)
{
    const char *why = xfer_strerror(err), *hint = hint_of(st, err);
    bool more = text != NULL && text[0] != '\0' && strcasecmp(text, why) != 0;
    bool complete = more && strcasestr(text, why) != NULL;

    wbuf_str(w, "xfer: ");
    if (name != NULL && name[0] != '\0') {
        report_escaped(name, w);
        wbuf_str(w, ": ");
    }
    if (!complete)
        wbuf_str(w, why);
    if (more && !complete)
        wbuf_str(w, ": ");
    if (more)
        report_escaped(text, w);
    else if (hint != NULL)
        wbuf_fmt(w, "; %s", hint);
}

/* The end that is to blame: our own file for what our own system said, else the other one. */
static const char *culprit(const struct report_style *st, const struct xfer_event *ev)
{
    bool local = xfer_exit_status(ev->err) == 6 || (st->put && ev->err == -XFER_ECHANGED) ||
                 (st->put && ev->outcome == XFER_SKIPPED);

    if (local && ev->local != NULL && strcmp(ev->local, "-") != 0)
        return ev->local;
    return ev->remote != NULL ? ev->remote : name_of(ev);
}

void report_problem(const struct report_style *st, const struct xfer_event *ev, struct wbuf *w)
{
    if (ev->outcome != XFER_SKIPPED) {
        report_error(st, culprit(st, ev), ev->err, ev->text, w);
        return;
    }
    wbuf_str(w, "xfer: ");
    report_escaped(culprit(st, ev), w);
    wbuf_str(w, ": ");
    if (ev->text == NULL || strstr(ev->text, "skipped") == NULL)
        wbuf_str(w, "skipped: ");
    report_escaped(ev->text != NULL ? ev->text : xfer_strerror(ev->err), w);
}

/* ---- totals ---- */

static void add_files(struct wbuf *w, uint64_t n)
{
    wbuf_fmt(w, "%llu file%s", (unsigned long long)n, n == 1 ? "" : "s");
}

static void add_leftovers(const struct xfer_totals *t, bool unchanged, struct wbuf *w)
{
    const struct {
        uint64_t n;
        const char *what;
    } rest[] = {{unchanged ? t->files_unchanged : 0, "unchanged"},
                {t->files_skipped, "skipped"},
                {t->files_failed, "failed"}};
    const char *before = "; ";

    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
        if (rest[i].n == 0)
            continue;
        wbuf_fmt(w, "%s%llu %s", before, (unsigned long long)rest[i].n, rest[i].what);
        before = ", ";
    }
}

void report_total(const struct report_style *st, const struct xfer_totals *t, uint64_t would_bytes,
                  struct wbuf *w)
{
    bool counting = st->counting || t->files_unchanged > 0;

    if (t->files_would > 0) {
        wbuf_str(w, st->put ? "would send " : "would get ");
        add_files(w, t->files_would);
        wbuf_str(w, "  ");
        add_size(w, would_bytes);
        add_leftovers(t, true, w);
        return;
    }
    add_files(w, t->files_done + (counting ? t->files_unchanged : 0));
    if (counting)
        wbuf_fmt(w, ": %llu %s, %llu unchanged", (unsigned long long)t->files_done,
                 st->put ? "sent" : "received", (unsigned long long)t->files_unchanged);
    if (t->files_done > 0) {
        wbuf_str(w, "  ");
        add_size(w, t->bytes);
        add_time_and_rate(w, t->bytes, t->seconds);
        wbuf_str(w, "  verified");
    }
    add_leftovers(t, false, w);
}

/* ---- standard output ---- */

void report_checksum(const uint8_t sha256[XFER_SHA256_LEN], const char *name, struct wbuf *w)
{
    if (strpbrk(name, "\\\n\r") != NULL)
        wbuf_ch(w, '\\');
    wbuf_hex(w, sha256, XFER_SHA256_LEN);
    wbuf_str(w, "  ");
    for (; *name != '\0'; name++) {
        if (*name == '\\')
            wbuf_str(w, "\\\\");
        else if (*name == '\n')
            wbuf_str(w, "\\n");
        else if (*name == '\r')
            wbuf_str(w, "\\r");
        else
            wbuf_ch(w, *name);
    }
}

static void add_mode(const struct xfer_entry *e, struct wbuf *w)
{
    wbuf_ch(w, e->type == 'f' ? '-' : e->type == 'd' || e->type == 'l' ? e->type : '?');
    for (int bit = 8; bit >= 0; bit--)
        wbuf_ch(w, e->err != 0 ? '?' : e->mode >> bit & 1 ? "xwr"[bit % 3] : '-');
}

static void add_local_time(time_t t, struct wbuf *w)
{
    char text[64];
    struct tm tm;

    if (localtime_r(&t, &tm) == NULL || strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        strcpy(text, "?");
    wbuf_str(w, text);
}

void report_details(const struct xfer_entry *e, int size_columns, struct wbuf *w)
{
    add_mode(e, w);
    if (e->err != 0) {
        wbuf_fmt(w, "  %*s  %19s  ", size_columns, "?", "?");
        return;
    }
    wbuf_fmt(w, "  %*llu  ", size_columns, (unsigned long long)e->size);
    add_local_time(e->mtime.tv_sec, w);
    wbuf_str(w, "  ");
}
