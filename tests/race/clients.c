/* 64 clients at once on one server, all in this process: put, get and list, of files of their own
 * and of the same ones. Whatever anybody is told to be verified must be. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ground.h"

#define CLIENTS 64
#define SHARED 6

/* Empty, tiny, around a chunk, and beyond what makes a part. */
static const uint64_t shared_size[SHARED] = {0, 1, 4096, 131073, 700001, 1500007};

struct client {
    const struct ground *g;
    unsigned i, round;
    const uint8_t (*sums)[DIGEST_LEN]; /* of the shared files */
    char why[512];                     /* the first thing that went wrong; "" */
};

static void expect(struct client *c, bool ok, const char *what, const char *why)
{
    if (!ok && !c->why[0])
        snprintf(c->why, sizeof c->why, "client %u, round %u: %s (%s)", c->i, c->round, what, why);
}

static uint64_t own_size(const struct client *c)
{
    uint64_t seed = c->i + 1;

    return next_random(&seed) % (c->i % 8 == 0 ? 2500000 : 60000);
}

/* There and back again, by a name that nobody else uses. */
static void own_file(struct client *c)
{
    char from[PATH_MAX], back[PATH_MAX], remote[64];
    uint64_t seed = c->i * 1000 + c->round, n = own_size(c);
    uint8_t sum[DIGEST_LEN];
    struct told t;

    make_file(ground_path(c->g, from, "own-%u", c->i), seed, n, sum);
    snprintf(remote, sizeof remote, "/own/%u.bin", c->i);
    struct xfer_copy_opts o = client_copy(&t);
    int r = put_one(c->g, &o, from, remote, NULL);
    expect(c, r == 0 && t.done == 1 && t.all_verified, "put of its own file", t.why);
    expect(c, memcmp(t.sum, sum, DIGEST_LEN) == 0, "digest that put tells", "another one");
    o = client_copy(&t);
    r = get_one(c->g, &o, remote, ground_path(c->g, back, "back-%u", c->i), NULL);
    expect(c, r == 0 && t.done == 1 && t.all_verified, "get of its own file", t.why);
    expect(c, holds(back, seed, n), "its own file came back", "with other bytes");
}

/* One target that all write: each is told the truth, one of them wins. */
static void same_target(struct client *c)
{
    char from[PATH_MAX], to[PATH_MAX];
    unsigned k = c->i % 4;
    struct told t;

    ground_path(c->g, from, "variant-%u", k);
    struct xfer_copy_opts o = client_copy(&t);
    o.no_resume = true;
    o.sync = c->i % 3 == 0 ? XFER_SYNC_BATCH : XFER_SYNC_NONE;
    int r = put_one(c->g, &o, from, "/same/target.bin", NULL);
    expect(c, r == 0 && t.done == 1, "put to a target that others write", t.why);
    o = client_copy(&t);
    r = get_one(c->g, &o, "/same/target.bin", ground_path(c->g, to, "target-%u", c->i), NULL);
    expect(c, r == 0 && t.all_verified, "get of a target that others write", t.why);
    bool one = false;
    for (unsigned v = 0; v < 4; v++)
        one = one || holds(to, v, 300000 + v);
    expect(c, one, "the target is one of what was written", "it is none");
}

/* Many fetch one file to one name. */
static void same_destination(struct client *c)
{
    char to[PATH_MAX], remote[64];
    unsigned k = c->i % SHARED;
    struct told t;

    snprintf(remote, sizeof remote, "/shared/%u", k);
    struct xfer_copy_opts o = client_copy(&t);
    int r = get_one(c->g, &o, remote, ground_path(c->g, to, "common/%u", k), NULL);
    expect(c, r == 0 && t.done == 1 && t.all_verified, "get of a shared file", t.why);
    expect(c, memcmp(t.sum, c->sums[k], DIGEST_LEN) == 0, "digest that get tells", "another one");
    expect(c, holds(to, k, shared_size[k]), "the shared file arrived", "with other bytes");
}

static void listing(struct client *c)
{
    struct told t;
    struct xfer_list_opts o = {.net = client_net(&t), .sha256 = c->i % 2 == 0};
    char remote[160];

    snprintf(remote, sizeof remote, "%s/shared/", c->g->addr);
    int r = xfer_list(&o, remote, NULL);
    expect(c, r == 0 && t.entries == SHARED, "listing", t.why);
    snprintf(remote, sizeof remote, "%s/shared/%u", c->g->addr, c->i % SHARED);
    o.net = client_net(&t);
    r = xfer_list(&o, remote, NULL);
    expect(c, r == 0 && t.entries == 1, "listing of one file", t.why);
    expect(c, !o.sha256 || memcmp(t.sum, c->sums[c->i % SHARED], DIGEST_LEN) == 0,
           "digest in a listing", "another one");
    snprintf(remote, sizeof remote, "%s/shared/none", c->g->addr);
    r = xfer_list(&o, remote, NULL);
    expect(c, r == -XFER_ENOTFOUND, "listing of what is not there", xfer_strerror(r));
}

static void client(void *arg)
{
    static void (*const step[])(struct client *) = {own_file, same_target, same_destination,
                                                    listing};
    struct client *c = arg;

    for (unsigned k = 0; k < 4; k++) /* not all the same at one moment */
        step[(c->i + k) % 4](c);
}

static void make_shared(const struct ground *g, uint8_t sums[SHARED][DIGEST_LEN])
{
    char path[PATH_MAX];

    make_dir(ground_path(g, path, "common"));
    make_dir(ground_path(g, path, "root/own"));
    make_dir(ground_path(g, path, "root/same"));
    make_dir(ground_path(g, path, "root/shared"));
    for (unsigned i = 0; i < SHARED; i++)
        make_file(ground_path(g, path, "root/shared/%u", i), i, shared_size[i], sums[i]);
    for (unsigned v = 0; v < 4; v++)
        make_file(ground_path(g, path, "variant-%u", v), v, 300000 + v, NULL);
}

static void check_all(struct client *c, unsigned round)
{
    unsigned bad = 0;

    for (unsigned i = 0; i < CLIENTS; i++) {
        if (c[i].why[0])
            printf("# %s\n", c[i].why);
        bad += c[i].why[0] != '\0';
    }
    tap_check(bad == 0, "round %u: %u clients at once put, get and list, %u in vain", round,
              CLIENTS, bad);
}

int main(void)
{
    uint8_t sums[SHARED][DIGEST_LEN];
    struct client c[CLIENTS];
    char path[PATH_MAX];
    struct ground g;

    ground_open(&g, NULL);
    make_shared(&g, sums);
    for (unsigned round = 1; round <= rounds(1, 6); round++) {
        for (unsigned i = 0; i < CLIENTS; i++)
            c[i] = (struct client){.g = &g, .i = i, .round = round, .sums = sums};
        run_together(CLIENTS, client, c, sizeof *c);
        check_all(c, round);
    }
    unsigned right = 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        right += holds(ground_path(&g, path, "root/own/%u.bin", i), i * 1000 + rounds(1, 6),
                       own_size(&c[i]));
    tap_check(right == CLIENTS, "%u of %u files are on the server as they were sent", right,
              CLIENTS);
    tap_check(leftovers(g.dir) == 0, "no temporaries are left, there or here");
    ground_close(&g);
    return tap_end();
}
