#include "config.h"

#include "session/put_query.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "session/source.h"

static int ask_all(const struct copy *c, struct peer *p, const struct job_list *fresh)
{
    int r = 0;

    for (const struct job *j = fresh->first; j && r == 0; j = j->next) {
        struct wire_msg m;
        m.keys = WIRE_K_SELF;
        if (c->o->update == XFER_UPDATE_DIGEST || (c->o->no_clobber && j->sent))
            m.keys |= WIRE_K_SUMS;
        r = peer_request(p, WIRE_LIST, j->remote, &m);
    }
    return r;
}

/* 1 with the entry, 0 when there is no such thing over there, negative error of the connection. A
 * refusal other than "not found" is left to the PUT itself. */
static int read_answer(struct peer *p, struct wire_msg *entry)
{
    struct wire_msg m;
    bool found = false;

    int r = peer_recv(p, &m);
    if (r < 0)
        return r;
    if (m.verb == WIRE_REPLY && m.code >= 400)
        return 0;
    while ((r = peer_recv(p, &m)) > 0 && m.verb == WIRE_ENTRY) {
        *entry = m;
        found = !(m.keys & WIRE_K_ERROR);
    }
    if (r < 0)
        return r;
    return m.verb == WIRE_END ? found : m.verb == WIRE_ABORT ? 0 : -XFER_EPROTO;
}

static bool same_content(struct copy *c, struct job *j, const struct wire_msg *e)
{
    struct stat sb;

    if (!(e->keys & WIRE_K_SHA256) || e->size != j->size)
        return false;
    if (!j->sum_known) {
        int fd = source_open(j, &sb);
        if (fd < 0)
            return false;
        j->sum_known = copy_local_sum(c, fd, &sb, j->sum) == 0;
        close(fd);
    }
    return j->sum_known && memcmp(j->sum, e->sha256, DIGEST_LEN) == 0;
}

/* Whether the job is done with, and then reports it. */
static bool settle(struct copy *c, struct job *j, const struct wire_msg *e)
{
    if (e->type != 'f' && !c->o->no_clobber)
        return false; /* the PUT will say what is wrong */
    if (c->o->no_clobber && j->sent && same_content(c, j, e)) {
        copy_report_done(c, j, j->size, 0, j->sum); /* ours: only its answer was lost */
        return true;
    }
    bool same = c->o->no_clobber;
    if (c->o->update == XFER_UPDATE_TIMES)
        same = same || copy_same_times(j->size, j->mtime, e->size, e->mtime);
    if (c->o->update == XFER_UPDATE_DIGEST)
        same = same || same_content(c, j, e);
    if (same)
        copy_report(c, j, XFER_UNCHANGED, 0, NULL);
    return same;
}

int put_query(struct copy *c, struct peer *p, struct job_list *fresh, struct job_list *ready)
{
    struct wire_msg entry;

    int r = ask_all(c, p, fresh);
    while (r >= 0 && fresh->first) {
        r = read_answer(p, &entry);
        if (r < 0)
            break;
        struct job *j = job_list_pop(fresh);
        if (r == 0 || !settle(c, j, &entry))
            job_list_push(ready, j);
    }
    return r < 0 ? r : 0;
}
