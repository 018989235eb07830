/* html.h - the page of --report: one file that asks nobody for anything. Pure, but that the
 * FILE is the caller's. */
#ifndef XFER_COMPARE_HTML_H
#define XFER_COMPARE_HTML_H

#include <stdio.h>

#include "compare/ladder.h"

/* Tables, charts (by uPlot, inside with its licence), ladders and words. False without memory. */
bool compare_html(const struct compare_result *r, const struct compare_ladder *ladders, size_t n,
                  FILE *f);

#endif
