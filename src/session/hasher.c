#include "config.h"

#include "session/hasher.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define SPANS 64

struct span {
    const uint8_t *p;
    size_t n;
};

/* A buffer that the caller gave back, and how many spans had been fed by then. */
struct returned {
    uint8_t *buf;
    uint64_t fed;
};

struct hasher {
    pthread_t thread;
    struct digest *digest; /* the thread's, until it has ended */
    /* The caller's own, oldest first. */
    struct returned back[HASHER_BUFFERS];
    size_t first;
    /* Shared, under mutex. Spans fed - SPANS to fed - 1 are in the ring; those below done are over.
     */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct span ring[SPANS];
    uint64_t fed, done;
    bool ended;
};

static void *hash_spans(void *arg)
{
    struct hasher *h = arg;

    pthread_mutex_lock(&h->mutex);
    for (;;) {
        while (h->done == h->fed && !h->ended)
            pthread_cond_wait(&h->changed, &h->mutex);
        if (h->done == h->fed)
            break;
        struct span s = h->ring[h->done % SPANS];
        pthread_mutex_unlock(&h->mutex);
        digest_update(h->digest, s.p, s.n);
        pthread_mutex_lock(&h->mutex);
        h->done++;
        pthread_cond_signal(&h->changed);
    }
    pthread_mutex_unlock(&h->mutex);
    digest_thread_done();
    return NULL;
}

static void hasher_free(struct hasher *h)
{
    for (size_t i = 0; i < HASHER_BUFFERS; i++)
        free(h->back[i].buf);
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->mutex);
    free(h);
}

struct hasher *hasher_start(struct digest *d, size_t buffer_size)
{
    sigset_t all, before;
    struct hasher *h = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? calloc(1, sizeof *h) : NULL;

    if (!h)
        return NULL;
    h->digest = d;
    pthread_mutex_init(&h->mutex, NULL);
    pthread_cond_init(&h->changed, NULL);
    bool ready = true;
    for (size_t i = 0; i < HASHER_BUFFERS; i++) {
        h->back[i].buf = malloc(buffer_size);
        ready = ready && h->back[i].buf;
    }
    sigfillset(&all); /* signals are for the caller's threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ready = ready && pthread_create(&h->thread, NULL, hash_spans, h) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (ready)
        return h;
    hasher_free(h);
    return NULL;
}

uint8_t *hasher_exchange(struct hasher *h, uint8_t *mine)
{
    struct returned *oldest = &h->back[h->first];
    uint8_t *buf = oldest->buf;

    pthread_mutex_lock(&h->mutex);
    while (h->done < oldest->fed)
        pthread_cond_wait(&h->changed, &h->mutex);
    *oldest = (struct returned){mine, h->fed};
    pthread_mutex_unlock(&h->mutex);
    h->first = (h->first + 1) % HASHER_BUFFERS;
    return buf;
}

void hasher_feed(struct hasher *h, const uint8_t *p, size_t n)
{
    pthread_mutex_lock(&h->mutex);
    while (h->fed - h->done == SPANS)
        pthread_cond_wait(&h->changed, &h->mutex);
    h->ring[h->fed++ % SPANS] = (struct span){p, n};
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->mutex);
}

void hasher_finish(struct hasher *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->mutex);
    h->ended = true;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->mutex);
    pthread_join(h->thread, NULL);
    hasher_free(h);
}
