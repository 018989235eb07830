#include "config.h"

#include "link/damage.h"

enum { IP_HEADER = 20, TCP_HEADER = 20, UDP_HEADER = 8, PROTO_TCP = 6, PROTO_UDP = 17 };

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

void damage_flip(uint8_t *packet, size_t n, uint32_t bit)
{
    if (bit / 8 < n)
        packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

/* Where the transport header begins, in an unfragmented packet; 0: there is none. */
static size_t transport_at(const uint8_t *p, size_t n)
{
    size_t header = n >= IP_HEADER && p[0] >> 4 == 4 ? (p[0] & 15U) * 4 : 0;

    return header >= IP_HEADER && header < n && (get16(p + 6) & 0x3fff) == 0 ? header : 0;
}

/* What TCP or UDP carry lies in [*from, n), their checksum at *sum. */
static bool payload_at(const uint8_t *p, size_t n, size_t *from, size_t *sum)
{
    size_t at = transport_at(p, n);

    if (at == 0)
        return false;
    if (p[9] == PROTO_UDP && n >= at + UDP_HEADER) {
        *sum = at + 6;
        *from = at + UDP_HEADER;
    } else if (p[9] == PROTO_TCP && n >= at + TCP_HEADER) {
        *sum = at + 16;
        *from = at + (p[at + 12] >> 4) * 4U;
    } else {
        return false;
    }
    return *from < n;
}

/* RFC 1624, equation 3: the checksum after one word of what it covers has changed. */
static unsigned amended(unsigned sum, unsigned before, unsigned after)
{
    uint32_t v = (~sum & 0xffff) + (~before & 0xffff) + after;

    v = (v & 0xffff) + (v >> 16);
    v = (v & 0xffff) + (v >> 16);
    return ~v & 0xffff;
}

bool damage_flip_fixed(uint8_t *packet, size_t n, uint32_t bit)
{
    size_t from, sum;

    if (!payload_at(packet, n, &from, &sum))
        return false;

    size_t at = from + bit / 8 % (n - from);
    unsigned shift = bit % 8 + ((at - sum) % 2 == 0 ? 8 : 0); /* words are counted from the sum */
    unsigned flipped = 1U << shift;
    unsigned before = packet[at] & (1U << bit % 8) ? flipped : 0;
    unsigned old = get16(packet + sum);

    packet[at] ^= (uint8_t)(1 << bit % 8);
    if (old == 0 && packet[9] == PROTO_UDP)
        return true; /* it has none */

    unsigned fixed = amended(old, before, before ^ flipped);

    put16(packet + sum, fixed == 0 && packet[9] == PROTO_UDP ? 0xffff : fixed);
    return true;
}
