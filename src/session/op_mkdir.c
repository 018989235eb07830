#include "config.h"

#include <errno.h>

#include "session/conn.h"

/* Makes a directory; one that is there already is fine and keeps its mode. */
static int make(struct conn *c, const struct wire_msg *req, const struct path *p, bool *made)
{
    const struct store *st = &c->srv->store;
    mode_t mode = req->keys & WIRE_K_MODE ? req->mode & 0777 : 0777 & ~st->umask;
    struct stat sb;

    int r = p->len ? store_mkdir(st, p->s, mode, (req->keys & WIRE_K_MKPATH) != 0) : 1;
    *made = r == 0;
    if (r != -EEXIST)
        return r < 0 ? r : 0;
    r = store_stat(st, p->s, false, &sb);
    return r < 0 ? r : S_ISDIR(sb.st_mode) ? 0 : -XFER_ENOTDIR;
}

int op_mkdir(struct conn *c, const struct wire_msg *req, const struct path *p,
             struct op_result *res)
{
    bool made = false;

    int r = make(c, req, p, &made);
    if (r == 0 && (req->keys & WIRE_K_MTIME))
        r = store_set_dir_mtime(&c->srv->store, p->s, req->mtime);
    return r < 0 ? conn_refuse(c, res, r, NULL) : chan_reply(&c->ch, made ? 201 : 200);
}
