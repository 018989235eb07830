#include "config.h"

#include "session/patience.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#define EVERY_SECONDS 5
#define ALIVE_MAX (600 / EVERY_SECONDS)

struct task {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool done; /* mutex */
    void (*fn)(void *arg);
    void *arg;
};

static void *task_main(void *p)
{
    struct task *t = p;

    t->fn(t->arg);
    pthread_mutex_lock(&t->mutex);
    t->done = true;
    pthread_cond_signal(&t->ended);
    pthread_mutex_unlock(&t->mutex);
    return NULL;
}

static void wait_for_end(struct task *t, void (*alive)(void *arg), void *alive_arg)
{
    unsigned told = 0;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += EVERY_SECONDS;
    pthread_mutex_lock(&t->mutex);
    while (!t->done) {
        if (pthread_cond_timedwait(&t->ended, &t->mutex, &until) != ETIMEDOUT)
            continue;
        until.tv_sec += EVERY_SECONDS;
        pthread_mutex_unlock(&t->mutex);
        if (told++ < ALIVE_MAX)
            alive(alive_arg);
        pthread_mutex_lock(&t->mutex);
    }
    pthread_mutex_unlock(&t->mutex);
}

void patience_run(void (*fn)(void *arg), void *arg, void (*alive)(void *arg), void *alive_arg)
{
    struct task t = {.mutex = PTHREAD_MUTEX_INITIALIZER, .fn = fn, .arg = arg};
    pthread_condattr_t a;
    sigset_t all, before;
    pthread_t thread;

    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&t.ended, &a);
    pthread_condattr_destroy(&a);
    sigfillset(&all); /* signals are for the caller's threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&thread, NULL, task_main, &t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r == 0) {
        wait_for_end(&t, alive, alive_arg);
        pthread_join(thread, NULL);
    } else {
        fn(arg); /* without a thread to spare it is done in silence */
    }
    pthread_cond_destroy(&t.ended);
    pthread_mutex_destroy(&t.mutex);
}
