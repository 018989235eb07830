#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "net/clock.h"
#include "session/source.h"
#include "session/stop.h"
#include "session/tftp_client.h"
#include "session/tftp_file.h"

#define SPOOL_CHUNK (64 * 1024)

/* One attempt at one file. */
struct offer {
    struct tftp_exchange x;
    int fd; /* of the job: not owned */
    struct stat st;
    struct tftp_source source;
};

/* ---- the exchange ---- */

static int op_agreed(void *arg, const struct tftp_opts *got)
{
    struct offer *f = arg;

    return tftp_exchange_agreed(&f->x, got);
}

static long op_read(void *arg, uint8_t *out, size_t n)
{
    struct offer *f = arg;
    struct stat now;

    int r = tftp_exchange_agreed(&f->x, NULL);
    long got = r < 0 ? r : tftp_source_read(&f->source, out, n);
    if (got < 0 || (size_t)got == n)
        return got;
    if (fstat(f->fd, &now) < 0)
        return -errno;
    return store_same_version(&f->st, &now) ? got : -XFER_ECHANGED;
}

static int op_moved(void *arg, uint64_t n)
{
    struct offer *f = arg;

    return tftp_exchange_moved(&f->x, n);
}

static void op_idle(void *arg)
{
    struct offer *f = arg;

    tftp_source_idle(&f->source);
}

static const struct tftp_ops offer_ops = {
    .read = op_read, .agreed = op_agreed, .idle = op_idle, .moved = op_moved};

/* All was sent, and no ACK came for the last of it: a server that knows digests is asked what it
 * has. */
static int confirm(struct offer *f)
{
    uint8_t theirs[DIGEST_LEN];

    if (!(f->x.got.have & TFTP_O_SHA256) || f->x.peer->copy->o->discard)
        return -XFER_EUNCONFIRMED;
    int r = tftp_ask_digest(f->x.peer, f->x.name, NULL, theirs);
    if (r == -XFER_ECANCELED || r == -XFER_EDEADLINE)
        return r;
    return r == 1 && memcmp(theirs, f->x.asked.sha256, DIGEST_LEN) == 0 ? 0 : -XFER_EUNCONFIRMED;
}

/* The digest goes with the request: the file is read once for it, and once more to be sent. */
static int run(struct offer *f)
{
    struct tftp_opts *asked = &f->x.asked;

    if (fstat(f->fd, &f->st) < 0)
        return -errno;
    asked->tsize = (uint64_t)f->st.st_size;
    int r = copy_local_sum(f->x.peer->copy, f->fd, &f->st, asked->sha256);
    if (r == 0)
        r = tftp_source_init(&f->source, f->fd, asked->tsize ? asked->tsize : UINT64_MAX,
                             f->x.netascii, NULL);
    if (r == 0)
        r = tftp_exchange_open(&f->x, &offer_ops, f);
    if (r == 0)
        r = tftp_exchange_run(&f->x);
    return r == -XFER_EUNCONFIRMED ? confirm(f) : r;
}

/* 1: done with, and told; 0: to be tried again; negative: why not. */
static int offer_once(struct tftp_peer *p, struct job *j, int fd, const char *name, bool netascii,
                      struct tftp_tries *tries, char *text)
{
    struct offer f = {.fd = fd,
                      .x = {.peer = p,
                            .name = name,
                            .write = true,
                            .netascii = netascii,
                            .plain = tries->plain,
                            .udp = {.fd = -1, .companion = -1}}};

    tftp_opts_init(&f.x.asked);
    f.x.asked.have =
        TFTP_O_SHA256 | (netascii ? 0 : TFTP_O_TSIZE) | (p->copy->o->discard ? TFTP_O_DISCARD : 0);
    f.x.asked.sha_kind = TFTP_SHA_KNOWN;
    /* Without options it would be an upload. */
    int r = tries->plain && p->copy->o->discard ? -XFER_EUNKNOWN : run(&f);
    if (r == 0) {
        tftp_report(&f.x, j, f.source.off, (f.x.got.have & TFTP_O_SHA256) != 0, f.x.asked.sha256);
        r = 1;
    } else {
        snprintf(text, TFTP_TEXT_MAX + 1, "%s", f.x.drive.text);
        tftp_exchange_unmoved(&f.x);
    }
    tftp_exchange_close(&f.x);
    tftp_source_free(&f.source);
    return r == 1 ? 1 : tftp_again(p, tries, r, &f.x);
}

/* ---- sources ---- */

static int spool_file(void)
{
    const char *dir = getenv("TMPDIR");
    char name[PATH_CLEAN_MAX];

    if (!dir || !dir[0])
        dir = "/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    if ((size_t)snprintf(name, sizeof name, "%s/xfer-XXXXXX", dir) >= sizeof name)
        return -ENAMETOOLONG;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    unlink(name);
    return fd;
}

/* Until there is something on standard input, or its end. */
static int wait_for_input(const struct copy *c)
{
    struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                          {.fd = stop_fd(c->o->net.stop), .events = POLLIN}};
    int64_t left = c->deadline == CLOCK_NEVER ? 0 : c->deadline - clock_now();
    struct timespec ts = {left / CLOCK_SEC, left % CLOCK_SEC};

    if (left < 0)
        return -XFER_EDEADLINE;
    int n = ppoll(p, 2, c->deadline == CLOCK_NEVER ? NULL : &ts, NULL);
    if (n > 0 && p[1].revents)
        return -XFER_ECANCELED;
    return n == 0 ? -XFER_EDEADLINE : 0;
}

static int copy_pipe(const struct copy *c, int to)
{
    uint8_t buf[SPOOL_CHUNK];

    for (;;) {
        int r = wait_for_input(c);
        if (r < 0)
            return r;
        ssize_t n = read(STDIN_FILENO, buf, sizeof buf);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        r = n > 0 ? fd_write_all(to, buf, (size_t)n) : 0;
        if (r < 0)
            return r;
    }
}

/* A pipe is read to its end first: its digest goes with the request, and it can be sent again. */
static int open_spooled(const struct copy *c)
{
    int fd = spool_file();
    int r = fd < 0 ? fd : copy_pipe(c, fd);

    if (r < 0 && fd >= 0)
        close(fd);
    return r < 0 ? r : fd;
}

static int open_job(const struct copy *c, struct job *j)
{
    struct stat sb;
    int fd = j->stream ? open_spooled(c) : source_open(j, &sb);

    if (fd >= 0 && fstat(fd, &sb) == 0) {
        j->size = (uint64_t)sb.st_size;
        j->mtime = sb.st_mtim;
        j->mode = sb.st_mode & 0777;
    }
    return fd;
}

static void put_file(struct tftp_peer *p, struct job *j, const struct remote *to)
{
    struct copy *c = p->copy;
    char name[TFTP_NAME_MAX], text[TFTP_TEXT_MAX + 1] = "";
    struct tftp_tries tries = {0};
    int r = 0, fd = open_job(c, j);

    tally_expect(c->tally, 1, fd < 0 ? 0 : j->size);
    j->began = clock_now();
    tftp_remote_name(to, j->remote, name);
    if (fd >= 0 && c->o->dry_run)
        copy_report(c, j, XFER_WOULD, 0, NULL);
    while (fd >= 0 && !c->o->dry_run && r == 0)
        r = offer_once(p, j, fd, name, to->netascii, &tries, text);
    if (fd < 0 || r < 0)
        copy_report(c, j, XFER_FAILED, fd < 0 ? fd : r, text[0] ? text : NULL);
    if (fd >= 0)
        close(fd);
}

/* What the file is called over there: as the remote says, or below it under its own name. */
static struct job *new_job(const struct remote *to, const char *source)
{
    bool stream = strcmp(source, "-") == 0;
    const char *base = path_base(source);
    struct path target = to->path;

    if ((to->dir_slash || to->path.len == 0) && path_join(&to->path, base, &target) < 0)
        return NULL;
    struct job *j = job_new(source, target.s, stream ? "-" : base, source);
    if (j)
        j->stream = stream;
    return j;
}

static void put_one(struct tftp_peer *p, struct seen *names, const char *source,
                    const struct remote *to, int unreachable)
{
    struct job *j = new_job(to, source);
    int fresh = j ? seen_add(names, seen_key(j->remote, strlen(j->remote))) : 1;
    bool into = to->dir_slash || to->path.len == 0;

    if (!j || fresh < 0) {
        tally_fail(p->copy->tally, source, j ? -ENOMEM : -XFER_ETOOLONG, NULL);
        job_free(j);
    } else if (unreachable) {
        copy_report(p->copy, j, XFER_FAILED, unreachable, NULL);
    } else if (j->stream && into) {
        copy_report(p->copy, j, XFER_FAILED, -XFER_EUSAGE,
                    "standard input needs a file name over there, not a directory");
    } else if (fresh == 0) {
        copy_report(p->copy, j, XFER_FAILED, -XFER_ECOLLISION, NULL);
    } else {
        put_file(p, j, to);
    }
}

void tftp_put(const struct xfer_copy_opts *o, struct tally *t, const char *const *sources, size_t n,
              const struct remote *to, int64_t deadline)
{
    struct seen names = {0};
    struct tftp_peer peer;
    struct copy c;

    copy_init(&c, o, t, to, deadline);
    int r = tftp_peer_init(&peer, &c);
    for (size_t i = 0; i < n; i++) {
        if (xfer_stop_is_raised(o->net.stop))
            r = -XFER_ECANCELED;
        put_one(&peer, &names, sources[i], to, r);
    }
    seen_free(&names);
    copy_destroy(&c);
}
