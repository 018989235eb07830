/* tftp_drive.h - the one loop around the TFTP machine: sockets, clock and memory for server and
 * client, sender and receiver.
 *
 * With a window of 1 nothing but sends and receives happens between two blocks, as long as the
 * round trip is short enough to spin for it (and file bytes are at hand).
 */
#ifndef XFER_SESSION_TFTP_DRIVE_H
#define XFER_SESSION_TFTP_DRIVE_H

#include <stdatomic.h>

#include "base/path.h"
#include "net/udp.h"
#include "tftp/opt.h"
#include "tftp/sm.h"

#define TFTP_TEXT_MAX 256
#define TFTP_CONTROL_MAX (PATH_CLEAN_MAX + 512) /* a request with all its options */
#define TFTP_WINDOW_BYTES (1024 * 1024)         /* of blocks in flight */

/* What a transfer does besides. Errors are negative and end it; the peer is told. */
struct tftp_ops {
    long (*read)(void *arg, uint8_t *out, size_t n);       /* sender: fewer than n at the end */
    int (*write)(void *arg, const uint8_t *p, size_t n);   /* receiver */
    int (*commit)(void *arg);                              /* receiver: all has come */
    int (*agreed)(void *arg, const struct tftp_opts *got); /* client: an OACK, checked */
    void (*idle)(void *arg);                               /* while the peer has something to do */
    int (*moved)(void *arg, uint64_t n);                   /* n octets more have arrived */
};

struct tftp_drive {
    struct tftp_sm sm;
    struct udp *udp;
    const struct tftp_ops *ops;
    void *arg;
    const struct tftp_opts *asked; /* client: what an OACK is held against */
    int stop_fd;                   /* -1: none */
    int64_t deadline;              /* of the whole call; CLOCK_NEVER: none */
    bool spin;
    const atomic_uint *crowd; /* transfers here, NULL: no others; more than cores do not spin */
    unsigned cores;
    atomic_uint *asked_again;  /* server: repetitions of the request; the drive takes them away */
    const atomic_bool *ending; /* server: it waits for nobody whom it sends nothing */
    int patience;              /* with spinning, see may_spin; */
    unsigned resting, rest;    /* waits without it: still to come; how many the next time */
    unsigned shared;           /* waits that ended when others had had the core */
    int64_t looked_at;
    int err;                      /* why it failed; 0: it did not (yet) */
    char text[TFTP_TEXT_MAX + 1]; /* what the peer was told, or said; "" where err says it */
    size_t control_len;           /* the request, or the OACK */
    uint8_t control[TFTP_CONTROL_MAX];
    uint8_t *blocks; /* sender: datagrams, block b in slot b % slots, more than a window has */
    unsigned slots;
    uint64_t made;          /* blocks made so far, some of them ahead */
    int read_err;           /* met ahead; told when that block's turn comes */
    size_t last_len;        /* octets in the last of them */
    uint64_t arrived, told; /* octets, here or over there; of them told to ops->moved */
    bool sent;              /* the peer has something to do now */
    bool resize;            /* more was agreed than there is room for */
    bool empty_oack;        /* client: the server agreed to nothing, and was refused */
};

/* p as for tftp_sm_init. The socket must be open; the caller puts the request or the OACK into
 * control. */
void tftp_drive_init(struct tftp_drive *d, struct udp *u, const struct tftp_params *p,
                     const struct tftp_ops *ops, void *arg);
void tftp_drive_free(struct tftp_drive *d); /* not the socket */

/* The window that we can serve: less than what was asked where memory, or (receiver) the buffer of
 * the socket, does not hold more. */
unsigned tftp_drive_window(const struct udp *u, bool sender, unsigned blksize, unsigned window);

/* Runs the transfer until it is done (a receiver then lingers) or has failed: 0 or d->err. */
int tftp_drive_run(struct tftp_drive *d);

/* Takes what has come for a receiver that lingers and minds its time, without waiting. False when
 * it need not linger any more. */
bool tftp_drive_linger(struct tftp_drive *d, int64_t now);

/* Client, done receiving: lingers until the server is known to be gone, for a second at most. */
void tftp_drive_linger_out(struct tftp_drive *d);

/* Answers a stranger: "unknown transfer", but never an ERROR, nor a request on a port for all. */
void tftp_reject_stranger(struct udp *u, const struct addr *from, const void *p, size_t n);

/* Cores that this process may use. */
unsigned tftp_cores(void);

#endif
