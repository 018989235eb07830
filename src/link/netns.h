/* netns.h - the namespaces of a link, and what refuses them, in words. For a process with one
 * thread. */
#ifndef XFER_LINK_NETNS_H
#define XFER_LINK_NETNS_H

#include "link/link.h"
#include "link/port.h"

enum { NETNS_USER, NETNS_PID, NETNS_CLIENT, NETNS_SERVER, NETNS_FDS };

/* Leaves the caller's namespaces: the next child is pid 1 of a new namespace of processes. Root
 * does without a user namespace where it may. 0, or -errno with its problem. */
int netns_leave(enum link_way *way, struct link_problem *p);

/* In that child: three network namespaces and the devices between them; it stays in the middle one.
 * fds: to enter them, [NETNS_USER] -1 where there is none. */
int netns_build(enum link_way way, uint32_t mtu, struct port ports[2], int fds[NETNS_FDS],
                struct link_problem *p);

/* Enters the end of a side; children are in its namespace of processes. 0 or -errno. */
int netns_enter(const int fds[NETNS_FDS], enum link_side side);

#endif
