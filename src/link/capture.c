#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "link/internal.h"
#include "link/pcapng.h"

struct link_capture {
    FILE *file;
    uint32_t interfaces;
};

/* Encoders return 0 only when memory is too small, and ours is not. */
static int put(struct link_capture *c, const uint8_t *block, size_t n)
{
    errno = EIO;
    return fwrite(block, 1, n, c->file) == n ? 0 : -errno;
}

int link_capture_open(struct link_capture **ret, FILE *file)
{
    struct link_capture *c = calloc(1, sizeof *c);
    uint8_t block[PCAPNG_BLOCK_MAX(0)];
    int err;

    *ret = NULL;
    if (!c) {
        fclose(file);
        return -ENOMEM;
    }
    c->file = file;
    err = put(c, block, pcapng_section(block, sizeof block, PACKAGE_STRING));
    if (err) {
        link_capture_close(c);
        return err;
    }
    *ret = c;
    return 0;
}

static int put_record(struct link_capture *c, const struct link_record *r, int64_t mono_to_real)
{
    uint8_t block[PCAPNG_BLOCK_MAX(LINK_SNAP)];
    const struct pcapng_packet p = {.interface = c->interfaces - 1,
                                    .time = (uint64_t)(r->time + mono_to_real),
                                    .bytes = r->bytes,
                                    .captured = r->captured,
                                    .length = r->length,
                                    .comment = link_record_comment(r)};

    return put(c, block, pcapng_packet(block, sizeof block, &p));
}

int link_capture_add(struct link_capture *c, const char *name, const struct link_record *r,
                     size_t n)
{
    uint8_t block[PCAPNG_BLOCK_MAX(0)];
    struct timespec real;
    int64_t mono_to_real;
    int err;

    clock_gettime(CLOCK_REALTIME, &real);
    mono_to_real = real.tv_sec * LINK_SEC + real.tv_nsec - link_now();
    err = put(c, block, pcapng_interface(block, sizeof block, name, LINK_SNAP));
    c->interfaces++;
    for (size_t i = 0; i < n && !err; i++)
        err = put_record(c, &r[i], mono_to_real);
    return err;
}

int link_capture_close(struct link_capture *c)
{
    int err = 0;

    if (!c)
        return 0;
    if (ferror(c->file))
        err = -EIO;
    if (fclose(c->file) != 0)
        err = -errno;
    free(c);
    return err;
}
