/* tftp_server.h - the UDP side of a server: requests come to one thread, each transfer has its own.
 *
 * The listening thread reads requests, drops what is sent twice, keeps the limits, and lingers for
 * all receivers that are done, so that no thread waits for that.
 */
#ifndef XFER_SESSION_TFTP_SERVER_H
#define XFER_SESSION_TFTP_SERVER_H

#include "session/tftp_transfer.h"

#define TFTP_LISTEN_MAX 64
#define TFTP_RECENT 64
#define TFTP_LINGERING 1024 /* receivers that are done; beyond, the oldest are let go */

struct tftp_server {
    struct server *srv;     /* constant, as are the next three */
    struct udp_ports ports; /* of transfers */
    unsigned cores;
    int wake_fd;             /* a transfer has ended */
    int n;                   /* listening sockets; constant once the thread runs */
    int fd[TFTP_LISTEN_MAX]; /* closed under mutex, by the thread that reads them */
    struct addr bound[TFTP_LISTEN_MAX];
    atomic_uint active; /* transfers */
    atomic_bool ending; /* was told to stop */
    pthread_mutex_t mutex;
    struct tftp_transfer *running; /* mutex */
    struct tftp_transfer *landed;  /* mutex: done receiving, to be taken over for lingering */
    /* Digests of files that were just sent, by version, for clients that ask for them now. */
    struct {
        char etag[STORE_ETAG_MAX + 1];
        uint8_t sha256[DIGEST_LEN];
    } recent[TFTP_RECENT]; /* mutex */
    unsigned recent_at;    /* mutex */
    pthread_t thread;
    bool started;
};

int tftp_server_init(struct tftp_server *ts, struct server *srv);
/* One more listening socket. */
int tftp_server_listen(struct tftp_server *ts, const struct addr *a);
int tftp_server_start(struct tftp_server *ts);
/* After srv's stop was raised: waits until transfers and lingering are over. Safe without start. */
void tftp_server_free(struct tftp_server *ts);

/* From a thread of a transfer that has no socket: ERROR "busy" from listening socket i, unless
 * nobody listens any more. */
void tftp_server_turn_away(struct tftp_server *ts, int i, const struct addr *local,
                           const struct addr *to, const char *text);

void tftp_recent_add(struct tftp_server *ts, const char *etag, const uint8_t sha256[DIGEST_LEN]);
bool tftp_recent_get(struct tftp_server *ts, const char *etag, uint8_t sha256[DIGEST_LEN]);

#endif
