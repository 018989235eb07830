#include "config.h"

#include <math.h>
#include <string.h>

#include "compare/link.h"
#include "compare/method.h"
#include "compare/spec.h"
#include "compare/theory.h"
#include "compare/words.h"

#define FEW 20             /* blocks: of fewer the request is a part that shows */
#define SHORTEST_WAIT 1e-3 /* s of a real round trip: below it is programs that take the time */

/* The rows of one table, and what they say about each other. */
struct view {
    const struct compare_result *r;
    struct compare_spec point;
    const struct compare_row *waiting; /* stop-and-wait, nearest to the default */
    const struct compare_row
        *windowed; /* fastest with a window, of the same blocks if there is one */
    const struct compare_row *stream; /* fastest over TCP */
    const struct compare_row *fastest, *slowest;
};

char *compare_words_size(uint64_t bytes, char *out, size_t cap)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t i = 0;

    for (; v >= 1024 && i < 4; i++)
        v /= 1024;
    snprintf(out, cap, v < 10 ? "%.3g %s" : v < 1000 ? "%.4g %s" : "%.0f %s", v, names[i]);
    return out;
}

char *compare_words_setting(const struct compare_result *r, unsigned point, char *out, size_t cap)
{
    static const char *const directions[] = {"", "get ", "put and get "};
    struct compare_spec s;
    char why[COMPARE_WHY_MAX], size[24], link[400];
    bool changes; /* the round trip, from value to value */

    if (!compare_spec_point(r->spec, point, &s, why))
        s = *r->spec;
    changes = r->spec->sweep.n > 0 && s.link.emulated;
    snprintf(out, cap, "%s%s, %s", directions[s.direction],
             compare_words_size(s.size, size, sizeof size),
             compare_link_text(&s.link, changes ? 0 : r->measured_rtt, link, sizeof link));
    return out;
}

static const struct compare_method *method_of(const struct view *v, const struct compare_row *row)
{
    return &v->point.methods[row->method];
}

static const struct compare_row *faster(const struct compare_row *a, const struct compare_row *b)
{
    return a == NULL || b->bits_per_second > a->bits_per_second ? b : a;
}

static bool same_blocks(const struct view *v, const struct compare_row *a,
                        const struct compare_row *b)
{
    return a != NULL && b != NULL && method_of(v, a)->blksize == method_of(v, b)->blksize;
}

static void look_at(struct view *v, const struct compare_row *row)
{
    const struct compare_method *m = method_of(v, row);

    v->fastest = faster(v->fastest, row);
    if (v->slowest == NULL || row->bits_per_second <= v->slowest->bits_per_second)
        v->slowest = row;
    if (m->transport == COMPARE_TCP)
        v->stream = faster(v->stream, row);
    else if (m->window == 1 && (v->waiting == NULL || m->blksize == COMPARE_BLKSIZE))
        v->waiting = row;
}

/* Once it is known which blocks wait. */
static void look_for_window(struct view *v, const struct compare_row *row)
{
    const struct compare_method *m = method_of(v, row);
    bool same = same_blocks(v, row, v->waiting), had = same_blocks(v, v->windowed, v->waiting);

    if (m->transport == COMPARE_UDP && m->window > 1 && (same || !had))
        v->windowed = same && !had ? row : faster(v->windowed, row);
}

static struct view look(const struct compare_result *r, unsigned point,
                        enum compare_direction direction)
{
    struct view v = {.r = r};
    char why[COMPARE_WHY_MAX];

    if (!compare_spec_point(r->spec, point, &v.point, why))
        return v;
    for (int second = 0; second < 2; second++)
        for (size_t i = 0; i < r->n_rows; i++) {
            const struct compare_row *row = &r->rows[i];

            if (row->point == point && row->direction == direction && row->state == COMPARE_DONE &&
                row->bits_per_second > 0)
                (second ? look_for_window : look_at)(&v, row);
        }
    return v;
}

/* Whether a is at least `times` as fast as b, byte for byte, and their rounds do not overlap. */
static bool beats(const struct compare_row *a, const struct compare_row *b, double times)
{
    return a != NULL && b != NULL && a->bits_per_second > times * b->bits_per_second &&
           a->max * (double)b->bytes < b->min * (double)a->bytes;
}

/* Seconds as long as they need to be: 15.1 s, 0.50 s. */
static void put_seconds(double s, FILE *f)
{
    fprintf(f, s < 0.1 ? "%.3f s" : s < 10 ? "%.2f s" : s < 100 ? "%.1f s" : "%.0f s", s);
}

/* Seconds that an exchange of a block and its acknowledgment should take: by the settings, or, of a
 * path that is no link of ours, by the round trip found before. 0: not to be told. */
static double exchange_of(const struct view *v, const struct compare_row *row)
{
    struct theory_path p = theory_path(&v->point.link, row->direction);
    unsigned blksize = method_of(v, row)->blksize;

    if (!v->point.link.emulated)
        return v->r->measured_rtt >= SHORTEST_WAIT ? v->r->measured_rtt : 0;
    return p.rtt > 0 ? theory_exchange(&p, row->bytes < blksize ? (unsigned)row->bytes : blksize)
                     : 0;
}

static void put_blocks(const struct view *v, const struct compare_row *row, bool utf8, FILE *f)
{
    double exchange = exchange_of(v, row);
    uint64_t n = theory_blocks(row->bytes, method_of(v, row)->blksize);

    fprintf(f, "%llu block%s %s %.*f ms%s = ", (unsigned long long)n, n > 1 ? "s" : "",
            utf8 ? "×" : "x", exchange < .1 ? 1 : 0, 1e3 * exchange,
            v->point.link.emulated ? "" : " (the measured RTT)");
    put_seconds((double)n * exchange, f);
    if (n < FEW) {
        fputs(", and ", f);
        put_seconds(v->point.link.emulated ? compare_link_rtt(&v->point.link) : exchange, f);
        fputs(" for the request", f);
    }
    fputc('.', f);
}

static bool has_loss(const struct view *v)
{
    return v->point.link.way[0].loss > 0 || v->point.link.way[1].loss > 0;
}

/* Seconds of a row over TCP if nothing were lost; NAN: not known. */
static double clean_seconds(const struct view *v, const struct compare_row *row)
{
    struct theory_path p = theory_path(&v->point.link, row->direction);

    return p.rtt > 0 ? theory_tcp(&p, row->bytes, method_of(v, row)->streams, p.rtt) : NAN;
}

/* Whether it is losses that a stream was slow for: it met some, has a congestion control that
 * minds them, and took much longer than it would have without. */
static bool minds_loss(const struct view *v, const struct compare_row *row)
{
    return has_loss(v) && row->dropped_loss > 0 && row->retransmits > 0 &&
           strstr(row->label, "bbr") == NULL && row->median > 1.3 * clean_seconds(v, row);
}

static void put_contrast(const struct view *v, FILE *f)
{
    const struct compare_row *a = v->fastest, *b = v->slowest;
    bool cut = a->bytes < a->size || b->bytes < b->size;

    if (a == b)
        return;
    if (b->ratio < 1.05)
        fprintf(f, "All methods are within %.0f %% of each other.",
                fmax(1, ceil(100 * (b->ratio - 1) - 1e-6)));
    else if (!beats(a, b, 1))
        fprintf(f, "The rounds differ more than the methods do.");
    else
        fprintf(f, "%s is %.*f times as fast as %s%s.", a->label, b->ratio < 9.95 ? 1 : 0, b->ratio,
                b->label, cut ? ", byte for byte" : "");
}

/* The lesson that the figures of this very run bear out. */
static void put_lesson(const struct view *v, FILE *f)
{
    const struct compare_row *w = v->windowed, *s = v->waiting, *t = v->stream;
    bool waits = s != NULL && exchange_of(v, s) > 0;

    if (beats(w, t, 1.2) && minds_loss(v, t) &&
        8 * (double)t->bytes > w->bits_per_second * clean_seconds(v, t))
        fprintf(f, "Window %u beats %s here only because it has no congestion control.",
                method_of(v, w)->window, t->label);
    else if (waits && beats(w, s, 1.5) && same_blocks(v, w, s))
        fprintf(f, "Waiting is slow, not UDP: see window %u.", method_of(v, w)->window);
    else if (waits && beats(t, s, 2))
        fprintf(f, "%s does not wait for each answer: it takes 1/%.0f of the time for each byte.",
                t->label, t->bits_per_second / s->bits_per_second);
    else
        put_contrast(v, f);
}

/* What no formula has a time for. */
static void put_overflow(const struct view *v, FILE *f)
{
    for (size_t i = 0; i < v->r->n_rows; i++) {
        const struct compare_row *row = &v->r->rows[i];
        const struct compare_method *m = method_of(v, row);
        struct theory_path p = theory_path(&v->point.link, row->direction);

        if (row->point == v->fastest->point && row->direction == v->fastest->direction &&
            m->transport == COMPARE_UDP && row->dropped_queue > 0 &&
            theory_overflows(&p, m->blksize, m->window)) {
            fprintf(f,
                    " %s sends more at once than the queue holds: %llu packets were dropped there.",
                    row->label, (unsigned long long)row->dropped_queue);
            return;
        }
    }
}

void compare_words_short(const struct compare_result *r, unsigned point,
                         enum compare_direction direction, bool utf8, FILE *f)
{
    struct view v = look(r, point, direction);

    if (v.fastest == NULL)
        return;
    if (v.waiting != NULL && exchange_of(&v, v.waiting) > 0) {
        put_blocks(&v, v.waiting, utf8, f);
        if (v.waiting->timeouts > 0)
            fprintf(f, " %llu timeout%s came on top.", (unsigned long long)v.waiting->timeouts,
                    v.waiting->timeouts > 1 ? "s" : "");
        if (v.fastest != v.slowest)
            fputc(' ', f);
    }
    put_lesson(&v, f);
    put_overflow(&v, f);
}

void compare_words_series(const struct compare_result *r, enum compare_direction direction, FILE *f)
{
    const struct compare_row *fastest = NULL, *slowest = NULL;
    const struct compare_sweep *w = &r->spec->sweep;

    for (size_t i = 0; i < r->n_rows; i++) {
        const struct compare_row *row = &r->rows[i];

        if (row->direction != direction || !(row->ratio > 0))
            continue;
        if (fastest == NULL || row->ratio < fastest->ratio)
            fastest = row;
        if (slowest == NULL || row->ratio > slowest->ratio)
            slowest = row;
    }
    if (fastest == slowest)
        return;
    if (slowest->ratio < 1.05)
        fprintf(f, "All values are within %.0f %% of each other.",
                fmax(1, ceil(100 * (slowest->ratio - 1) - 1e-6)));
    else if (!beats(fastest, slowest, 1))
        fprintf(f, "The rounds differ more than the values do.");
    else
        fprintf(f, "With %s %s each byte takes %.*f times as long as with %s.", w->key,
                w->values[slowest->point], slowest->ratio < 9.95 ? 1 : 0, slowest->ratio,
                w->values[fastest->point]);
}

static void explain_waiting(const struct view *v, FILE *f)
{
    const struct compare_row *row = v->waiting;

    fprintf(f, " Stop-and-wait sends one block and does nothing until its acknowledgment is back");
    if (exchange_of(v, row) > 0) {
        fputs(": ", f);
        put_blocks(v, row, true, f);
    } else {
        fputc('.', f);
    }
    fprintf(f, " It was measured at ");
    put_seconds(row->median, f);
    if (row->share > 0)
        fprintf(f, " and used %.2g %% of the link's rate", 100 * row->share);
    fputc('.', f);
    if (row->timeouts > 0)
        fprintf(f, " %llu time%s it waited for a timeout%s.", (unsigned long long)row->timeouts,
                row->timeouts > 1 ? "s" : "",
                row->dropped_loss + row->dropped_queue > 0
                    ? ", because a block or its acknowledgment was lost"
                    : "");
}

static void explain_window(const struct view *v, FILE *f)
{
    const struct compare_row *row = v->windowed;

    fprintf(f, " With a window of %u blocks (RFC 7440) the wait is shared by as many blocks: ",
            method_of(v, row)->window);
    put_seconds(row->median, f);
    if (beats(row, v->waiting, 1.1) && same_blocks(v, row, v->waiting))
        fprintf(f, ", %.1f times as fast, with the same datagrams over the same UDP",
                row->bits_per_second / v->waiting->bits_per_second);
    fputc('.', f);
}

static void explain_stream(const struct view *v, FILE *f)
{
    const struct compare_row *row = v->stream;

    fprintf(f, " %s took ", row->label);
    put_seconds(row->median, f);
    if (row->share > 0)
        fprintf(f, ", %.0f %% of the link's rate", 100 * row->share);
    if (row->share > 0.9)
        fprintf(f, ": its window grows with every acknowledgment until the line is never idle.");
    else if (row->share > 0 && row->median < 1.15 * clean_seconds(v, row))
        fprintf(f, ": the file is short, and much of the time went by before its window had grown "
                   "to what the line holds (slow start).");
    else
        fputc('.', f);
    if (row->retransmits > 0)
        fprintf(f, " It sent %llu segment%s again.", (unsigned long long)row->retransmits,
                row->retransmits > 1 ? "s" : "");
    if (row->share > 0 && row->share < 0.5 && minds_loss(v, row))
        fprintf(f, " Congestion control that is based on loss takes each lost packet for a full"
                   " queue, and slows down: that is why it leaves the line idle here.");
}

/* Only a distance that is beyond the spread of the rounds is worth a word. */
static void explain_distance(const struct view *v, FILE *f)
{
    for (size_t i = 0; i < v->r->n_rows; i++) {
        const struct compare_row *row = &v->r->rows[i];
        double off = row->median / row->theory - 1;
        bool within = row->min <= row->theory && row->theory <= row->max;

        if (row->point == v->fastest->point && row->direction == v->fastest->direction &&
            row->state == COMPARE_DONE && isfinite(off) && fabs(off) > 0.1 && !within)
            fprintf(f, " %s took %.0f %% %s than the textbook predicts.", row->label,
                    100 * fabs(off), off > 0 ? "longer" : "less");
    }
}

void compare_words_long(const struct compare_result *r, unsigned point,
                        enum compare_direction direction, FILE *f)
{
    struct view v = look(r, point, direction);

    if (v.fastest == NULL) {
        fprintf(f, "No method finished, so there is nothing to compare.");
        return;
    }
    fprintf(f, "The fastest was %s with %.3g Mbit/s of file data.", v.fastest->label,
            v.fastest->bits_per_second / 1e6);
    if (v.waiting != NULL)
        explain_waiting(&v, f);
    if (v.windowed != NULL)
        explain_window(&v, f);
    if (v.stream != NULL)
        explain_stream(&v, f);
    put_overflow(&v, f);
    explain_distance(&v, f);
}
