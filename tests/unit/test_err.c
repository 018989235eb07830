#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/err.h"

Test(err, every_error_has_a_row_of_its_own)
{
    for (int e = XFER_EUSAGE; e < XFER_ERR_END; e++) {
        const struct err_row *row = err_row(-e);

        cr_expect(row->err == (enum xfer_err)e, "no row for %d", e);
        cr_expect(row == err_row(e), "sign matters for %d", e);
        cr_expect(row->wire_code >= 400 && row->wire_code <= 599, "code of %s", row->name);
        cr_expect(strspn(row->name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(row->name));
        cr_expect(row->text[0] != '\0' && !strchr(row->text, '\n'));
        for (int f = XFER_EUSAGE; f < e; f++) {
            cr_expect(strcmp(row->name, err_row(f)->name) != 0, "%s twice", row->name);
            cr_expect(row->wire_code != err_row(f)->wire_code, "%u twice", row->wire_code);
        }
    }
}

Test(err, names_and_codes_come_back)
{
    for (int e = XFER_EUSAGE; e < XFER_ERR_END; e++) {
        const struct err_row *row = err_row(e);

        cr_expect(err_from_wire(row->name, 0) == -e);
        cr_expect(err_from_wire("of-a-later-version", row->wire_code) == -e);
        cr_expect(err_from_wire(NULL, row->wire_code) == -e);
    }
    cr_expect(err_from_wire("not-found", 421) == -XFER_ENOTFOUND); /* the name is more exact */
    cr_expect(err_from_wire("", 499) == -XFER_EREMOTE);
    cr_expect(err_from_wire(NULL, 0) == -XFER_EREMOTE);
}

/* Part of the protocol: these never change. */
Test(err, codes_on_the_wire)
{
    static const struct {
        enum xfer_err err;
        unsigned code;
        const char *name;
    } t[] = {
        {XFER_EBUSY, 421, "busy"},
        {XFER_ENOTFOUND, 550, "not-found"},
        {XFER_EPERM, 553, "not-permitted"},
        {XFER_EREADONLY, 554, "read-only"},
        {XFER_EEXISTS, 555, "exists"},
        {XFER_EISDIR, 556, "is-a-directory"},
        {XFER_ENOTDIR, 557, "not-a-directory"},
        {XFER_ENOTREG, 558, "not-a-regular-file"},
        {XFER_ENAME, 559, "bad-name"},
        {XFER_ENOSPACE, 452, "no-space"},
        {XFER_ECHANGED, 451, "changed"},
        {XFER_ECONFLICT, 560, "conflict"},
        {XFER_EREMOTE, 450, "io-error"},
        {XFER_EUNKNOWN, 502, "unknown-request"},
        {XFER_EINTEGRITY, 561, "digest-mismatch"},
        {XFER_EPROTO, 500, "malformed"},
        {XFER_ECANCELED, 426, "canceled"},
        {XFER_ETOOLONG, 562, "too-long"},
        {XFER_ELOOP, 563, "symlink-loop"},
        {XFER_ESAMEFILE, 564, "same-file"},
        {XFER_ECOLLISION, 565, "collision"},
        {XFER_EDEADLINE, 427, "deadline"},
        {XFER_ELOST, 425, "lost"},
        {XFER_EUSAGE, 501, "usage"},
        {XFER_EUNVERIFIED, 566, "unverified"},
        {XFER_EUNCONFIRMED, 456, "unconfirmed"},
        {XFER_ECONGESTION, 567, "no-congestion-control"},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        cr_expect(err_row(t[i].err)->wire_code == t[i].code, "%s", t[i].name);
        cr_expect_str_eq(err_row(t[i].err)->name, t[i].name);
    }
}

/* What a TFTP peer is told, and what is understood when it comes back. */
Test(err, codes_of_tftp)
{
    for (int e = XFER_EUSAGE; e < XFER_ERR_END; e++) {
        const struct err_row *row = err_row(e);
        int back = err_from_tftp(row->tftp_code, row->text, strlen(row->text));

        cr_expect(row->tftp_code <= 8, "%s", row->name);
        cr_expect(xfer_exit_status(back) == 4 || back == -XFER_EINTEGRITY, "%s comes back as %d",
                  row->name, back);
        if (row->exit_status == 4)
            cr_expect(back == -e, "%s comes back as %d", row->name, back);
    }
    cr_expect(err_from_tftp(1, "File not found", 14) == -XFER_ENOTFOUND);
    cr_expect(err_from_tftp(2, "", 0) == -XFER_EPERM);
    cr_expect(err_from_tftp(3, NULL, 0) == -XFER_ENOSPACE);
    cr_expect(err_from_tftp(4, "unsupported request", 19) == -XFER_EUNKNOWN); /* refused: 4 */
    cr_expect(err_from_tftp(5, NULL, 0) == -XFER_ELOST);
    cr_expect(err_from_tftp(2, "server takes no writes", 6) == -XFER_EPERM); /* cut */
    cr_expect(err_from_tftp(0, "interrupted", 11) == -XFER_EREMOTE);         /* ours, not theirs */
    cr_expect(err_from_tftp(99, "exists already", 14) == -XFER_EREMOTE);
}

Test(err, errnos_have_a_nearest_row)
{
    static const struct {
        int sys;
        enum xfer_err err;
    } t[] = {
        {ENOENT, XFER_ENOTFOUND}, {EACCES, XFER_EPERM},    {EPERM, XFER_EPERM},
        {EXDEV, XFER_EPERM},      {EROFS, XFER_EREADONLY}, {ENOSPC, XFER_ENOSPACE},
        {EDQUOT, XFER_ENOSPACE},  {EFBIG, XFER_ENOSPACE},  {EISDIR, XFER_EISDIR},
        {ENOTDIR, XFER_ENOTDIR},  {EEXIST, XFER_EEXISTS},  {ELOOP, XFER_ELOOP},
        {EIO, XFER_EREMOTE},      {EINVAL, XFER_EREMOTE},  {ENAMETOOLONG, XFER_ETOOLONG},
        {0, XFER_EREMOTE},        {INT_MAX, XFER_EREMOTE}, {XFER_ERR_END, XFER_EREMOTE},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        cr_expect(err_row(-t[i].sys)->err == t[i].err, "row of errno %d", t[i].sys);
        cr_expect(err_row(t[i].sys)->err == t[i].err, "row of errno %d, positive", t[i].sys);
    }
    cr_expect(err_row(INT_MIN)->err == XFER_EREMOTE);
    for (int e = 1; e < 200; e++)
        cr_expect(err_row(-e) != NULL);
}

Test(err, texts)
{
    cr_expect_str_eq(xfer_strerror(-XFER_ENOTFOUND), "not found");
    cr_expect_str_eq(xfer_strerror(XFER_ENOTFOUND), "not found");
    cr_expect_str_eq(xfer_strerror(-ENOENT), strerror(ENOENT));
    cr_expect_str_eq(xfer_strerror(EACCES), strerror(EACCES));
    cr_expect_str_eq(xfer_strerror(0), "success");
    cr_expect_str_eq(xfer_strerror(-9999), "unknown error");
    cr_expect_str_eq(xfer_strerror(-XFER_ERR_END), "unknown error");
    cr_expect_str_eq(xfer_strerror(INT_MIN), "unknown error");
    cr_expect_str_eq(xfer_version(), PACKAGE_VERSION);
}

Test(err, exit_status)
{
    static const struct {
        int err, status;
    } t[] = {
        {0, 0},
        {XFER_ESOME, 1},
        {XFER_ESPECIAL, 1},
        {XFER_EUSAGE, 2},
        {XFER_EHOST, 3},
        {XFER_ELOST, 3},
        {XFER_EPROTO, 3},
        {XFER_EDEADLINE, 3},
        {ECONNREFUSED, 3},
        {ETIMEDOUT, 3},
        {EHOSTUNREACH, 3},
        {ENETUNREACH, 3},
        {ECONNRESET, 3},
        {EPIPE, 3},
        {ECONNABORTED, 3},
        {EADDRNOTAVAIL, 3},
        {XFER_EBUSY, 4},
        {XFER_ENOTFOUND, 4},
        {XFER_EPERM, 4},
        {XFER_EREADONLY, 4},
        {XFER_EEXISTS, 4},
        {XFER_EISDIR, 4},
        {XFER_ENOTDIR, 4},
        {XFER_ENOTREG, 4},
        {XFER_ENAME, 4},
        {XFER_ENOSPACE, 4},
        {XFER_ECHANGED, 4},
        {XFER_ECONFLICT, 4},
        {XFER_EREMOTE, 4},
        {XFER_EUNKNOWN, 4},
        {XFER_ETOOLONG, 4},
        {XFER_ELOOP, 4},
        {XFER_EINTEGRITY, 5},
        {XFER_ESAMEFILE, 6},
        {XFER_ECOLLISION, 6},
        {ENOENT, 6},
        {EACCES, 6},
        {ENOSPC, 6},
        {EIO, 6},
        {XFER_ERR_END, 6},
        {XFER_ECANCELED, 130},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        cr_expect(xfer_exit_status(-t[i].err) == t[i].status, "exit status of %d", t[i].err);
        cr_expect(xfer_exit_status(t[i].err) == t[i].status, "exit status of %d", t[i].err);
    }
}

Test(err, transience)
{
    static const int yes[] = {XFER_EBUSY, XFER_ELOST, XFER_ECHANGED, ECONNRESET, ETIMEDOUT, EPIPE};
    static const int no[] = {0,           XFER_ENOTFOUND, XFER_EINTEGRITY, XFER_EHOST,
                             XFER_EPROTO, ECONNREFUSED,   ENOENT,          XFER_ECANCELED};

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        cr_expect(err_is_transient(-yes[i]), "%d passes", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        cr_expect(!err_is_transient(-no[i]), "%d stays", no[i]);
}

Test(err, merging)
{
    static const struct {
        int whole, item, result;
    } t[] = {
        {0, 0, 0},
        {0, -XFER_EPERM, -XFER_EPERM},
        {-XFER_EPERM, 0, -XFER_EPERM},
        {-XFER_EPERM, -XFER_ENOTFOUND, -XFER_EPERM}, /* 4 and 4: the first stays */
        {-XFER_ENOTFOUND, -EIO, -XFER_ESOME},
        {-XFER_ESOME, -EIO, -XFER_ESOME},
        {-XFER_ENOTFOUND, -XFER_EINTEGRITY, -XFER_EINTEGRITY},
        {-XFER_EINTEGRITY, -XFER_ENOTFOUND, -XFER_EINTEGRITY},
        {-XFER_EINTEGRITY, -XFER_ECANCELED, -XFER_EINTEGRITY},
        {-XFER_ESOME, -XFER_EINTEGRITY, -XFER_EINTEGRITY},
        {-XFER_ENOTFOUND, -XFER_ECANCELED, -XFER_ECANCELED},
        {-XFER_ECANCELED, -XFER_ELOST, -XFER_ECANCELED},
        {-ECONNRESET, -XFER_ELOST, -ECONNRESET},
        {-XFER_ESPECIAL, -XFER_ENOTFOUND, -XFER_ESOME},
        {-XFER_ESPECIAL, -XFER_ESPECIAL, -XFER_ESPECIAL},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
        cr_expect(err_merge(t[i].whole, t[i].item) == t[i].result, "row %zu: %d", i,
                  err_merge(t[i].whole, t[i].item));
}
