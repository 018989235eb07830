/* tftp_file.h - the bytes of a file on their way to and from blocks, hashed in passing.
 *
 * Octet leaves them as they are. Netascii (RFC 1350, 1; RFC 764) ends lines with CR LF and writes
 * CR as CR NUL; here lines end with LF. Sizes and digests are those of the file, not of what is
 * sent.
 *
 * What takes time is put off until the other side has something to do, too: reading and hashing
 * ahead, hashing and writing behind (tftp_source_idle, tftp_sink_idle).
 */
#ifndef XFER_SESSION_TFTP_FILE_H
#define XFER_SESSION_TFTP_FILE_H

#include <stdbool.h>

#include "base/digest.h"

struct tftp_source {
    int fd;         /* not owned; read from its beginning */
    uint64_t limit; /* bytes of the file that are sent at most; UINT64_MAX: up to its end */
    bool netascii;
    struct digest *digest; /* not owned; takes the file's bytes; NULL: not hashed */
    uint64_t off;          /* bytes of the file read so far */
    bool ended;
    int err;  /* sticky */
    int held; /* second octet of a pair that the block before had no room for; -1: none */
    uint8_t *buf;
    size_t n, at, hashed; /* of buf: filled, handed out, hashed */
};

int tftp_source_init(struct tftp_source *s, int fd, uint64_t limit, bool netascii,
                     struct digest *d);
void tftp_source_free(struct tftp_source *s);

/* The next n octets of what is sent, fewer only at the end; or a negative error. */
long tftp_source_read(struct tftp_source *s, uint8_t *out, size_t n);
void tftp_source_idle(struct tftp_source *s);
/* After the end: hashes what is left to hash. */
void tftp_source_finish(struct tftp_source *s);

struct tftp_sink {
    int (*write)(void *arg, const void *p, size_t n); /* 0 or negative */
    void *arg;
    bool netascii;
    struct digest *digest; /* not owned; takes the file's bytes */
    uint64_t bytes;        /* of the file so far */
    int err;               /* sticky */
    bool cr;               /* netascii: a CR whose meaning the next octet tells */
    uint8_t *buf;
    size_t n, hashed;
};

int tftp_sink_init(struct tftp_sink *s, int (*write)(void *, const void *, size_t), void *arg,
                   bool netascii, struct digest *d);
void tftp_sink_free(struct tftp_sink *s);

/* Takes n octets as they came. An error may come later than the octets that caused it. */
int tftp_sink_write(struct tftp_sink *s, const uint8_t *p, size_t n);
void tftp_sink_idle(struct tftp_sink *s);
/* After the last octet: everything is written and hashed, or the error. */
int tftp_sink_finish(struct tftp_sink *s);

#endif
