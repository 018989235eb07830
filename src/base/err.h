/* err.h - every error in one table: its text, its name and code on the wire, its exit status.
 *
 * Functions return 0 or a negative error: -errno for what the system said, -XFER_E... for the rest
 * (enum xfer_err starts above every errno). Adding an error: one value in xfer.h, one row in err.c.
 */
#ifndef XFER_BASE_ERR_H
#define XFER_BASE_ERR_H

#include <stddef.h>

#include "xfer.h"

struct err_row {
    enum xfer_err err;
    const char *name;   /* stable token on the wire: lower case letters, digits, hyphens */
    unsigned wire_code; /* three digits, first digit as FTP has it (RFC 959, 4.2.1) */
    unsigned tftp_code; /* RFC 1350, appendix: what a TFTP peer is told */
    int exit_status;    /* for a shell, when it is our own or the peer's word */
    const char *text;
};

/* The row of an error, negative or positive; an errno maps to the nearest row (ENOENT to
 * XFER_ENOTFOUND, ...) so that a peer is told something defined. Never NULL: XFER_EREMOTE is the
 * last resort. */
const struct err_row *err_row(int err);

/* The (negative) error that a wire name or, where the name is unknown, a wire code stands for. */
int err_from_wire(const char *name, unsigned code);

/* The same for an ERROR of TFTP: a text that begins with a row's own, as xfer's do, says more than
 * the few codes there are. Always what a peer may refuse with, whatever it says. n bytes of text,
 * which may hold anything. */
int err_from_tftp(unsigned code, const char *text, size_t n);

/* Whether trying again later can help: busy, lost, timed out, changed. */
bool err_is_transient(int err);

/* Folds the error of one more item into that of the whole: an integrity error wins, then an
 * interruption, equal exit statuses stay, others become XFER_ESOME. Both may be 0. */
int err_merge(int whole, int item);

#endif
