/* ladder.h - the first packets of a method as a ladder between client and server. Pure, but
 * that the FILE is the caller's.
 *
 * Packets stand in the order in which they were sent; sequence numbers begin at 0 in each way.
 */
#ifndef XFER_COMPARE_LADDER_H
#define XFER_COMPARE_LADDER_H

#include <stdio.h>

#include "compare/packet.h"

struct compare_ladder {
    char label[COMPARE_LABEL_MAX]; /* of the method */
    const struct compare_packet *packets;
    size_t n;
    bool more; /* others followed */
};

/* Lines of at most 80 columns, the time at which each was sent in ms since the first one. */
void compare_ladder_text(const struct compare_ladder *l, bool utf8, FILE *f);

/* An <svg> element, whole in itself: a file of its own, or a part of a page. Time runs down, so
 * that arrows are as steep as the delay is long; gaps without packets are drawn short. */
void compare_ladder_svg(const struct compare_ladder *l, FILE *f);

#endif
