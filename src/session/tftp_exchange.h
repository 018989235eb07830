/* tftp_exchange.h - one request of a TFTP client: what is asked, what is agreed, what came of it.
 */
#ifndef XFER_SESSION_TFTP_EXCHANGE_H
#define XFER_SESSION_TFTP_EXCHANGE_H

#include "session/copy.h"
#include "session/tftp_drive.h"

/* A server as a client knows it. */
struct tftp_peer {
    struct copy *copy; /* options, tally, pace, deadline */
    struct addr to[8];
    size_t n, at; /* addresses; the one in use */
    struct addr from;
    bool has_from;
};

struct tftp_exchange {
    const struct tftp_peer *peer;
    const char *name; /* over there */
    bool write, netascii;
    bool plain;             /* without options: the server refused them */
    bool question;          /* for a digest or a size: moves no file, and is in no total */
    struct tftp_opts asked; /* tsize and sha256 are the caller's, the rest is filled in */
    struct tftp_opts got;
    bool noted;
    struct udp udp;
    struct tftp_drive drive;
    uint64_t bytes;   /* that the tally knows of */
    uint64_t pending; /* that it will know of soon */
};

/* Opens the socket and makes the request. arg's ops find the exchange by themselves; moved and
 * agreed are best tftp_exchange_moved and tftp_exchange_agreed, or call them. */
int tftp_exchange_open(struct tftp_exchange *x, const struct tftp_ops *ops, void *arg);
/* Runs it: 0 or an error, of which x->drive.text may say more. */
int tftp_exchange_run(struct tftp_exchange *x);
/* Tells the tally what crossed the network, and closes. Safe on one that was not opened if it was
 * zeroed with udp.fd and udp.companion -1. */
void tftp_exchange_close(struct tftp_exchange *x);

int tftp_exchange_moved(struct tftp_exchange *x, uint64_t n);
/* What the server agreed to, or (got NULL) that it did not say; the first call counts.
 * -XFER_EUNVERIFIED: no digest is promised, and the user wants no less. -XFER_EUNKNOWN: what is
 * to be thrown away would be kept. */
int tftp_exchange_agreed(struct tftp_exchange *x, const struct tftp_opts *got);
/* Takes back what the tally was told, since it has to be moved again. */
void tftp_exchange_unmoved(struct tftp_exchange *x);

/* server: ADDR_SHOW_MAX bytes, kept by the facts. */
void tftp_exchange_facts(const struct tftp_exchange *x, char *server, struct xfer_udp_facts *ret);

/* Whether the server refused options: then the same can be tried without. */
bool tftp_exchange_refused_options(const struct tftp_exchange *x);

/* Asks the digest of a file, of one version if etag is not NULL, and waits while the server
 * computes it. 1; 0 when it cannot be had; -XFER_ECHANGED when there is another version by now;
 * else an error. */
int tftp_ask_digest(const struct tftp_peer *peer, const char *name, const char *etag,
                    uint8_t out[DIGEST_LEN]);
/* Asks the size of a file (RFC 2349): 1; 0 when it cannot be had; else an error. */
int tftp_ask_size(const struct tftp_peer *peer, const char *name, uint64_t *ret);

#endif
