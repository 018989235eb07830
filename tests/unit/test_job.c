#include "config.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session/job.h"

static struct job *job(unsigned number)
{
    char name[16];

    snprintf(name, sizeof name, "%u", number);
    struct job *j = job_new(name, "remote", "name", "local");
    cr_assert(j);
    j->size = number;
    return j;
}

Test(job, has_its_own_names)
{
    char path[] = "p";
    struct job *j = job_new(path, "r", "n", "l");

    path[0] = 'x';
    cr_expect_str_eq(j->path, "p");
    cr_expect_str_eq(j->remote, "r");
    cr_expect_str_eq(j->name, "n");
    cr_expect_str_eq(j->local, "l");
    job_free(j);
    job_free(NULL);
}

Test(job, a_list_is_first_in_first_out)
{
    struct job_list l;
    struct job *j;

    job_list_init(&l);
    cr_expect_null(job_list_pop(&l));
    for (unsigned round = 0; round < 2; round++) { /* emptied, it can be filled again */
        for (unsigned i = 0; i < 3; i++)
            job_list_push(&l, job(i));
        cr_expect_eq(l.n, 3);
        for (unsigned i = 0; i < 3; i++) {
            j = job_list_pop(&l);
            cr_expect_eq(j->size, i);
            job_free(j);
        }
        cr_expect_null(job_list_pop(&l));
    }
    job_list_push(&l, job(1));
    job_list_push(&l, job(2));
    job_list_free(&l);
    cr_expect_eq(l.n, 0);
}

Test(job, a_queue_hands_out_what_came_in_then_says_that_it_is_over)
{
    struct job_queue q;
    struct job *j;

    job_queue_init(&q, 4);
    cr_expect_eq(job_queue_pop(&q, false, &j), 0);
    cr_expect_null(j);
    cr_expect_eq(job_queue_push(&q, job(1)), 0);
    cr_expect_eq(job_queue_push(&q, job(2)), 0);
    cr_expect_eq(job_queue_pop(&q, true, &j), 1);
    cr_expect_eq(j->size, 1);
    job_free(j);
    job_queue_close(&q);
    job_queue_join(&q);
    cr_expect(job_queue_wait(&q));
    cr_expect_eq(job_queue_pop(&q, true, &j), 1, "what was pushed before is still to be had");
    job_free(j);
    cr_expect_not(job_queue_wait(&q));
    cr_expect_eq(job_queue_pop(&q, true, &j), -1);
    cr_expect_eq(job_queue_pop(&q, false, &j), -1);
    job_queue_destroy(&q);
}

Test(job, aborted_a_queue_gives_and_takes_nothing)
{
    struct job_queue q;
    struct job *j;

    job_queue_init(&q, 4);
    cr_expect_eq(job_queue_push(&q, job(1)), 0);
    job_queue_join(&q);
    job_queue_abort(&q);
    cr_expect_not(job_queue_wait(&q));
    cr_expect_eq(job_queue_pop(&q, true, &j), -1);
    cr_expect_null(j);
    cr_expect_eq(job_queue_push(&q, job(2)), -XFER_ECANCELED);
    job_queue_close(&q);
    cr_expect_eq(job_queue_pop(&q, true, &j), -1);
    job_queue_destroy(&q); /* frees what nobody took */
}

Test(job, aborted_a_queue_frees_what_is_returned)
{
    struct job_list l;
    struct job_queue q;

    job_queue_init(&q, 4);
    cr_expect_eq(job_queue_push(&q, job(1)), 0);
    job_queue_abort(&q);
    cr_expect_eq(q.list.n, 0);
    job_list_init(&l);
    job_list_push(&l, job(2));
    job_queue_return(&q, &l);
    cr_expect(l.n == 0 && q.list.n == 0);
    job_queue_destroy(&q);
}

Test(job, what_one_returns_another_takes)
{
    struct job_list l;
    struct job_queue q;
    struct job *j;

    job_queue_init(&q, 4);
    job_queue_join(&q);
    job_queue_join(&q);
    job_queue_close(&q);
    job_list_init(&l);
    job_list_push(&l, job(1));
    job_queue_return(&q, &l);
    cr_expect_eq(l.n, 0);
    cr_expect(job_queue_leave(&q));
    cr_expect_not(job_queue_leave(&q), "the last one stays");
    cr_expect(job_queue_wait(&q));
    cr_expect_eq(job_queue_pop(&q, true, &j), 1);
    cr_expect_eq(j->size, 1);
    job_free(j);
    cr_expect_not(job_queue_wait(&q));
    job_queue_destroy(&q);
}

/* ---- threads ---- */

struct filler {
    struct job_queue *q;
    unsigned from, n;
    int result; /* of the first push that failed */
    pthread_t thread;
    unsigned pushed; /* atomic */
};

static void *fill(void *arg)
{
    struct filler *f = arg;

    for (unsigned i = 0; i < f->n && f->result == 0; i++) {
        f->result = job_queue_push(f->q, job(f->from + i));
        if (f->result == 0)
            __atomic_add_fetch(&f->pushed, 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static void wait_until_pushed(struct filler *f, unsigned n)
{
    while (__atomic_load_n(&f->pushed, __ATOMIC_SEQ_CST) < n)
        sched_yield();
}

Test(job, a_queue_is_bounded, .timeout = 60)
{
    struct job_queue q;
    struct filler f = {.q = &q, .n = 10};
    struct job *j;

    job_queue_init(&q, 3);
    pthread_create(&f.thread, NULL, fill, &f);
    wait_until_pushed(&f, 3);
    for (unsigned i = 0; i < 10; i++) {
        cr_assert_eq(job_queue_pop(&q, true, &j), 1);
        cr_expect_eq(j->size, i);
        cr_expect(__atomic_load_n(&f.pushed, __ATOMIC_SEQ_CST) <= i + 1 + 3);
        job_free(j);
    }
    pthread_join(f.thread, NULL);
    cr_expect_eq(f.result, 0);
    job_queue_destroy(&q);
}

Test(job, an_abort_frees_who_waits_for_room, .timeout = 60)
{
    struct job_queue q;
    struct filler f = {.q = &q, .n = 10};

    job_queue_init(&q, 2);
    pthread_create(&f.thread, NULL, fill, &f);
    wait_until_pushed(&f, 2);
    job_queue_abort(&q);
    pthread_join(f.thread, NULL);
    cr_expect_eq(f.result, -XFER_ECANCELED);
    cr_expect_eq(f.pushed, 2);
    job_queue_destroy(&q);
}

struct taker {
    struct job_queue *q;
    unsigned char *taken; /* by number; each is touched by one thread only */
    pthread_t thread;
    unsigned n;
};

static void *take(void *arg)
{
    struct taker *t = arg;
    struct job *j;

    while (job_queue_pop(t->q, true, &j) > 0) {
        __atomic_add_fetch(&t->taken[j->size], 1, __ATOMIC_SEQ_CST);
        t->n++;
        job_free(j);
    }
    return NULL;
}

#define FILLERS 4
#define TAKERS 8
#define EACH 2000

Test(job, every_job_reaches_one_of_many, .timeout = 100)
{
    unsigned char *taken = calloc(FILLERS * EACH, 1);
    struct filler f[FILLERS];
    struct taker t[TAKERS];
    struct job_queue q;
    unsigned sum = 0;

    job_queue_init(&q, 16);
    for (unsigned i = 0; i < TAKERS; i++) {
        t[i] = (struct taker){.q = &q, .taken = taken};
        pthread_create(&t[i].thread, NULL, take, &t[i]);
    }
    for (unsigned i = 0; i < FILLERS; i++) {
        f[i] = (struct filler){.q = &q, .from = i * EACH, .n = EACH};
        pthread_create(&f[i].thread, NULL, fill, &f[i]);
    }
    for (unsigned i = 0; i < FILLERS; i++)
        pthread_join(f[i].thread, NULL);
    job_queue_close(&q);
    for (unsigned i = 0; i < TAKERS; i++) {
        pthread_join(t[i].thread, NULL);
        sum += t[i].n;
    }
    cr_expect_eq(sum, FILLERS * EACH);
    for (unsigned i = 0; i < FILLERS * EACH; i++)
        cr_assert_eq(taken[i], 1, "job %u was taken %u times", i, taken[i]);
    job_queue_destroy(&q);
    free(taken);
}
