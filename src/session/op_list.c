#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "net/clock.h"
#include "session/conn.h"

/* The digest of a listed file; what cannot be had is simply left out of its entry. */
static void add_sum(struct conn *c, const struct path *dir, const struct store_entry *e,
                    struct wire_msg *m)
{
    struct path p;
    struct stat sb;

    if (e->type != 'f' || path_join(dir, e->path, &p) < 0)
        return;
    int fd = store_read_open(&c->srv->store, p.s, &sb);
    if (fd < 0)
        return;
    if (conn_sum(c, fd, &sb, false, m->sha256) == 0)
        m->keys |= WIRE_K_SHA256;
    close(fd);
}

static void entry_message(const struct store_entry *e, struct wire_msg *m)
{
    m->verb = WIRE_ENTRY;
    m->keys = WIRE_K_TYPE;
    m->type = e->type;
    m->path_len = strlen(e->path);
    memcpy(m->path, e->path, m->path_len + 1);
    if (e->err) {
        m->keys |= WIRE_K_ERROR;
        m->error = -(int)err_row(e->err)->err;
    }
    if (e->sb.st_mode) {
        m->keys |= WIRE_K_SIZE | WIRE_K_MTIME | WIRE_K_MODE;
        m->size = (uint64_t)e->sb.st_size;
        m->mtime = e->sb.st_mtim;
        m->mode = e->sb.st_mode & 0777;
    }
    if (e->type == 'f') {
        m->keys |= WIRE_K_ETAG;
        store_etag(&e->sb, m->etag);
    }
}

static int send_entries(struct conn *c, const struct wire_msg *req, const struct path *dir,
                        struct store_list *l, uint64_t *count)
{
    struct store_entry e;
    struct wire_msg m;
    int r;

    while ((r = store_list_next(l, &e)) > 0) {
        entry_message(&e, &m);
        if (req->keys & WIRE_K_SUMS)
            add_sum(c, dir, &e, &m);
        r = chan_send(&c->ch, &m);
        if (r < 0)
            return r;
        (*count)++;
    }
    return r;
}

int op_list(struct conn *c, const struct wire_msg *req, const struct path *p, struct op_result *res)
{
    struct store_list *l = NULL;
    struct wire_msg end;

    bool self = (req->keys & WIRE_K_SELF) != 0;
    int r = store_list_open(&c->srv->store, p->s, (req->keys & WIRE_K_RECURSIVE) != 0, self, &l);
    if (r < 0)
        return conn_refuse(c, res, r, NULL);
    /* An entry's path is relative to the directory listed; with self, to the one that holds it. */
    struct path base = *p;
    if (self)
        path_parent(&base);
    c->alive_at = clock_now();
    end.count = 0;
    r = chan_reply(&c->ch, 200);
    if (r == 0)
        r = send_entries(c, req, &base, l, &end.count);
    store_list_close(l);
    res->size = end.count;
    if (c->ch.s.err)
        return c->ch.s.err;
    if (r < 0) {
        res->err = r;
        return chan_refuse(&c->ch, true, r, NULL);
    }
    end.verb = WIRE_END;
    end.keys = WIRE_K_COUNT;
    return chan_send(&c->ch, &end);
}
