/* table.h - the table and the bars that people read. Pure, but that the FILE is the
 * caller's (of open_memstream). No line is wider than 80 columns. */
#ifndef XFER_COMPARE_TABLE_H
#define XFER_COMPARE_TABLE_H

#include <stdio.h>

#include "compare/compare.h"

/* The line above everything: the setting, and what it will take; for each point of a sweep its
 * own, which begins with its value. With LF. */
void compare_table_head(const struct compare_result *r, unsigned point, FILE *f);

/* Table, bars and closing words of every point and direction; of a sweep of one method one table, a
 * row for each value. */
void compare_table(const struct compare_result *r, bool utf8, FILE *f);

/* Of -v: a second table of what the first has no room for, packets and bytes each way, drops by
 * cause, timeouts, processor time of both ends; medians as there. */
void compare_table_counts(const struct compare_result *r, FILE *f);

/* Of --predict: theory alone, labelled so; no round is needed. */
void compare_table_predicted(const struct compare_result *r, FILE *f);

#endif
