#include "config.h"

#include "link/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "link/refusal.h"
#include "link/veth.h"

/* ---- leaving ---- */

static int put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

    if (fd < 0)
        return -errno;
    if (write(fd, text, strlen(text)) < 0)
        err = -errno;
    close(fd);
    return err;
}

static int map_ids(uid_t uid, gid_t gid, struct link_problem *p)
{
    char text[64];
    int err = put("/proc/self/setgroups", "deny");

    if (err && err != -ENOENT)
        return refusal_of(p, err, "/proc/self/setgroups");
    snprintf(text, sizeof text, "0 %u 1\n", uid);
    err = put("/proc/self/uid_map", text);
    if (err)
        return refusal_of(p, err, "/proc/self/uid_map");
    snprintf(text, sizeof text, "0 %u 1\n", gid);
    err = put("/proc/self/gid_map", text);
    return err ? refusal_of(p, err, "/proc/self/gid_map") : 0;
}

/* What root has, unless a container took some of it: the rights to make namespaces and devices, and
 * packet sockets. In a user namespace of its own anybody has them. */
static bool has_rights(void)
{
    const uint32_t needed = 1U << CAP_NET_ADMIN | 1U << CAP_NET_RAW | 1U << CAP_SYS_ADMIN;
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];

    return syscall(SYS_capget, &h, d) == 0 && (d[0].effective & needed) == needed;
}

int netns_leave(enum link_way *way, struct link_problem *p)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int err;

    *way = LINK_BY_ROOT;
    if (uid == 0 && has_rights() && unshare(CLONE_NEWPID | CLONE_NEWNET) == 0)
        return 0;
    *way = LINK_BY_USER_NAMESPACE;
    if (unshare(CLONE_NEWUSER) < 0)
        return refusal_of_userns(p, -errno);
    err = map_ids(uid, gid, p);
    if (err)
        return err;
    return unshare(CLONE_NEWPID) < 0 ? refusal_of(p, -errno, "namespace of processes") : 0;
}

/* ---- building ---- */

static int open_own(const char *kind)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Without IPv6, whose neighbour discovery would cross the link; and without a memory of what
 * earlier connections of TCP found, so that runs are alike. Neither is worth a refusal where a
 * container forbids it: the ports take no IPv6, and a link that is used once has no memory. */
static int new_end(int *fd, struct link_problem *p)
{
    if (unshare(CLONE_NEWNET) < 0)
        return refusal_of(p, -errno, "network namespace");
    *fd = open_own("net");
    if (*fd < 0)
        return refusal_of(p, -errno, "/proc/self/ns/net");
    put("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    put("/proc/sys/net/ipv4/tcp_no_metrics_save", "1");
    return 0;
}

static const char *const inner_name[2] = {"client", "server"};

static int wire_end(enum link_side side, int middle, const int fds[NETNS_FDS], uint32_t mtu)
{
    int outer = fds[NETNS_CLIENT + side];
    int err = veth_create(inner_name[side], "link", outer, mtu);

    if (!err)
        err = veth_offloads_off(inner_name[side]);
    if (err)
        return err;
    if (setns(outer, CLONE_NEWNET) < 0)
        return -errno;
    err = veth_offloads_off("link");
    if (!err)
        err = veth_up("lo", NULL);
    if (!err)
        err = veth_up("link", side == LINK_CLIENT ? LINK_CLIENT_ADDRESS : LINK_SERVER_ADDRESS);
    if (setns(middle, CLONE_NEWNET) < 0)
        return -errno;
    return err ? err : veth_up(inner_name[side], NULL);
}

static int wire_both(uint32_t mtu, struct port ports[2], const int fds[NETNS_FDS],
                     struct link_problem *p)
{
    int middle = open_own("net"), err = middle < 0 ? -errno : 0;

    for (unsigned side = 0; side < 2 && !err; side++) {
        err = wire_end(side, middle, fds, mtu);
        if (err) {
            refusal_of(p, err, "virtual network devices");
            break;
        }
        err = port_open(&ports[side], inner_name[side], mtu);
        if (err)
            refusal_of(p, err, "packet socket with its ring");
    }
    if (middle >= 0)
        close(middle);
    return err;
}

int netns_build(enum link_way way, uint32_t mtu, struct port ports[2], int fds[NETNS_FDS],
                struct link_problem *p)
{
    int err;

    fds[NETNS_USER] = way == LINK_BY_USER_NAMESPACE ? open_own("user") : -1;
    fds[NETNS_PID] = open_own("pid");
    if (fds[NETNS_PID] < 0 || (way == LINK_BY_USER_NAMESPACE && fds[NETNS_USER] < 0))
        return refusal_of(p, -errno, "/proc/self/ns");
    err = new_end(&fds[NETNS_CLIENT], p);
    if (!err)
        err = new_end(&fds[NETNS_SERVER], p);
    if (!err && unshare(CLONE_NEWNET) < 0)
        err = refusal_of(p, -errno, "network namespace");
    return err ? err : wire_both(mtu, ports, fds, p);
}

int netns_enter(const int fds[NETNS_FDS], enum link_side side)
{
    if (fds[NETNS_USER] >= 0 && setns(fds[NETNS_USER], CLONE_NEWUSER) < 0)
        return -errno;
    if (setns(fds[NETNS_PID], CLONE_NEWPID) < 0 ||
        setns(fds[NETNS_CLIENT + side], CLONE_NEWNET) < 0)
        return -errno;
    return 0;
}
