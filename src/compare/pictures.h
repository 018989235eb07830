/* pictures.h - the files that compare draws: charts, ladders, a page. */
#ifndef XFER_COMPARE_PICTURES_H
#define XFER_COMPARE_PICTURES_H

#include "compare/ladder.h"
#include "compare/outfile.h"
#include "compare/process.h"

/* "chart.svg": "chart-trace-1.svg" and so on. */
struct ladder_file {
    char name[PATH_MAX];
    struct outfile file;
};

struct compare_pictures {
    struct outfile plot, report; /* their names NULL: not wanted */
    struct ladder_file *ladders; /* allocated */
    size_t n_ladders;            /* 0: not wanted */
};

/* Opens them before anything runs: gnuplot has to be there, and the files writable; beside an SVG
 * plot also those of n_ladders. False with a reason in why, and none open. */
bool compare_pictures_open(struct compare_pictures *p, const char *plot, const char *report,
                           size_t n_ladders, char why[COMPARE_WHY_MAX]);

/* Draws them all, and gives them their names; a file whose ladder is missing gets none. The watch
 * ends a wait for gnuplot. False with a reason in why. */
bool compare_pictures_draw(struct compare_pictures *p, const struct compare_result *r,
                           const struct compare_ladder *ladders, size_t n, const struct watch *w,
                           char why[COMPARE_WHY_MAX]);

void compare_pictures_drop(struct compare_pictures *p);

#endif
