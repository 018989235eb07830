/* compare_json.h - the records of `compare --json`. Pure. */
#ifndef XFER_CLI_COMPARE_JSON_H
#define XFER_CLI_COMPARE_JSON_H

#include <jansson.h>

#include "cli/compare.h"

/* type "round" and type "summary", schema as of the other records; a new reference, NULL without
 * memory. For record_line. */
json_t *compare_json_round(const struct compare_result *r, const struct compare_round *round);
json_t *compare_json_summary(const struct compare_result *r, const struct compare_row *row);

#endif
