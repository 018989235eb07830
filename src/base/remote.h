/* remote.h - addresses as users write them: nas:/a, nas:7070/a, [::1]:7069/a, xfer://host/a. Pure.
 */
#ifndef XFER_BASE_REMOTE_H
#define XFER_BASE_REMOTE_H

#include "base/path.h"

enum remote_scheme { REMOTE_XFER, REMOTE_XFERS, REMOTE_TFTP };

struct remote {
    enum remote_scheme scheme;
    char host[256];   /* without brackets; a zone stays: fe80::1%eth0 */
    unsigned port;    /* 0: not given */
    bool literal_v6;  /* host was in brackets */
    bool dir_slash;   /* the path ended in a slash */
    bool absolute;    /* tftp: it began with two, the second is part of the name (RFC 3617) */
    bool netascii;    /* tftp: ";mode=netascii" */
    struct path path; /* clean; "" is the root */
};

/* What a word on the command line is. 1: a remote, *ret filled. 0: a local path (a slash before any
 * colon, no colon at all, "-"). -XFER_EUSAGE: looks like a remote and is wrong ("nas:a",
 * "nas:/../a"); `why` then says what to write instead, in one line, already escaped. */
int remote_parse(const char *s, struct remote *ret, char *why, size_t why_cap);

/* HOST:[PORT]/PATH again, in the form without scheme (but tftp:// stays), IPv6 in brackets, for
 * messages; path NULL is
 * the one of r. Bytes as they are: to be escaped where they are shown. Returns out. */
char *remote_show(const struct remote *r, const char *path, char *out, size_t cap);

#endif
