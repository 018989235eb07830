/* conn.h - one connection of the server, in its own thread.
 *
 * To add a request: a row in wire (wire.h), op_x.c, a row in ops[] (conn.c).
 */
#ifndef XFER_SESSION_CONN_H
#define XFER_SESSION_CONN_H

#include "net/addr.h"
#include "session/chan.h"
#include "session/server.h"

struct batch;

struct conn {
    struct server *srv;
    struct chan ch;
    struct digest *digest;
    uint64_t resent;     /* segments, as of the last log line */
    struct batch *batch; /* PUTs that wait for their sync; NULL until the first */
    uint64_t min_rate;   /* that a request or a body must keep up; 0: the peer declared its own */
    int64_t alive_at;    /* when the last sign of life was sent while computing */
    char peer[ADDR_SHOW_MAX];
};

/* What a request came to, for its reply and its log line. */
struct op_result {
    int err;                      /* 0 or negative */
    char text[WIRE_TEXT_MAX + 1]; /* why, where err's own text does not say enough; else "" */
    uint64_t offset, bytes, size;
    bool resumed;
    bool logged; /* a batch will log it */
};

/* Runs one request. The reply, good or bad, has been queued when it returns 0; a negative return
 * ends the connection. */
typedef int (*op_run)(struct conn *c, const struct wire_msg *req, const struct path *path,
                      struct op_result *res);

int op_get(struct conn *c, const struct wire_msg *req, const struct path *p, struct op_result *res);
int op_put(struct conn *c, const struct wire_msg *req, const struct path *p, struct op_result *res);
int op_list(struct conn *c, const struct wire_msg *req, const struct path *p,
            struct op_result *res);
int op_sum(struct conn *c, const struct wire_msg *req, const struct path *p, struct op_result *res);
int op_mkdir(struct conn *c, const struct wire_msg *req, const struct path *p,
             struct op_result *res);
int op_discard(struct conn *c, const struct wire_msg *req, const struct path *p,
               struct op_result *res);

/* Queues an error reply and notes it in res. text may be NULL. Returns 0 or the connection's error.
 */
int conn_refuse(struct conn *c, struct op_result *res, int err, const char *text);

/* A tick for long computations: 102 every 5 s (arg: the conn). */
int conn_alive(void *arg, uint64_t n);

/* The digest of an open file: remembered, or computed with signs of life and then remembered.
 * `fresh` computes in any case. */
int conn_sum(struct conn *c, int fd, const struct stat *sb, bool fresh, uint8_t out[DIGEST_LEN]);
/* Serves a connection until it ends; takes over fd. */
void conn_run(struct server *srv, int fd, const struct addr *peer);

#endif
