/* damage.h - what a link does to the bytes of an IPv4 packet. Pure.
 *
 * A flipped bit is found by the checksum of IP, TCP or UDP, each of which finds any single one.
 * With the checksum fixed no layer of the network sees it, and a digest from end to end alone
 * does.
 */
#ifndef XFER_LINK_DAMAGE_H
#define XFER_LINK_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Flips bit number `bit`, less than 8 * n. */
void damage_flip(uint8_t *packet, size_t n, uint32_t bit);

/* Flips a bit of what TCP or UDP carry, chosen by `bit`, and fixes their checksum. False, with
 * nothing changed, when the packet carries nothing, or is of another kind. */
bool damage_flip_fixed(uint8_t *packet, size_t n, uint32_t bit);

#endif
