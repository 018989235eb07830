/* charts.h - what the charts of a report show, as JSON for its script. Pure.
 *
 * A chart is {title, labels, values, unit, log} with least, most, theory and limit where they are
 * known: bars; or {title, x, names, series: [{label, values}, ...], key, unit}: lines, each with
 * its theory behind it. null stands where there is nothing. NULL without memory.
 */
#ifndef XFER_COMPARE_CHARTS_H
#define XFER_COMPARE_CHARTS_H

#include <jansson.h>

#include "compare/compare.h"

/* Times of the least: with less between them, lengths that are true say more than a log scale. */
#define CHARTS_LOG_FROM 100

/* Seconds of each method at one point, and what crossed in each of them. */
json_t *charts_times(const struct compare_result *r, unsigned point,
                     enum compare_direction direction);
json_t *charts_rates(const struct compare_result *r, unsigned point,
                     enum compare_direction direction);

/* Seconds along a sweep. */
json_t *charts_sweep(const struct compare_result *r, enum compare_direction direction);

/* "round trip", "block size (bytes)": a key of a sweep for people. */
const char *charts_key(const char *key);

/* The name of a row's method along a sweep, without what the sweep sets. */
void charts_series_name(const struct compare_result *r, const struct compare_row *row,
                        char out[COMPARE_LABEL_MAX]);

/* Seconds as if the whole file had been moved. NAN where nothing was measured, and for the first
 * part of a file over TCP: that was slow start, and the rest would not be. */
double charts_whole(const struct compare_result *r, const struct compare_row *row, double seconds);

#endif
