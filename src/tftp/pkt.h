/* pkt.h - TFTP packets (RFC 1350, 5; RFC 2347): bytes in, a struct out, and back. Pure.
 *
 * A decoded packet points into the datagram it came from: nothing is copied, nothing read past its
 * end.
 */
#ifndef XFER_TFTP_PKT_H
#define XFER_TFTP_PKT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tftp_op {
    TFTP_RRQ = 1,
    TFTP_WRQ = 2,
    TFTP_DATA = 3,
    TFTP_ACK = 4,
    TFTP_ERROR = 5,
    TFTP_OACK = 6
};

/* RFC 1350, appendix; 8 is RFC 2347. */
enum tftp_error {
    TFTP_E_UNDEFINED = 0,
    TFTP_E_NOT_FOUND = 1,
    TFTP_E_ACCESS = 2,
    TFTP_E_DISK_FULL = 3,
    TFTP_E_ILLEGAL = 4,
    TFTP_E_TID = 5,
    TFTP_E_EXISTS = 6,
    TFTP_E_USER = 7,
    TFTP_E_OPTION = 8
};

enum tftp_mode { TFTP_OCTET, TFTP_NETASCII };

#define TFTP_BLKSIZE_DEFAULT 512
#define TFTP_BLKSIZE_MIN 8
#define TFTP_BLKSIZE_MAX 65464
/* RFC 7440 has 65535, but beyond half the block numbers old ones cannot be told from new. */
#define TFTP_WINDOW_MAX 32767
#define TFTP_HEADER 4

/* A run of bytes in a datagram; NUL-terminated there unless it says otherwise. */
struct tftp_text {
    const char *p;
    size_t n; /* without the NUL */
};

struct tftp_pkt {
    enum tftp_op op;
    /* RRQ, WRQ */
    struct tftp_text file;
    enum tftp_mode mode;
    bool mode_known;          /* false: "mail" or something else, to be refused with ERROR 4 */
    struct tftp_text options; /* RRQ, WRQ, OACK: name NUL value NUL ..., as it came */
    bool ragged;              /* something that is no option was left out behind .options */
    /* DATA, ACK */
    uint16_t block;
    const uint8_t *data;
    size_t len;
    /* ERROR */
    uint16_t code;
    struct tftp_text text; /* up to its NUL or the end of the datagram */
};

/* 0, or -1 for what is no TFTP packet: shorter than its header, an unknown opcode, a request whose
 * name or mode has no NUL or whose name is empty. An ACK may be longer than 4 bytes. Options end at
 * the first that has no name, no value or no NUL: it and what follows are left out of .options (RFC
 * 2347 is silent; most servers do so) and make the packet .ragged, unless they are zeros alone,
 * with which some peers pad. */
int tftp_decode(const void *datagram, size_t n, struct tftp_pkt *ret);

/* Whether a text is this word, in any case of ASCII letters (RFC 1350, 5; RFC 2347). */
bool tftp_text_is(struct tftp_text t, const char *word);

/* The next option of a list; false at its end. */
bool tftp_next_option(struct tftp_text *list, struct tftp_text *name, struct tftp_text *value);

/* Encoders return the length, or 0 when cap is too small. tftp_put_option appends to a request or
 * an OACK of len bytes. */
size_t tftp_put_request(void *out, size_t cap, enum tftp_op op, const char *file,
                        enum tftp_mode mode);
size_t tftp_put_option(void *out, size_t len, size_t cap, const char *name, const char *value);
size_t tftp_put_data_header(void *out, size_t cap, uint16_t block);
size_t tftp_put_ack(void *out, size_t cap, uint16_t block);
size_t tftp_put_oack(void *out, size_t cap); /* options follow by tftp_put_option */
size_t tftp_put_error(void *out, size_t cap, enum tftp_error code, const char *text);

#endif
