#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/method.h"
#include "compare/row.h"
#include "compare/spec.h"
#include "compare/theory.h"

/* The values of one quantity, where it is known, over the rounds that ended as their row did. */
struct sample {
    double v[COMPARE_ROUNDS_MAX];
    size_t n;
};

typedef double (*quantity)(const struct compare_round *r);

static double of_seconds(const struct compare_round *r)
{
    return r->seconds;
}

/* NAN in place of what is not known. */
static double of_cpu(const struct compare_round *r)
{
    return r->untold ? NAN : r->cpu_seconds;
}

static double of_packets(const struct compare_round *r)
{
    return !r->counted ? NAN : (double)(r->way[0].packets + r->way[1].packets);
}

static double of_wire_bytes(const struct compare_round *r)
{
    return !r->counted ? NAN : (double)(r->way[0].bytes + r->way[1].bytes);
}

static double of_lost(const struct compare_round *r)
{
    return !r->counted ? NAN : (double)(r->way[0].dropped_loss + r->way[1].dropped_loss);
}

static double of_overflow(const struct compare_round *r)
{
    const struct compare_counts *up = &r->way[0], *down = &r->way[1];

    return !r->counted ? NAN
                       : (double)(up->dropped_queue + up->dropped_full + down->dropped_queue +
                                  down->dropped_full);
}

static double of_retransmits(const struct compare_round *r)
{
    return r->untold ? NAN : (double)r->retransmits;
}

static double of_timeouts(const struct compare_round *r)
{
    return r->untold ? NAN : (double)r->timeouts;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool belongs(const struct compare_round *r, const struct compare_row *row)
{
    return r->point == row->point && r->method == row->method && r->direction == row->direction;
}

static struct sample collect(const struct compare_row *row, const struct compare_round *rounds,
                             size_t n, quantity of)
{
    struct sample s = {.n = 0};

    for (size_t i = 0; i < n && s.n < COMPARE_ROUNDS_MAX; i++)
        if (belongs(&rounds[i], row) && rounds[i].state == row->state && !isnan(of(&rounds[i])))
            s.v[s.n++] = of(&rounds[i]);
    qsort(s.v, s.n, sizeof *s.v, by_value);
    return s;
}

static double median(const struct compare_row *row, const struct compare_round *rounds, size_t n,
                     quantity of)
{
    struct sample s = collect(row, rounds, n, of);

    return s.n == 0 ? 0 : (s.v[(s.n - 1) / 2] + s.v[s.n / 2]) / 2;
}

static uint64_t median_count(const struct compare_row *row, const struct compare_round *rounds,
                             size_t n, quantity of)
{
    return (uint64_t)(median(row, rounds, n, of) + 0.5);
}

/* Each way apart. */
#define WAY_QUANTITY(name, way_, field)                                                            \
    static double name(const struct compare_round *r)                                              \
    {                                                                                              \
        return !r->counted ? NAN : (double)r->way[way_].field;                                     \
    }

WAY_QUANTITY(of_packets_up, 0, packets)
WAY_QUANTITY(of_packets_down, 1, packets)
WAY_QUANTITY(of_bytes_up, 0, bytes)
WAY_QUANTITY(of_bytes_down, 1, bytes)

static double of_corrupted(const struct compare_round *r)
{
    return !r->counted ? NAN : (double)(r->way[0].corrupted + r->way[1].corrupted);
}

static void measure_ways(struct compare_row *row, const struct compare_round *rounds, size_t n)
{
    row->way_packets[0] = median_count(row, rounds, n, of_packets_up);
    row->way_packets[1] = median_count(row, rounds, n, of_packets_down);
    row->way_bytes[0] = median_count(row, rounds, n, of_bytes_up);
    row->way_bytes[1] = median_count(row, rounds, n, of_bytes_down);
    row->corrupted = median_count(row, rounds, n, of_corrupted);
}

static void count(struct compare_row *row, const struct compare_round *rounds, size_t n)
{
    row->counted = collect(row, rounds, n, of_packets).n > 0;
    row->untold = collect(row, rounds, n, of_cpu).n == 0;
    row->cpu_seconds = median(row, rounds, n, of_cpu);
    row->packets = median_count(row, rounds, n, of_packets);
    row->wire_bytes = median_count(row, rounds, n, of_wire_bytes);
    row->dropped_loss = median_count(row, rounds, n, of_lost);
    row->dropped_queue = median_count(row, rounds, n, of_overflow);
    measure_ways(row, rounds, n);
    row->retransmits = median_count(row, rounds, n, of_retransmits);
    row->timeouts = median_count(row, rounds, n, of_timeouts);
}

static void measure(struct compare_row *row, const struct compare_round *rounds, size_t n)
{
    struct sample seconds = collect(row, rounds, n, of_seconds);

    row->median = median(row, rounds, n, of_seconds);
    row->min = seconds.v[0];
    row->max = seconds.v[seconds.n - 1];
    if (row->median > 0)
        row->bits_per_second = 8 * (double)row->bytes / row->median;
}

/* Counts the rounds of a row, and takes from them what does not change between rounds. Returns the
 * one to be named after: the first that is done, else the first. */
static const struct compare_round *take(struct compare_row *row, const struct compare_round *rounds,
                                        size_t n)
{
    const struct compare_round *named = NULL;

    for (size_t i = 0; i < n; i++) {
        const struct compare_round *r = &rounds[i];

        if (!belongs(r, row))
            continue;
        row->rounds++;
        row->doubtful += r->doubtful;
        if (r->state != COMPARE_DONE && row->failed++ == 0)
            snprintf(row->why, sizeof row->why, "%s", r->why);
        if (named == NULL || (named->state != COMPARE_DONE && r->state == COMPARE_DONE))
            named = r;
    }
    return named;
}

static bool make_row(const struct compare_spec *point, struct compare_row *row,
                     const struct compare_round *rounds, size_t n)
{
    struct compare_method m = point->methods[row->method];
    const struct compare_round *named = take(row, rounds, n);
    uint64_t rate = point->link.way[row->direction == COMPARE_GET].rate;

    if (named == NULL)
        return false;
    row->state = named->state;
    row->bytes = named->bytes;
    row->size = named->size;
    compare_method_label(&m, named->congestion, row->label);
    row->transport = m.transport;
    row->window_asked = m.window;
    row->window = named->window;
    if (named->window > 0 &&
        named->blksize > 0) { /* what two ends agree on is a setting, not a measurement */
        m.blksize = named->blksize;
        m.window = named->window;
    }
    row->resent_unknown =
        row->direction == COMPARE_GET && !point->link.emulated && point->link.name[0] == '\0';
    row->theory = theory_seconds(&point->link, &m, named->congestion, row->direction, row->bytes);
    if (row->state == COMPARE_REFUSED)
        row->untold = true; /* nothing ran */
    else
        count(row, rounds, n);
    if (row->state == COMPARE_DONE)
        measure(row, rounds, n);
    if (rate > 0)
        row->share = row->bits_per_second / (double)rate;
    return true;
}

/* Byte for byte: a row that was cut is compared by its throughput. */
static void set_ratios(struct compare_row *rows, size_t n, bool series)
{
    for (size_t i = 0; i < n; i++) {
        double best = 0;

        for (size_t k = 0; k < n; k++)
            if ((series || rows[k].point == rows[i].point) &&
                rows[k].direction == rows[i].direction && rows[k].bits_per_second > best)
                best = rows[k].bits_per_second;
        if (rows[i].bits_per_second > 0)
            rows[i].ratio = best / rows[i].bits_per_second;
    }
}

size_t compare_rows_max(const struct compare_spec *s)
{
    return compare_spec_points(s) * s->n * 2;
}

size_t compare_rows(const struct compare_spec *s, const struct compare_round *rounds, size_t n,
                    struct compare_row *rows, size_t cap)
{
    struct compare_spec point;
    char why[COMPARE_WHY_MAX];
    size_t made = 0;

    for (unsigned i = 0; i < compare_spec_points(s); i++) {
        if (!compare_spec_point(s, i, &point, why))
            break;
        for (int d = COMPARE_PUT; d <= COMPARE_GET; d++)
            for (unsigned m = 0; m < s->n && made < cap; m++) {
                rows[made] = (struct compare_row){
                    .point = i, .method = m, .direction = (enum compare_direction)d};
                made += make_row(&point, &rows[made], rounds, n);
            }
    }
    set_ratios(rows, made, compare_spec_series(s));
    return made;
}
