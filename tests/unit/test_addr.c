#include "config.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "net/addr.h"
#include "net/clock.h"

#define SOON (clock_now() + 20 * CLOCK_SEC)

static const char *show_all(const struct addr *a, int n)
{
    static char text[16 * ADDR_SHOW_MAX];
    char one[ADDR_SHOW_MAX];

    text[0] = '\0';
    for (int i = 0; i < n; i++) {
        strcat(text, i > 0 ? " " : "");
        strcat(text, addr_show(&a[i], one));
    }
    return text;
}

Test(addr, listen_specs_are_read)
{
    static const struct {
        const char *spec, *shown;
    } t[] = {
        {"127.0.0.1", "127.0.0.1:7069"},   {"127.0.0.1:80", "127.0.0.1:80"},
        {"127.0.0.1:0", "127.0.0.1:0"},    {"::1", "[::1]:7069"},
        {"[::1]", "[::1]:7069"},           {"[::1]:80", "[::1]:80"},
        {"fe80::1:2", "[fe80::1:2]:7069"}, {"0.0.0.0:65535", "0.0.0.0:65535"},
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct addr a[4];
        int n = addr_parse_listen(t[i].spec, 7069, a, 4);

        cr_assert_eq(n, 1, "%s: %d", t[i].spec, n);
        cr_expect_str_eq(show_all(a, n), t[i].shown);
    }
}

Test(addr, a_port_alone_is_every_address)
{
    struct addr a[4];
    int n = addr_parse_listen(":7000", 1, a, 4);
    const char *shown;

    cr_assert(n == 1 || n == 2);
    shown = show_all(a, n);
    cr_expect(strstr(shown, "0.0.0.0:7000") != NULL, "%s", shown);
    cr_expect(n == 1 || strstr(shown, "[::]:7000") != NULL, "%s", shown);
}

Test(addr, listen_specs_are_refused)
{
    static const char *const t[] = {"",      ":",         "127.0.0.1:", "127.0.0.1:x",
                                    ":-1",   ":65536",    "[::1",       "[::1]80",
                                    "[]:80", "[1.2.3.4]", "::1::",      "127.0.0.1:+80",
                                    "[x]:1", ":80 ",      "::1:99999"};
    struct addr a[4];

    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        cr_expect_eq(addr_parse_listen(t[i], 7069, a, 4), -XFER_EUSAGE, "%s", t[i]);
}

/* A label of more than 63 bytes is refused without asking any server. */
#define NO_HOST                                                                                    \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid"

Test(addr, unknown_names_are_said_to_be)
{
    struct addr a[4];

    cr_expect_eq(addr_parse_listen(NO_HOST ":80", 7069, a, 4), -XFER_EHOST);
    cr_expect_eq(addr_connect(NO_HOST, 80, 0, NULL, -1, SOON, NULL), -XFER_EHOST);
    cr_expect_eq(addr_connect("::1", 80, 4, NULL, -1, SOON, NULL), -XFER_EHOST);
}

static struct addr addr_of(const char *spec)
{
    struct addr a;

    cr_assert_eq(addr_parse_listen(spec, 7069, &a, 1), 1, "%s", spec);
    return a;
}

Test(addr, loopback_is_told_from_the_rest)
{
    static const struct {
        const char *spec;
        bool loopback;
    } t[] = {{"127.0.0.1", true},
             {"127.255.0.9", true},
             {"128.0.0.1", false},
             {"0.0.0.0", false},
             {"::1", true},
             {"::", false},
             {"::ffff:127.0.0.1", true},
             {"::ffff:10.0.0.1", false},
             {"fe80::1", false}};

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct addr a = addr_of(t[i].spec);

        cr_expect_eq(addr_is_loopback(&a), t[i].loopback, "%s", t[i].spec);
    }
}

static unsigned port_of(const struct addr *a)
{
    return ntohs(a->ss.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&a->ss)->sin6_port
                                             : ((const struct sockaddr_in *)&a->ss)->sin_port);
}

static int listen_at(const char *spec, struct addr *bound)
{
    struct addr a = addr_of(spec);

    return addr_listen(&a, bound);
}

static void expect_connects(const char *host, const char *spec)
{
    struct addr bound, peer;
    char shown[ADDR_SHOW_MAX], reached[ADDR_SHOW_MAX];
    int listener = listen_at(spec, &bound), fd, on = 0;
    socklen_t len = sizeof on;

    if (listener == -EADDRNOTAVAIL || listener == -EAFNOSUPPORT)
        cr_skip_test("no IPv6 here");
    cr_assert(listener >= 0, "%s: %d", spec, listener);
    cr_assert(port_of(&bound) != 0);
    fd = addr_connect(host, port_of(&bound), 0, NULL, -1, SOON, &peer);
    cr_assert(fd >= 0, "%s: %d", host, fd);
    cr_expect_str_eq(addr_show(&peer, reached), addr_show(&bound, shown));
    cr_expect_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    cr_expect(on != 0);
    cr_expect_eq(write(fd, "x", 1), 1);
    close(fd);
    close(listener);
}

Test(addr, connects_over_ipv4)
{
    expect_connects("127.0.0.1", "127.0.0.1:0");
}

Test(addr, connects_over_ipv6)
{
    expect_connects("::1", "[::1]:0");
}

/* localhost is ::1 and 127.0.0.1 on most systems, and only one of them listens. */
Test(addr, goes_on_to_the_next_address_of_a_name)
{
    expect_connects("localhost", "127.0.0.1:0");
}

Test(addr, connects_from_the_address_it_is_told)
{
    struct addr bound, own = {.len = sizeof own.ss};
    int listener = listen_at("127.0.0.1:0", &bound);
    int fd = addr_connect("127.0.0.1", port_of(&bound), 0, "127.0.0.2", -1, SOON, NULL);

    cr_assert(fd >= 0, "%d", fd);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&own.ss, &own.len), 0);
    cr_expect_eq(((struct sockaddr_in *)&own.ss)->sin_addr.s_addr, htonl(0x7f000002));
    close(fd);
    cr_expect_eq(addr_connect("127.0.0.1", port_of(&bound), 0, "::1", -1, SOON, NULL),
                 -EADDRNOTAVAIL);
    cr_expect_eq(addr_connect("127.0.0.1", port_of(&bound), 0, "nonsense", -1, SOON, NULL),
                 -XFER_EUSAGE);
    close(listener);
}

Test(addr, a_closed_port_refuses_at_once)
{
    struct addr bound;
    int listener = listen_at("127.0.0.1:0", &bound);

    close(listener);
    cr_expect_eq(addr_connect("127.0.0.1", port_of(&bound), 0, NULL, -1, SOON, NULL),
                 -ECONNREFUSED);
}

/* A listener whose queue is full does not answer any more. Returns it; *fill are what fills it. */
static int silent_listener(struct addr *bound, int fill[3])
{
    int listener = listen_at("127.0.0.1:0", bound);

    cr_assert_eq(listen(listener, 0), 0);
    for (int i = 0; i < 3; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fill[i], (struct sockaddr *)&bound->ss, bound->len);
    }
    return listener;
}

Test(addr, silence_ends_at_the_deadline)
{
    struct addr bound;
    int fill[3], listener = silent_listener(&bound, fill);
    int64_t deadline = clock_now() + CLOCK_SEC / 10;

    cr_expect_eq(addr_connect("127.0.0.1", port_of(&bound), 0, NULL, -1, deadline, NULL),
                 -ETIMEDOUT);
    cr_expect(clock_now() >= deadline);
    close(listener);
}

Test(addr, a_stop_ends_it)
{
    struct addr bound;
    int fill[3], listener = silent_listener(&bound, fill), stop = eventfd(1, 0);

    cr_expect_eq(addr_connect("127.0.0.1", port_of(&bound), 0, NULL, stop, CLOCK_NEVER, NULL),
                 -XFER_ECANCELED);
    close(stop);
    close(listener);
}

Test(addr, a_port_in_use_is_an_error)
{
    struct addr bound;
    int listener = listen_at("127.0.0.1:0", &bound);

    cr_expect_eq(addr_listen(&bound, NULL), -EADDRINUSE);
    close(listener);
}
