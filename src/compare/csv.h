/* csv.h - the rows as comma-separated values (RFC 4180: lines end in CR LF). Pure, but that
 * the FILE is the caller's. */
#ifndef XFER_COMPARE_CSV_H
#define XFER_COMPARE_CSV_H

#include <stdio.h>

#include "compare/compare.h"

/* A line of names, then one for each row; what is not known is empty. */
void compare_csv(const struct compare_result *r, FILE *f);

#endif
