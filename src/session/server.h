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
    unsigned n_conns;          /* mutex; UDP transfers, too */
    pthread_mutex_t log_mutex; /* one on_request or on_note at a time */
    /* Held from the check of a condition (if=...) to the rename, by hash of the target. */
    pthread_mutex_t target_locks[SERVER_TARGET_LOCKS];
};

/* Tells what a request came to. */
void server_log(struct server *srv, const struct xfer_request *r);
void server_note(struct server *srv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
pthread_mutex_t *server_target_lock(struct server *srv, const struct store_writer *w);

/* One more connection or transfer, if there is room; each is left again. */
bool server_enter(struct server *srv);
void server_leave(struct server *srv);
unsigned server_max(const struct server *srv);
/* A thread with a small stack, which signals do not reach; detached, or (spawn) to be joined. 0 or
 * an errno. */
int server_start_thread(void *(*run)(void *arg), void *arg);
int server_spawn(pthread_t *t, void *(*run)(void *arg), void *arg);

#endif
