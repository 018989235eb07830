/* records.h - the objects of --json and of the server's JSON log, one a line. Pure.
 *
 * Every object has `type` and `schema`; keys carry their units; a name that is not UTF-8 is
 * `name_escaped` in place of `name` (likewise remote, local, path). Functions return a new
 * reference, NULL without memory.
 */
#ifndef XFER_CLI_RECORDS_H
#define XFER_CLI_RECORDS_H

#include <jansson.h>

#include "xfer.h"

#define RECORDS_SCHEMA 1

json_t *record_file(const struct xfer_event *ev);
json_t *record_entry(const struct xfer_event *ev);
/* type "error": one that is not of a single file. type "warning" where err is 0. */
json_t *record_error(int err, const char *name, const char *text);
json_t *record_copy_summary(const struct xfer_totals *t, int exit_status);
json_t *record_list_summary(uint64_t entries, uint64_t bytes, double seconds, int exit_status);
json_t *record_request(const struct xfer_request *r, const char *time);

/* As one line with its LF, to be freed by the caller; takes the reference. NULL without memory. */
char *record_line(json_t *record);

#endif
