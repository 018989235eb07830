#include "config.h"

#include "link/pcapng.h"

#include <stdbool.h>
#include <string.h>

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6,
    OPT_END = 0,
    OPT_COMMENT = 1,
    SECTION_APPLICATION = 4,
    INTERFACE_NAME = 2,
    INTERFACE_RESOLUTION = 9,
    LINKTYPE_IPV4 = 228, /* not RAW, 101: libpcap takes that for the first interface alone */
    NANOSECONDS = 9      /* as a negative power of ten */
};
#define BYTE_ORDER_MAGIC UINT32_C(0x1a2b3c4d)

/* A block that grows; numbers are in the order of this machine, as the magic tells a reader. */
struct block {
    uint8_t *p;
    size_t n, cap;
    bool failed;
};

static void add(struct block *b, const void *p, size_t n)
{
    static const uint8_t zeros[4];
    size_t pad = -n % 4;

    if (b->failed || b->cap - b->n < n + pad) {
        b->failed = true;
        return;
    }
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    memcpy(b->p + b->n + n, zeros, pad);
    b->n += n + pad;
}

static void add32(struct block *b, uint32_t v)
{
    add(b, &v, sizeof v);
}

static void add16x2(struct block *b, uint16_t first, uint16_t second)
{
    uint16_t v[2] = {first, second};

    add(b, v, sizeof v);
}

static void add_option(struct block *b, uint16_t code, const void *p, size_t n)
{
    add16x2(b, code, (uint16_t)n);
    add(b, p, n);
}

static void add_text(struct block *b, uint16_t code, const char *text)
{
    add_option(b, code, text, strnlen(text, PCAPNG_TEXT_MAX));
}

static struct block begin(uint8_t *out, size_t cap, uint32_t type)
{
    struct block b = {.p = out, .cap = cap};

    add32(&b, type);
    add32(&b, 0); /* its length, when it is known */
    return b;
}

static size_t end(struct block *b)
{
    uint32_t length;

    add16x2(b, OPT_END, 0);
    length = (uint32_t)b->n + 4;
    add32(b, length);
    if (b->failed)
        return 0;
    memcpy(b->p + 4, &length, sizeof length);
    return b->n;
}

size_t pcapng_section(uint8_t *out, size_t cap, const char *application)
{
    struct block b = begin(out, cap, BLOCK_SECTION);
    const uint64_t unknown_length = UINT64_MAX;

    add32(&b, BYTE_ORDER_MAGIC);
    add16x2(&b, 1, 0); /* version */
    add(&b, &unknown_length, sizeof unknown_length);
    add_text(&b, SECTION_APPLICATION, application);
    return end(&b);
}

size_t pcapng_interface(uint8_t *out, size_t cap, const char *name, uint32_t snap)
{
    struct block b = begin(out, cap, BLOCK_INTERFACE);
    const uint8_t resolution = NANOSECONDS;

    add16x2(&b, LINKTYPE_IPV4, 0);
    add32(&b, snap);
    add_text(&b, INTERFACE_NAME, name);
    add_option(&b, INTERFACE_RESOLUTION, &resolution, 1);
    return end(&b);
}

size_t pcapng_packet(uint8_t *out, size_t cap, const struct pcapng_packet *p)
{
    struct block b = begin(out, cap, BLOCK_PACKET);

    add32(&b, p->interface);
    add32(&b, (uint32_t)(p->time >> 32));
    add32(&b, (uint32_t)p->time);
    add32(&b, p->captured);
    add32(&b, p->length);
    add(&b, p->bytes, p->captured);
    if (p->comment)
        add_text(&b, OPT_COMMENT, p->comment);
    return end(&b);
}
