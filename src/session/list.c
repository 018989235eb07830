#include "config.h"

#include <stdio.h>
#include <string.h>

#include "session/copy.h"
#include "session/expand.h"
#include "session/query.h"
#include "session/tftp_client.h"

struct list {
    const struct xfer_list_opts *o;
    struct tally tally;
    struct remote remote;
    struct peer peer;
    const char *below;     /* directory that names are shown with; "" for the one that was asked */
    struct path directory; /* that is being listed */
};

static int show_entry(void *arg, const struct wire_msg *m)
{
    struct list *l = arg;
    char name[PATH_CLEAN_MAX * 2 + 2], remote[PATH_CLEAN_MAX * 2 + 300];
    struct xfer_event ev = {.type = XFER_EV_ENTRY, .name = name, .remote = remote};
    struct path path;

    if (strlen(m->path) != m->path_len)
        return -XFER_EPROTO;
    snprintf(name, sizeof name, "%s%s%s", l->below, l->below[0] && m->path[0] ? "/" : "", m->path);
    if (path_join(&l->directory, m->path, &path) < 0)
        return -XFER_EPROTO;
    remote_show(&l->remote, path.s, remote, sizeof remote);
    ev.entry.type = m->type;
    ev.entry.err = m->keys & WIRE_K_ERROR ? m->error : 0;
    ev.entry.size = m->keys & WIRE_K_SIZE ? m->size : 0;
    ev.entry.mode = m->keys & WIRE_K_MODE ? m->mode : 0;
    if (m->keys & WIRE_K_MTIME)
        ev.entry.mtime = m->mtime;
    ev.entry.has_sha256 = (m->keys & WIRE_K_SHA256) != 0;
    if (ev.entry.has_sha256)
        memcpy(ev.entry.sha256, m->sha256, sizeof ev.entry.sha256);
    else if (l->o->sha256 && m->type == 'f' && !ev.entry.err)
        ev.entry.err = -XFER_EREMOTE; /* asked for and not to be had is no success */
    tally_entry(&l->tally, &ev);
    return 0;
}

/* A directory's contents, under `below`, or the file itself. */
static int list_path(struct list *l, const char *path, const char *below)
{
    struct wire_msg e;

    int r = query_self(&l->peer, path, l->o->sha256, &e);
    if (r == 0)
        r = path_clean(path, strlen(path), &l->directory, NULL);
    if (r < 0)
        return r;
    l->below = e.type == 'd' ? below : "";
    if (e.type == 'd')
        return query_list(&l->peer, path, l->o->recursive, l->o->sha256, show_entry, l);
    path_parent(&l->directory);
    return show_entry(l, &e);
}

/* Each match of a wildcard as ls has it: directories by their contents, under their name. */
static int list_matches(struct list *l)
{
    struct expansion found = {0};

    int r = expand(&l->peer, l->remote.path.s, &found);
    if (r == 0 && found.n == 0)
        r = -XFER_ENOTFOUND;
    for (size_t i = 0; r == 0 && i < found.n; i++)
        r = list_path(l, found.path[i], path_base(found.path[i]));
    expansion_free(&found);
    return r;
}

static int run(struct list *l)
{
    int r = list_path(l, l->remote.path.s, "");

    return r == -XFER_ENOTFOUND && expand_is_glob(l->remote.path.s) ? list_matches(l) : r;
}

/* ---- over UDP ---- */

/* Of the addresses of a name the first that answers. */
static int ask_size(struct tftp_peer *p, const char *name, uint64_t *ret)
{
    int r;

    do
        r = tftp_ask_size(p, name, ret);
    while (r < 0 && xfer_exit_status(r) == 3 && ++p->at < p->n);
    return r != 0 ? r : -XFER_EUNKNOWN;
}

/* TFTP knows no directories: one file, and its size alone. */
static int run_udp(struct list *l)
{
    struct xfer_copy_opts o = {.net = l->o->net, .udp = true};
    struct wire_msg m = {.type = 'f', .keys = WIRE_K_SIZE};
    char name[TFTP_NAME_MAX];
    struct tftp_peer p;
    struct copy c;

    copy_init(&c, &o, &l->tally, &l->remote, copy_deadline(&o.net));
    int r = tftp_peer_init(&p, &c);
    if (r == 0)
        r = ask_size(&p, tftp_remote_name(&l->remote, l->remote.path.s, name), &m.size);
    copy_destroy(&c);
    if (r < 0)
        return r;
    l->directory = l->remote.path;
    path_parent(&l->directory);
    m.path_len = (size_t)snprintf(m.path, sizeof m.path, "%s", path_base(l->remote.path.s));
    return show_entry(l, &m);
}

/* ---- over TCP ---- */

static int run_tcp(struct list *l)
{
    peer_init(&l->peer, &l->o->net, &l->remote, &l->tally, copy_deadline(&l->o->net), 0);
    int r = run(l);
    peer_close(&l->peer);
    return r;
}

int xfer_list(const struct xfer_list_opts *o, const char *remote, struct xfer_totals *totals)
{
    struct list l = {.o = o, .below = ""};
    char why[256] = "not a remote: write HOST:/PATH";

    tally_init(&l.tally, &o->net);
    int r = remote_parse(remote, &l.remote, why, sizeof why);
    if (r == 1 && l.remote.scheme != REMOTE_XFER) {
        snprintf(why, sizeof why, "this version speaks xfer:// only");
        r = 0;
    }
    if (r != 1) {
        tally_fail(&l.tally, remote, r < 0 ? r : -XFER_EUSAGE, why);
        return tally_finish(&l.tally, totals);
    }
    r = o->udp ? run_udp(&l) : run_tcp(&l);
    if (r < 0)
        tally_fail(&l.tally, remote, r, NULL);
    return tally_finish(&l.tally, totals);
}
