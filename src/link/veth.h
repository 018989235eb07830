/* veth.h - devices of the link, by rtnetlink and ethtool. All functions: 0 or -errno. */
#ifndef XFER_LINK_VETH_H
#define XFER_LINK_VETH_H

#include <stdint.h>

/* A pair: `inner` in the network namespace of the caller, `outer` in that of `outer_netns`. No ARP
 * crosses it: all outer ends have one address of hardware. */
int veth_create(const char *inner, const char *outer, int outer_netns, uint32_t mtu);

/* In the caller's network namespace: address is IPv4 text, of a network of 24 bits, or NULL. */
int veth_up(const char *name, const char *address);

/* The index of a device in the caller's network namespace, above 0. if_nametoindex has no errno to
 * trust. */
int veth_index(const char *name);

/* Packets cross as they are on a wire, none joined or left without its checksum. */
int veth_offloads_off(const char *name);

#endif
