#include "config.h"

#include "session/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/clock.h"
#include "session/patience.h"

#define BATCH_BYTES (64 * 1024 * 1024)

struct batch {
    size_t n;
    uint64_t bytes;
    struct landing l[BATCH_FILES];
};

/* Whether if=sha256 still holds for what stands under the name now. */
static int check_condition(struct conn *c, const struct landing *l)
{
    uint8_t now[DIGEST_LEN];
    struct stat sb;

    if (l->if_kind != WIRE_IF_SHA256)
        return 0;
    int fd = openat(l->w.dir_fd, l->w.name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -XFER_ECONFLICT;
    int r = fstat(fd, &sb) < 0 ? -errno : conn_sum(c, fd, &sb, false, now);
    close(fd);
    if (r == 0 && memcmp(now, l->if_sha256, DIGEST_LEN) != 0)
        r = -XFER_ECONFLICT;
    return r;
}

static int reply_stored(struct conn *c, const struct landing *l)
{
    struct wire_msg m;

    m.verb = WIRE_REPLY;
    m.code = 201;
    m.keys = WIRE_K_SHA256;
    memcpy(m.sha256, l->sha256, DIGEST_LEN);
    return chan_send(&c->ch, &m);
}

static int publish(struct conn *c, struct landing *l)
{
    pthread_mutex_t *lock = server_target_lock(c->srv, &l->w);

    pthread_mutex_lock(lock);
    int r = check_condition(c, l);
    if (r == 0)
        r = store_write_publish(&l->w, false);
    pthread_mutex_unlock(lock);
    return r;
}

struct syncs {
    struct store_writer *w[BATCH_FILES];
    int *err;
    size_t n;
};

static void sync_files(void *arg)
{
    struct syncs *s = arg;
    store_sync_files(s->w, s->n, s->err);
}

static void sync_dirs(void *arg)
{
    struct syncs *s = arg;
    store_sync_dirs(s->w, s->n, s->err);
}

/* An error here is sticky in the stream, and met there. */
static void say_alive(void *arg)
{
    struct conn *c = arg;

    if (chan_reply(&c->ch, 102) == 0)
        stream_flush(&c->ch.s);
}

void landing_publish(struct conn *c, struct landing l[], size_t n, bool sync, int err[])
{
    struct syncs s = {.err = err, .n = n};

    for (size_t i = 0; i < n; i++) {
        s.w[i] = &l[i].w;
        err[i] = 0;
    }
    if (sync)
        patience_run(sync_files, &s, say_alive, c);
    for (size_t i = 0; i < n; i++)
        if (err[i] == 0)
            err[i] = publish(c, &l[i]);
    if (sync)
        patience_run(sync_dirs, &s, say_alive, c);
}

int landing_reply(struct conn *c, struct landing *l, int err)
{
    store_write_abort(&l->w, false);
    return err ? chan_refuse(&c->ch, false, err, NULL) : reply_stored(c, l);
}

static void log_landing(struct conn *c, const struct landing *l, int err)
{
    struct xfer_request r = {.peer = c->peer,
                             .transport = "tcp",
                             .options = "sync=batch",
                             .verb = wire_verb_name(WIRE_PUT),
                             .path = l->path,
                             .offset = l->offset,
                             .bytes = l->bytes,
                             .size = l->size,
                             .seconds = clock_seconds_since(l->began),
                             .err = err,
                             .incoming = true,
                             .resumed = l->resumed};
    server_log(c->srv, &r);
}

int batch_add(struct conn *c, const struct landing *l)
{
    if (!c->batch)
        c->batch = calloc(1, sizeof *c->batch);
    if (!c->batch)
        return -ENOMEM;
    c->batch->l[c->batch->n++] = *l;
    c->batch->bytes += l->size;
    if (c->batch->n == BATCH_FILES || c->batch->bytes >= BATCH_BYTES)
        batch_close(c);
    return 0;
}

void batch_close(struct conn *c)
{
    struct batch *b = c->batch;
    int failed[BATCH_FILES];

    if (b->n == 0)
        return;
    landing_publish(c, b->l, b->n, true, failed);
    for (size_t i = 0; i < b->n; i++) {
        landing_reply(c, &b->l[i], failed[i]);
        log_landing(c, &b->l[i], failed[i]);
        free(b->l[i].path);
    }
    b->n = 0;
    b->bytes = 0;
}

void batch_free(struct conn *c)
{
    for (size_t i = 0; c->batch && i < c->batch->n; i++) {
        store_write_abort(&c->batch->l[i].w, false);
        free(c->batch->l[i].path);
    }
    free(c->batch);
    c->batch = NULL;
}
