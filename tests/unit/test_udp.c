#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/udp.h"

#define LONG_WAIT (20 * CLOCK_SEC)

static struct addr loopback(unsigned port)
{
    struct addr a;

    cr_assert_eq(addr_parse_listen("127.0.0.1:0", 0, &a, 1), 1);
    addr_set_port(&a, port);
    return a;
}

/* A transfer from server to client, both pinned. */
struct pair {
    struct udp client, server;
    int listener;
};

static const struct udp_ports any_ports = {0};

static struct pair pair_new(size_t payload, unsigned window)
{
    struct addr any = loopback(0), bound, from, local;
    struct pair p;
    char buf[16];

    p.listener = udp_listen(&any, false, &bound);
    cr_assert(p.listener >= 0);
    cr_assert_eq(udp_open_client(&p.client, &bound, NULL), 0);
    cr_assert_eq(udp_send(&p.client, "request", 7), 0);
    cr_assert_eq(udp_listen_recv(p.listener, buf, sizeof buf, &from, &local), 7);
    cr_assert_eq(addr_port(&local), addr_port(&bound));
    cr_assert_eq(udp_open_server(&p.server, &local, &from, &any_ports), 0);
    cr_assert_neq(addr_port(&p.server.local), addr_port(&bound));
    cr_assert_eq(udp_pin(&p.client, &p.server.local), 0);
    cr_assert_eq(udp_expect(&p.client, payload, window), 0);
    cr_assert_eq(udp_expect(&p.server, payload, 1), 0);
    return p;
}

static void pair_close(struct pair *p)
{
    udp_close(&p->client);
    udp_close(&p->server);
    close(p->listener);
}

/* The next datagram, waited for. */
static struct udp_datagram expect(struct udp *u)
{
    int64_t until = clock_now() + LONG_WAIT;
    struct udp_datagram d;
    int r;

    while ((r = udp_recv(u, &d)) == 0 && clock_now() < until)
        udp_wait(u, -1, until);
    cr_assert_eq(r, 1, "no datagram: %d", r);
    return d;
}

Test(udp, there_and_back)
{
    struct pair p = pair_new(512, 1);
    struct udp_datagram d;

    cr_assert_eq(udp_recv(&p.client, &d), 0);
    cr_assert_eq(udp_send(&p.server, "one", 3), 0);
    d = expect(&p.client);
    cr_expect(d.n == 3 && memcmp(d.p, "one", 3) == 0 && !d.stranger);
    cr_assert_eq(udp_send(&p.client, "", 0), 0);
    d = expect(&p.server);
    cr_expect(d.n == 0 && !d.stranger);
    pair_close(&p);
}

Test(udp, strangers_meet_the_companion)
{
    struct pair p = pair_new(512, 1);
    struct udp stranger;
    struct udp_datagram d;
    struct addr from;
    char buf[16];

    cr_assert_eq(udp_open_client(&stranger, &p.server.local, NULL), 0);
    cr_assert_eq(udp_expect(&stranger, 512, 1), 0);
    cr_assert_eq(udp_send(&stranger, "hello", 5), 0);
    cr_assert_eq(udp_wait(&p.server, -1, clock_now() + LONG_WAIT), UDP_STRANGER);
    cr_expect_eq(udp_recv(&p.server, &d), 0);
    cr_expect_eq(udp_recv_stranger(&p.server, buf, sizeof buf, &from), 5);
    udp_send_stranger(&p.server, &from, "no", 2);
    cr_expect_eq(udp_recv_stranger(&p.server, buf, sizeof buf, &from), 0);
    d = expect(&stranger);
    cr_expect(d.n == 2 && addr_same_peer(d.from, &p.server.local));
    udp_close(&stranger);
    pair_close(&p);
}

/* What is in the queue when the socket is connected came from anybody. */
Test(udp, datagrams_from_before_are_told_apart)
{
    struct addr any = loopback(0), bound, other;
    struct udp client, stranger;
    struct udp_datagram d;

    int listener = udp_listen(&any, false, &bound);
    cr_assert_eq(udp_open_client(&client, &bound, NULL), 0);
    cr_assert_eq(udp_expect(&client, 512, 8), 0);
    struct addr to = loopback(addr_port(&client.local));
    cr_assert_eq(udp_open_client(&stranger, &to, NULL), 0);
    udp_send(&stranger, "strange", 7);
    udp_listen_send(listener, &bound, &to, "peer", 4);
    cr_assert_eq(udp_pin(&client, &bound), 0);
    d = expect(&client);
    cr_expect(d.n == 7 && d.stranger);
    other = *d.from;
    cr_expect_eq(addr_port(&other), addr_port(&stranger.local));
    d = expect(&client);
    cr_expect(d.n == 4 && !d.stranger);
    udp_close(&client);
    udp_close(&stranger);
    close(listener);
}

Test(udp, the_address_asked_is_told)
{
    struct addr every = loopback(0), bound, to = loopback(0), from, local;
    struct udp client;
    char buf[16];

    ((struct sockaddr_in *)&every.ss)->sin_addr.s_addr = INADDR_ANY;
    int listener = udp_listen(&every, false, &bound);
    ((struct sockaddr_in *)&to.ss)->sin_addr.s_addr = htonl(0x7f010203);
    addr_set_port(&to, addr_port(&bound));
    cr_assert_eq(udp_open_client(&client, &to, NULL), 0);
    udp_send(&client, "x", 1);
    cr_assert_eq(udp_listen_recv(listener, buf, sizeof buf, &from, &local), 1);
    cr_expect(addr_same_peer(&local, &to));
    udp_close(&client);

    ((struct sockaddr_in *)&to.ss)->sin_addr.s_addr = htonl(0x7fffffff); /* a broadcast */
    cr_assert_eq(udp_open_client(&client, &to, NULL), 0);
    setsockopt(client.fd, SOL_SOCKET, SO_BROADCAST, &(int){1}, sizeof(int));
    cr_assert_eq(udp_send(&client, "x", 1), 0);
    cr_assert_eq(udp_listen_recv(listener, buf, sizeof buf, &from, &local), 1);
    cr_expect_eq(local.len, 0);
    cr_expect_eq(udp_listen_recv(listener, buf, sizeof buf, &from, &local), -EAGAIN);
    udp_close(&client);
    close(listener);
}

static void send_blocks(struct udp *u, uint8_t *mem, unsigned n, size_t size, size_t last)
{
    struct iovec iov[200];

    for (unsigned i = 0; i < n; i++) {
        iov[i] = (struct iovec){mem + i * size, i + 1 == n ? last : size};
        memset(iov[i].iov_base, (int)i, iov[i].iov_len);
    }
    cr_assert_eq(udp_send_many(u, iov, n), 0);
}

/* Many datagrams arrive as many, in order, with and without offload on either side. */
Test(udp, many_at_once)
{
    static const struct {
        unsigned n;
        size_t size, last;
    } t[] = {{2, 512, 512},   {64, 1432, 1432}, {65, 1432, 4},    {100, 516, 1},
             {7, 8196, 8196}, {8, 8196, 100},   {3, 65468, 1000}, {200, 12, 12},
             {200, 12, 4},    {1, 100, 100},    {2, 40000, 5},    {46, 1432, 1431}};
    uint8_t *mem = malloc(200 * 65468);

    for (unsigned mode = 0; mode < 4; mode++) {
        for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
            struct pair p = pair_new(t[i].size, mode & 1 ? 64 : 1);
            p.server.gso = p.server.gso && (mode & 2);
            send_blocks(&p.server, mem, t[i].n, t[i].size, t[i].last);
            for (unsigned k = 0; k < t[i].n; k++) {
                struct udp_datagram d = expect(&p.client);
                size_t size = k + 1 == t[i].n ? t[i].last : t[i].size;
                cr_assert_eq(d.n, size, "%u of %u x %zu: %zu", k, t[i].n, t[i].size, d.n);
                cr_assert(size == 0 || (d.p[0] == (uint8_t)k && d.p[size - 1] == (uint8_t)k));
            }
            pair_close(&p);
        }
    }
    free(mem);
}

/* The window is capped by this: as many as it says must really fit, whatever the buffer. */
Test(udp, what_fits_fits)
{
    static const size_t sizes[] = {8, 512, 1000, 1428, 4096, 8192, 16384, 32768, 65464};
    static const int buffers[] = {100 * 1024, 212992 / 2, 1024 * 1024};
    uint8_t *mem = calloc(1, 65536);

    for (size_t b = 0; b < sizeof buffers / sizeof *buffers; b++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct pair p = pair_new(sizes[i] + 4, 1);
            socklen_t len = sizeof p.client.rcvbuf;
            setsockopt(p.client.fd, SOL_SOCKET, SO_RCVBUF, &buffers[b], sizeof buffers[b]);
            getsockopt(p.client.fd, SOL_SOCKET, SO_RCVBUF, &p.client.rcvbuf, &len);
            unsigned n = udp_fits(&p.client, sizes[i] + 4);
            for (unsigned k = 0; k < n; k++)
                cr_assert_eq(udp_send(&p.server, mem, sizes[i] + 4), 0);
            for (unsigned k = 0; k < n; k++) {
                struct udp_datagram d;
                cr_assert_eq(udp_recv(&p.client, &d), 1, "%u of %u datagrams of %zu in %d bytes", k,
                             n, sizes[i], p.client.rcvbuf);
            }
            pair_close(&p);
        }
    }
    free(mem);
}

Test(udp, what_is_too_long_shows)
{
    struct pair p = pair_new(100, 1);
    char mem[1000] = "";

    for (size_t n = 99; n <= 102; n++) {
        cr_assert_eq(udp_send(&p.server, mem, n), 0);
        cr_expect_eq(expect(&p.client).n, n > 100 ? 101 : n);
    }
    pair_close(&p);
}

Test(udp, a_closed_port_is_told)
{
    struct pair p = pair_new(100, 1);
    struct udp_datagram d;

    udp_close(&p.server);
    cr_assert_eq(udp_send(&p.client, "x", 1), 0);
    cr_assert_eq(udp_wait(&p.client, -1, clock_now() + LONG_WAIT), UDP_INPUT);
    cr_expect_eq(udp_recv(&p.client, &d), -ECONNREFUSED);
    /* and nothing is left that would keep a wait from waiting */
    cr_expect_eq(udp_wait(&p.client, -1, clock_now() + CLOCK_SEC / 50), UDP_TIME);
    pair_close(&p);
}

/* sendmmsg takes the error of a socket and tells of what it had sent before: the queue keeps it. */
Test(udp, a_closed_port_is_told_by_the_queue_alone)
{
    struct pair p = pair_new(100, 1);
    struct udp_datagram d;
    socklen_t n = sizeof(int);
    int taken;

    udp_close(&p.server);
    cr_assert_eq(udp_send(&p.client, "x", 1), 0);
    getsockopt(p.client.fd, SOL_SOCKET, SO_ERROR, &taken, &n);
    cr_assert_eq(taken, ECONNREFUSED);
    cr_assert_eq(udp_recv(&p.client, &d), 0);
    cr_assert_eq(udp_wait(&p.client, -1, clock_now() + LONG_WAIT), UDP_INPUT);
    cr_expect_eq(udp_recv(&p.client, &d), -ECONNREFUSED);
    cr_expect_eq(udp_wait(&p.client, -1, clock_now() + CLOCK_SEC / 50), UDP_TIME);
    pair_close(&p);
}

Test(udp, what_was_sent_before_the_port_closed_comes_first)
{
    struct pair p = pair_new(100, 1);
    struct udp_datagram d;

    cr_assert_eq(udp_send(&p.server, "last ack", 8), 0);
    udp_close(&p.server);
    cr_assert_eq(udp_send(&p.client, "again", 5), 0);
    cr_assert_eq(udp_send(&p.client, "again", 5), 0);
    d = expect(&p.client);
    cr_expect(d.n == 8 && memcmp(d.p, "last ack", 8) == 0);
    cr_assert_eq(udp_wait(&p.client, -1, clock_now() + LONG_WAIT), UDP_INPUT);
    cr_expect_eq(udp_recv(&p.client, &d), -ECONNREFUSED);
    pair_close(&p);
}

Test(udp, a_closed_port_is_told_before_the_first_answer)
{
    struct addr any = loopback(0), bound;
    struct udp client;
    struct udp_datagram d;

    int listener = udp_listen(&any, false, &bound);
    close(listener);
    cr_assert_eq(udp_open_client(&client, &bound, NULL), 0);
    cr_assert_eq(udp_expect(&client, 512, 1), 0);
    cr_assert_eq(udp_send(&client, "x", 1), 0);
    cr_assert_eq(udp_wait(&client, -1, clock_now() + LONG_WAIT), UDP_INPUT);
    cr_expect_eq(udp_recv(&client, &d), -ECONNREFUSED);
    udp_close(&client);
}

Test(udp, waiting_ends)
{
    struct pair p = pair_new(100, 1);
    int stop = eventfd(0, 0);
    int64_t began = clock_now();

    cr_expect_eq(udp_wait(&p.client, stop, began + CLOCK_SEC / 50), UDP_TIME);
    cr_expect(clock_now() - began >= CLOCK_SEC / 50);
    cr_expect_eq(udp_wait(&p.client, stop, began), UDP_TIME);
    eventfd_write(stop, 1);
    cr_expect_eq(udp_wait(&p.client, stop, CLOCK_NEVER), UDP_STOP);
    udp_send(&p.server, "x", 1);
    while (udp_wait(&p.client, stop, CLOCK_NEVER) != (UDP_STOP | UDP_INPUT))
        ;
    close(stop);
    pair_close(&p);
}

Test(udp, ports)
{
    struct addr any = loopback(0), bound, from = loopback(9), again;
    int listener = udp_listen(&any, true, &bound);
    struct udp_ports ports = {.single = true};
    struct udp a, b, c;

    cr_expect_eq(udp_listen(&bound, true, &again), -EADDRINUSE, "a second server comes in");
    cr_assert_eq(udp_open_server(&a, &bound, &from, &ports), 0);
    addr_set_port(&from, 10);
    cr_assert_eq(udp_open_server(&b, &bound, &from, &ports), 0);
    cr_expect_eq(addr_port(&a.local), addr_port(&bound));
    cr_expect_eq(addr_port(&b.local), addr_port(&bound));
    udp_close(&b);
    udp_close(&a);

    /* the port of a listener that was closed was free a moment ago */
    close(listener);
    ports = (struct udp_ports){addr_port(&bound), addr_port(&bound), false};
    cr_assert_eq(udp_open_server(&a, &bound, &from, &ports), 0);
    cr_expect_eq(addr_port(&a.local), addr_port(&bound));
    cr_expect_eq(udp_open_server(&b, &bound, &from, &ports), -EADDRINUSE);
    cr_expect_eq(udp_open_server(&c, &bound, &from, &any_ports), 0);
    cr_expect_eq(udp_listen(&bound, false, &again), -EADDRINUSE);
    udp_close(&a);
    udp_close(&b);
    udp_close(&c);
}

Test(udp, a_path_has_a_size)
{
    struct pair p = pair_new(100, 1);

    cr_expect(udp_path_payload(&p.client) >= 1432);
    cr_expect(udp_path_payload(&p.client) <= UDP_DATAGRAM_MAX);
    pair_close(&p);
}
