/* spec.h - what a comparison is to do, checked before anything runs. Pure. */
#ifndef XFER_COMPARE_SPEC_H
#define XFER_COMPARE_SPEC_H

#include "compare/compare.h"

/* 1 MiB over the default link by tcp, udp:window=16 and udp; three rounds, 30 s, put. */
void compare_spec_default(struct compare_spec *s);

/* Adds a method; the first one given takes the place of the defaults. */
bool compare_spec_method(struct compare_spec *s, const char *text, char why[COMPARE_WHY_MAX]);

/* The direction where none was asked for: put, but get where a method has several connections. */
enum compare_direction compare_spec_direction(const struct compare_spec *s);

/* Why a method has no transfer in this direction; NULL: it has. */
const char *compare_spec_refusal(const struct compare_method *m, enum compare_direction direction);

/* "4M": 1 byte to 1 TiB. */
bool compare_spec_size(struct compare_spec *s, const char *text, char why[COMPARE_WHY_MAX]);

/* "KEY=A,B,C": a key of the link, or size, blksize or window (of the methods over UDP). Each value
 * is tried, so that a wrong one is told before anything runs. Methods that it makes alike are an
 * error; of the defaults the first stays. */
bool compare_spec_sweep(struct compare_spec *s, const char *text, char why[COMPARE_WHY_MAX]);

/* How many settings the sweep makes (1 without one), and the i-th of them, without sweep. */
size_t compare_spec_points(const struct compare_spec *s);
bool compare_spec_point(const struct compare_spec *s, size_t i, struct compare_spec *out,
                        char why[COMPARE_WHY_MAX]);

/* Whether it is a sweep of one method: its values are compared with each other, not with methods.
 */
bool compare_spec_series(const struct compare_spec *s);

/* Whether the whole can be run, every point of a sweep too. False with a reason in why. */
bool compare_spec_check(const struct compare_spec *s, char why[COMPARE_WHY_MAX]);

/* Another reason that is no error: a rate above what the emulated link carries for sure. NULL:
 * none. */
const char *compare_spec_warning(const struct compare_spec *s);

#endif
