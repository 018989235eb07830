#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session/copy.h"
#include "session/dest.h"
#include "session/expand.h"
#include "session/filter.h"
#include "session/get_worker.h"
#include "session/query.h"
#include "session/ranges.h"
#include "session/tftp_client.h"

#define LOCAL_MAX (PATH_CLEAN_MAX * 2 + 2)

/* The remotes of one server. */
struct get {
    struct copy copy;
    struct dest *dest;
    const struct remote *remotes;
    size_t n;
    struct peer lister;    /* a recursive LIST runs on a connection of its own */
    struct seen *names;    /* targets so far, of earlier servers too */
    struct ranges *ranges; /* of the only file, for several connections; NULL: not so */
};

/* ---- jobs ---- */

static void take_facts(struct job *j, const struct wire_msg *e)
{
    j->known = true;
    j->size = e->keys & WIRE_K_SIZE ? e->size : 0;
    j->mtime = e->keys & WIRE_K_MTIME ? e->mtime : (struct timespec){0};
    j->mode = e->keys & WIRE_K_MODE ? e->mode & 0777 : 0;
    j->sum_known = (e->keys & WIRE_K_SHA256) != 0;
    if (j->sum_known)
        memcpy(j->sum, e->sha256, DIGEST_LEN);
}

/* target: below the destination. e: what is known of the file, or NULL. */
static struct job *new_job(struct get *g, const char *remote, const char *target, const char *name,
                           const struct wire_msg *e)
{
    char local[LOCAL_MAX];
    struct dest *d = g->dest;

    struct job *j = job_new(target, remote, name, dest_show(d, target, local, sizeof local));
    if (!j)
        return NULL;
    j->store = &d->store;
    j->stream = d->stream;
    if (e)
        take_facts(j, e);
    return j;
}

/* Negative when there is no use in going on. */
static int report_failed(struct get *g, const char *remote, int err, const char *text)
{
    if (err == -ECONNREFUSED || err == -XFER_EHOST) { /* the workers meet it, too: said once */
        copy_give_up(&g->copy, err, 0);
        return -XFER_ECANCELED;
    }
    struct job *j = new_job(g, remote, path_base(remote), path_base(remote), NULL);

    if (!j)
        return -ENOMEM;
    copy_report(&g->copy, j, XFER_FAILED, err, text);
    return 0;
}

static int push(struct get *g, struct job *j)
{
    tally_expect(g->copy.tally, 1, j->known ? j->size : 0);
    return job_queue_push(&g->copy.queue, j);
}

/* Two sources for one target: the second is refused, never silently the winner. 1: it is new. */
static int claim_name(struct get *g, const char *target)
{
    return g->dest->stream ? 1 : seen_add(g->names, seen_key(target, strlen(target)));
}

/* Several files keep several connections busy; one has to be cut for that. */
static bool is_for_ranges(const struct get *g, bool in_tree)
{
    return g->n == 1 && !in_tree && g->copy.o->jobs > 1 && !g->copy.o->dry_run && !g->dest->stream;
}

static int get_ranges(struct get *g, struct job *j)
{
    g->ranges = ranges_new(&g->copy, j);
    int r = push(g, j);
    return r < 0 || !g->ranges ? r : ranges_finish(g->ranges);
}

static int get_file(struct get *g, const struct path *remote, bool in_tree,
                    const struct wire_msg *e)
{
    const char *base = path_base(remote->s);
    const char *target = g->dest->into || g->dest->stream ? base : g->dest->name;

    int r = claim_name(g, target);
    if (r <= 0)
        return r < 0 ? r : report_failed(g, remote->s, -XFER_ECOLLISION, NULL);
    struct job *j = new_job(g, remote->s, target, base, e);
    if (!j)
        return -ENOMEM;
    j->in_tree = in_tree;
    return is_for_ranges(g, in_tree) ? get_ranges(g, j) : push(g, j);
}

/* ---- trees ---- */

struct tree {
    struct get *g;
    const struct path *remote;
    struct path base; /* below the destination: "" when the tree is poured */
    bool again;       /* the listing was broken off and begins anew */
};

static int get_dir(struct tree *t, const char *target, struct job *j, const struct wire_msg *e)
{
    struct get *g = t->g;
    const struct xfer_copy_opts *o = g->copy.o;
    mode_t mode = (e->keys & WIRE_K_MODE) && !o->no_preserve ? (e->mode & 0777) | 0700 : 0777;
    struct stat sb;

    if (o->dry_run || o->discard) {
        job_free(j);
        return 0;
    }
    int r = store_mkdir(&g->dest->store, target, mode, false);
    if (r == -EEXIST) {
        r = store_stat(&g->dest->store, target, false, &sb);
        r = r < 0 ? r : S_ISDIR(sb.st_mode) ? 0 : -ENOTDIR;
    }
    if (r < 0) {
        copy_report(&g->copy, j, XFER_FAILED, dest_error(r), NULL);
        return 0;
    }
    job_free(j);
    tally_dir(g->copy.tally);
    if (!(e->keys & WIRE_K_MTIME))
        return 0;
    struct job_dir d = {.mtime = e->mtime};
    return copy_add_dir(&g->copy, target, "", &d) ? 0 : -ENOMEM;
}

static int get_entry(void *arg, const struct wire_msg *e)
{
    struct tree *t = arg;
    struct get *g = t->g;
    const struct xfer_copy_opts *o = g->copy.o;
    struct path remote, target;

    if (filter_excludes(o->filters, o->n_filters, e->path, e->type == 'd'))
        return 0;
    if (path_join(t->remote, e->path, &remote) < 0 || path_join(&t->base, e->path, &target) < 0)
        return report_failed(g, e->path, -XFER_ETOOLONG, NULL);
    int r = claim_name(g, target.s);
    if (r <= 0 && t->again)
        return r;
    if (r <= 0)
        return r < 0 ? r : report_failed(g, remote.s, -XFER_ECOLLISION, "listed twice");
    struct job *j = new_job(g, remote.s, target.s, e->path, e);
    if (!j)
        return -ENOMEM;
    j->in_tree = true;
    if (e->type == 'l' || e->type == 'o') {
        copy_report_special(&g->copy, j, e->type, e->keys & WIRE_K_ERROR ? e->error : 0);
        return 0;
    }
    if (e->keys & WIRE_K_ERROR) {
        copy_report(&g->copy, j, XFER_FAILED, e->error, NULL);
        return 0;
    }
    return e->type == 'd' ? get_dir(t, target.s, j, e) : push(g, j);
}

/* "src" makes dest/src, "src/" and the root pour their contents into dest. */
static int get_tree(struct get *g, const struct path *remote, bool pour, const struct wire_msg *e)
{
    struct tree t = {.g = g, .remote = remote};
    bool sums = g->copy.o->update == XFER_UPDATE_DIGEST;
    int r = 0;

    if (!pour && remote->len) {
        const char *base = path_base(remote->s);
        struct job *j = new_job(g, remote->s, base, base, NULL);
        if (!j)
            return -ENOMEM;
        r = path_join(&t.base, base, &t.base);
        if (r == 0)
            r = get_dir(&t, base, j, e);
    }
    while (r == 0) {
        r = query_list(&g->lister, remote->s, true, sums, get_entry, &t);
        if (r == 0 || !query_again(&g->lister, &r))
            break;
        t.again = true;
        r = 0;
    }
    if (r < 0 && r != -XFER_ECANCELED)
        return report_failed(g, remote->s, r, NULL);
    return r;
}

/* ---- what was asked ---- */

/* One path, after wildcards: its type decides, where that matters. */
static int get_path(struct get *g, const struct path *remote, bool slash, bool in_tree)
{
    const struct xfer_copy_opts *o = g->copy.o;
    struct wire_msg e;

    if (!o->recursive && !o->dry_run && o->update == XFER_UPDATE_ALL && !slash)
        return get_file(g, remote, in_tree, NULL);
    int r = query_self(&g->lister, remote->s, o->update == XFER_UPDATE_DIGEST, &e);
    if (r < 0)
        return r == -XFER_ECANCELED ? r : report_failed(g, remote->s, r, NULL);
    if (e.type == 'd')
        return o->recursive
                   ? get_tree(g, remote, slash, &e)
                   : report_failed(g, remote->s, -XFER_EISDIR, "is a directory (-r gets it whole)");
    if (slash)
        return report_failed(g, remote->s, -XFER_ENOTDIR, NULL);
    return get_file(g, remote, in_tree, &e);
}

static int get_matches(struct get *g, const struct remote *remote)
{
    struct expansion found = {0};
    struct path p;
    int r;

    do {
        expansion_free(&found);
        r = expand(&g->lister, remote->path.s, &found);
    } while (r < 0 && query_again(&g->lister, &r));
    if (r == 0 && found.n == 0)
        r = report_failed(g, remote->path.s, -XFER_ENOTFOUND, "no match");
    else if (r < 0 && r != -XFER_ECANCELED)
        r = report_failed(g, remote->path.s, r, NULL);
    for (size_t i = 0; r == 0 && i < found.n; i++) {
        r = path_clean(found.path[i], strlen(found.path[i]), &p, NULL);
        if (r == 0)
            r = get_path(g, &p, remote->dir_slash, true);
    }
    expansion_free(&found);
    return r;
}

static int get_remote(struct get *g, const struct remote *remote)
{
    struct wire_msg e;

    if (!expand_is_glob(remote->path.s))
        return get_path(g, &remote->path, remote->dir_slash, false);
    int r = query_self(&g->lister, remote->path.s, false, &e);
    if (r == 0)
        return get_path(g, &remote->path, remote->dir_slash, false);
    return r == -XFER_ENOTFOUND ? get_matches(g, remote)
                                : report_failed(g, remote->path.s, r, NULL);
}

static int produce(struct copy *c, void *arg)
{
    struct get *g = arg;
    int r = 0;

    peer_init(&g->lister, &c->o->net, &c->remote, c->tally, c->deadline, 0);
    for (size_t i = 0; r == 0 && i < g->n; i++)
        r = get_remote(g, &g->remotes[i]);
    peer_close(&g->lister);
    return r;
}

/* Last, since every file that arrives moves them; the deepest first, since the list is newest
 * first. */
static void set_dir_times(struct get *g)
{
    for (struct job_dir *d = g->copy.dirs; d; d = d->next)
        store_set_dir_mtime(&g->dest->store, d->path, d->mtime);
}

/* ---- servers ---- */

static bool same_server(const struct remote *a, const struct remote *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port && a->scheme == b->scheme;
}

static void get_from_server(const struct xfer_copy_opts *o, struct tally *t, struct dest *d,
                            struct seen *names, const struct remote *remotes, size_t n,
                            int64_t deadline)
{
    struct get g = {.dest = d, .remotes = remotes, .n = n, .names = names};
    struct xfer_copy_opts one = *o;

    if (d->stream) /* one after the other, or their bytes would mix */
        one.jobs = 1;
    copy_init(&g.copy, &one, t, &remotes[0], deadline);
    copy_run(&g.copy, get_worker, produce, &g);
    if (!o->no_preserve && !o->dry_run)
        set_dir_times(&g);
    ranges_free(g.ranges);
    copy_destroy(&g.copy);
}

static int parse_remotes(const struct xfer_copy_opts *o, struct tally *t, const char *const *words,
                         size_t n, struct remote *ret)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = copy_parse(o, t, words[i], false, &ret[i]);
    return r;
}

/* What DEST means depends on what a single remote is: a tree, where -r allows one, or several
 * files, if it is a wildcard and not the name of a file. */
static int look_at(const struct xfer_copy_opts *o, struct tally *t, const struct remote *r,
                   int64_t deadline, bool *several, bool *tree)
{
    struct wire_msg e;
    struct peer p;
    bool glob = expand_is_glob(r->path.s);

    *several = false;
    *tree = o->recursive;
    if (!glob && (!o->recursive || r->path.len == 0 || r->dir_slash))
        return 0;
    peer_init(&p, &o->net, r, t, deadline, 0);
    int err = query_self(&p, r->path.s, false, &e);
    peer_close(&p);
    *several = glob && err == -XFER_ENOTFOUND;
    if (err == 0)
        *tree = o->recursive && e.type == 'd';
    return *several ? 0 : err;
}

static int get_all(const struct xfer_copy_opts *o, struct tally *t, const struct remote *remotes,
                   size_t n, const char *dest)
{
    int64_t deadline = copy_deadline(&o->net);
    bool several = true, tree = o->recursive;
    struct seen names = {0};
    struct dest d;

    bool udp = tftp_is_meant(o, &remotes[0]);
    int r = 0;
    if (n == 1 && udp)
        several = false;
    else if (n == 1)
        r = look_at(o, t, &remotes[0], deadline, &several, &tree);
    if (r < 0)
        return r;
    if (dest && strcmp(dest, "-") == 0)
        several = false;
    d = (struct dest){.into = true, .store = {.fd = -1}};
    r = o->discard ? 0 : dest_open(&d, dest, o, several, tree);
    for (size_t i = 0; r == 0 && i < n;) {
        size_t k = 1;
        while (i + k < n && same_server(&remotes[i], &remotes[i + k]))
            k++;
        if (tftp_is_meant(o, &remotes[i]))
            tftp_get(o, t, &d, &names, &remotes[i], k, deadline);
        else
            get_from_server(o, t, &d, &names, &remotes[i], k, deadline);
        i += k;
    }
    if (r < 0)
        tally_fail(t, dest ? dest : ".", dest_error(r), NULL);
    seen_free(&names);
    dest_close(&d);
    return 0;
}

int xfer_get(const struct xfer_copy_opts *o, const char *const *remotes, size_t n, const char *dest,
             struct xfer_totals *totals)
{
    struct remote *parsed = calloc(n ? n : 1, sizeof *parsed);
    struct tally t;

    tally_init(&t, &o->net);
    int r = parsed && n ? parse_remotes(o, &t, remotes, n, parsed)
            : parsed    ? -XFER_EUSAGE
                        : -ENOMEM;
    if (r == 0) {
        r = get_all(o, &t, parsed, n, dest);
        if (r < 0)
            tally_fail(&t, remotes[0], r, NULL);
    } else if (r == -ENOMEM) {
        tally_fail(&t, NULL, r, NULL);
    }
    free(parsed);
    return tally_finish(&t, totals);
}
