/* Clients that get one file in ranges over eight connections each, all at once: whole, thrown away,
 * stopped on the way and gone on with, while the file is replaced under them. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ground.h"

#define CLIENTS 6
#define SIZE (UINT64_C(5) << 20)

enum kind { WHOLE, THROWN_AWAY, STOPPED, CHANGING };

struct client {
    const struct ground *g;
    unsigned i;
    enum kind kind;
    char why[512];
};

static void expect(struct client *c, bool ok, const char *what, const char *why)
{
    if (!ok && !c->why[0])
        snprintf(c->why, sizeof c->why, "client %u: %s (%.400s)", c->i, what, why);
}

struct stopper {
    struct xfer_stop *stop;
    uint64_t at;
};

/* Bytes on the way count as they come, so that the stop is raised among ranges. */
static void stop_on_the_way(void *user, const struct xfer_event *ev)
{
    struct stopper *s = user;

    if (ev->type == XFER_EV_PROGRESS && ev->bytes_done >= s->at)
        xfer_stop_raise(s->stop);
}

static void get_and_stop(struct client *c, const char *to)
{
    struct told t;
    struct stopper s = {.stop = xfer_stop_new(), .at = c->i * SIZE / CLIENTS};
    struct xfer_copy_opts o = client_copy(&t);

    o.jobs = 8;
    o.net.stop = s.stop;
    o.net.on_event = stop_on_the_way;
    o.net.user = &s;
    int r = get_one(c->g, &o, "/same", to, NULL);
    expect(c, r == 0 || r == -XFER_ECANCELED, "a get that is stopped", xfer_strerror(r));
    xfer_stop_free(s.stop);
}

static void client(void *arg)
{
    struct client *c = arg;
    const char *remote = c->kind == CHANGING ? "/changing" : "/same";
    char to[PATH_MAX];
    struct told t;

    ground_path(c->g, to, "got-%u", c->i);
    if (c->kind == STOPPED)
        get_and_stop(c, to);
    struct xfer_copy_opts o = client_copy(&t);
    o.jobs = 8;
    o.discard = c->kind == THROWN_AWAY;
    int r = get_one(c->g, &o, remote, to, NULL);
    expect(c, r == 0 || (c->kind == CHANGING && r == -XFER_ECHANGED), "a get in ranges", t.why);
    if (r == 0) {
        expect(c, t.done == 1 && t.all_verified, "it is proved", t.why);
        bool a = holds(to, 1, SIZE), b = holds(to, 2, SIZE);
        expect(c, c->kind == THROWN_AWAY || (c->kind == CHANGING ? a || b : a), "its bytes", to);
    }
}

/* Replaces a file by one of the same size until told to end. */
struct replacer {
    const struct ground *g;
    pthread_mutex_t mutex;
    bool over; /* mutex */
};

static bool is_over(struct replacer *r)
{
    pthread_mutex_lock(&r->mutex);
    bool over = r->over;
    pthread_mutex_unlock(&r->mutex);
    return over;
}

static void *replace(void *arg)
{
    struct replacer *r = arg;
    char to[PATH_MAX], made[PATH_MAX];

    ground_path(r->g, to, "root/changing");
    ground_path(r->g, made, "root/next");
    for (unsigned i = 0; i < 3 && !is_over(r); i++) {
        make_file(made, 1 + i % 2, SIZE, NULL);
        if (rename(made, to) < 0)
            abort();
    }
    return NULL;
}

static void run_round(const struct ground *g, enum kind kind, const char *name)
{
    struct client clients[CLIENTS] = {0};
    struct replacer r = {.g = g, .mutex = PTHREAD_MUTEX_INITIALIZER};
    const char *why = "";
    pthread_t thread;

    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = (struct client){.g = g, .i = i, .kind = kind};
    if (kind == CHANGING && pthread_create(&thread, NULL, replace, &r) != 0)
        abort();
    run_together(CLIENTS, client, clients, sizeof *clients);
    pthread_mutex_lock(&r.mutex);
    r.over = true;
    pthread_mutex_unlock(&r.mutex);
    if (kind == CHANGING)
        pthread_join(thread, NULL);
    for (unsigned i = 0; i < CLIENTS && !why[0]; i++)
        why = clients[i].why;
    tap_check(!why[0], "%s%s%s", name, why[0] ? ": " : "", why);
    tap_check(leftovers(g->dir) == 0 || kind == CHANGING, "%s: no temporary is left", name);
}

int main(void)
{
    struct ground g;
    char path[PATH_MAX];

    ground_open(&g, NULL);
    make_file(ground_path(&g, path, "root/same"), 1, SIZE, NULL);
    make_file(ground_path(&g, path, "root/changing"), 2, SIZE, NULL);
    for (unsigned i = 0; i < rounds(1, 10); i++) {
        run_round(&g, WHOLE, "whole");
        run_round(&g, THROWN_AWAY, "thrown away");
        run_round(&g, STOPPED, "stopped and gone on with");
        run_round(&g, CHANGING, "of a file that is replaced");
    }
    ground_close(&g);
    return tap_end();
}
