#include "config.h"

#include "session/landings.h"

#include <stdlib.h>
#include <string.h>

#define LANDINGS_MAX 256
#define LANDINGS_BYTES (64 * 1024 * 1024)

struct landed {
    struct job *job;
    struct store_writer w;
    uint64_t resumed_at;
    uint8_t sum[DIGEST_LEN];
};

struct landings {
    struct copy *c;
    size_t n;
    uint64_t bytes;
    struct landed f[LANDINGS_MAX];
};

struct landings *landings_new(struct copy *c)
{
    struct landings *l = calloc(1, sizeof *l);

    if (l)
        l->c = c;
    return l;
}

void landings_add(struct landings *l, struct job *j, const struct store_writer *w,
                  uint64_t resumed_at, const uint8_t sum[DIGEST_LEN])
{
    struct landed *f = &l->f[l->n++];

    *f = (struct landed){.job = j, .w = *w, .resumed_at = resumed_at};
    memcpy(f->sum, sum, DIGEST_LEN);
    l->bytes += w->offset;
    if (l->n == LANDINGS_MAX || l->bytes >= LANDINGS_BYTES)
        landings_settle(l);
}

void landings_settle(struct landings *l)
{
    struct store_writer *w[LANDINGS_MAX];
    int err[LANDINGS_MAX] = {0};

    for (size_t i = 0; l && i < l->n; i++)
        w[i] = &l->f[i].w;
    if (!l || l->n == 0)
        return;
    store_sync_files(w, l->n, err);
    for (size_t i = 0; i < l->n; i++)
        if (err[i] == 0)
            err[i] = store_write_publish(w[i], false);
    store_sync_dirs(w, l->n, err);
    for (size_t i = 0; i < l->n; i++) {
        struct landed *f = &l->f[i];
        uint64_t size = f->w.offset;
        store_write_abort(&f->w, false);
        if (err[i])
            copy_report(l->c, f->job, XFER_FAILED, err[i], NULL);
        else
            copy_report_done(l->c, f->job, size, f->resumed_at, f->sum);
    }
    l->n = 0;
    l->bytes = 0;
}

void landings_free(struct landings *l)
{
    free(l);
}
