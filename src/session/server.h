/* server.h - what the threads of one server share. */
#ifndef XFER_SESSION_SERVER_H
#define XFER_SESSION_SERVER_H

#include <pthread.h>

#include "session/claim.h"
#include "store/store.h"
#include "xfer.h"

#define SERVER_TARGET_LOCKS 64

struct server {
    const struct xfer_serve_opts *o; /* constant */
    struct store store;              /* constant; thread-safe by itself */
    struct digest_cache *cache;      /* thread-safe by itself */
    struct claims claims;            /* thread-safe by itself */
    int stop_fd;                     /* constant */
    int64_t idle;                    /* constant, ns */
    pthread_mutex_t mutex;
    pthread_cond_t changed;    /* n_conns went down */
    unsigned n_conns;          /* mutex */
    pthread_mutex_t log_mutex; /* one on_request or on_note at a time */
    /* Held from the check of a condition (if=...) to the rename, by hash of the target. */
    pthread_mutex_t target_locks[SERVER_TARGET_LOCKS];
};

void server_note(struct server *srv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
pthread_mutex_t *server_target_lock(struct server *srv, const struct store_writer *w);

#endif
