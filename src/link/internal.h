/* internal.h - what the files behind link.h share. */
#ifndef XFER_LINK_INTERNAL_H
#define XFER_LINK_INTERNAL_H

#include "link/forward.h"
#include "link/link.h"
#include "link/netns.h"

#define LINK_MS INT64_C(1000000)
#define LINK_SEC (1000 * LINK_MS)

enum { LINK_PROCESSES = 256 };

struct link {
    struct link_settings s;
    enum link_way way;
    pid_t keeper;
    int control; /* to the forwarder */
    int ns[NETNS_FDS];
    struct forward_records *records; /* shared with the forwarder; NULL: none */
    pid_t processes[LINK_PROCESSES]; /* 0: a free place */
};

int64_t link_now(void);

/* Waits for a child: 0 with its wait status, -ETIMEDOUT or -ECHILD. */
int link_reap(pid_t pid, int64_t timeout, int *status);

/* Dies with the parent, whose process id is `parent`. */
void link_die_with(pid_t parent);

#endif
