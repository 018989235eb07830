#include "config.h"

#include "base/err.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const struct err_row rows[] = {
    {XFER_EUSAGE, "usage", 501, 4, 2, "wrong usage"},
    {XFER_EHOST, "host-unknown", 453, 0, 3, "host name unknown"},
    {XFER_ELOST, "lost", 425, 0, 3, "connection lost"},
    {XFER_EPROTO, "malformed", 500, 4, 3, "peer does not speak the protocol"},
    {XFER_EBUSY, "busy", 421, 0, 4, "peer is busy"},
    {XFER_ENOTFOUND, "not-found", 550, 1, 4, "not found"},
    {XFER_EPERM, "not-permitted", 553, 2, 4, "not permitted"},
    {XFER_EREADONLY, "read-only", 554, 2, 4, "server takes no writes"},
    {XFER_EEXISTS, "exists", 555, 6, 4, "exists already"},
    {XFER_EISDIR, "is-a-directory", 556, 2, 4, "is a directory"},
    {XFER_ENOTDIR, "not-a-directory", 557, 1, 4, "not a directory"},
    {XFER_ENOTREG, "not-a-regular-file", 558, 2, 4, "not a regular file"},
    {XFER_ENAME, "bad-name", 559, 2, 4, "name cannot be accepted"},
    {XFER_ENOSPACE, "no-space", 452, 3, 4, "no space over there"},
    {XFER_ECHANGED, "changed", 451, 0, 4, "source changed while it was read"},
    {XFER_ECONFLICT, "conflict", 560, 0, 4, "target is not what was expected"},
    {XFER_EREMOTE, "io-error", 450, 0, 4, "input/output error over there"},
    {XFER_EUNKNOWN, "unknown-request", 502, 4, 4, "request unknown to the peer"},
    {XFER_EINTEGRITY, "digest-mismatch", 561, 0, 5, "digest does not match"},
    {XFER_ECANCELED, "canceled", 426, 0, 130, "interrupted"},
    {XFER_ESOME, "several", 454, 0, 1, "several failed, for different reasons"},
    {XFER_ESPECIAL, "special-skipped", 455, 0, 1, "special files or outside symlinks skipped"},
    {XFER_ETOOLONG, "too-long", 562, 2, 4, "name or value too long"},
    {XFER_ELOOP, "symlink-loop", 563, 2, 4, "too many levels of symbolic links"},
    {XFER_ESAMEFILE, "same-file", 564, 0, 6, "source and destination are the same file"},
    {XFER_ECOLLISION, "collision", 565, 0, 6, "two sources have this target name"},
    {XFER_EDEADLINE, "deadline", 427, 0, 3, "time limit reached"},
    {XFER_EUNVERIFIED, "unverified", 566, 0, 5, "cannot be verified: the peer knows no digests"},
    {XFER_EUNCONFIRMED, "unconfirmed", 456, 0, 3, "all was sent, but not confirmed"},
    {XFER_ECONGESTION, "no-congestion-control", 567, 0, 6,
     "no such congestion control in this kernel, or not allowed"},
};

#define N_ROWS (sizeof rows / sizeof rows[0])

/* What a peer is told of an errno of ours. */
static const struct {
    int sys;
    enum xfer_err err;
} nearest[] = {
    {ENOENT, XFER_ENOTFOUND}, {EACCES, XFER_EPERM},     {EPERM, XFER_EPERM},
    {EXDEV, XFER_EPERM},      {EROFS, XFER_EREADONLY},  {ENOSPC, XFER_ENOSPACE},
    {EDQUOT, XFER_ENOSPACE},  {EFBIG, XFER_ENOSPACE},   {EISDIR, XFER_EISDIR},
    {ENOTDIR, XFER_ENOTDIR},  {EEXIST, XFER_EEXISTS},   {ENOTEMPTY, XFER_EEXISTS},
    {ELOOP, XFER_ELOOP},      {EILSEQ, XFER_ENAME},     {ENAMETOOLONG, XFER_ETOOLONG},
    {ENXIO, XFER_ENOTREG},    {ENODEV, XFER_ENOTREG},   {EBUSY, XFER_EBUSY},
    {EMFILE, XFER_EBUSY},     {ENFILE, XFER_EBUSY},     {ENOMEM, XFER_EBUSY},
    {ETXTBSY, XFER_EBUSY},    {ECONNRESET, XFER_ELOST}, {ECONNABORTED, XFER_ELOST},
    {EPIPE, XFER_ELOST},      {ETIMEDOUT, XFER_ELOST},  {ECANCELED, XFER_ECANCELED},
    {EPROTO, XFER_EPROTO},
};

#define N_NEAREST (sizeof nearest / sizeof nearest[0])

static unsigned magnitude(int err)
{
    return err < 0 ? 0u - (unsigned)err : (unsigned)err;
}

static const struct err_row *own_row(unsigned err)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if ((unsigned)rows[i].err == err)
            return &rows[i];
    return NULL;
}

const struct err_row *err_row(int err)
{
    unsigned e = magnitude(err);

    for (size_t i = 0; i < N_NEAREST; i++)
        if ((unsigned)nearest[i].sys == e)
            return own_row(nearest[i].err);

    const struct err_row *row = own_row(e);

    return row ? row : own_row(XFER_EREMOTE);
}

int err_from_wire(const char *name, unsigned code)
{
    for (size_t i = 0; name && i < N_ROWS; i++)
        if (strcmp(rows[i].name, name) == 0)
            return -(int)rows[i].err;
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].wire_code == code)
            return -(int)rows[i].err;
    return -XFER_EREMOTE;
}

int err_from_tftp(unsigned code, const char *text, size_t n)
{
    static const enum xfer_err nearest_tftp[] = {XFER_EREMOTE,  XFER_ENOTFOUND, XFER_EPERM,
                                                 XFER_ENOSPACE, XFER_EUNKNOWN,  XFER_ELOST,
                                                 XFER_EEXISTS,  XFER_EPERM,     XFER_EUNKNOWN};

    for (size_t i = 0; i < N_ROWS; i++) {
        size_t len = strlen(rows[i].text);
        bool refusal = rows[i].exit_status == 4 || rows[i].err == XFER_EINTEGRITY;
        if (refusal && rows[i].tftp_code == code && n >= len &&
            memcmp(text, rows[i].text, len) == 0)
            return -(int)rows[i].err;
    }
    if (code < sizeof nearest_tftp / sizeof *nearest_tftp)
        return -(int)nearest_tftp[code];
    return -XFER_EREMOTE;
}

/* Errnos that mean: the peer cannot be reached, or is no longer there. */
static bool is_network(unsigned sys)
{
    switch (sys) {
    case ECONNREFUSED:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENETRESET:
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case EADDRNOTAVAIL:
        return true;
    default:
        return false;
    }
}

bool err_is_transient(int err)
{
    unsigned e = magnitude(err);

    if (e == XFER_EBUSY || e == XFER_ELOST || e == XFER_ECHANGED)
        return true;
    /* A closed port and an address that is not ours are answers: they stay the same. */
    return is_network(e) && e != ECONNREFUSED && e != EADDRNOTAVAIL;
}

int err_merge(int whole, int item)
{
    if (whole == 0 || item == 0)
        return whole ? whole : item;

    int a = xfer_exit_status(whole), b = xfer_exit_status(item);

    if (a == b || magnitude(whole) == XFER_EINTEGRITY)
        return whole;
    if (magnitude(item) == XFER_EINTEGRITY)
        return item;
    if (magnitude(whole) == XFER_ECANCELED || magnitude(item) == XFER_ECANCELED)
        return -XFER_ECANCELED;
    return -XFER_ESOME;
}

const char *xfer_strerror(int err)
{
    unsigned e = magnitude(err);

    if (e == 0)
        return "success";

    const struct err_row *row = own_row(e);

    if (row)
        return row->text;

    const char *sys = strerrordesc_np((int)e);

    return sys ? sys : "unknown error";
}

int xfer_exit_status(int err)
{
    unsigned e = magnitude(err);

    if (e == 0)
        return 0;

    const struct err_row *row = own_row(e);

    if (row)
        return row->exit_status;
    return is_network(e) ? 3 : 6;
}

const char *xfer_version(void)
{
    return PACKAGE_VERSION;
}
