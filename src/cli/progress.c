#include "config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "base/escape.h"
#include "base/units.h"
#include "cli/progress.h"

#define DRAW_INTERVAL 0.1
#define SAMPLE_INTERVAL 0.5
#define WIDTH_UNKNOWN 80
#define WIDTH_PERCENT_ONLY 20
/* A name cut shorter than this says nothing. */
#define NAME_COLUMNS_MIN 8

/* ---- columns ---- */

/* The next character: its bytes and columns. Bytes that the locale cannot read count one each. */
static size_t next_char(const char *s, mbstate_t *state, size_t *columns)
{
    wchar_t wc;
    size_t n = mbrtowc(&wc, s, MB_CUR_MAX, state);
    int w;

    *columns = 1;
    if (n == 0 || n > MB_CUR_MAX) {
        memset(state, 0, sizeof *state);
        return 1;
    }
    w = wcwidth(wc);
    *columns = w >= 0 ? (size_t)w : 2; /* unknown to the locale: room for the widest */
    return n;
}

/* Bytes of the longest beginning that takes at most `columns`; *used is what it takes. A character
 * is never cut, nor parted from the combining ones after it. */
static size_t fit(const char *s, size_t columns, size_t *used)
{
    mbstate_t state;
    size_t off = 0;

    memset(&state, 0, sizeof state);
    *used = 0;
    while (s[off] != '\0') {
        size_t w, n = next_char(s + off, &state, &w);

        if (*used + w > columns)
            break;
        *used += w;
        off += n;
    }
    while (off > 0 && ((unsigned char)s[off] & 0xc0) == 0x80)
        off--;
    return off;
}

size_t progress_columns(const char *s)
{
    size_t used;

    fit(s, SIZE_MAX, &used);
    return used;
}

/* ---- the line ---- */

struct line {
    char *out;
    size_t len, columns, room;
};

/* Appends a piece with two spaces before it if there is room for all of it. */
static bool add(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool add(struct line *l, const char *fmt, ...)
{
    char piece[128];
    size_t gap = l->len > 0 ? 2 : 0, columns;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(piece, sizeof piece, fmt, ap);
    va_end(ap);
    columns = progress_columns(piece);
    if (l->columns + gap + columns > l->room)
        return false;
    l->len +=
        (size_t)snprintf(l->out + l->len, PROGRESS_LINE_MAX - l->len, "%*s%s", (int)gap, "", piece);
    l->columns += gap + columns;
    return true;
}

/* Puts the name before all else, cut to the room that is left. */
static void add_name(struct line *l, const struct progress_state *s)
{
    char name[PROGRESS_LINE_MAX / 2];
    const char *dots = s->utf8 ? "…" : "...";
    size_t dots_columns = s->utf8 ? 1 : 3, room, columns, n;

    if (s->name == NULL || l->room < l->columns + 2 + NAME_COLUMNS_MIN)
        return;
    room = l->room - l->columns - 2;
    escape_show(s->name, strlen(s->name), name, sizeof name - sizeof "…  ");
    n = fit(name, room, &columns);
    if (name[n] != '\0')
        n = fit(name, room - dots_columns, &columns);
    else
        dots = "";
    if (n + 5 + l->len >= PROGRESS_LINE_MAX)
        return;
    strcpy(name + n, dots);
    strcat(name, "  ");
    n = strlen(name);
    memmove(l->out + n, l->out, l->len + 1);
    memcpy(l->out, name, n);
}

static unsigned percent(const struct progress_state *s)
{
    double p = 100.0 * (double)s->bytes_done / (double)s->bytes_total;

    return p < 100 ? (unsigned)p : 100;
}

static void add_time_left(struct line *l, const struct progress_state *s)
{
    char text[32];

    if (s->bytes_total == 0 || s->rate <= 0 || s->bytes_done > s->bytes_total)
        return;
    units_time((double)(s->bytes_total - s->bytes_done) / s->rate, text, sizeof text);
    add(l, "%s left", text);
}

char *progress_format(const struct progress_state *s, unsigned width, char *out)
{
    struct line l = {.out = out, .room = width > 0 ? width - 1 : 0};
    char done[16], total[16], rate[24];

    out[0] = '\0';
    units_size(s->bytes_done, done, sizeof done);
    units_size(s->bytes_total, total, sizeof total);
    if (s->bytes_total > 0)
        add(&l, "%3u%%", percent(s));
    if (width < WIDTH_PERCENT_ONLY)
        return out;
    if (s->bytes_total == 0 || !add(&l, "%s of %s", done, total))
        add(&l, "%s", done);
    if (s->rate > 0)
        add(&l, "%s", units_rate((uint64_t)s->rate, 1, rate, sizeof rate));
    add_time_left(&l, s);
    if (s->files_total > 1)
        add(&l, "%llu of %llu files", (unsigned long long)s->files_done,
            (unsigned long long)s->files_total);
    else if (s->files_total == 0 && s->files_done > 1)
        add(&l, "%llu files", (unsigned long long)s->files_done);
    add_name(&l, s);
    return out;
}

/* ---- rate ---- */

double progress_rate_update(struct progress_rate *r, double now, uint64_t bytes)
{
    const struct progress_sample *oldest = &r->kept[0];
    double rate = 0;

    if (r->n > 0 && bytes < r->kept[r->n - 1].bytes)
        r->n = 0; /* begun anew */
    if (r->n > 0 && now > oldest->at)
        rate = (double)(bytes - oldest->bytes) / (now - oldest->at);
    if (r->n > 0 && now - r->kept[r->n - 1].at < SAMPLE_INTERVAL)
        return rate;
    if (r->n == PROGRESS_SAMPLES)
        memmove(&r->kept[0], &r->kept[1], --r->n * sizeof r->kept[0]);
    r->kept[r->n++] = (struct progress_sample){now, bytes};
    return rate;
}

/* ---- the terminal ---- */

static double now_seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static unsigned terminal_width(void)
{
    struct winsize w;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col == 0)
        return WIDTH_UNKNOWN;
    return w.ws_col;
}

/* A job in the background does not scribble over the one in front. */
static bool in_foreground(void)
{
    pid_t front = tcgetpgrp(STDERR_FILENO);

    return front < 0 || front == getpgrp();
}

void progress_init(struct progress *p, enum progress_when when, bool utf8)
{
    const char *term = getenv("TERM");
    bool tty = isatty(STDERR_FILENO) == 1;

    memset(p, 0, sizeof *p);
    p->on = when == PROGRESS_ALWAYS || (when == PROGRESS_AUTO && tty);
    p->escapes = tty && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
    p->utf8 = utf8;
}

/* Spaces that cover `columns` without reaching the end of a terminal that became narrower. */
static int cover_of(size_t columns)
{
    size_t room = terminal_width() - 1;

    return (int)(columns < room ? columns : room);
}

void progress_clear(struct progress *p)
{
    if (p->drawn == 0)
        return;
    if (p->escapes)
        fputs("\r\033[K", stderr);
    else
        fprintf(stderr, "\r%*s\r", cover_of(p->drawn), "");
    p->drawn = 0;
}

/* In one write, so that the line does not flicker. Without escape codes spaces cover what a longer
 * line before left. */
static void draw(struct progress *p, const char *line)
{
    size_t columns = progress_columns(line);
    int cover = p->drawn > columns ? cover_of(p->drawn) - (int)columns : 0;

    if (p->escapes)
        fprintf(stderr, "\r%s\033[K", line);
    else
        fprintf(stderr, "\r%s%*s", line, cover > 0 ? cover : 0, "");
    p->drawn = columns;
}

/* Whether a line is due now. */
static bool is_due(struct progress *p, double now)
{
    if (now < p->next_at || !in_foreground())
        return false;
    p->next_at = now + DRAW_INTERVAL;
    return true;
}

void progress_say(struct progress *p, const char *text)
{
    char line[PROGRESS_LINE_MAX];
    size_t used;

    if (!p->on || !is_due(p, now_seconds()))
        return;
    snprintf(line, sizeof line, "%.*s", (int)fit(text, terminal_width() - 1, &used), text);
    draw(p, line);
}

void progress_update(struct progress *p, const struct xfer_event *ev)
{
    struct progress_state s = {.name = ev->name,
                               .bytes_done = ev->bytes_done,
                               .bytes_total = ev->bytes_total,
                               .files_done = ev->files_done,
                               .files_total = ev->files_total,
                               .utf8 = p->utf8};
    char line[PROGRESS_LINE_MAX];
    double now;

    if (!p->on)
        return;
    now = now_seconds();
    s.rate = progress_rate_update(&p->rate, now, ev->bytes_done);
    if (is_due(p, now))
        draw(p, progress_format(&s, terminal_width(), line));
}
