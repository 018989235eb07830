#include "config.h"

#include "session/query.h"

#include <errno.h>

bool query_again(struct peer *p, int *err)
{
    if (!p->ch.s.err && !err_is_transient(*err) && *err != -XFER_EPROTO)
        return false;
    *err = peer_lost(p, p->ch.s.err ? p->ch.s.err : *err);
    return *err == 0;
}

int query_retry(struct peer *p, int (*fn)(struct peer *p, void *arg), void *arg)
{
    int r;

    do {
        r = peer_open(p);
        if (r < 0)
            return r;
        r = fn(p, arg);
    } while (r < 0 && query_again(p, &r));
    return r;
}

struct listing {
    const char *path;
    bool recursive, self, sums;
    query_entry fn;
    void *arg;
    uint64_t count;
};

static int take_entries(struct peer *p, struct listing *l)
{
    struct wire_msg m;

    for (;;) {
        int r = peer_recv(p, &m);
        if (r < 0)
            return r;
        if (m.verb == WIRE_ABORT)
            return m.error;
        if (m.verb == WIRE_END)
            return (m.keys & WIRE_K_COUNT) && m.count != l->count ? -XFER_EPROTO : 0;
        if (m.verb != WIRE_ENTRY || !(m.keys & WIRE_K_TYPE))
            return -XFER_EPROTO;
        l->count++;
        if (!l->self && path_check_listed(m.path, m.path_len) < 0)
            return -XFER_EPROTO;
        r = l->fn(l->arg, &m);
        if (r < 0)
            return r;
    }
}

static int run_listing(struct peer *p, void *arg)
{
    struct listing *l = arg;
    struct wire_msg m;

    m.keys = (l->recursive ? WIRE_K_RECURSIVE : 0) | (l->self ? WIRE_K_SELF : 0) |
             (l->sums ? WIRE_K_SUMS : 0);
    l->count = 0;
    int r = peer_request(p, WIRE_LIST, l->path, &m);
    if (r == 0)
        r = peer_recv(p, &m);
    if (r < 0)
        return r;
    if (m.verb == WIRE_REPLY && m.code >= 400)
        return m.error;
    if (m.verb != WIRE_REPLY || m.code != 200)
        return -XFER_EPROTO;
    r = take_entries(p, l);
    if (r == 0)
        peer_progress(p);
    return r;
}

static int keep_entry(void *arg, const struct wire_msg *entry)
{
    *(struct wire_msg *)arg = *entry;
    return 0;
}

int query_self(struct peer *p, const char *path, bool sums, struct wire_msg *entry)
{
    struct listing l = {.path = path, .self = true, .sums = sums, .fn = keep_entry, .arg = entry};

    entry->verb = WIRE_UNKNOWN;
    int r = query_retry(p, run_listing, &l);
    if (r < 0)
        return r;
    if (entry->verb != WIRE_ENTRY)
        return -XFER_EPROTO;
    return entry->keys & WIRE_K_ERROR ? entry->error : 0;
}

int query_list(struct peer *p, const char *path, bool recursive, bool sums, query_entry fn,
               void *arg)
{
    struct listing l = {.path = path, .recursive = recursive, .sums = sums, .fn = fn, .arg = arg};

    /* Entries that were passed on cannot be taken back: only the beginning is tried again. */
    int r = peer_open(p);
    return r < 0 ? r : run_listing(p, &l);
}

struct mkdir_arg {
    const char *path;
    bool mkpath;
    const struct timespec *mtime;
};

static int run_mkdir(struct peer *p, void *arg)
{
    const struct mkdir_arg *a = arg;
    struct wire_msg m;

    m.keys = a->mkpath ? WIRE_K_MKPATH : 0;
    if (a->mtime) {
        m.keys |= WIRE_K_MTIME;
        m.mtime = *a->mtime;
    }
    int r = peer_request(p, WIRE_MKDIR, a->path, &m);
    if (r == 0)
        r = peer_recv(p, &m);
    if (r < 0)
        return r;
    return m.verb == WIRE_REPLY && m.code < 300 ? 0 : m.verb == WIRE_REPLY ? m.error : -XFER_EPROTO;
}

int query_mkdir(struct peer *p, const char *path, bool mkpath, const struct timespec *mtime)
{
    struct mkdir_arg a = {path, mkpath, mtime};

    return query_retry(p, run_mkdir, &a);
}
