/* pictures.h - the files that compare draws: charts, ladders, a page. */
#ifndef XFER_COMPARE_PICTURES_H
#define XFER_COMPARE_PICTURES_H

#include "compare/ladder.h"
#include "compare/outfile.h"

struct compare_pictures {
    struct outfile plot, report; /* their names NULL: not wanted */
};

/* Opens them before anything runs: gnuplot has to be there, and the files writable. False with a
 * reason in why, and none open. */
bool compare_pictures_open(struct compare_pictures *p, const char *plot, const char *report,
                           char why[COMPARE_WHY_MAX]);

/* Draws them all, and gives them their names; with `trace` each ladder, too, as a file beside an
 * SVG plot. False with a reason in why. */
bool compare_pictures_draw(struct compare_pictures *p, const struct compare_result *r,
                           const struct compare_ladder *ladders, size_t n, bool trace,
                           char why[COMPARE_WHY_MAX]);

void compare_pictures_drop(struct compare_pictures *p);

#endif
