/* Clients that are stopped in mid-transfer at seeded points, come back and go on; one that takes
 * over the part of another, still open connection; a server that is stopped under its clients. */
#include "config.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ground.h"

#define CLIENTS 12
#define SIZE (UINT64_C(3) << 20)
#define SLOW (UINT64_C(8) << 20) /* bytes a second */
#define LONGEST 60               /* seconds that anything here may take, under sanitizers too */

struct client {
    const struct ground *g;
    unsigned i;
    uint64_t seed;
    bool put;
    uint64_t stop_at; /* bytes at the destination when it is stopped */
    uint64_t wire;    /* payload that crossed in both calls */
    bool resumed;
    char why[512];
};

static void expect(struct client *c, bool ok, const char *what, const char *why)
{
    if (!ok && !c->why[0])
        snprintf(c->why, sizeof c->why, "client %u, %s, stopped at %llu: %s (%s)", c->i,
                 c->put ? "put" : "get", (unsigned long long)c->stop_at, what, why);
}

/* ---- stopping at a number of bytes ---- */

/* Raises stop as soon as a part in dir holds that many bytes. */
struct stopper {
    const char *dir;
    uint64_t at;
    struct xfer_stop *stop;
    pthread_mutex_t mutex;
    bool over; /* mutex: the call has ended before */
    pthread_t thread;
};

static bool is_over(struct stopper *s)
{
    pthread_mutex_lock(&s->mutex);
    bool over = s->over;
    pthread_mutex_unlock(&s->mutex);
    return over;
}

static void *watch(void *arg)
{
    struct stopper *s = arg;

    while (!is_over(s) && largest_part(s->dir) < s->at)
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    xfer_stop_raise(s->stop);
    return NULL;
}

static void stopper_begin(struct stopper *s, const char *dir, uint64_t at)
{
    *s = (struct stopper){.dir = dir, .at = at, .stop = xfer_stop_new()};
    pthread_mutex_init(&s->mutex, NULL);
    if (!s->stop || pthread_create(&s->thread, NULL, watch, s) != 0)
        abort();
}

static void stopper_end(struct stopper *s)
{
    pthread_mutex_lock(&s->mutex);
    s->over = true;
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    pthread_mutex_destroy(&s->mutex);
    xfer_stop_free(s->stop);
}

/* ---- stopped, and once more ---- */

static int move(const struct client *c, const struct xfer_copy_opts *o, struct xfer_totals *totals)
{
    char local[PATH_MAX], remote[64];

    if (c->put) {
        snprintf(remote, sizeof remote, "/in-%u/file", c->i);
        return put_one(c->g, o, ground_path(c->g, local, "source-%u", c->i), remote, totals);
    }
    snprintf(remote, sizeof remote, "/out-%u", c->i);
    return get_one(c->g, o, remote, ground_path(c->g, local, "got-%u/file", c->i), totals);
}

static void stop_it(struct client *c, const char *dir)
{
    struct xfer_totals totals;
    struct stopper s;
    struct told t;

    struct xfer_copy_opts o = client_copy(&t);
    stopper_begin(&s, dir, c->stop_at);
    o.net.stop = s.stop;
    o.limit_rate = SLOW;
    int r = move(c, &o, &totals);
    stopper_end(&s);
    c->wire += totals.bytes_wire;
    expect(c, r == -XFER_ECANCELED || (r == 0 && t.done == 1), "what it is told when it is stopped",
           xfer_strerror(r));
    expect(c, r == 0 || t.done == 0, "done, though it was stopped", t.why);
}

/* At once, though the server may still be at the first attempt. */
static void go_on(struct client *c, const char *target)
{
    struct xfer_totals totals;
    struct told t;

    struct xfer_copy_opts o = client_copy(&t);
    int r = move(c, &o, &totals);
    c->wire += totals.bytes_wire;
    c->resumed = t.resumed_at > 0;
    expect(c, r == 0 && t.done == 1 && t.all_verified, "the second attempt", t.why);
    expect(c, holds(target, c->seed, SIZE), "the file arrived", "with other bytes");
}

static void client(void *arg)
{
    struct client *c = arg;
    char dir[PATH_MAX], target[PATH_MAX];

    ground_path(c->g, dir, c->put ? "root/in-%u" : "got-%u", c->i);
    snprintf(target, sizeof target, "%.*s/file", (int)sizeof target - 6, dir);
    stop_it(c, dir);
    bool sent = c->wire >= SIZE; /* only the answer was not waited for: there may be no part */
    go_on(c, target);
    expect(c, sent || c->resumed, "it goes on where it was stopped", "from the beginning");
    expect(c, sent || c->wire < 2 * SIZE, "bytes on the wire", "as many as without a part");
    expect(c, leftovers(dir) == 0, "no parts are left", "there are");
}

static void make_files(const struct ground *g, struct client *c, uint64_t *random)
{
    char path[PATH_MAX];

    for (unsigned i = 0; i < CLIENTS; i++) {
        c[i] = (struct client){.g = g, .i = i, .put = i % 2 == 0, .seed = next_random(random)};
        c[i].stop_at = 65536 + next_random(random) % (SIZE - 65536);
        make_dir(ground_path(g, path, c[i].put ? "root/in-%u" : "got-%u", i));
        make_file(ground_path(g, path, c[i].put ? "source-%u" : "root/out-%u", i), c[i].seed, SIZE,
                  NULL);
    }
}

static void stopped_and_resumed(const struct ground *g, unsigned round)
{
    uint64_t random = round;
    struct client c[CLIENTS];
    unsigned bad = 0, resumed = 0;

    make_files(g, c, &random);
    run_together(CLIENTS, client, c, sizeof *c);
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (c[i].why[0])
            printf("# %s\n", c[i].why);
        bad += c[i].why[0] != '\0';
        resumed += c[i].resumed;
    }
    tap_check(bad == 0, "seed %u: %u clients are stopped in mid-transfer and go on later", round,
              CLIENTS);
    tap_check(resumed >= CLIENTS / 2, "seed %u: %u of them met their parts again", round, resumed);
}

/* ---- one client from two sides ---- */

struct slow {
    const struct ground *g;
    struct xfer_stop *stop;
    int result;
};

static void *put_slowly(void *arg)
{
    struct slow *s = arg;
    char from[PATH_MAX];
    struct told t;

    struct xfer_copy_opts o = client_copy(&t);
    o.limit_rate = SIZE / 8;
    o.net.stop = s->stop;
    s->result = put_one(s->g, &o, ground_path(s->g, from, "twice"), "/two/file", NULL);
    return NULL;
}

/* Waits until the server holds so much of it; false when that takes for ever. */
static bool wait_for_part(const char *dir, uint64_t n)
{
    time_t end = time(NULL) + LONGEST;

    while (largest_part(dir) < n && time(NULL) < end)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return largest_part(dir) >= n;
}

static void taken_over(const struct ground *g)
{
    char from[PATH_MAX], dir[PATH_MAX], target[PATH_MAX];
    struct slow s = {.g = g, .stop = xfer_stop_new()};
    pthread_t thread;
    struct told t;

    make_dir(ground_path(g, dir, "root/two"));
    make_file(ground_path(g, from, "twice"), 4711, SIZE, NULL);
    if (!s.stop || pthread_create(&thread, NULL, put_slowly, &s) != 0)
        abort();
    tap_check(wait_for_part(dir, 200000), "a slow client has begun");
    struct xfer_copy_opts o = client_copy(&t);
    int r = put_one(g, &o, from, "/two/file", NULL);
    tap_check(r == 0 && t.done == 1, "the same file from elsewhere ends at once (%s)",
              r ? t.why : "done");
    tap_check(t.resumed_at >= 200000, "it took over the part of the slow one");
    xfer_stop_raise(s.stop);
    pthread_join(thread, NULL);
    tap_check(s.result == 0 || s.result == -XFER_ECANCELED, "the slow one is stopped (%s)",
              xfer_strerror(s.result));
    tap_check(holds(ground_path(g, target, "root/two/file"), 4711, SIZE),
              "and what is there is the file");
    xfer_stop_free(s.stop);
}

/* ---- a server that goes ---- */

struct visitor {
    const struct ground *g;
    unsigned i;
    bool lied;
};

/* Puts files until the server is gone; those that were done must be there. */
static void visit(void *arg)
{
    struct visitor *v = arg;
    char from[PATH_MAX], to[PATH_MAX], remote[64];
    int r = 0;

    make_file(ground_path(v->g, from, "visitor-%u", v->i), v->i, 100000, NULL);
    for (unsigned k = 0; r == 0; k++) {
        struct told t;
        struct xfer_copy_opts o = client_copy(&t);
        o.net.retries = 0;
        snprintf(remote, sizeof remote, "/gone-%u-%u", v->i, k);
        r = put_one(v->g, &o, from, remote, NULL);
        bool there = holds(ground_path(v->g, to, "root%s", remote), v->i, 100000);
        v->lied = v->lied || (r == 0 && !there) || (r == 0) != (t.done == 1);
        if (k == 20 && v->i == 0)
            xfer_stop_raise(v->g->o.stop);
    }
}

static void stopped_under_clients(const struct ground *g)
{
    struct visitor v[CLIENTS];
    unsigned lied = 0;

    for (unsigned i = 0; i < CLIENTS; i++)
        v[i] = (struct visitor){.g = g, .i = i};
    run_together(CLIENTS, visit, v, sizeof *v);
    for (unsigned i = 0; i < CLIENTS; i++)
        lied += v[i].lied;
    tap_check(lied == 0, "a server that is stopped tells no client of a file that is not there");
    tap_check(leftovers(g->root) == 0, "and leaves nothing half done");
}

int main(void)
{
    struct ground g;

    ground_open(&g, NULL);
    for (unsigned round = 1; round <= rounds(1, 8); round++)
        stopped_and_resumed(&g, round);
    taken_over(&g);
    stopped_under_clients(&g);
    ground_close(&g);
    return tap_end();
}
