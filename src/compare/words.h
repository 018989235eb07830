/* words.h - what is seen, in sentences computed from the figures. Pure, but that the FILE
 * is the caller's (of open_memstream). */
#ifndef XFER_COMPARE_WORDS_H
#define XFER_COMPARE_WORDS_H

#include <stdio.h>

#include "compare/compare.h"

/* One or two sentences below a table, of the rows of one point in one direction, without LF.
 * Nothing when there is nothing to say. */
void compare_words_short(const struct compare_result *r, unsigned point,
                         enum compare_direction direction, bool utf8, FILE *f);

/* The same of a sweep of one method, over all its values. */
void compare_words_series(const struct compare_result *r, enum compare_direction direction,
                          FILE *f);

/* A paragraph for the report, plain text. */
void compare_words_long(const struct compare_result *r, unsigned point,
                        enum compare_direction direction, FILE *f);

/* "1.0 MiB" or "1 MiB": binary units, as --size reads them. Returns out. */
char *compare_words_size(uint64_t bytes, char *out, size_t cap);

/* "1 MiB, 20 Mbit/s, RTT 20 ms (measured 20.2), no loss, seed 1" of one point; "get 1 MiB, ..."
 * where it is not put. Returns out. */
char *compare_words_setting(const struct compare_result *r, unsigned point, char *out, size_t cap);

#endif
