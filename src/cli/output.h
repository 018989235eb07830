/* output.h - where the events of a client command go: lines, progress, --json, --checksums.
 *
 * Invariant: the progress line is cleared before anything else is printed, on either stream.
 */
#ifndef XFER_CLI_OUTPUT_H
#define XFER_CLI_OUTPUT_H

#include <jansson.h>

#include "cli/progress.h"
#include "cli/report.h"

struct output {
    struct report_style style;
    bool quiet, verbose, json, checksums, skip_special;
    bool recursive;         /* a total is due even of a tree without files */
    struct xfer_stop *stop; /* raised when standard output is gone: nothing is left to do then */
    struct progress progress;
    uint64_t would_bytes;
    bool saw_tree;
    uint64_t problems; /* failures told so far */
    char line[REPORT_LINE_MAX];
};

/* Whether the locale's character set is UTF-8. */
bool output_is_utf8(void);

void output_init(struct output *out, bool quiet, bool verbose, bool json, struct xfer_stop *stop);

/* xfer_event_fn; user is the struct output. */
void output_event(void *user, const struct xfer_event *ev);

/* An error of the whole, or of an entry of a listing: "xfer: NAME: why" and a JSON object. */
void output_error(struct output *out, const char *name, int err, const char *text);

/* One record to standard output; takes the reference. */
void output_record(struct output *out, json_t *record);
/* One line (LF included in n) to standard output. */
void output_line(struct output *out, const char *line, size_t n);

/* After the call: what is left to say (an error that no event told, the total, the summary), with
 * `target` to name what it was about. Returns the exit status; `interrupt` is the signal that came,
 * 0: none. t NULL: the caller has a summary of its own. */
int output_finish(struct output *out, int result, int interrupt, const char *target,
                  const struct xfer_totals *t);

/* The exit status of a result when a signal may have stopped the command. */
int output_exit_status(int result, int interrupt);

#endif
