#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/listing.h"

static bool grow(struct listing *l)
{
    size_t cap = l->cap > 0 ? 2 * l->cap : 64;
    struct listing_row *rows;

    if (l->n < l->cap)
        return true;
    rows = reallocarray(l->rows, cap, sizeof *rows);
    if (rows == NULL)
        return false;
    l->rows = rows;
    l->cap = cap;
    return true;
}

bool listing_add(struct listing *l, const struct xfer_event *ev)
{
    struct listing_row row = {.name = strdup(ev->name != NULL ? ev->name : ""),
                              .remote = ev->remote != NULL ? strdup(ev->remote) : NULL,
                              .entry = ev->entry};

    if (row.name == NULL || (ev->remote != NULL && row.remote == NULL) || !grow(l)) {
        free(row.name);
        free(row.remote);
        return false;
    }
    l->rows[l->n++] = row;
    return true;
}

void listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->rows[i].name);
        free(l->rows[i].remote);
    }
    free(l->rows);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct listing_row *)a)->name, ((const struct listing_row *)b)->name);
}

static int by_name_reversed(const void *a, const void *b)
{
    return by_name(b, a);
}

void listing_sort(struct listing *l, bool reverse)
{
    if (l->n > 0)
        qsort(l->rows, l->n, sizeof *l->rows, reverse ? by_name_reversed : by_name);
}

int listing_size_columns(const struct listing *l)
{
    uint64_t max = 0;

    for (size_t i = 0; i < l->n; i++)
        if (l->rows[i].entry.size > max)
            max = l->rows[i].entry.size;
    return snprintf(NULL, 0, "%llu", (unsigned long long)max);
}

uint64_t listing_bytes(const struct listing *l)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < l->n; i++)
        if (l->rows[i].entry.type == 'f')
            sum += l->rows[i].entry.size;
    return sum;
}
