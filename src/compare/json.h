/* json.h - the records of `compare --json`. Pure. */
#ifndef XFER_COMPARE_JSON_H
#define XFER_COMPARE_JSON_H

#include <jansson.h>

#include "compare/compare.h"

#define COMPARE_SCHEMA 1

/* type "round" and type "summary", with COMPARE_SCHEMA; a new reference, NULL without memory. */
json_t *compare_json_round(const struct compare_result *r, const struct compare_round *round);
json_t *compare_json_summary(const struct compare_result *r, const struct compare_row *row);

#endif
