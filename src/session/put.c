#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "session/copy.h"
#include "session/filter.h"
#include "session/put_worker.h"
#include "session/query.h"
#include "session/tftp_client.h"

/* What xfer_put knows besides what its workers share. */
struct put {
    struct copy copy;
    const char *const *sources;
    size_t n;
    struct path target;
    bool into;           /* target is a directory: sources go below it */
    struct job_dir *top; /* set when the target has to be made */
    struct store *trees; /* one a source, fd -1 where it is no tree */
    struct seen names;   /* targets so far, where there are several sources */
};

/* ---- where to ---- */

static bool wants_tree(const char *source, const struct xfer_copy_opts *o)
{
    struct stat sb;

    return o->recursive && strcmp(source, "-") != 0 && stat(source, &sb) == 0 &&
           S_ISDIR(sb.st_mode);
}

static struct job_dir *add_dir(struct put *u, struct job_dir *parent, const char *path,
                               const char *rel, const struct stat *sb)
{
    struct job_dir d = {.parent = parent};

    if (sb) {
        d.mode = (sb->st_mode & 0777) | 0700; /* else we could not fill it */
        d.mtime = sb->st_mtim;
    }
    return copy_add_dir(&u->copy, path, rel, &d);
}

/* The target has to be made: its parent must be there, or every file would fail for that. */
static int check_parent(struct put *u, struct peer *p)
{
    struct path parent = u->target;
    struct wire_msg entry;

    path_parent(&parent);
    if (parent.len == 0 || u->copy.o->mkpath)
        return 0;
    int r = query_self(p, parent.s, false, &entry);
    return r < 0 ? r : entry.type == 'd' ? 0 : -XFER_ENOTDIR;
}

/* Several sources, a tree or a trailing slash need a directory over there. */
static int settle_target(struct put *u)
{
    const struct xfer_copy_opts *o = u->copy.o;
    struct wire_msg entry;
    struct peer p;
    bool tree = false;

    for (size_t i = 0; i < u->n; i++)
        tree = tree || wants_tree(u->sources[i], o);
    bool need_dir = tree || u->n > 1 || u->copy.remote.dir_slash;
    u->target = u->copy.remote.path;
    u->into = need_dir || u->target.len == 0;
    if (u->target.len == 0 || o->discard)
        return 0;
    peer_init(&p, &o->net, &u->copy.remote, u->copy.tally, u->copy.deadline, 0);
    int r = query_self(&p, u->target.s, false, &entry);
    bool missing = r == -XFER_ENOTFOUND;
    if (missing && need_dir && (tree || o->mkpath))
        r = check_parent(u, &p);
    else if (missing && !need_dir)
        r = 0;
    peer_close(&p);
    if (r < 0)
        return r;
    if (!missing) {
        u->into = entry.type == 'd';
        return u->into || !need_dir ? 0 : -XFER_ENOTDIR;
    }
    if (!need_dir)
        return 0;
    u->top = add_dir(u, NULL, u->target.s, "", NULL);
    return u->top ? 0 : -ENOMEM;
}

/* ---- what ---- */

static int failed(struct put *u, const char *name, const char *local, int err, const char *text)
{
    struct job *j = job_new(local, u->target.s, name, local);

    if (!j)
        return -ENOMEM;
    copy_report(&u->copy, j, XFER_FAILED, err, text);
    return 0;
}

static int push(struct put *u, struct job *j, const struct stat *sb)
{
    if (!j)
        return -ENOMEM;
    if (sb) {
        j->known = true;
        j->size = (uint64_t)sb->st_size;
        j->mtime = sb->st_mtim;
        j->mode = sb->st_mode & 0777;
    }
    if (!j->is_dir)
        tally_expect(u->copy.tally, 1, j->size);
    return job_queue_push(&u->copy.queue, j);
}

/* Two sources for one target: the second is refused, or one would silently be lost. 1: it is new.
 */
static int claim_name(struct put *u, const char *target)
{
    return u->n > 1 ? seen_add(&u->names, seen_key(target, strlen(target))) : 1;
}

static int put_single(struct put *u, const char *source, const struct stat *sb)
{
    const char *base = path_base(source);
    struct path to = u->target;

    int r = u->into ? path_join(&u->target, base, &to) : 0;
    if (r < 0)
        return failed(u, base, source, r, NULL);
    r = claim_name(u, to.s);
    if (r <= 0)
        return r < 0 ? r : failed(u, base, source, -XFER_ECOLLISION, NULL);
    struct job *j = job_new(source, to.s, base, source);
    if (j) {
        j->dir = u->top;
        j->stream = sb == NULL;
    }
    return push(u, j, sb);
}

static int put_stream(struct put *u)
{
    if (u->into)
        return failed(u, "-", "-", -XFER_EUSAGE,
                      "standard input needs a file name over there, not a directory");
    return put_single(u, "-", NULL);
}

/* ---- trees ---- */

struct tree {
    struct put *u;
    const struct store *store;
    const char *source;  /* as given, without trailing slashes */
    struct path to;      /* where its contents go */
    struct job_dir *dir; /* the directory of the last entry: the next is likely in it */
};

/* The directory that an entry is in: a walk goes depth first, so it is the last one or above it. */
static struct job_dir *find_dir(struct tree *t, const char *rel)
{
    const char *base = path_base(rel);
    size_t n = base > rel ? (size_t)(base - rel) - 1 : 0;

    while (t->dir && t->dir->parent &&
           (strlen(t->dir->rel) != n || strncmp(t->dir->rel, rel, n) != 0))
        t->dir = t->dir->parent;
    return t->dir;
}

static int put_entry(struct tree *t, const struct store_entry *e)
{
    char local[PATH_CLEAN_MAX * 2 + 2];
    const struct copy *c = &t->u->copy;
    struct path to;

    if (filter_excludes(c->o->filters, c->o->n_filters, e->path, e->type == 'd'))
        return 0;
    snprintf(local, sizeof local, "%s/%s", t->source, e->path);
    int r = path_join(&t->to, e->path, &to);
    if (r < 0)
        return failed(t->u, e->path, local, r, NULL);
    struct job_dir *dir = find_dir(t, e->path);
    if (e->type == 'd' && !e->err) {
        dir = t->dir = add_dir(t->u, dir, to.s, e->path, &e->sb);
        tally_dir(c->tally);
    }
    struct job *j = job_new(e->path, to.s, e->path, local);
    if (!j || (e->type == 'd' && !e->err && !dir)) {
        job_free(j);
        return -ENOMEM;
    }
    j->in_tree = true;
    j->store = t->store;
    j->dir = dir;
    j->is_dir = e->type == 'd';
    if (e->type == 'l' || e->type == 'o') {
        copy_report_special(&t->u->copy, j, e->type, e->err);
        return 0;
    }
    if (e->err) {
        copy_report(&t->u->copy, j, XFER_FAILED, e->err, NULL);
        return 0;
    }
    r = j->is_dir ? 1 : claim_name(t->u, to.s);
    if (r == 0)
        copy_report(&t->u->copy, j, XFER_FAILED, -XFER_ECOLLISION, NULL);
    else if (r < 0 || (j->is_dir && c->o->dry_run))
        job_free(j);
    else
        return push(t->u, j, j->is_dir ? NULL : &e->sb);
    return r < 0 ? r : 0;
}

static int walk(struct tree *t)
{
    struct store_list *l = NULL;
    struct store_entry e;

    int r = store_list_open(t->store, "", true, false, &l);
    if (r < 0)
        return failed(t->u, t->source, t->source, r, NULL);
    while (r >= 0 && (r = store_list_next(l, &e)) > 0)
        r = put_entry(t, &e);
    store_list_close(l);
    return r;
}

/* "src" makes target/src, "src/" pours its contents into target; "." and ".." pour, too. */
static int put_tree(struct put *u, const char *source, struct store *store, const struct stat *sb)
{
    char name[PATH_CLEAN_MAX + 1];
    struct tree t = {.u = u, .store = store, .source = name, .to = u->target, .dir = u->top};
    size_t n = strlen(source);

    if (n >= sizeof name)
        return failed(u, source, source, -ENAMETOOLONG, NULL);
    memcpy(name, source, n + 1);
    while (n > 1 && name[n - 1] == '/')
        name[--n] = '\0';
    const char *base = path_base(name);
    bool pour = source[n] == '/' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0 || n == 0 ||
                strcmp(name, "/") == 0;
    int r = store_open(store, source);
    if (r == 0 && !pour)
        r = path_join(&u->target, base, &t.to);
    if (r < 0)
        return failed(u, source, source, r, NULL);
    r = pour ? 1 : claim_name(u, t.to.s);
    if (r <= 0)
        return r < 0 ? r : failed(u, source, source, -XFER_ECOLLISION, NULL);
    if (t.to.len) {
        struct job_dir *d = add_dir(u, u->top, t.to.s, "", pour ? NULL : sb);
        struct job *j = job_new("", t.to.s, name, name);
        if (!d || !j) {
            job_free(j);
            return -ENOMEM;
        }
        t.dir = d;
        j->dir = d;
        j->is_dir = true;
        if (u->copy.o->dry_run)
            job_free(j);
        else if ((r = push(u, j, NULL)) < 0)
            return r;
    }
    return walk(&t);
}

static int put_source(struct put *u, const char *source, struct store *tree)
{
    struct stat sb;

    if (strcmp(source, "-") == 0)
        return put_stream(u);
    if (stat(source, &sb) < 0)
        return failed(u, source, source, -errno, NULL);
    if (S_ISDIR(sb.st_mode) && !u->copy.o->recursive)
        return failed(u, source, source, -EISDIR, "is a directory (-r sends it whole)");
    if (S_ISDIR(sb.st_mode))
        return put_tree(u, source, tree, &sb);
    if (!S_ISREG(sb.st_mode))
        return failed(u, source, source, -XFER_ENOTREG, NULL);
    return put_single(u, source, &sb);
}

static int produce(struct copy *c, void *arg)
{
    struct put *u = arg;
    int r = 0;

    (void)c;
    for (size_t i = 0; r == 0 && i < u->n; i++)
        r = put_source(u, u->sources[i], &u->trees[i]);
    return r;
}

/* ---- directory times: last, since every file that arrives moves them ---- */

static int ask_time(struct peer *p, const struct job_dir *d)
{
    struct wire_msg m;

    m.keys = WIRE_K_MTIME;
    m.mtime = d->mtime;
    return peer_request(p, WIRE_MKDIR, d->path, &m);
}

static int ask_times(struct peer *p, void *arg)
{
    struct copy *c = arg;
    struct wire_msg m;
    size_t asked = 0;
    int r = 0;

    for (struct job_dir *d = c->dirs; d && r >= 0; d = d->next) {
        if (!d->mode)
            continue;
        r = ask_time(p, d);
        if (r == 0 && ++asked > COPY_PENDING) {
            r = peer_recv(p, &m);
            asked--;
        }
    }
    while (r >= 0 && asked--)
        r = peer_recv(p, &m);
    return r < 0 ? r : 0;
}

/* What fails here is no file's loss: whatever can be said of a directory was said when it was made.
 */
static void set_dir_times(struct put *u)
{
    struct copy *c = &u->copy;
    struct peer p;

    peer_init(&p, &c->o->net, &c->remote, c->tally, c->deadline, 0);
    if (c->dirs)
        query_retry(&p, ask_times, c);
    peer_close(&p);
}

static int put_all(struct put *u)
{
    const struct xfer_copy_opts *o = u->copy.o;

    u->trees = calloc(u->n, sizeof *u->trees);
    if (!u->trees)
        return -ENOMEM;
    for (size_t i = 0; i < u->n; i++)
        u->trees[i].fd = -1;
    int r = settle_target(u);
    if (r == 0) {
        copy_run(&u->copy, put_worker, produce, u);
        if (!o->no_preserve && !o->dry_run && !o->discard && !u->copy.fatal)
            set_dir_times(u);
    }
    for (size_t i = 0; i < u->n; i++)
        store_close(&u->trees[i]);
    seen_free(&u->names);
    free(u->trees);
    return r;
}

/* Nobody can be asked whether a name is a directory. */
static int put_by_udp(const struct xfer_copy_opts *o, struct tally *t, const char *const *sources,
                      size_t n, const struct remote *to)
{
    if (n > 1 && !to->dir_slash && to->path.len)
        return -XFER_EUSAGE;
    tftp_put(o, t, sources, n, to, copy_deadline(&o->net));
    return 0;
}

int xfer_put(const struct xfer_copy_opts *o, const char *const *sources, size_t n,
             const char *remote, struct xfer_totals *totals)
{
    struct put u = {.sources = sources, .n = n};
    struct remote to;
    struct tally t;

    tally_init(&t, &o->net);
    int r = copy_parse(o, &t, remote, true, &to);
    if (r < 0)
        return tally_finish(&t, totals);
    if (tftp_is_meant(o, &to)) {
        r = put_by_udp(o, &t, sources, n, &to);
    } else {
        copy_init(&u.copy, o, &t, &to, copy_deadline(&o->net));
        r = put_all(&u);
        copy_destroy(&u.copy);
    }
    if (r < 0)
        tally_fail(&t, remote, r, NULL);
    return tally_finish(&t, totals);
}
