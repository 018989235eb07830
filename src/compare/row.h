/* row.h - rounds summed up to rows. Pure. */
#ifndef XFER_COMPARE_ROW_H
#define XFER_COMPARE_ROW_H

#include "compare/compare.h"

/* One row for each point, method and direction that has rounds, in this order; a method whose every
 * round failed has one, too. Returns how many; at most cap. */
size_t compare_rows(const struct compare_spec *s, const struct compare_round *rounds, size_t n,
                    struct compare_row *rows, size_t cap);

/* The most rows that a comparison can have. */
size_t compare_rows_max(const struct compare_spec *s);

#endif
