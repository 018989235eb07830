/* progress.h - the progress line on a terminal.
 *
 * Invariants: one line, never as wide as the terminal (whose width is asked for at each draw), at
 * most ten draws a second; progress_clear leaves an empty line for whoever prints next.
 */
#ifndef XFER_CLI_PROGRESS_H
#define XFER_CLI_PROGRESS_H

#include <stdio.h>

#include "xfer.h"

#define PROGRESS_LINE_MAX 2048
/* The rate is that of the last seconds: this many samples, half a second apart. */
#define PROGRESS_SAMPLES 10

/* All that a line shows. */
struct progress_state {
    const char *name; /* raw bytes, NULL: none */
    uint64_t bytes_done, bytes_total;
    uint64_t files_done, files_total;
    double rate; /* bytes a second, 0: not known yet */
    bool utf8;
};

/* The line for a terminal of `width` columns, at most width - 1 of them used; below 20 only the
 * percentage. Pure, but that the width of a character is the locale's. Returns out
 * (PROGRESS_LINE_MAX bytes). */
char *progress_format(const struct progress_state *s, unsigned width, char *out);

/* Columns that a string takes on a terminal. */
size_t progress_columns(const char *s);

struct progress_sample {
    double at;
    uint64_t bytes;
};

/* Bytes a second over the samples kept. Time is an argument (seconds, monotonic). */
struct progress_rate {
    struct progress_sample kept[PROGRESS_SAMPLES];
    unsigned n;
};

double progress_rate_update(struct progress_rate *r, double now, uint64_t bytes);

enum progress_when { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER };

struct progress {
    bool on, escapes, utf8;
    size_t drawn; /* columns on the screen now */
    double next_at;
    struct progress_rate rate;
};

/* Whether and how to draw, from what standard error is. */
void progress_init(struct progress *p, enum progress_when when, bool utf8);
void progress_update(struct progress *p, const struct xfer_event *ev);
/* Draws a line of any text instead, cut to the terminal's width. */
void progress_say(struct progress *p, const char *text);
void progress_clear(struct progress *p);

#endif
