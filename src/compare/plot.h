/* plot.h - charts by gnuplot: bars of one setting, lines of a sweep. */
#ifndef XFER_COMPARE_PLOT_H
#define XFER_COMPARE_PLOT_H

#include <stdio.h>

#include "compare/compare.h"
#include "compare/process.h"

/* To be asked before anything runs: whether the name ends in .svg or .png, and whether gnuplot is
 * in PATH. False with a reason in why. */
bool compare_plot_named(const char *file, char why[COMPARE_WHY_MAX]);
bool compare_plot_possible(char why[COMPARE_WHY_MAX]);

/* The script, its data inside. Pure, but that the FILE is the caller's. */
void compare_plot_script(const struct compare_result *r, const char *file, FILE *f);

/* Runs gnuplot on the script, which draws into the file `to`; it is killed after so many seconds,
 * or when the watch's stop is raised meanwhile. 0, or a negative error with a reason in why. */
int compare_plot_run(const char *script, size_t n, int to, double seconds, const struct watch *w,
                     char why[COMPARE_WHY_MAX]);

#endif
