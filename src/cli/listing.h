/* listing.h - the entries of a remote listing, collected to be sorted. */
#ifndef XFER_CLI_LISTING_H
#define XFER_CLI_LISTING_H

#include "base/buf.h"
#include "xfer.h"

struct listing_row {
    char *name;
    char *remote; /* NULL where the event had none */
    struct xfer_entry entry;
};

struct listing {
    struct listing_row *rows;
    size_t n, cap;
};

/* False without memory; the listing is then as it was. */
bool listing_add(struct listing *l, const struct xfer_event *ev);
void listing_free(struct listing *l);

/* By the bytes of the name. */
void listing_sort(struct listing *l, bool reverse);

/* Digits of the largest size, at least 1. */
int listing_size_columns(const struct listing *l);
uint64_t listing_bytes(const struct listing *l);

#endif
