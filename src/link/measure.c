#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "link/internal.h"

enum {
    PORT = 7,
    HEADERS = 28, /* of IPv4 and UDP */
    ECHO_BYTES = 32,
    ECHOES_MAX = 21,
    ECHOES_MIN = 5,
    TRAIN_PACKET = 1372,
    TRAIN_MIN = 8,
    TRAIN_MAX = 4000,
    HEAD_BYTES = 32 << 10
};
#define ECHO_TIME (2 * LINK_SEC)
#define ECHO_APART_MIN (5 * LINK_MS) /* by then both ends sleep again, as between blocks */
#define ECHO_APART_MAX (50 * LINK_MS)
#define TRAIN_TIME (LINK_SEC / 4)
#define PATIENCE (LINK_SEC / 2)

/* Shared with the processes that measure. */
struct probe {
    const struct link_settings *s;
    enum link_side side; /* who sends the train */
    unsigned count;
    uint32_t bytes; /* of UDP */
    int ready[2];
    int64_t wait, apart, rtt[ECHOES_MAX];
    unsigned answered;
    uint64_t rate;
    int64_t took;
};

/* ---- sockets ---- */

static struct sockaddr_in address_of(enum link_side side)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    inet_pton(AF_INET, side == LINK_CLIENT ? LINK_CLIENT_ADDRESS : LINK_SERVER_ADDRESS,
              &a.sin_addr);
    return a;
}

/* Bound to the address of `side`, connected to the other. */
static int open_socket(enum link_side side)
{
    struct sockaddr_in own = address_of(side), peer = address_of(!side);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && (bind(fd, (struct sockaddr *)&own, sizeof own) < 0 ||
                    connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool has_input(int fd, int64_t until)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t left = until - link_now();
    struct timespec ts = {.tv_sec = left / LINK_SEC, .tv_nsec = left % LINK_SEC};

    return left > 0 && ppoll(&p, 1, &ts, NULL) > 0;
}

static void say_ready(const struct probe *p)
{
    if (write(p->ready[1], "", 1) < 0)
        _exit(1);
}

/* ---- the echo ---- */

static int answer_echoes(void *arg)
{
    const struct probe *p = arg;
    uint8_t buf[ECHO_BYTES];
    int fd = open_socket(LINK_SERVER);

    if (fd < 0)
        return 1;
    say_ready(p);
    while (has_input(fd, link_now() + p->wait + PATIENCE)) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);

        if (n > 0 && send(fd, buf, (size_t)n, 0) < 0)
            return 1;
    }
    return 0;
}

/* Takes one that has come; sent[i] is 0 when i is answered, so that a duplicate does not count. */
static void take_echo(int fd, struct probe *p, int64_t sent[ECHOES_MAX])
{
    uint32_t buf[ECHO_BYTES / sizeof(uint32_t)];

    if (recv(fd, buf, sizeof buf, 0) != sizeof buf || buf[0] >= p->count || sent[buf[0]] == 0)
        return;
    p->rtt[p->answered++] = link_now() - sent[buf[0]];
    sent[buf[0]] = 0;
}

/* One every p->apart, so that a long way costs one round trip and not one for each. */
static int ask_echoes(void *arg)
{
    struct probe *p = arg;
    uint32_t buf[ECHO_BYTES / sizeof(uint32_t)] = {0};
    int64_t sent[ECHOES_MAX] = {0}, next = link_now();
    int fd = open_socket(LINK_CLIENT);

    if (fd < 0)
        return 1;
    for (unsigned asked = 0; p->answered < p->count;) {
        if (has_input(fd, next)) {
            take_echo(fd, p, sent);
        } else if (asked == p->count) {
            return 0;
        } else {
            buf[0] = asked;
            sent[asked] = link_now();
            if (send(fd, buf, sizeof buf, 0) < 0)
                return 1;
            asked++;
            next = sent[asked - 1] + (asked < p->count ? p->apart : p->wait);
        }
    }
    return 0;
}

/* ---- the train ---- */

/* The kernel's time of arrival: that we were late does not count. */
static ssize_t receive(int fd, void *buf, size_t cap, int64_t *at)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
    } space;
    struct iovec iov = {.iov_base = buf, .iov_len = cap};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = space.bytes,
                       .msg_controllen = sizeof space.bytes};
    ssize_t n = recvmsg(fd, &m, 0);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    struct timespec ts;

    if (!c)
        return -1;
    memcpy(&ts, CMSG_DATA(c), sizeof ts);
    *at = ts.tv_sec * LINK_SEC + ts.tv_nsec;
    return n;
}

static int take_train(void *arg)
{
    struct probe *p = arg;
    uint8_t buf[TRAIN_PACKET];
    uint32_t number, first = UINT32_MAX, last = 0;
    int64_t at, first_at = 0, last_at = 0;
    const int yes = 1;
    int fd = open_socket(!p->side);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes) < 0)
        return 1;
    say_ready(p);
    while (last + 1 < p->count && has_input(fd, link_now() + p->wait)) {
        if (receive(fd, buf, sizeof buf, &at) < (ssize_t)sizeof number)
            continue;
        memcpy(&number, buf, sizeof number);
        if (number < first) {
            first = number;
            first_at = at;
        }
        if (number > last) {
            last = number;
            last_at = at;
        }
    }
    p->took = last_at - first_at;
    if (last > first && last_at > first_at)
        p->rate = (last - first) * (p->bytes + (uint64_t)HEADERS) * 8 * (uint64_t)LINK_SEC /
                  (uint64_t)p->took;
    return 0;
}

/* As fast as the link drains, with something always queued and the queue never full. */
static int send_train(void *arg)
{
    const struct probe *p = arg;
    const struct link_path *path = &p->s->path[p->side];
    uint8_t buf[TRAIN_PACKET] = {0};
    double head =
        path->queue > 0 && path->queue / 2 < HEAD_BYTES ? (double)path->queue / 2 : HEAD_BYTES;
    int64_t begun = link_now();
    int fd = open_socket(p->side);

    for (uint32_t i = 0; fd >= 0 && i < p->count; i++) {
        double ahead = ((double)i * (p->bytes + HEADERS) - head) * 8 / (double)path->rate;
        int64_t left = begun + (int64_t)(ahead * (double)LINK_SEC) - link_now();
        struct timespec ts = {.tv_sec = left / LINK_SEC, .tv_nsec = left % LINK_SEC};

        if (left > 0)
            nanosleep(&ts, NULL);
        memcpy(buf, &i, sizeof i);
        if (send(fd, buf, p->bytes, 0) < 0 && errno != ECONNREFUSED)
            return 1;
    }
    return fd < 0;
}

/* ---- both ---- */

/* `one` begins and says that it is ready, then `other`; when that has ended, `one` may take `more`
 * time. */
static int run_both(struct link *link, struct probe *p, enum link_side first, int (*one)(void *),
                    int (*other)(void *), int64_t limit, int64_t more)
{
    pid_t a, b;
    int status, err = link_start(link, first, one, p, &a);

    if (err)
        return err;
    if (!has_input(p->ready[0], link_now() + 4 * PATIENCE))
        err = -ETIMEDOUT;
    if (!err)
        err = link_start(link, !first, other, p, &b);
    if (!err) {
        status = link_wait(link, b, limit);
        err = status < 0 ? status : status > 0 ? -EIO : 0;
        if (status < 0)
            link_kill(link, b);
    }
    if (err || link_wait(link, a, more) < 0)
        link_kill(link, a);
    return err;
}

static int together(struct link *link, struct probe *p, enum link_side first, int (*one)(void *),
                    int (*other)(void *), int64_t limit, int64_t more)
{
    int err = pipe(p->ready) < 0 ? -errno : 0;

    if (err)
        return err;
    err = run_both(link, p, first, one, other, limit, more);
    close(p->ready[0]);
    close(p->ready[1]);
    return err;
}

static int64_t serialization(const struct link_path *p, uint32_t bytes)
{
    return p->rate > 0 ? (int64_t)(bytes * UINT64_C(8) * (uint64_t)LINK_SEC / p->rate) : 0;
}

static int64_t one_way(const struct link_path *p, uint32_t bytes)
{
    return p->delay + p->jitter / 2 + serialization(p, bytes);
}

static int64_t bounded(int64_t v, int64_t least, int64_t most)
{
    return v < least ? least : v > most ? most : v;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* How many echoes, how far apart, and how long to wait for the last. */
static void plan_echoes(struct probe *p, const struct link_path path[2], int64_t rtt)
{
    p->apart = bounded(rtt, ECHO_APART_MIN, ECHO_APART_MAX);
    for (unsigned side = 0; side < 2; side++)
        p->apart =
            bounded(2 * serialization(&path[side], ECHO_BYTES + HEADERS), p->apart, INT64_MAX);
    p->wait = 2 * rtt + path[0].jitter + path[1].jitter + path[0].reorder_delay +
              path[1].reorder_delay + PATIENCE;
    p->count = (unsigned)bounded(ECHO_TIME / p->apart, ECHOES_MIN, ECHOES_MAX);
}

static int measure_rtt(struct link *link, struct probe *p, struct link_measure *ret)
{
    const struct link_path *path = link->s.path;
    int err;

    ret->rtt_expected =
        one_way(&path[0], ECHO_BYTES + HEADERS) + one_way(&path[1], ECHO_BYTES + HEADERS);
    plan_echoes(p, path, ret->rtt_expected);
    err = link_begin(link, 0);
    if (!err)
        err = together(link, p, LINK_SERVER, answer_echoes, ask_echoes,
                       p->count * p->apart + p->wait + 10 * PATIENCE, 0);
    if (!err)
        err = link_end(link, &ret->stats);
    ret->echoes = p->count;
    ret->answered = p->answered;
    qsort(p->rtt, p->answered, sizeof p->rtt[0], by_size);
    ret->rtt = p->answered > 0 ? p->rtt[p->answered / 2] : -1;
    return err;
}

/* Packets small enough for some to pass in time, and as many as pass. */
static void plan_train(struct probe *p, const struct link_path *path, uint32_t mtu)
{
    uint64_t all = path->rate / 8 * (uint64_t)TRAIN_TIME / (uint64_t)LINK_SEC;
    int64_t most = mtu - HEADERS < TRAIN_PACKET ? mtu - HEADERS : TRAIN_PACKET;

    p->bytes = (uint32_t)bounded((int64_t)all / TRAIN_MIN - HEADERS, ECHO_BYTES, most);
    p->count = (unsigned)bounded((int64_t)(all / (p->bytes + HEADERS)), TRAIN_MIN, TRAIN_MAX);
    p->wait = PATIENCE + 2 * one_way(path, p->bytes + HEADERS) + path->jitter + path->reorder_delay;
}

static int measure_rate(struct link *link, struct probe *p, enum link_side side,
                        struct link_measure *ret)
{
    const struct link_path *path = &link->s.path[side];
    struct link_stats ignored;
    int err;

    if (path->rate == 0)
        return 0;
    p->side = side;
    plan_train(p, path, link->s.mtu);
    p->rate = 0;
    p->took = 0;
    err = link_begin(link, 0);
    if (!err)
        err = together(link, p, !side, take_train, send_train,
                       10 * PATIENCE + p->wait + p->count * serialization(path, p->bytes + HEADERS),
                       10 * PATIENCE + p->wait);
    ret->rate[side] = p->rate;
    ret->took[side] = p->took;
    return err ? err : link_end(link, &ignored);
}

int link_measure(struct link *link, struct link_measure *ret)
{
    struct probe *p =
        mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int err;

    memset(ret, 0, sizeof *ret);
    if (p == MAP_FAILED)
        return -errno;
    p->s = &link->s;
    err = measure_rtt(link, p, ret);
    for (unsigned side = 0; side < 2 && !err; side++)
        err = measure_rate(link, p, side, ret);
    munmap(p, sizeof *p);
    return err;
}
