#include "config.h"

#include "session/seen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

uint64_t seen_key(const void *p, size_t n)
{
    uint8_t d[DIGEST_LEN];
    uint64_t key;

    digest_of(p, n, d);
    memcpy(&key, d, sizeof key);
    return key ? key : 1;
}

/* The slot that holds the key, or the empty one where it belongs. */
static uint64_t *find(const struct seen *s, uint64_t key)
{
    size_t i = (size_t)key & (s->cap - 1);

    while (s->slot[i] && s->slot[i] != key)
        i = (i + 1) & (s->cap - 1);
    return &s->slot[i];
}

static int grow(struct seen *s)
{
    struct seen bigger = {.cap = s->cap ? s->cap * 2 : 64, .n = s->n};

    bigger.slot = calloc(bigger.cap, sizeof *bigger.slot);
    if (!bigger.slot)
        return -ENOMEM;
    for (size_t i = 0; i < s->cap; i++)
        if (s->slot[i])
            *find(&bigger, s->slot[i]) = s->slot[i];
    free(s->slot);
    *s = bigger;
    return 0;
}

bool seen_has(const struct seen *s, uint64_t key)
{
    return s->n > 0 && *find(s, key) == key;
}

int seen_add(struct seen *s, uint64_t key)
{
    if (2 * (s->n + 1) > s->cap && grow(s) < 0)
        return -ENOMEM;
    uint64_t *slot = find(s, key);
    if (*slot == key)
        return 0;
    *slot = key;
    s->n++;
    return 1;
}

void seen_free(struct seen *s)
{
    free(s->slot);
    *s = (struct seen){0};
}
