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
#define TRAIN_TIME (LINK_SEC / 4)
#define PATIENCE (LINK_SEC / 2)

/* Shared with the processes that measure. */
struct probe {
    const struct link_settings *s;
    enum link_side side; /* who sends the train */
    unsigned count;
    uint32_t bytes; /* of UDP */
    int ready[2];
    int64_t wait, rtt[ECHOES_MAX];
    unsigned answered;
    uint64_t rate;
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

static bool echo(int fd, const struct probe *p, uint32_t number, int64_t *took)
{
    uint32_t buf[ECHO_BYTES / sizeof(uint32_t)] = {number};
    int64_t sent = link_now();

    if (send(fd, buf, sizeof buf, 0) < 0)
        return false;
    while (has_input(fd, sent + p->wait))
        if (recv(fd, buf, sizeof buf, 0) == sizeof buf && buf[0] == number) {
            *took = link_now() - sent;
            return true;
        }
    return false;
}

static int ask_echoes(void *arg)
{
    struct probe *p = arg;
    int fd = open_socket(LINK_CLIENT);

    if (fd < 0)
        return 1;
    for (unsigned i = 0; i < p->count; i++)
        p->answered += echo(fd, p, i, &p->rtt[p->answered]);
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
    if (last > first && last_at > first_at)
        p->rate = (last - first) * (p->bytes + (uint64_t)HEADERS) * 8 * (uint64_t)LINK_SEC /
                  (uint64_t)(last_at - first_at);
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

static int64_t one_way(const struct link_path *p, uint32_t bytes)
{
    return p->delay + p->jitter / 2 +
           (p->rate > 0 ? (int64_t)(bytes * UINT64_C(8) * (uint64_t)LINK_SEC / p->rate) : 0);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static int measure_rtt(struct link *link, struct probe *p, struct link_measure *ret)
{
    const struct link_path *path = link->s.path;
    int64_t fits;
    int err;

    ret->rtt_expected =
        one_way(&path[0], ECHO_BYTES + HEADERS) + one_way(&path[1], ECHO_BYTES + HEADERS);
    p->wait = 2 * ret->rtt_expected + path[0].jitter + path[1].jitter + path[0].reorder_delay +
              path[1].reorder_delay + PATIENCE;
    fits = LINK_SEC / (ret->rtt_expected + 1);
    p->count = fits > ECHOES_MAX ? ECHOES_MAX : fits < ECHOES_MIN ? ECHOES_MIN : (unsigned)fits;
    err = link_begin(link, 0);
    if (!err)
        err = together(link, p, LINK_SERVER, answer_echoes, ask_echoes,
                       p->count * p->wait + PATIENCE, 0);
    if (!err)
        err = link_end(link, &ret->stats);
    ret->echoes = p->count;
    ret->answered = p->answered;
    qsort(p->rtt, p->answered, sizeof p->rtt[0], by_size);
    ret->rtt = p->answered > 0 ? p->rtt[p->answered / 2] : -1;
    return err;
}

static int measure_rate(struct link *link, struct probe *p, enum link_side side, uint64_t *ret)
{
    const struct link_path *path = &link->s.path[side];
    struct link_stats ignored;
    uint64_t n;
    int err;

    if (path->rate == 0)
        return 0;
    p->side = side;
    p->bytes = link->s.mtu - HEADERS < TRAIN_PACKET ? link->s.mtu - HEADERS : TRAIN_PACKET;
    n = path->rate / 8 * (uint64_t)TRAIN_TIME / (uint64_t)LINK_SEC / (p->bytes + HEADERS);
    p->count = n < TRAIN_MIN ? TRAIN_MIN : n > TRAIN_MAX ? TRAIN_MAX : (unsigned)n;
    p->rate = 0;
    p->wait = PATIENCE + 2 * one_way(path, p->bytes + HEADERS) + path->jitter + path->reorder_delay;
    err = link_begin(link, 0);
    if (!err)
        err = together(link, p, !side, take_train, send_train,
                       10 * PATIENCE + p->count * one_way(path, p->bytes + HEADERS),
                       10 * PATIENCE + p->wait);
    *ret = p->rate;
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
        err = measure_rate(link, p, side, &ret->rate[side]);
    munmap(p, sizeof *p);
    return err;
}
