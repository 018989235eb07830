#include "config.h"

#include "session/ranges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "session/dest.h"

#define EACH 4                        /* ranges for each connection, where they are not too long */
#define LENGTH_MIN (256 * 1024)       /* shorter ones cost more round trips than they save */
#define LENGTH_MAX (16 * 1024 * 1024) /* what is lost with a connection */
#define LENGTH_UNIT (64 * 1024)       /* whole blocks, or the holes between them would be filled */
#define COUNT_MAX 4096
#define PART_MIN (64 * 1024) /* a shorter part is not worth keeping */
#define CHUNK (128 * 1024)
#define AHEAD_MAX UINT64_C(268435456) /* in memory, of what is thrown away; beyond: no digest */

enum state { UNCUT, CUT, AGAIN, FAILED };
enum piece { OPEN, BROKEN, HERE };

struct ranges {
    struct copy *c;
    pthread_mutex_t mutex;
    pthread_cond_t changed, room; /* for who finishes; for workers that are too far ahead of it */
    size_t jobs; /* mutex, as all up to the next empty line: jobs that stand for ranges */
    enum state state;
    int err; /* AGAIN, FAILED: why */
    char text[WIRE_TEXT_MAX + 1];
    size_t front;    /* all ranges before this one have arrived */
    uint8_t *piece;  /* enum piece of each */
    uint64_t moved;  /* bytes that count as done */
    uint64_t hashed; /* changed by who finishes alone */
    bool gappy;      /* not all was kept until it was hashed */
    bool whole_known;
    uint8_t whole[DIGEST_LEN];

    /* Since the cut these stay as they are, but for who finishes. */
    struct job *job;
    struct store_writer w;
    char etag[WIRE_ETAG_MAX + 1];
    uint64_t size, offset, length; /* offset: where the first range begins */
    size_t n;

    struct digest *digest; /* of the first hashed bytes: whose thread finishes owns it */
};

uint64_t ranges_length(uint64_t rest, unsigned jobs)
{
    uint64_t n = rest / EACH / (jobs ? jobs : 1);

    if (n > LENGTH_MAX)
        n = LENGTH_MAX;
    if (n < rest / COUNT_MAX)
        n = rest / COUNT_MAX;
    if (n < LENGTH_MIN)
        n = LENGTH_MIN;
    return (n + LENGTH_UNIT - 1) / LENGTH_UNIT * LENGTH_UNIT;
}

/* Where range i begins; that of n is the end. */
static uint64_t begin_of(const struct ranges *r, size_t i)
{
    uint64_t at = i == 0 ? r->offset : r->offset + RANGES_FIRST + (i - 1) * r->length;

    return at < r->size ? at : r->size;
}

struct ranges *ranges_new(struct copy *c, struct job *j)
{
    struct ranges *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->c = c;
    r->w = (struct store_writer){.fd = -1, .dir_fd = -1};
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->changed, NULL);
    pthread_cond_init(&r->room, NULL);
    r->jobs = 1;
    j->ranges = r;
    return r;
}

void ranges_release(struct ranges *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->mutex);
    r->jobs--;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->mutex);
}

/* ---- cutting ---- */

enum ranges_how ranges_how(const struct wire_msg *m, uint64_t offset)
{
    const uint32_t needed = WIRE_K_SIZE | WIRE_K_OFFSET | WIRE_K_ETAG;
    uint64_t size = m->keys & WIRE_K_SIZE ? m->size : 0;

    if (offset == 0 && size > 0 && size <= RANGES_FIRST)
        return RANGES_WHOLE;
    return (m->keys & needed) == needed && size >= offset && size > 0 ? RANGES_CUT : RANGES_PLAIN;
}

static struct job *new_piece(struct ranges *r, const struct job *of, size_t i)
{
    struct job *j = job_new(of->path, of->remote, of->name, of->local);

    if (!j)
        return NULL;
    j->store = of->store;
    j->known = true;
    j->piece = i + 1;
    j->ranges = r;
    pthread_mutex_lock(&r->mutex);
    r->jobs++;
    pthread_mutex_unlock(&r->mutex);
    return j;
}

static bool new_pieces(struct ranges *r, const struct job *of, struct job_list *l)
{
    for (size_t i = 0; i < r->n; i++) {
        struct job *j = new_piece(r, of, i);
        if (!j) {
            job_list_free(l);
            return false;
        }
        job_list_push(l, j);
    }
    return true;
}

int ranges_cut(struct job **j, struct store_writer *w, struct digest **d, uint64_t offset,
               const struct wire_msg *m)
{
    struct ranges *r = (*j)->ranges;
    uint64_t rest = m->size - offset, behind = rest > RANGES_FIRST ? rest - RANGES_FIRST : 0;
    struct job_list pieces;

    job_list_init(&pieces);
    r->size = m->size;
    r->offset = r->hashed = r->moved = offset;
    r->length = ranges_length(behind, r->c->o->jobs);
    r->n = 1 + (size_t)((behind + r->length - 1) / r->length);
    memcpy(r->etag, m->etag, sizeof r->etag);
    struct digest *digest = *d ? *d : digest_new();
    uint8_t *piece = calloc(r->n, 1);
    if (!digest || !piece || !new_pieces(r, *j, &pieces)) {
        free(piece);
        if (digest != *d)
            digest_free(digest);
        return -ENOMEM;
    }
    struct job *first = job_list_pop(&pieces);
    r->w = *w;
    if (r->c->o->discard)
        r->w.fd = memfd_create("xfer", MFD_CLOEXEC);
    r->gappy = r->w.fd < 0 || (r->c->o->discard && store_write_end_at(&r->w, r->size) < 0);
    *w = (struct store_writer){.fd = -1, .dir_fd = -1};
    *d = NULL;
    pthread_mutex_lock(&r->mutex);
    r->digest = digest;
    r->piece = piece;
    r->job = *j;
    r->state = CUT;
    r->jobs--; /* the file's own: it is ours now */
    pthread_mutex_unlock(&r->mutex);
    r->job->ranges = NULL;
    *j = first;
    ranges_note_whole(first, m);
    tally_note(r->c->tally, "%s: %zu ranges", r->job->name, r->n);
    job_queue_return(&r->c->queue, &pieces);
    return 0;
}

/* ---- ranges ---- */

bool ranges_is_piece(const struct job *j)
{
    return j->piece > 0;
}

bool ranges_wanted(const struct job *j)
{
    struct ranges *r = j->ranges;

    pthread_mutex_lock(&r->mutex);
    bool wanted = r->state == CUT;
    pthread_mutex_unlock(&r->mutex);
    return wanted;
}

uint64_t ranges_size(const struct job *j)
{
    return begin_of(j->ranges, j->piece) - begin_of(j->ranges, j->piece - 1);
}

void ranges_ask(const struct job *j, struct wire_msg *m)
{
    m->keys = WIRE_K_OFFSET | WIRE_K_LENGTH | WIRE_K_ETAG;
    m->offset = begin_of(j->ranges, j->piece - 1);
    m->length = ranges_size(j);
    memcpy(m->etag, j->ranges->etag, sizeof m->etag);
}

void ranges_note_whole(const struct job *j, const struct wire_msg *m)
{
    struct ranges *r = j->ranges;

    if (!(m->keys & WIRE_K_WHOLE))
        return;
    pthread_mutex_lock(&r->mutex);
    r->whole_known = true;
    memcpy(r->whole, m->whole, DIGEST_LEN);
    pthread_mutex_unlock(&r->mutex);
}

int ranges_check(const struct job *j, const struct wire_msg *m)
{
    const struct ranges *r = j->ranges;

    if (!(m->keys & WIRE_K_ETAG) || !(m->keys & WIRE_K_SIZE))
        return -XFER_EUNKNOWN;
    if (strcmp(m->etag, r->etag) != 0 || m->size != r->size)
        return -XFER_ECHANGED;
    if (!(m->keys & WIRE_K_OFFSET) || m->offset != begin_of(r, j->piece - 1))
        return -XFER_EUNKNOWN;
    ranges_note_whole(j, m);
    return 0;
}

/* Called with the mutex held. What is thrown away waits in memory to be hashed in its order, but
 * not without limit: hashing may catch up, but a connection that stands still would keep all that
 * the others bring. */
static bool is_kept(struct ranges *r, size_t i)
{
    uint64_t end = begin_of(r, i + 1);

    if (!r->c->o->discard)
        return true;
    while (r->state == CUT && !r->gappy && end > r->hashed + AHEAD_MAX &&
           r->hashed < begin_of(r, r->front))
        pthread_cond_wait(&r->room, &r->mutex);
    if (end > r->hashed + AHEAD_MAX) {
        r->gappy = true;
        pthread_cond_broadcast(&r->room);
    }
    return !r->gappy;
}

bool ranges_writer(const struct job *j, struct store_writer *w)
{
    struct ranges *r = j->ranges;
    size_t i = j->piece - 1;

    pthread_mutex_lock(&r->mutex);
    bool dense = r->piece[i] == BROKEN, kept = is_kept(r, i);
    pthread_mutex_unlock(&r->mutex);
    if (kept)
        store_write_fork(&r->w, begin_of(r, i), dense, w);
    return kept;
}

void ranges_broken(const struct job *j)
{
    struct ranges *r = j->ranges;

    pthread_mutex_lock(&r->mutex);
    r->piece[j->piece - 1] = BROKEN;
    pthread_mutex_unlock(&r->mutex);
}

void ranges_arrived(struct job *j)
{
    struct ranges *r = j->ranges;

    pthread_mutex_lock(&r->mutex);
    r->piece[j->piece - 1] = HERE;
    r->moved += ranges_size(j);
    while (r->front < r->n && r->piece[r->front] == HERE)
        r->front++;
    pthread_mutex_unlock(&r->mutex);
    job_free(j);
}

static void stop(struct ranges *r, int err, const char *text)
{
    pthread_mutex_lock(&r->mutex);
    if (r->state == CUT) {
        r->state = err == -XFER_ECHANGED || err == -XFER_EUNKNOWN ? AGAIN : FAILED;
        r->err = err;
        snprintf(r->text, sizeof r->text, "%s", text ? text : "");
        pthread_cond_broadcast(&r->room);
    }
    pthread_mutex_unlock(&r->mutex);
}

void ranges_failed(struct job *j, int err, const char *text)
{
    stop(j->ranges, err, text);
    job_free(j);
}

/* ---- the end ---- */

/* n more bytes are hashed; of what is thrown away they need no memory any more. */
static void note_hashed(struct ranges *r, uint64_t n)
{
    if (n && r->c->o->discard)
        fallocate(r->w.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)r->hashed, (off_t)n);
    pthread_mutex_lock(&r->mutex);
    r->hashed += n;
    pthread_cond_broadcast(&r->room);
    pthread_mutex_unlock(&r->mutex);
}

/* What is in the file now, up to here: so the digest covers what was written where. */
static int hash_to(struct ranges *r, uint64_t end)
{
    uint8_t *buf = malloc(CHUNK);
    int e = buf ? 0 : -ENOMEM;

    while (e == 0 && r->hashed < end) {
        size_t want = end - r->hashed < CHUNK ? (size_t)(end - r->hashed) : CHUNK;
        ssize_t n = pread(r->w.fd, buf, want, (off_t)r->hashed);
        if (n > 0)
            digest_update(r->digest, buf, (size_t)n);
        note_hashed(r, n > 0 ? (uint64_t)n : 0);
        /* Zeros at the end of a range are not written: until the next one the file ends there. */
        if (n == 0)
            break;
        e = n < 0 && errno != EINTR ? -errno : copy_pace(r->c, 0);
    }
    free(buf);
    return e;
}

/* Hashes what arrives until no job stands for the file or for a range of it. */
static void follow(struct ranges *r)
{
    pthread_mutex_lock(&r->mutex);
    while (r->jobs) {
        uint64_t end = r->state == CUT ? begin_of(r, r->front) : 0;
        uint64_t before = r->hashed;
        if (r->state != CUT || r->gappy || r->hashed >= end) {
            pthread_cond_wait(&r->changed, &r->mutex);
            continue;
        }
        pthread_mutex_unlock(&r->mutex);
        int e = hash_to(r, end);
        if (e < 0)
            stop(r, e, NULL);
        pthread_mutex_lock(&r->mutex);
        if (e == 0 && r->hashed == before && r->jobs)
            pthread_cond_wait(&r->changed, &r->mutex);
    }
    pthread_mutex_unlock(&r->mutex);
}

static int prove(struct ranges *r, uint8_t sum[DIGEST_LEN])
{
    int e = store_write_end_at(&r->w, r->size);

    if (e == 0)
        e = hash_to(r, r->size);
    if (e == 0 && r->hashed < r->size) /* somebody else has cut it */
        e = -EIO;
    if (e == 0 && !digest_peek(r->digest, sum))
        e = -ENOMEM;
    return e == 0 && r->whole_known && memcmp(sum, r->whole, DIGEST_LEN) != 0 ? -XFER_EINTEGRITY
                                                                              : e;
}

static int publish(struct ranges *r, const uint8_t sum[DIGEST_LEN])
{
    bool sync = r->c->o->sync != XFER_SYNC_NONE;
    int e = copy_finish(r->c, r->job, &r->w, sum, sync);

    return e == 0 ? store_write_publish(&r->w, sync) : e;
}

static void drop(struct ranges *r)
{
    tally_unmoved(r->c->tally, r->moved);
    store_write_abort(&r->w, false);
}

static void fail(struct ranges *r, int err)
{
    drop(r);
    copy_report(r->c, r->job, XFER_FAILED, err, r->text[0] ? r->text : NULL);
    r->job = NULL;
}

static bool is_break(int err)
{
    return err == -XFER_ECANCELED || err == -XFER_EDEADLINE;
}

/* The file cannot be had; or all is to end, and what is there stays a part. */
static void give_up(struct ranges *r, int err)
{
    if (is_break(err))
        copy_give_up(r->c, err, 0);
    else
        fail(r, err);
}

/* All has arrived. */
static void complete(struct ranges *r)
{
    bool known = !r->gappy || r->whole_known;
    uint8_t sum[DIGEST_LEN];
    int e = 0;

    if (!r->gappy)
        e = prove(r, sum);
    else if (known)
        memcpy(sum, r->whole, DIGEST_LEN);
    if (e == 0 && !r->c->o->discard)
        e = publish(r, sum);
    if (e < 0) {
        give_up(r, dest_error(e));
        return;
    }
    store_write_abort(&r->w, false);
    copy_report_done(r->c, r->job, r->size, r->offset, known ? sum : NULL);
    r->job = NULL;
}

/* Not so: as a file like any other, if it may be tried again. */
static int again(struct ranges *r)
{
    struct job *j = r->job;

    if (r->err == -XFER_ECHANGED && ++j->tries >= COPY_CHANGED_TRIES) {
        fail(r, r->err);
        return 0;
    }
    tally_note(r->c->tally, "%s: %s: from the beginning, over one connection", j->name,
               r->err == -XFER_ECHANGED ? xfer_strerror(r->err) : "no ranges from this server");
    drop(r);
    r->job = NULL;
    return job_queue_push(&r->c->queue, j);
}

int ranges_finish(struct ranges *r)
{
    follow(r);
    if (r->state == CUT && r->front == r->n)
        complete(r);
    else if (r->state == AGAIN)
        return again(r);
    else if (r->state == FAILED)
        give_up(r, r->err);
    return 0;
}

void ranges_free(struct ranges *r)
{
    if (!r)
        return;
    if (r->job) {
        uint64_t end = begin_of(r, r->front);
        bool keep = store_write_end_at(&r->w, end) == 0 && end >= PART_MIN;
        store_write_abort(&r->w, keep);
        job_free(r->job);
    }
    digest_free(r->digest);
    free(r->piece);
    pthread_cond_destroy(&r->room);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}
