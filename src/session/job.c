#include "config.h"

#include "session/job.h"

#include <stdlib.h>
#include <string.h>

#include "session/ranges.h"

struct job *job_new(const char *path, const char *remote, const char *name, const char *local)
{
    struct job *j = calloc(1, sizeof *j);

    if (!j)
        return NULL;
    j->path = strdup(path);
    j->remote = strdup(remote);
    j->name = strdup(name);
    j->local = strdup(local);
    if (j->path && j->remote && j->name && j->local)
        return j;
    job_free(j);
    return NULL;
}

void job_free(struct job *j)
{
    if (!j)
        return;
    ranges_release(j->ranges);
    digest_free(j->out_digest);
    free(j->path);
    free(j->remote);
    free(j->name);
    free(j->local);
    free(j);
}

void job_list_init(struct job_list *l)
{
    *l = (struct job_list){0};
    l->end = &l->first;
}

void job_list_push(struct job_list *l, struct job *j)
{
    j->next = NULL;
    *l->end = j;
    l->end = &j->next;
    l->n++;
}

struct job *job_list_pop(struct job_list *l)
{
    struct job *j = l->first;

    if (!j)
        return NULL;
    l->first = j->next;
    if (!l->first)
        l->end = &l->first;
    l->n--;
    return j;
}

void job_list_free(struct job_list *l)
{
    struct job *j;

    while ((j = job_list_pop(l)))
        job_free(j);
}

static void job_list_move(struct job_list *to, struct job_list *from)
{
    struct job *j;

    while ((j = job_list_pop(from)))
        job_list_push(to, j);
}

void job_queue_init(struct job_queue *q, size_t max)
{
    *q = (struct job_queue){.max = max};
    pthread_mutex_init(&q->mutex, NULL);
    pthread_cond_init(&q->filled, NULL);
    pthread_cond_init(&q->drained, NULL);
    job_list_init(&q->list);
}

void job_queue_destroy(struct job_queue *q)
{
    job_list_free(&q->list);
    pthread_cond_destroy(&q->drained);
    pthread_cond_destroy(&q->filled);
    pthread_mutex_destroy(&q->mutex);
}

/* Called with the mutex held, as is the next. */
static void wait_to_give(struct job_queue *q)
{
    q->givers++;
    while (q->list.n >= q->max && !q->aborted)
        pthread_cond_wait(&q->drained, &q->mutex);
    q->givers--;
}

static void wait_to_take(struct job_queue *q)
{
    q->takers++;
    while (!q->list.first && !q->closed)
        pthread_cond_wait(&q->filled, &q->mutex);
    q->takers--;
}

int job_queue_push(struct job_queue *q, struct job *j)
{
    pthread_mutex_lock(&q->mutex);
    wait_to_give(q);
    bool aborted = q->aborted;
    if (!aborted)
        job_list_push(&q->list, j);
    if (q->takers)
        pthread_cond_broadcast(&q->filled);
    pthread_mutex_unlock(&q->mutex);
    if (aborted)
        job_free(j);
    return aborted ? -XFER_ECANCELED : 0;
}

void job_queue_close(struct job_queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->closed = true;
    pthread_cond_broadcast(&q->filled);
    pthread_cond_broadcast(&q->drained);
    pthread_mutex_unlock(&q->mutex);
}

/* Who waits for its jobs to be over hears of it. */
void job_queue_abort(struct job_queue *q)
{
    struct job_list left;

    job_list_init(&left);
    pthread_mutex_lock(&q->mutex);
    q->aborted = true;
    job_list_move(&left, &q->list);
    pthread_mutex_unlock(&q->mutex);
    job_list_free(&left);
    job_queue_close(q);
}

int job_queue_pop(struct job_queue *q, bool wait, struct job **ret)
{
    pthread_mutex_lock(&q->mutex);
    if (wait)
        wait_to_take(q);
    struct job *j = q->aborted ? NULL : job_list_pop(&q->list);
    int r = j ? 1 : q->closed ? -1 : 0;
    if (q->givers && q->list.n <= q->max / 2) /* not for each place that becomes free */
        pthread_cond_broadcast(&q->drained);
    pthread_mutex_unlock(&q->mutex);
    *ret = j;
    return r;
}

void job_queue_return(struct job_queue *q, struct job_list *l)
{
    pthread_mutex_lock(&q->mutex);
    if (!q->aborted)
        job_list_move(&q->list, l);
    pthread_cond_broadcast(&q->filled);
    pthread_mutex_unlock(&q->mutex);
    job_list_free(l);
}

void job_queue_join(struct job_queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->workers++;
    pthread_mutex_unlock(&q->mutex);
}

bool job_queue_wait(struct job_queue *q)
{
    pthread_mutex_lock(&q->mutex);
    wait_to_take(q);
    bool found = q->list.first && !q->aborted;
    if (!found)
        q->workers--;
    pthread_mutex_unlock(&q->mutex);
    return found;
}

bool job_queue_leave(struct job_queue *q)
{
    pthread_mutex_lock(&q->mutex);
    bool others = q->workers > 1;
    if (others)
        q->workers--;
    pthread_mutex_unlock(&q->mutex);
    return others;
}
