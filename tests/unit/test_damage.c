#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "link/damage.h"

enum { PAYLOAD = 37 };

static unsigned sum16(const uint8_t *p, size_t n, uint32_t v)
{
    for (size_t i = 0; i < n; i++)
        v += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    while (v >> 16)
        v = (v & 0xffff) + (v >> 16);
    return v;
}

/* What the receiver of a packet computes over pseudo-header and segment: 0xffff when all is well.
 */
static unsigned checked(const uint8_t *p, size_t n)
{
    size_t at = (p[0] & 15U) * 4;

    return sum16(p + at, n - at, sum16(p + 12, 8, p[9] + (uint32_t)(n - at)));
}

static size_t packet(uint8_t *p, uint8_t proto, size_t payload, uint8_t fill)
{
    size_t header = proto == 6 ? 32 : 8, n = 20 + header + payload;
    size_t at = 20 + (proto == 6 ? 16 : 6);

    memset(p, 0, n);
    p[0] = 0x45;
    p[9] = proto;
    memcpy(p + 12, "\12\0\0\1\12\0\0\2", 8);
    p[20 + 12] = 8 << 4;
    memset(p + 20 + header, fill, payload);

    unsigned sum = ~checked(p, n) & 0xffff;

    p[at] = (uint8_t)(sum >> 8);
    p[at + 1] = (uint8_t)sum;
    cr_assert_eq(checked(p, n), 0xffff);
    return n;
}

Test(damage, a_flipped_bit_is_one_that_the_checksum_finds)
{
    uint8_t p[128], was[128];
    size_t n = packet(p, 17, PAYLOAD, 0x5a);

    for (uint32_t bit = 8 * 20; bit < 8 * n; bit++) {
        memcpy(was, p, n);
        damage_flip(p, n, bit);
        cr_assert_neq(checked(p, n), 0xffff);
        damage_flip(p, n, bit);
        cr_assert_arr_eq(p, was, n);
    }
}

/* Every bit of odd and even lengths, in TCP with options and UDP: the checksum still holds, and one
 * byte of what is carried has changed. */
Test(damage, a_fixed_one_is_in_the_payload_and_passes)
{
    const uint8_t protos[] = {6, 17}, fills[] = {0, 0x5a, 0xff};

    for (unsigned k = 0; k < 6; k++)
        for (size_t payload = 1; payload <= PAYLOAD; payload++) {
            uint8_t p[128], was[128];
            size_t n = packet(was, protos[k % 2], payload, fills[k / 2]), from = n - payload;

            for (uint32_t bit = 0; bit < 8 * n; bit++) {
                unsigned changed = 0;

                memcpy(p, was, n);
                cr_assert(damage_flip_fixed(p, n, bit));
                cr_assert_eq(checked(p, n), 0xffff, "bit %u of %zu", bit, n);
                for (size_t i = from; i < n; i++)
                    changed += p[i] != was[i];
                cr_assert_eq(changed, 1);
            }
        }
}

Test(damage, what_carries_nothing_is_left_alone)
{
    uint8_t p[128], was[128];
    size_t n = packet(p, 6, 0, 0);

    memcpy(was, p, n);
    cr_assert_not(damage_flip_fixed(p, n, 3));
    cr_assert_arr_eq(p, was, n);
    n = packet(p, 17, 4, 0);
    p[9] = 1;
    cr_assert_not(damage_flip_fixed(p, n, 3), "ICMP");
    p[9] = 17;
    p[7] = 1;
    cr_assert_not(damage_flip_fixed(p, n, 3), "a later fragment");
    for (size_t cut = 0; cut <= 28; cut++)
        cr_assert_not(damage_flip_fixed(p, cut, 3));
}
