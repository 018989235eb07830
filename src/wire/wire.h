/* wire.h - the lines of XFER/1 (docs/PROTOCOL.md). Pure: bytes in, a struct out, and back.
 *
 * To add a request: a value in enum wire_verb, a row in verbs[] (wire.c). To add a key: a field, a
 * WIRE_K_ bit and a row in keys[]; encode and decode both follow the tables.
 */
#ifndef XFER_WIRE_WIRE_H
#define XFER_WIRE_WIRE_H

#include "base/err.h"
#include "base/path.h"

#define WIRE_LINE_MAX 16384         /* a control line with its LF */
#define WIRE_DATA_MAX (1024 * 1024) /* payload of one DATA */
#define WIRE_VERSION 1
#define WIRE_ETAG_MAX 64
#define WIRE_TEXT_MAX 256

enum wire_verb {
    WIRE_UNKNOWN, /* well-formed, but no verb of ours */
    WIRE_HELLO,   /* XFER/n key=value... ; version in .version */
    WIRE_GET,
    WIRE_PUT,
    WIRE_LIST,
    WIRE_SUM,
    WIRE_MKDIR,
    WIRE_DISCARD, /* as PUT, of a body that is hashed and thrown away */
    WIRE_FROM,    /* FROM n            offset */
    WIRE_DATA,    /* DATA n            length; n bytes follow the line */
    WIRE_END,     /* END key=value... */
    WIRE_ABORT,   /* ABORT code name text      code, error, text */
    WIRE_ENTRY,   /* ENTRY name key=value... */
    WIRE_REPLY    /* nnn key=value...  or, from 400 on, nnn name text */
};

enum wire_key {
    WIRE_K_SIZE = 1 << 0,
    WIRE_K_OFFSET = 1 << 1,
    WIRE_K_LENGTH = 1 << 2,
    WIRE_K_MTIME = 1 << 3,
    WIRE_K_MODE = 1 << 4,
    WIRE_K_ETAG = 1 << 5,
    WIRE_K_SHA256 = 1 << 6,
    WIRE_K_WHOLE = 1 << 7,
    WIRE_K_PREFIX = 1 << 8, /* GET: sha256 of the `offset` bytes that the client has already */
    WIRE_K_IF = 1 << 9,
    WIRE_K_RESUME = 1 << 10,
    WIRE_K_RECURSIVE = 1 << 11, /* flag: recursive=1 */
    WIRE_K_SELF = 1 << 12,      /* flag: LIST of the named thing itself, one ENTRY */
    WIRE_K_FRESH = 1 << 13,     /* flag */
    WIRE_K_MKPATH = 1 << 14,    /* flag: make missing parents */
    WIRE_K_COUNT = 1 << 15,
    WIRE_K_TYPE = 1 << 16,
    WIRE_K_ERROR = 1 << 17,
    WIRE_K_RATE = 1 << 18,
    WIRE_K_AGENT = 1 << 19,
    WIRE_K_SYNC = 1 << 20,
    WIRE_K_SUMS = 1 << 21 /* flag: LIST with digests */
};

enum wire_if { WIRE_IF_ABSENT = 1, WIRE_IF_SHA256 };
enum wire_sync { WIRE_SYNC_NONE, WIRE_SYNC_FILE, WIRE_SYNC_BATCH };

struct wire_msg {
    enum wire_verb verb;
    unsigned version; /* HELLO */
    unsigned code;    /* REPLY, ABORT */
    uint32_t keys;    /* WIRE_K_ bits of the fields below that are there */
    uint64_t size, offset, length, count, rate;
    struct timespec mtime;
    unsigned mode;
    char etag[WIRE_ETAG_MAX + 1];
    char agent[WIRE_ETAG_MAX + 1];
    uint8_t sha256[32], whole[32], prefix[32];
    enum wire_if if_kind;
    uint8_t if_sha256[32];
    uint8_t resume[16]; /* resume=32 hex digits */
    enum wire_sync sync;
    char type;
    int error;                    /* negative; of REPLY >= 400, ABORT, and ENTRY with error= */
    char text[WIRE_TEXT_MAX + 1]; /* free text of an error */
    size_t path_len;              /* of requests and ENTRY: decoded, as the peer sent it */
    char path[PATH_CLEAN_MAX + 2];
};

/* Decodes one line without its LF (a CR before it is dropped). 0; -XFER_EPROTO when malformed (the
 * connection is to be closed); -XFER_ETOOLONG for a path over the limit, -XFER_ENAME for %00: then
 * the path is "" and the rest of *m holds. An unknown verb is WIRE_UNKNOWN and 0. Unknown keys are
 * ignored; a known key with a bad value or given twice is malformed. The number of FROM and DATA
 * counts as that key. */
int wire_decode(const char *line, size_t n, struct wire_msg *m);

/* Encodes with LF: the fields named in m->keys, and what the verb always has; no other field is
 * read. An empty path is sent as "/"; the code of an error may be 0: the one of .error is meant. An
 * mtime that decode would refuse is left out. Returns the length, or -XFER_ETOOLONG when cap is too
 * small (WIRE_LINE_MAX always suffices for what decode accepted), -XFER_EUSAGE for WIRE_UNKNOWN. */
long wire_encode(const struct wire_msg *m, char *out, size_t cap);

/* Name of a verb as it stands on the wire, "?" for unknown. */
const char *wire_verb_name(enum wire_verb v);

#endif
