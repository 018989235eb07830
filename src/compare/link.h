/* link.h - the link of compare: presets, and keys that set one thing each. Pure. */
#ifndef XFER_COMPARE_LINK_H
#define XFER_COMPARE_LINK_H

#include "compare/compare.h"

/* 20 Mbit/s, 20 ms, no loss, seed 1. */
void compare_link_default(struct compare_link *l);

/* "mobile", "rtt=50ms,loss=1%", "satellite,loss=0": a preset, keys with values, or both. What it
 * does not name stays. False with a reason in why. */
bool compare_link_parse(const char *s, struct compare_link *l, char why[COMPARE_WHY_MAX]);

#define COMPARE_LINK_KEYS                                                                          \
    "rtt, rate, loss, jitter, delay, duplicate, corrupt, reorder, queue (up- or down- before "     \
    "them: one way), mtu, seed"

/* One key: rtt, delay, rate, loss, jitter, reorder, duplicate, corrupt, queue, both ways the same,
 * or with "up-" (client to server) or "down-" before it; mtu; seed. Two values with a slash between
 * them are one for each way, up first; not of rtt. Times, rates and chances need a unit unless they
 * are 0. *number (may be NULL): the value, up, in seconds, bits a second, a chance, bytes. */
bool compare_link_is_key(const char *key);
bool compare_link_set(struct compare_link *l, const char *key, const char *value, double *number,
                      char why[COMPARE_WHY_MAX]);

double compare_link_rtt(const struct compare_link *l);

/* Bytes that may wait for a way: what was asked for, or a bandwidth-delay product, at least 16
 * packets. */
uint64_t compare_link_queue(const struct compare_link *l, int way);

/* "20 Mbit/s, RTT 20 ms (measured 20.2), no loss, seed 1". measured in seconds; 0: leaves it out.
 * Returns out. */
char *compare_link_text(const struct compare_link *l, double measured_rtt, char *out, size_t cap);

#endif
