#include "config.h"

#include "link/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/veth.h"

enum { RING_BYTES = 8 << 20, BLOCK_BYTES = 64 << 10, FRAME_EXTRA = 160 };

static int map_ring(struct port *p, uint32_t mtu)
{
    int version = TPACKET_V2;

    for (p->frame = 2048; p->frame < mtu + FRAME_EXTRA;)
        p->frame *= 2;
    p->frames = RING_BYTES / p->frame;

    struct tpacket_req req = {.tp_block_size = BLOCK_BYTES,
                              .tp_block_nr = RING_BYTES / BLOCK_BYTES,
                              .tp_frame_size = (unsigned)p->frame,
                              .tp_frame_nr = (unsigned)p->frames};

    if (setsockopt(p->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
        setsockopt(p->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req) < 0)
        return -errno;
    p->ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
    return p->ring == MAP_FAILED ? -errno : 0;
}

int port_open(struct port *p, const char *device, uint32_t mtu)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
    const int yes = 1;
    int err;

    *p = (struct port){.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (p->fd < 0)
        return -errno;
    err = map_ring(p, mtu);
    if (err)
        return err;
    to.sll_ifindex = veth_index(device);
    if (to.sll_ifindex < 0)
        return to.sll_ifindex;
    if (bind(p->fd, (struct sockaddr *)&to, sizeof to) < 0)
        return -errno;
    setsockopt(p->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes); /* only saves time */
    return 0;
}

static struct tpacket2_hdr *header(const struct port *p)
{
    return (struct tpacket2_hdr *)(void *)(p->ring + p->next * p->frame);
}

bool port_peek(const struct port *p, int64_t real_to_mono, struct port_frame *ret)
{
    struct tpacket2_hdr *h = header(p);

    if (!(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
        return false;
    ret->bytes = (const uint8_t *)h + h->tp_mac;
    ret->len = h->tp_snaplen;
    ret->time = h->tp_sec * INT64_C(1000000000) + h->tp_nsec + real_to_mono;
    return true;
}

void port_next(struct port *p)
{
    __atomic_store_n(&header(p)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    p->next = (p->next + 1) % p->frames;
}

bool port_send(const struct port *p, const void *frame, size_t n)
{
    return send(p->fd, frame, n, 0) == (ssize_t)n;
}

uint64_t port_hidden_drops(const struct port *p)
{
    struct tpacket_stats stats = {0};
    socklen_t len = sizeof stats;

    getsockopt(p->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len);
    return stats.tp_drops;
}
