/* cache.c - digests remembered in memory. */
#include "config.h"

#include "store/internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct cache_entry {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
    uint8_t sha256[DIGEST_LEN];
    uint32_t next; /* in its bucket */
};

struct digest_cache {
    pthread_mutex_t lock; /* guards all below */
    size_t cap, used;
    size_t oldest; /* once full: the entry to be replaced next */
    size_t mask;   /* buckets - 1 */
    uint32_t *buckets;
    struct cache_entry entries[];
};

struct digest_cache *digest_cache_new(size_t entries)
{
    size_t cap = entries ? entries : 1, buckets = 1;
    struct digest_cache *c;

    if (cap >= NONE)
        return NULL;
    while (buckets < cap)
        buckets *= 2;
    c = calloc(1, sizeof(*c) + cap * sizeof(c->entries[0]));
    if (!c)
        return NULL;
    c->cap = cap;
    c->mask = buckets - 1;
    c->buckets = malloc(buckets * sizeof(c->buckets[0]));
    if (!c->buckets || pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c->buckets);
        free(c);
        return NULL;
    }
    memset(c->buckets, 0xff, buckets * sizeof(c->buckets[0]));
    return c;
}

void digest_cache_free(struct digest_cache *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c->buckets);
    free(c);
}

static uint32_t *bucket_of(struct digest_cache *c, dev_t dev, ino_t ino)
{
    uint64_t h = ((uint64_t)ino ^ (uint64_t)dev << 32) * UINT64_C(0x9e3779b97f4a7c15);

    return &c->buckets[(h >> 32) & c->mask];
}

/* One entry an inode: a new version takes the place of the old one. */
static struct cache_entry *find(struct digest_cache *c, const struct stat *sb)
{
    uint32_t i = *bucket_of(c, sb->st_dev, sb->st_ino);

    while (i != NONE && (c->entries[i].dev != sb->st_dev || c->entries[i].ino != sb->st_ino))
        i = c->entries[i].next;
    return i == NONE ? NULL : &c->entries[i];
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool digest_cache_get(struct digest_cache *c, const struct stat *sb, uint8_t out[DIGEST_LEN])
{
    const struct cache_entry *e;
    bool hit;

    pthread_mutex_lock(&c->lock);
    e = find(c, sb);
    hit = e && e->size == sb->st_size && same_time(e->mtime, sb->st_mtim) &&
          same_time(e->ctime, sb->st_ctim);
    if (hit)
        memcpy(out, e->sha256, DIGEST_LEN);
    pthread_mutex_unlock(&c->lock);
    return hit;
}

/* Takes the oldest entry out of its bucket, or a fresh one. */
static struct cache_entry *make_room(struct digest_cache *c)
{
    struct cache_entry *e;
    uint32_t *link, self;

    if (c->used < c->cap)
        return &c->entries[c->used++];
    self = (uint32_t)c->oldest;
    c->oldest = (c->oldest + 1) % c->cap;
    e = &c->entries[self];
    link = bucket_of(c, e->dev, e->ino);
    while (*link != self)
        link = &c->entries[*link].next;
    *link = e->next;
    return e;
}

static struct cache_entry *add(struct digest_cache *c, const struct stat *sb)
{
    struct cache_entry *e = make_room(c);
    uint32_t *bucket = bucket_of(c, sb->st_dev, sb->st_ino);

    e->dev = sb->st_dev;
    e->ino = sb->st_ino;
    e->next = *bucket;
    *bucket = (uint32_t)(e - c->entries);
    return e;
}

void digest_cache_put(struct digest_cache *c, const struct stat *sb,
                      const uint8_t sha256[DIGEST_LEN], time_t began)
{
    struct cache_entry *e;

    if (!store_is_settled(sb, began))
        return;
    pthread_mutex_lock(&c->lock);
    e = find(c, sb);
    if (!e)
        e = add(c, sb);
    e->size = sb->st_size;
    e->mtime = sb->st_mtim;
    e->ctime = sb->st_ctim;
    memcpy(e->sha256, sha256, DIGEST_LEN);
    pthread_mutex_unlock(&c->lock);
}
