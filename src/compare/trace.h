/* trace.h - the first packets of a transfer, of what the emulated link recorded. Pure. */
#ifndef XFER_COMPARE_TRACE_H
#define XFER_COMPARE_TRACE_H

#include "compare/packet.h"
#include "link/link.h"

#define COMPARE_TRACE_PACKETS 24

struct compare_trace {
    struct compare_packet packets[2 * COMPARE_TRACE_PACKETS]; /* with timeouts between them */
    size_t n;
    bool more; /* others followed */
};

/* A packet over TFTP that was sent again though nothing had arrived meanwhile has a timeout before
 * it. */
void compare_trace_take(struct compare_trace *t, const struct link_record *r, size_t n);

#endif
