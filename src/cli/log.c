#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/log.h"
#include "cli/report.h"

char *log_time(const struct timespec *t, char out[LOG_TIME_MAX])
{
    char date[32];
    struct tm tm;

    if (gmtime_r(&t->tv_sec, &tm) == NULL ||
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        strcpy(date, "?");
    snprintf(out, LOG_TIME_MAX, "%s.%03ldZ", date, t->tv_nsec / 1000000);
    return out;
}

/* Widens each space from `from` on to \x20. */
static void escape_spaces(struct wbuf *w, size_t from)
{
    size_t spaces = 0, to;

    for (size_t i = from; i < w->len; i++)
        spaces += w->p[i] == ' ';
    if (w->failed || w->cap - w->len < 3 * spaces) {
        w->failed = true;
        return;
    }
    to = w->len + 3 * spaces;
    for (size_t i = w->len; i-- > from;) {
        if (w->p[i] == ' ')
            memcpy(w->p + (to -= 4), "\\x20", 4);
        else
            w->p[--to] = w->p[i];
    }
    w->len += 3 * spaces;
}

/* A word of the line; "-" for none. */
static void add_word(struct wbuf *w, const char *s)
{
    size_t from = w->len;

    report_escaped(s != NULL && s[0] != '\0' ? s : "-", w);
    escape_spaces(w, from);
}

void log_text(const struct xfer_request *r, const struct timespec *t, struct wbuf *w)
{
    bool tcp = r->transport == NULL || strcmp(r->transport, "tcp") == 0;
    char time[LOG_TIME_MAX];

    wbuf_fmt(w, "%s ", log_time(t, time));
    add_word(w, r->peer);
    wbuf_ch(w, ' ');
    add_word(w, r->verb);
    wbuf_ch(w, ' ');
    add_word(w, r->path);
    if (!tcp)
        wbuf_fmt(w, " transport=%s", r->transport);
    if (r->options != NULL)
        wbuf_fmt(w, " %s", r->options);
    wbuf_fmt(w, " offset=%llu bytes=%llu resent=%llu ", (unsigned long long)r->offset,
             (unsigned long long)r->bytes, (unsigned long long)r->resent);
    if (!tcp)
        wbuf_fmt(w, "timeouts=%llu ", (unsigned long long)r->timeouts);
    wbuf_fmt(w, "seconds=%.3f ", r->seconds);
    if (r->err == 0) {
        wbuf_str(w, "ok");
        return;
    }
    wbuf_fmt(w, "failed %s: ", err_row(r->err)->name);
    report_escaped(r->text != NULL && r->text[0] != '\0' ? r->text : xfer_strerror(r->err), w);
}

/* ---- xferlog ---- */

static void add_masked(struct wbuf *w, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        wbuf_ch(w, c <= ' ' || c == 0x7f ? '_' : s[i]);
    }
}

/* "[::1]:5555" and "127.0.0.1:5555" without port and brackets. */
static void add_host(struct wbuf *w, const char *peer)
{
    const char *colon = strrchr(peer, ':');
    size_t n = colon != NULL ? (size_t)(colon - peer) : strlen(peer);

    if (n >= 2 && peer[0] == '[' && peer[n - 1] == ']') {
        peer++;
        n -= 2;
    }
    add_masked(w, peer, n);
}

bool log_xferlog(const struct xfer_request *r, const struct timespec *t, struct wbuf *w)
{
    char date[64];
    struct tm tm;
    bool put = r->verb != NULL && strcmp(r->verb, "PUT") == 0;

    if (!put && (r->verb == NULL || strcmp(r->verb, "GET") != 0))
        return false;
    if (localtime_r(&t->tv_sec, &tm) == NULL ||
        strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &tm) == 0)
        return false;
    wbuf_fmt(w, "%s %.0f ", date, r->seconds);
    add_host(w, r->peer != NULL ? r->peer : "-");
    wbuf_fmt(w, " %llu ", (unsigned long long)r->bytes);
    add_masked(w, r->path != NULL ? r->path : "-", strlen(r->path != NULL ? r->path : "-"));
    wbuf_fmt(w, " b _ %c a anonymous xfer 0 * %c\n", put ? 'i' : 'o', r->err == 0 ? 'c' : 'i');
    return true;
}
