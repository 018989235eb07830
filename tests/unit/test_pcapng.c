#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "link/pcapng.h"

static uint32_t at32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static uint16_t at16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* The value of an option, or NULL; what lies between `from` and the end of the block is options. */
static const uint8_t *option(const uint8_t *block, size_t from, uint16_t code, size_t *n)
{
    size_t at = from, end = at32(block + 4) - 4;

    while (at + 4 <= end) {
        uint16_t kind = at16(block + at), len = at16(block + at + 2);

        if (kind == code) {
            *n = len;
            return block + at + 4;
        }
        if (kind == 0) {
            cr_assert_eq(at + 4, end, "the end of options is the end of the block");
            break;
        }
        at += 4 + (len + 3U) / 4 * 4;
    }
    return NULL;
}

static void framed(const uint8_t *block, size_t n, uint32_t type)
{
    cr_assert_gt(n, 0);
    cr_assert_eq(n % 4, 0);
    cr_assert_eq(at32(block), type);
    cr_assert_eq(at32(block + 4), n);
    cr_assert_eq(at32(block + n - 4), n);
}

static void option_is(const uint8_t *block, size_t from, uint16_t code, const char *want)
{
    size_t n = 0;
    const uint8_t *p = option(block, from, code, &n);

    cr_assert(p && n == strlen(want) && memcmp(p, want, n) == 0, "%s", want);
}

Test(pcapng, a_section_says_byte_order_version_and_writer)
{
    uint8_t b[PCAPNG_BLOCK_MAX(0)];
    size_t n = pcapng_section(b, sizeof b, "xfer 1");

    framed(b, n, 0x0a0d0d0a);
    cr_assert_eq(at32(b + 8), 0x1a2b3c4d);
    cr_assert_eq(at16(b + 12), 1);
    cr_assert_eq(at16(b + 14), 0);
    cr_assert_eq(at32(b + 16) & at32(b + 20), UINT32_MAX);
    option_is(b, 24, 4, "xfer 1");
}

Test(pcapng, an_interface_has_its_name_raw_ipv4_and_nanoseconds)
{
    uint8_t b[PCAPNG_BLOCK_MAX(0)];
    size_t n = pcapng_interface(b, sizeof b, "tcp (cubic)", 224);

    framed(b, n, 1);
    cr_assert_eq(at16(b + 8), 228);
    cr_assert_eq(at32(b + 12), 224);
    option_is(b, 16, 2, "tcp (cubic)");
    option_is(b, 16, 9, "\11");
}

Test(pcapng, packets_of_every_length_are_padded)
{
    static const uint8_t bytes[] = "0123456789";

    for (uint32_t len = 0; len <= 10; len++) {
        uint8_t b[PCAPNG_BLOCK_MAX(10)];
        struct pcapng_packet p = {.interface = 2,
                                  .time = UINT64_C(0x1122334455667788),
                                  .bytes = bytes,
                                  .captured = len,
                                  .length = len + 1000,
                                  .comment = len % 2 ? "dropped: random loss" : NULL};
        size_t n = pcapng_packet(b, sizeof b, &p), pad = (len + 3) / 4 * 4, left = 0;

        framed(b, n, 6);
        cr_assert_eq(at32(b + 8), 2);
        cr_assert_eq(at32(b + 12), 0x11223344);
        cr_assert_eq(at32(b + 16), 0x55667788);
        cr_assert_eq(at32(b + 20), len);
        cr_assert_eq(at32(b + 24), len + 1000);
        cr_assert_arr_eq(b + 28, bytes, len);
        for (size_t i = len; i < pad; i++)
            cr_assert_eq(b[28 + i], 0);
        if (p.comment)
            option_is(b, 28 + pad, 1, p.comment);
        else
            cr_assert_null(option(b, 28 + pad, 1, &left));
    }
}

Test(pcapng, long_text_is_cut_and_small_memory_refused)
{
    char name[1000];
    uint8_t b[PCAPNG_BLOCK_MAX(0)];
    size_t n;

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    n = pcapng_interface(b, sizeof b, name, 1);
    framed(b, n, 1);
    for (size_t cap = 0; cap < n; cap++)
        cr_assert_eq(pcapng_interface(b, cap, name, 1), 0);
}
