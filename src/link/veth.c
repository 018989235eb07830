#include "config.h"

#include "link/veth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

enum { REQUEST_MAX = 1024, PREFIX_BITS = 24 };

static const uint8_t hardware[6] = {0x02, 'x', 'f', 'e', 'r', 0};

/* ---- rtnetlink ---- */

static int exchange(struct mnl_socket *nl, struct nlmsghdr *h)
{
    char reply[8192]; /* an error quotes the request */
    ssize_t n;

    if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
        mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
        return -errno;
    n = mnl_socket_recvfrom(nl, reply, sizeof reply);
    if (n < 0 ||
        mnl_cb_run(reply, (size_t)n, h->nlmsg_seq, mnl_socket_get_portid(nl), NULL, NULL) < 0)
        return -errno;
    return 0;
}

static int request(struct nlmsghdr *h)
{
    struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    int err;

    if (!nl)
        return -errno;
    h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    h->nlmsg_seq = 1;
    err = exchange(nl, h);
    mnl_socket_close(nl);
    return err;
}

/* Segments in one packet: none, of TCP or UDP, whatever ethtool's switches leave. */
static void put_device(struct nlmsghdr *h, const char *name, uint32_t mtu)
{
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    mnl_attr_put_u32(h, IFLA_MTU, mtu);
    mnl_attr_put_u32(h, IFLA_GSO_MAX_SEGS, 1);
}

int veth_create(const char *inner, const char *outer, int outer_netns, uint32_t mtu)
{
    char mem[REQUEST_MAX];
    struct nlmsghdr *h = mnl_nlmsg_put_header(mem);
    struct nlattr *info, *data, *peer;

    h->nlmsg_type = RTM_NEWLINK;
    h->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    put_device(h, inner, mtu);
    info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
    data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
    peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    put_device(h, outer, mtu);
    mnl_attr_put(h, IFLA_ADDRESS, sizeof hardware, hardware);
    mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)outer_netns);
    mnl_attr_nest_end(h, peer);
    mnl_attr_nest_end(h, data);
    mnl_attr_nest_end(h, info);
    return request(h);
}

static int add_address(unsigned index, const char *address)
{
    char mem[REQUEST_MAX];
    struct nlmsghdr *h = mnl_nlmsg_put_header(mem);
    struct ifaddrmsg *msg;
    struct in_addr in;

    if (inet_pton(AF_INET, address, &in) != 1)
        return -EINVAL;
    h->nlmsg_type = RTM_NEWADDR;
    h->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
    msg = mnl_nlmsg_put_extra_header(h, sizeof *msg);
    msg->ifa_family = AF_INET;
    msg->ifa_prefixlen = PREFIX_BITS;
    msg->ifa_index = index;
    mnl_attr_put(h, IFA_LOCAL, sizeof in, &in);
    mnl_attr_put(h, IFA_ADDRESS, sizeof in, &in);
    return request(h);
}

static int set_up(unsigned index)
{
    char mem[REQUEST_MAX];
    struct nlmsghdr *h = mnl_nlmsg_put_header(mem);
    struct ifinfomsg *msg;

    h->nlmsg_type = RTM_NEWLINK;
    msg = mnl_nlmsg_put_extra_header(h, sizeof *msg);
    msg->ifi_index = (int)index;
    msg->ifi_flags = msg->ifi_change = IFF_UP | IFF_NOARP;
    return request(h);
}

int veth_index(const char *name)
{
    struct ifreq r = {.ifr_ifindex = 0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

    if (fd < 0)
        return -errno;
    strncpy(r.ifr_name, name, sizeof r.ifr_name - 1);
    if (ioctl(fd, SIOCGIFINDEX, &r) < 0)
        err = -errno;
    close(fd);
    return err ? err : r.ifr_ifindex;
}

int veth_up(const char *name, const char *address)
{
    int index = veth_index(name), err = index < 0 ? index : 0;

    if (!err && address)
        err = add_address((unsigned)index, address);
    return err ? err : set_up((unsigned)index);
}

/* ---- ethtool ---- */

static int switch_off(int fd, const char *name, uint32_t what)
{
    struct ethtool_value value = {.cmd = what};
    struct ifreq r = {.ifr_data = (void *)&value};

    strncpy(r.ifr_name, name, sizeof r.ifr_name - 1);
    return ioctl(fd, SIOCETHTOOL, &r) < 0 && errno != EOPNOTSUPP ? -errno : 0;
}

int veth_offloads_off(const char *name)
{
    static const uint32_t all[] = {ETHTOOL_SGRO, ETHTOOL_SGSO,    ETHTOOL_STSO,
                                   ETHTOOL_SSG,  ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = fd < 0 ? -errno : 0;

    for (unsigned i = 0; i < sizeof all / sizeof all[0] && !err; i++)
        err = switch_off(fd, name, all[i]);
    if (fd >= 0)
        close(fd);
    return err;
}
