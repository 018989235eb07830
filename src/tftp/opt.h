/* opt.h - TFTP options by table (RFC 2347, 2348, 2349, 7440, and sha256 of ours). Pure.
 *
 * To add an option: a field and a bit here, a row in opts[] (opt.c), a golden trace in tests/sim.
 */
#ifndef XFER_TFTP_OPT_H
#define XFER_TFTP_OPT_H

#include "tftp/pkt.h"

enum {
    TFTP_O_BLKSIZE = 1 << 0,
    TFTP_O_TIMEOUT = 1 << 1,
    TFTP_O_TSIZE = 1 << 2,
    TFTP_O_WINDOW = 1 << 3,
    TFTP_O_SHA256 = 1 << 4,
    TFTP_O_DISCARD = 1 << 5
};

enum tftp_sha256 {
    TFTP_SHA_ASK,   /* "0": a read that wants the digest */
    TFTP_SHA_KNOWN, /* 64 hex digits */
    TFTP_SHA_LATER, /* "later:ETAG": asked again after the transfer */
    TFTP_SHA_ETAG   /* ETAG: the digest of that version, in a request that ends at the OACK */
};

#define TFTP_ETAG_MAX 64

struct tftp_opts {
    unsigned have; /* TFTP_O_ bits */
    unsigned blksize, window;
    unsigned timeout; /* seconds, 1 to 255 */
    uint64_t tsize;
    enum tftp_sha256 sha_kind;
    uint8_t sha256[32];
    char etag[TFTP_ETAG_MAX + 1];
};

/* No option: block size 512, window 1. */
void tftp_opts_init(struct tftp_opts *o);

/* Server: what is asked for, read leniently. Malformed, below its range or beyond 32 bits (tsize:
 * 63): dropped as if never asked; above its range: lowered to the highest we allow (timeout:
 * dropped); the second of two alike: dropped; unknown: ignored. write: it is a WRQ. netascii: tsize
 * is dropped on a read. sha256: ASK or ETAG on a read, KNOWN on a write, else dropped. */
void tftp_opts_request(struct tftp_text list, bool write, bool netascii, struct tftp_opts *ret);

/* Client: an OACK, read strictly against what was asked. 0, or -1 with a static text for ERROR 8:
 * no option at all, one that was not asked for or is given twice, a value that is malformed, out of
 * range or above ours, a timeout that is not ours, a digest that is no answer to ours. tsize may be
 * anything: it is information. *ret is untouched on failure; without blksize it is 512. */
int tftp_opts_answer(const struct tftp_pkt *oack, const struct tftp_opts *asked,
                     struct tftp_opts *ret, const char **why);

/* Appends the options in o->have to a request or an OACK of len bytes. The new length, 0 when cap
 * is too small. */
size_t tftp_opts_put(const struct tftp_opts *o, void *packet, size_t len, size_t cap);

#endif
