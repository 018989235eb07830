/* pictures.h - the files that compare draws: charts, ladders, a page. */
#ifndef XFER_COMPARE_PICTURES_H
#define XFER_COMPARE_PICTURES_H

#include "compare/ladder.h"

struct compare_pictures {
    const char *plot, *report; /* names; NULL: not wanted */
    bool trace;                /* the ladders as files beside an SVG plot, too */
    const struct compare_ladder *ladders;
    size_t n;
};

/* Whether they can be made, before anything runs: gnuplot, and files that can be written. False
 * with a reason in why. */
bool compare_pictures_check(const char *plot, const char *report, char why[COMPARE_WHY_MAX]);

/* Draws them all; false with a reason in why. */
bool compare_pictures_draw(const struct compare_pictures *p, const struct compare_result *r,
                           char why[COMPARE_WHY_MAX]);

#endif
