#include "config.h"

#include "session/claim.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "xfer.h"

#define TAKEOVER_SECONDS 5

void claims_init(struct claims *cs)
{
    pthread_condattr_t a;

    pthread_mutex_init(&cs->mutex, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&cs->dropped, &a);
    pthread_condattr_destroy(&a);
    cs->first = NULL;
}

void claims_destroy(struct claims *cs)
{
    pthread_mutex_destroy(&cs->mutex);
    pthread_cond_destroy(&cs->dropped);
}

static struct claim *find(const struct claims *cs, const struct claim *c)
{
    for (struct claim *k = cs->first; k; k = k->next)
        if (memcmp(k->id, c->id, sizeof k->id) == 0 && strcmp(k->path.s, c->path.s) == 0)
            return k;
    return NULL;
}

int claim_take(struct claims *cs, struct claim *c)
{
    struct timespec until;
    struct claim *older;
    int r = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += TAKEOVER_SECONDS;
    pthread_mutex_lock(&cs->mutex);
    while ((older = find(cs, c)) && r == 0) {
        shutdown(older->fd, SHUT_RDWR);
        r = pthread_cond_timedwait(&cs->dropped, &cs->mutex, &until);
    }
    if (!older) {
        c->next = cs->first;
        cs->first = c;
    }
    pthread_mutex_unlock(&cs->mutex);
    return older ? -XFER_EBUSY : 0;
}

void claim_drop(struct claims *cs, struct claim *c)
{
    pthread_mutex_lock(&cs->mutex);
    for (struct claim **p = &cs->first; *p; p = &(*p)->next) {
        if (*p == c) {
            *p = c->next;
            pthread_cond_broadcast(&cs->dropped);
            break;
        }
    }
    pthread_mutex_unlock(&cs->mutex);
}
