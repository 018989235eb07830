/* tftp_transfer.h - one request of a TFTP client, in its own thread: files on one side, the drive
 * on the other. */
#ifndef XFER_SESSION_TFTP_TRANSFER_H
#define XFER_SESSION_TFTP_TRANSFER_H

#include "session/server.h"
#include "session/tftp_drive.h"
#include "session/tftp_file.h"

struct tftp_server;

struct tftp_transfer {
    struct tftp_transfer *next;
    struct tftp_server *ts;
    int listener;            /* of tftp_server.fd: the request came there */
    struct addr peer, local; /* of the request */
    struct udp udp;
    struct tftp_drive drive;
    unsigned unheard;        /* as in tftp_params */
    atomic_uint asked_again; /* the request came once more, to the known port */
    size_t n;                /* bytes of the request */
    uint8_t request[];
};

/* Serves the request from beginning to end, log line included. True when the receiver still has to
 * linger; the socket is open then. */
bool tftp_transfer_run(struct tftp_transfer *t);

/* Logs a request that is refused before it got a thread. */
void tftp_log_refused(struct server *srv, const struct addr *peer, const struct tftp_pkt *pkt,
                      int err, const char *text);

/* The name in a request, as a path: backslashes are slashes. Returns out. */
char *tftp_name(const struct tftp_pkt *pkt, char *out, size_t cap);

#endif
