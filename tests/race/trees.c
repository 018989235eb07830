/* Trees over eight connections each, several at once; two clients fill one directory. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ground.h"

#define CLIENTS 4
#define DIRS 8
#define FILES 20 /* in each */

struct client {
    const struct ground *g;
    unsigned i, round;
    char why[512];
};

static void expect(struct client *c, bool ok, const char *what, const char *why)
{
    if (!ok && !c->why[0])
        snprintf(c->why, sizeof c->why, "client %u, round %u: %s (%s)", c->i, c->round, what, why);
}

static struct xfer_copy_opts tree_options(const struct client *c, struct told *t)
{
    struct xfer_copy_opts o = client_copy(t);

    o.recursive = true;
    o.jobs = 8;
    o.sync = c->i == 1 ? XFER_SYNC_BATCH : XFER_SYNC_NONE;
    return o;
}

/* Client 0 and 1 fill one directory with the same tree, the others one of their own. */
static void client(void *arg)
{
    struct client *c = arg;
    char from[PATH_MAX], to[PATH_MAX], back[PATH_MAX], remote[64];
    unsigned place = c->i < 2 ? 0 : c->i;
    struct told t;

    ground_path(c->g, from, "tree/");
    snprintf(remote, sizeof remote, "/place-%u-%u", c->round, place);
    struct xfer_copy_opts o = tree_options(c, &t);
    int r = put_one(c->g, &o, from, remote, NULL);
    expect(c, r == 0 && t.done == DIRS * FILES && t.all_verified, "put of a tree", t.why);
    ground_path(c->g, to, "root%s", remote);
    expect(c, place == 0 || same_tree(from, to), "the tree arrived", to);
    strcat(remote, "/");
    o = tree_options(c, &t);
    r = get_one(c->g, &o, remote, ground_path(c->g, back, "back-%u-%u", c->round, c->i), NULL);
    expect(c, r == 0 && t.done == DIRS * FILES && t.all_verified, "get of a tree", t.why);
    expect(c, same_tree(from, back), "the tree came back", back);
    o = tree_options(c, &t);
    o.update = c->i % 2 ? XFER_UPDATE_TIMES : XFER_UPDATE_DIGEST;
    r = put_one(c->g, &o, from, remote, NULL);
    expect(c, r == 0 && t.failed == 0, "put of what is there", t.why);
    expect(c, place == 0 || t.done == 0, "nothing to do", "though files were sent");
}

static void make_tree(const struct ground *g)
{
    char path[PATH_MAX];
    uint64_t random = 5;

    make_dir(ground_path(g, path, "tree"));
    for (unsigned d = 0; d < DIRS; d++) {
        make_dir(ground_path(g, path, "tree/d%u", d));
        for (unsigned f = 0; f < FILES; f++) {
            uint64_t n = next_random(&random) % (f == 7 ? 400000 : 6000);
            make_file(ground_path(g, path, "tree/d%u/f%u", d, f), next_random(&random), n, NULL);
        }
    }
}

static void check_round(const struct ground *g, const struct client *c, unsigned round)
{
    char from[PATH_MAX], to[PATH_MAX];
    unsigned bad = 0;

    for (unsigned i = 0; i < CLIENTS; i++) {
        if (c[i].why[0])
            printf("# %s\n", c[i].why);
        bad += c[i].why[0] != '\0';
    }
    tap_check(bad == 0, "round %u: %u clients move trees over 8 connections each", round, CLIENTS);
    ground_path(g, from, "tree");
    ground_path(g, to, "root/place-%u-0", round);
    tap_check(same_tree(from, to), "round %u: what two of them filled is whole", round);
}

int main(void)
{
    struct client c[CLIENTS];
    struct ground g;

    ground_open(&g, NULL);
    make_tree(&g);
    for (unsigned round = 1; round <= rounds(1, 8); round++) {
        for (unsigned i = 0; i < CLIENTS; i++)
            c[i] = (struct client){.g = &g, .i = i, .round = round};
        run_together(CLIENTS, client, c, sizeof *c);
        check_round(&g, c, round);
    }
    tap_check(leftovers(g.dir) == 0, "no temporaries are left, there or here");
    ground_close(&g);
    return tap_end();
}
