#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "compare/method.h"
#include "compare/spec.h"
#include "compare/table.h"
#include "compare/theory.h"
#include "compare/words.h"

#define WIDTH 80
#define LABEL 18 /* columns of the method, with a space behind it */
#define TIMES 16 /* of "1.36 (1.35-1.37)" */
#define BAR 40

/* Words that do not fit go to the next line, behind `indent` spaces; `at` is the column now. */
static void put_wrapped(const char *text, size_t at, size_t indent, FILE *f)
{
    while (*text != '\0') {
        size_t n = 0, columns = 0;

        /* All but what continues a character is a column; a word without end is cut. */
        for (; text[n] != '\0' && text[n] != ' '; n++) {
            bool begins = (text[n] & 0xc0) != 0x80;

            if (begins && columns == WIDTH - indent)
                break;
            columns += begins;
        }
        if (at > indent && at + 1 + columns > WIDTH) {
            fprintf(f, "\n%*s", (int)indent, "");
            at = indent;
        } else if (at > indent) {
            fputc(' ', f);
            at++;
        }
        fwrite(text, 1, n, f);
        at += columns;
        text += n + strspn(text + n, " ");
    }
    fputc('\n', f);
}

void compare_table_head(const struct compare_result *r, unsigned point, FILE *f)
{
    const struct compare_sweep *w = &r->spec->sweep;
    char value[120] = "", setting[480], line[720], time[32];

    if (w->n > 0)
        snprintf(value, sizeof value, "%s = %s: ", w->key, w->values[point]);
    compare_words_setting(r, point, setting, sizeof setting);
    if (r->estimate >= 60)
        snprintf(line, sizeof line, "%s%s: about %s", value, setting,
                 units_time(r->estimate, time, sizeof time));
    else if (r->estimate > 0)
        snprintf(line, sizeof line, "%s%s: about %.0f s", value, setting, ceil(r->estimate));
    else
        snprintf(line, sizeof line, "%s%s", value, setting);
    put_wrapped(line, 0, 0, f);
    if (r->warning != NULL)
        put_wrapped(r->warning, 0, 0, f);
}

static int decimals(double v)
{
    return v < 0.1 ? 3 : v < 10 ? 2 : v < 100 ? 1 : 0;
}

static int mbit_decimals(double v)
{
    return v < 0.1 ? 3 : v < 1000 ? 1 : 0;
}

/* Returns its columns. */
static int put_range(const struct compare_row *row, int d, bool utf8, char *text, size_t cap)
{
    int n = snprintf(text, cap, "%.*f (%.*f%s%.*f)", d, row->median, d, row->min, utf8 ? "–" : "-",
                     d, row->max);

    return utf8 ? n - 2 : n;
}

/* Right-aligned in the columns that a printf of a UTF-8 string cannot count. */
static void put_times(const struct compare_row *row, bool utf8, FILE *f)
{
    char text[64];
    int full = decimals(row->median), n = TIMES + 1;

    /* A digit less, or the median alone: no column moves. Milliseconds stay. */
    for (int d = full; n > TIMES && d >= 0 && d >= full - (full < 3); d--)
        n = row->rounds - row->failed == 1
                ? snprintf(text, sizeof text, "%.*f (one round)", d, row->median)
                : put_range(row, d, utf8, text, sizeof text);
    if (n > TIMES)
        n = snprintf(text, sizeof text, "%.*f", full, row->median);
    fprintf(f, "%s%*s", text, n < TIMES ? TIMES - n : 0, "");
}

static void put_label(const char *label, FILE *f)
{
    if (strlen(label) < LABEL)
        fprintf(f, "%-*s", LABEL, label);
    else
        fprintf(f, "%s\n%*s", label, LABEL, "");
}

/* Right-aligned, with a space before it: what is too long is told by its magnitude, so that no
 * column moves. */
static void put_number(double v, int digits, int columns, const char *unit, FILE *f)
{
    int room = columns - 1 - (int)strlen(unit);
    char text[400];

    if (!isfinite(v))
        snprintf(text, sizeof text, "-");
    else if (snprintf(text, sizeof text, "%.*f%s", digits, v, unit) >= columns)
        snprintf(text, sizeof text, room > 6 ? "%.1e%s" : "%.0e%s", v, unit);
    fprintf(f, "%*.*s", columns, columns - 1, text);
}

static void put_figures(const struct compare_row *row, FILE *f)
{
    double mbit = row->bits_per_second / 1e6;

    put_number(mbit, mbit_decimals(mbit), 8, "", f);
    put_number(row->share > 0 ? 100 * row->share : NAN, 0, 6, "%", f);
    put_number(row->counted ? (double)row->packets : NAN, 0, 9, "", f);
    put_number(row->resent_unknown ? NAN : (double)row->retransmits, 0, 8, "", f);
    put_number(row->theory, decimals(row->theory), 8, "", f);
    put_number(row->ratio, row->ratio < 9.95 ? 1 : 0, 7, "", f);
    fputc('\n', f);
}

/* A row that has no time: the reason in its place, never left out. */
static void put_failed(const struct compare_row *row, FILE *f)
{
    static const char *const words[] = {[COMPARE_DONE] = "",
                                        [COMPARE_FAILED] = "failed",
                                        [COMPARE_REFUSED] = "refused",
                                        [COMPARE_UNFINISHED] = "did not finish"};
    char text[COMPARE_WHY_MAX + 40];

    snprintf(text, sizeof text, "%s%s%s", words[row->state], row->why[0] ? ": " : "", row->why);
    put_wrapped(text, LABEL, LABEL, f);
}

static void put_remark(const char *text, FILE *f)
{
    fprintf(f, "%*s", 2, "");
    put_wrapped(text, 2, 2, f);
}

static void put_remarks(const struct compare_row *row, FILE *f)
{
    char text[COMPARE_WHY_MAX + 80], part[24], whole[24];

    if (row->bytes < row->size) {
        snprintf(text, sizeof text, "measured on the first %s of %s%s",
                 compare_words_size(row->bytes, part, sizeof part),
                 compare_words_size(row->size, whole, sizeof whole),
                 row->transport == COMPARE_TCP ? ", of which slow start takes a larger share" : "");
        put_remark(text, f);
    }
    if (row->window > 0 && row->window != row->window_asked) {
        snprintf(text, sizeof text, "agreed on a window of %u: the receive buffer holds no more",
                 row->window);
        put_remark(text, f);
    }
    if (row->failed > 0) {
        snprintf(text, sizeof text, "%u of %u rounds failed%s%s", row->failed, row->rounds,
                 row->why[0] ? ": " : "", row->why);
        put_remark(text, f);
    }
}

static void put_row(const struct compare_row *row, bool utf8, FILE *f)
{
    if (row->state != COMPARE_DONE) {
        put_failed(row, f);
        return;
    }
    put_times(row, utf8, f);
    put_figures(row, f);
    put_remarks(row, f);
}

/* Of a series all points are shown in one table. */
static bool shown(const struct compare_result *r, const struct compare_row *row, unsigned point,
                  int direction)
{
    return (row->point == point || compare_spec_series(r->spec)) &&
           (int)row->direction == direction;
}

static const char *name_of(const struct compare_result *r, const struct compare_row *row)
{
    return compare_spec_series(r->spec) ? r->spec->sweep.values[row->point] : row->label;
}

/* Time for each byte, to the slowest: what was cut is as long as the whole would be. */
static void put_bars(const struct compare_result *r, unsigned point, int direction, bool utf8,
                     FILE *f)
{
    double slowest = 0;
    unsigned bars = 0;

    for (size_t i = 0; i < r->n_rows; i++)
        if (shown(r, &r->rows[i], point, direction) && r->rows[i].ratio > 0) {
            bars++;
            slowest = fmax(slowest, r->rows[i].ratio);
        }
    if (bars < 2)
        return;
    fputc('\n', f);
    for (size_t i = 0; i < r->n_rows; i++) {
        const struct compare_row *row = &r->rows[i];
        double ratio = row->ratio;
        int n = (int)(BAR * ratio / slowest + 0.5);

        if (!shown(r, row, point, direction) || ratio <= 0)
            continue;
        put_label(name_of(r, row), f);
        for (int k = 0; k < (n > 0 ? n : 1); k++)
            fputs(utf8 ? "█" : "#", f);
        fprintf(f, " %.*fx\n", ratio < 9.95 ? 1 : 0, ratio);
    }
}

static void put_words(const struct compare_result *r, unsigned point, int direction, bool utf8,
                      FILE *f)
{
    char *text = NULL;
    size_t n;
    FILE *words = open_memstream(&text, &n);

    if (words == NULL)
        return;
    if (compare_spec_series(r->spec))
        compare_words_series(r, (enum compare_direction)direction, words);
    else
        compare_words_short(r, point, (enum compare_direction)direction, utf8, words);
    if (fclose(words) == 0 && n > 0) {
        fputc('\n', f);
        put_wrapped(text, 0, 0, f);
    }
    free(text);
}

/* The one method of a series, without what its values set. */
static void put_caption(const struct compare_result *r, FILE *f)
{
    const struct compare_sweep *w = &r->spec->sweep;
    bool own = strcmp(w->key, "blksize") == 0 || strcmp(w->key, "window") == 0;

    if (r->n_rows > 0)
        fprintf(f, "%s, by %s\n", own ? "udp" : r->rows[0].label, w->key);
}

static void put_part(const struct compare_result *r, unsigned point, int direction, bool utf8,
                     FILE *f)
{
    if (r->spec->direction == COMPARE_BOTH)
        fprintf(f, "%s:\n", direction == COMPARE_PUT ? "put" : "get");
    put_label(compare_spec_series(r->spec) ? r->spec->sweep.key : "method", f);
    fprintf(f, "%s%8s%6s%9s%8s%8s%7s\n", utf8 ? "time s (min–max)" : "time s (min-max)", "Mbit/s",
            "link", "packets", "resent", "theory", "ratio");
    for (size_t i = 0; i < r->n_rows; i++)
        if (shown(r, &r->rows[i], point, direction)) {
            put_label(name_of(r, &r->rows[i]), f);
            put_row(&r->rows[i], utf8, f);
        }
    put_bars(r, point, direction, utf8, f);
    put_words(r, point, direction, utf8, f);
}

void compare_table(const struct compare_result *r, bool utf8, FILE *f)
{
    bool series = compare_spec_series(r->spec);

    if (series)
        put_caption(r, f);
    for (unsigned point = 0; point < (series ? 1 : compare_spec_points(r->spec)); point++) {
        if (r->spec->sweep.n > 0 && !series) {
            fprintf(f, "%s%s = %s\n", point > 0 ? "\n" : "", r->spec->sweep.key,
                    r->spec->sweep.values[point]);
        }
        for (int d = COMPARE_PUT; d <= COMPARE_GET; d++)
            if (r->spec->direction == COMPARE_BOTH || (int)r->spec->direction == d)
                put_part(r, point, d, utf8, f);
    }
}

static void put_counted(const struct compare_row *row, FILE *f)
{
    double none = row->counted ? 0 : NAN; /* an unknown number added to it stays unknown */

    for (int way = 0; way < 2; way++) {
        put_number(none + (double)row->way_packets[way], 0, 8, "", f);
        put_number(none + (double)row->way_bytes[way], 0, 9, "", f);
    }
    put_number(none + (double)row->dropped_loss, 0, 5, "", f);
    put_number(none + (double)row->dropped_queue, 0, 6, "", f);
    put_number(none + (double)row->corrupted, 0, 6, "", f);
    none = row->untold ? NAN : 0;
    put_number(row->transport == COMPARE_UDP ? none + (double)row->timeouts : NAN, 0, 5, "", f);
    put_number(none + row->cpu_seconds, decimals(row->cpu_seconds), 6, "", f);
    fputc('\n', f);
}

static void put_counts(const struct compare_result *r, unsigned point, int direction, FILE *f)
{
    fprintf(f, "\n%-*s%17s%17s%22s%6s\n", LABEL,
            r->spec->direction != COMPARE_BOTH ? ""
            : direction == COMPARE_PUT         ? "put:"
                                               : "get:",
            "to the server", "to the client", "time", "CPU");
    put_label(compare_spec_series(r->spec) ? r->spec->sweep.key : "method", f);
    fprintf(f, "%8s%9s%8s%9s%5s%6s%6s%5s%6s\n", "packets", "bytes", "packets", "bytes", "lost",
            "queue", "flips", "outs", "s");
    for (size_t i = 0; i < r->n_rows; i++)
        if (shown(r, &r->rows[i], point, direction) && (r->rows[i].counted || !r->rows[i].untold)) {
            put_label(name_of(r, &r->rows[i]), f);
            put_counted(&r->rows[i], f);
        }
}

void compare_table_counts(const struct compare_result *r, FILE *f)
{
    bool series = compare_spec_series(r->spec);

    for (unsigned point = 0; point < (series ? 1 : compare_spec_points(r->spec)); point++) {
        if (r->spec->sweep.n > 0 && !series)
            fprintf(f, "\n%s = %s", r->spec->sweep.key, r->spec->sweep.values[point]);
        for (int d = COMPARE_PUT; d <= COMPARE_GET; d++)
            if (r->spec->direction == COMPARE_BOTH || (int)r->spec->direction == d)
                put_counts(r, point, d, f);
    }
}

static void put_prediction(const struct compare_spec *s, size_t i, int direction, FILE *f)
{
    struct compare_row row = {.method = (unsigned)i};
    enum compare_direction d = (enum compare_direction)direction;
    double seconds = compare_spec_refusal(&s->methods[i], d) != NULL
                         ? NAN
                         : theory_seconds(&s->link, &s->methods[i], "", d, s->size);
    double mbit = 8e-6 * (double)s->size / seconds;

    compare_method_label(&s->methods[i], "", row.label);
    put_label(row.label, f);
    if (isfinite(seconds))
        fprintf(f, "%9.*f%9.*f\n", decimals(seconds), seconds, mbit_decimals(mbit), mbit);
    else
        fprintf(f, "%9s%9s\n", "-", "-");
}

void compare_table_predicted(const struct compare_result *r, FILE *f)
{
    struct compare_spec s;
    char why[COMPARE_WHY_MAX];

    for (unsigned point = 0; point < compare_spec_points(r->spec); point++) {
        if (!compare_spec_point(r->spec, point, &s, why))
            continue;
        compare_table_head(r, point, f);
        for (int d = COMPARE_PUT; d <= COMPARE_GET; d++) {
            if (s.direction != COMPARE_BOTH && (int)s.direction != d)
                continue;
            fprintf(f, "%-*s%9s%9s   predicted, not measured (%s)\n", LABEL, "method", "time s",
                    "Mbit/s", d == COMPARE_PUT ? "put" : "get");
            for (size_t i = 0; i < s.n; i++)
                put_prediction(&s, i, d, f);
        }
    }
}
