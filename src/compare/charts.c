#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/charts.h"
#include "compare/method.h"
#include "compare/spec.h"
#include "compare/words.h"

const char *charts_key(const char *key)
{
    static const struct {
        const char *key, *title;
    } t[] = {{"rtt", "round trip"},
             {"rate", "rate of the link"},
             {"loss", "loss"},
             {"size", "size of the file"},
             {"blksize", "block size (bytes)"},
             {"window", "window (blocks)"},
             {"mtu", "MTU (bytes)"},
             {"queue", "queue (bytes)"}};

    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        if (strcmp(t[i].key, key) == 0)
            return t[i].title;
    return key;
}

void charts_series_name(const struct compare_result *r, const struct compare_row *row,
                        char out[COMPARE_LABEL_MAX])
{
    const char *key = r->spec->sweep.key;
    struct compare_method m = r->spec->methods[row->method];

    if (m.transport == COMPARE_UDP && strcmp(key, "window") == 0) {
        if (m.blksize == COMPARE_BLKSIZE)
            snprintf(out, COMPARE_LABEL_MAX, "udp");
        else
            snprintf(out, COMPARE_LABEL_MAX, "udp %u", m.blksize);
    } else if (m.transport == COMPARE_UDP && strcmp(key, "blksize") == 0) {
        m.blksize = COMPARE_BLKSIZE;
        compare_method_label(&m, "", out);
    } else {
        snprintf(out, COMPARE_LABEL_MAX, "%s", row->label);
    }
}

double charts_whole(const struct compare_result *r, const struct compare_row *row, double seconds)
{
    bool stream = r->spec->methods[row->method].transport == COMPARE_TCP;

    if (row->state != COMPARE_DONE || row->bytes == 0 || (stream && row->bytes < row->size))
        return NAN;
    return seconds * (double)row->size / (double)row->bytes;
}

static bool is_shown(const struct compare_row *row, unsigned point,
                     enum compare_direction direction)
{
    return row->point == point && row->direction == direction && row->state == COMPARE_DONE;
}

static json_t *number(double v)
{
    return isfinite(v) && v > 0 ? json_real(v) : json_null();
}

static json_t *label_of(const struct compare_result *r, const struct compare_row *row)
{
    char text[COMPARE_LABEL_MAX + 16];

    snprintf(text, sizeof text, "%s%s", row->label,
             isnan(charts_whole(r, row, row->median)) ? "\n(cut)"
             : row->bytes < row->size                 ? "\n(scaled)"
                                                      : "");
    return json_string(text);
}

json_t *charts_times(const struct compare_result *r, unsigned point,
                     enum compare_direction direction)
{
    json_t *labels = json_array(), *values = json_array(), *least = json_array(),
           *most = json_array(), *theory = json_array();
    double shortest = INFINITY, longest = 0;
    struct compare_spec spec;
    char title[80], size[24], why[COMPARE_WHY_MAX];

    for (size_t i = 0; i < r->n_rows; i++) {
        const struct compare_row *row = &r->rows[i];
        double whole = charts_whole(r, row, row->median);

        if (!is_shown(row, point, direction))
            continue;
        json_array_append_new(labels, label_of(r, row));
        json_array_append_new(values, number(whole));
        json_array_append_new(least, number(charts_whole(r, row, row->min)));
        json_array_append_new(most, number(charts_whole(r, row, row->max)));
        json_array_append_new(theory, number(charts_whole(r, row, row->theory)));
        shortest = fmin(shortest, whole); /* not the one that is no number */
        longest = fmax(longest, whole);
    }
    compare_spec_point(r->spec, point, &spec, why);
    snprintf(title, sizeof title, "Time to move %s",
             compare_words_size(spec.size, size, sizeof size));
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:b}", "title", title, "labels", labels,
                     "values", values, "least", least, "most", most, "theory", theory, "unit",
                     longest >= CHARTS_LOG_FROM * shortest ? "seconds (log scale)" : "seconds",
                     "log", longest >= CHARTS_LOG_FROM * shortest);
}

json_t *charts_rates(const struct compare_result *r, unsigned point,
                     enum compare_direction direction)
{
    json_t *labels = json_array(), *values = json_array(), *chart;
    struct compare_spec spec;
    char why[COMPARE_WHY_MAX];

    for (size_t i = 0; i < r->n_rows; i++) {
        const struct compare_row *row = &r->rows[i];

        if (!is_shown(row, point, direction))
            continue;
        json_array_append_new(labels, json_string(row->label));
        json_array_append_new(values, number(row->bits_per_second / 1e6));
    }
    chart = json_pack("{s:s, s:o, s:o, s:s, s:b}", "title", "Bits of the file a second", "labels",
                      labels, "values", values, "unit", "Mbit/s", "log", 0);
    if (compare_spec_point(r->spec, point, &spec, why) &&
        spec.link.way[direction == COMPARE_GET].rate > 0)
        json_object_set_new(chart, "limit",
                            json_real(1e-6 * (double)spec.link.way[direction == COMPARE_GET].rate));
    return chart;
}

/* ---- along a sweep ---- */

static int compare_numbers(const void *a, const void *b, void *numbers)
{
    const double *v = numbers, x = v[*(const size_t *)a], y = v[*(const size_t *)b];

    return (x > y) - (x < y);
}

/* Lines are drawn along rising x alone. */
static void sort_points(const struct compare_sweep *w, size_t order[COMPARE_SWEEP_MAX])
{
    double numbers[COMPARE_SWEEP_MAX];

    for (size_t i = 0; i < w->n; i++) {
        order[i] = i;
        numbers[i] = w->numbers[i];
    }
    qsort_r(order, w->n, sizeof *order, compare_numbers, numbers);
}

static const struct compare_row *find(const struct compare_result *r, size_t point, unsigned method,
                                      enum compare_direction direction)
{
    for (size_t i = 0; i < r->n_rows; i++)
        if (is_shown(&r->rows[i], (unsigned)point, direction) && r->rows[i].method == method)
            return &r->rows[i];
    return NULL;
}

/* A measured line and its theory; none of a method that never finished. */
static void add_series(json_t *series, const struct compare_result *r, unsigned method,
                       enum compare_direction direction, const size_t *order)
{
    json_t *measured = json_array(), *theory = json_array();
    char label[COMPARE_LABEL_MAX] = "";

    for (size_t i = 0; i < r->spec->sweep.n; i++) {
        const struct compare_row *row = find(r, order[i], method, direction);

        json_array_append_new(measured, number(row ? charts_whole(r, row, row->median) : NAN));
        json_array_append_new(theory, number(row ? charts_whole(r, row, row->theory) : NAN));
        if (row != NULL && label[0] == '\0')
            charts_series_name(r, row, label);
    }
    if (label[0] == '\0') {
        json_decref(measured);
        json_decref(theory);
        return;
    }
    json_array_append_new(series, json_pack("{s:s, s:o}", "label", label, "values", measured));
    json_array_append_new(series, json_pack("{s:s, s:o}", "label", "theory", "values", theory));
}

json_t *charts_sweep(const struct compare_result *r, enum compare_direction direction)
{
    const struct compare_sweep *w = &r->spec->sweep;
    json_t *x = json_array(), *names = json_array(), *series = json_array();
    size_t order[COMPARE_SWEEP_MAX];

    sort_points(w, order);
    for (size_t i = 0; i < w->n; i++) {
        json_array_append_new(x, json_real(w->numbers[order[i]]));
        json_array_append_new(names, json_string(w->values[order[i]]));
    }
    for (unsigned m = 0; m < r->spec->n; m++)
        add_series(series, r, m, direction, order);
    return json_pack("{s:s, s:o, s:o, s:o, s:s, s:s}", "title",
                     "Time to move the file: measured (solid) and predicted (dashed)", "x", x,
                     "names", names, "series", series, "key", charts_key(w->key), "unit",
                     "seconds (log scale)");
}
