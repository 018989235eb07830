/* The emulated link, by an ordinary user. No bound on time here is one that a loaded machine
 * misses: exactness is measured by tests/bench/link.py. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ground.h"
#include "link/link.h"

#define MS INT64_C(1000000)
#define SEC (1000 * MS)
#define LIMIT (60 * SEC)

enum {
    PORT = 4000,
    DATAGRAMS = 500,
    DATAGRAM = 200,
    BULK = 2 << 20,
    TCP_CHUNK = 16 << 10,
    KILLS = 30
};

static struct link_settings settings(int64_t delay)
{
    return (struct link_settings){
        .mtu = 1500, .records = 2048, .path = {{.delay = delay}, {.delay = delay}}};
}

static struct link *opened(const struct link_settings *s)
{
    struct link *link;
    struct link_problem p;
    int err = link_open(&link, s, &p);

    if (err) {
        tap_check(false, "open: %s (%d)", p.why, err);
        exit(tap_end());
    }
    return link;
}

static bool balanced(const struct link_counts *c)
{
    return c->in_packets + c->duplicated ==
           c->out_packets + c->dropped_queue + c->dropped_loss + c->dropped_pool;
}

/* ---- processes at the ends ---- */

static struct sockaddr_in server_address(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    inet_pton(AF_INET, LINK_SERVER_ADDRESS, &a.sin_addr);
    return a;
}

static int server_socket(int type)
{
    struct sockaddr_in a = server_address();
    int fd = socket(AF_INET, type, 0);
    const int yes = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    return bind(fd, (struct sockaddr *)&a, sizeof a) == 0 ? fd : -1;
}

static int client_socket(int type)
{
    struct sockaddr_in a = server_address();
    int fd = socket(AF_INET, type, 0);

    return connect(fd, (struct sockaddr *)&a, sizeof a) == 0 ? fd : -1;
}

/* Datagrams, one after the other as fast as they go; nobody has to hear them. */
static int send_datagrams(void *arg)
{
    char buf[DATAGRAM] = {0};
    struct sockaddr_in a = server_address();
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    (void)arg;
    for (unsigned i = 0; i < DATAGRAMS; i++)
        if (sendto(fd, buf, sizeof buf, 0, (struct sockaddr *)&a, sizeof a) < 0)
            return 1;
    return 0;
}

/* Datagrams that the kernel is asked to cut out of one. */
static int send_segmented(void *arg)
{
    static char buf[10 * 1000];
    const int size = 1000;
    int fd = client_socket(SOCK_DGRAM);

    (void)arg;
    setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
    return send(fd, buf, sizeof buf, 0) == sizeof buf ? 0 : 1;
}

static int hear_datagrams(void *arg)
{
    const int *ready = arg;
    char buf[2048];
    int fd = server_socket(SOCK_DGRAM);

    if (fd < 0 || write(ready[1], "", 1) != 1)
        return 1;
    while (recv(fd, buf, sizeof buf, 0) >= 0)
        ;
    return 1;
}

struct damaged {
    int ready[2], enough[2];
    unsigned got, damaged;
};

/* Counts datagrams, which are all zeros when nobody has touched them, until told to stop. */
static int count_damaged(void *arg)
{
    struct damaged *d = arg;
    static const char zeros[DATAGRAM];
    char buf[2 * DATAGRAM];
    int fd = server_socket(SOCK_DGRAM);
    struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = d->enough[0], .events = POLLIN}};

    if (fd < 0 || write(d->ready[1], "", 1) != 1)
        return 1;
    while (poll(p, 2, -1) > 0 && (p[0].revents || !p[1].revents))
        if (p[0].revents && recv(fd, buf, sizeof buf, 0) == DATAGRAM) {
            d->got++;
            d->damaged += memcmp(buf, zeros, DATAGRAM) != 0;
        }
    return 0;
}

struct bulk {
    int ready[2];
    const char *congestion;
    uint64_t got;
    bool intact;
};

static char byte_at(size_t i)
{
    return (char)(i * 31 + i / 251);
}

static int take_bulk(void *arg)
{
    struct bulk *b = arg;
    static char buf[TCP_CHUNK];
    int listener = server_socket(SOCK_STREAM), fd;
    ssize_t n;

    if (listener < 0 || listen(listener, 1) < 0 || write(b->ready[1], "", 1) != 1)
        return 1;
    fd = accept(listener, NULL, NULL);
    b->intact = true;
    while ((n = read(fd, buf, sizeof buf)) > 0)
        for (ssize_t i = 0; i < n; i++)
            b->intact = (buf[i] == byte_at(b->got++)) && b->intact;
    return n < 0;
}

static int give_bulk(void *arg)
{
    const struct bulk *b = arg;
    static char buf[BULK];
    int fd = client_socket(SOCK_STREAM);
    char end;

    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, b->congestion,
                             (socklen_t)strlen(b->congestion)) < 0)
        return 1;
    for (size_t i = 0; i < sizeof buf; i++)
        buf[i] = byte_at(i);
    for (size_t at = 0; at < sizeof buf;) {
        ssize_t n = write(fd, buf + at, sizeof buf - at);

        if (n < 0)
            return 1;
        at += (size_t)n;
    }
    shutdown(fd, SHUT_WR);
    return read(fd, &end, 1) == 0 ? 0 : 1;
}

static bool heard(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 60000) == 1;
}

/* ---- tests ---- */

static void test_round_trip(void)
{
    struct link_settings s = settings(20 * MS);
    struct link *link = opened(&s);
    struct link_measure m;
    struct link_problem p;
    int err = link_measure(link, &m);

    tap_check(err == 0 && m.answered == m.echoes, "every echo comes back (%d, %u of %u)", err,
              m.answered, m.echoes);
    tap_check(m.rtt >= 40 * MS && m.rtt < 400 * MS, "a round trip over 2 x 20 ms takes %.2f ms",
              (double)m.rtt / MS);
    tap_check(m.rtt_expected == 40 * MS, "which was expected");
    tap_check(balanced(&m.stats.path[0]) && balanced(&m.stats.path[1]) &&
                  m.stats.path[0].in_packets == m.echoes &&
                  m.stats.path[1].out_packets == m.echoes &&
                  m.stats.path[0].in_bytes == m.echoes * UINT64_C(60),
              "each echo is one packet of 60 bytes each way, none lost");
    printf("# late by %.3f ms (p50), %.3f (p99); %s\n", (double)m.stats.path[0].lateness_p50 / MS,
           (double)m.stats.path[0].lateness_p99 / MS,
           link_is_trustworthy(&s, &m.stats, &p) && link_is_faithful(&s, &m, &p) ? "faithful"
                                                                                 : p.why);
    link_close(link);
}

static void test_rate(void)
{
    struct link_settings s = settings(5 * MS);
    struct link *link;
    struct link_measure m = {0};
    int err;

    s.path[LINK_CLIENT].rate = 4000000;
    s.path[LINK_SERVER].rate = 2000000;
    link = opened(&s);
    err = link_measure(link, &m);
    tap_check(err == 0 && m.rate[0] > 1000000 && m.rate[0] < 4800000 && m.rate[1] > 500000 &&
                  m.rate[1] < 2400000,
              "trains over 4 and 2 Mbit/s have %.3f and %.3f", (double)m.rate[0] / 1e6,
              (double)m.rate[1] / 1e6);
    link_close(link);
}

/* The fates of a run of datagrams, a character each. */
static void fates(struct link *link, uint64_t seed, char out[DATAGRAMS + 1], struct link_stats *st)
{
    const struct link_record *r;
    size_t n;
    pid_t pid;

    memset(out, 0, DATAGRAMS + 1);
    if (link_begin(link, seed) < 0 ||
        link_start(link, LINK_CLIENT, send_datagrams, NULL, &pid) < 0 ||
        link_wait(link, pid, LIMIT) != 0 || link_end(link, st) < 0)
        return;
    r = link_records(link, &n);
    for (size_t i = 0; i < n; i++)
        if (r[i].side == LINK_CLIENT && r[i].number < DATAGRAMS)
            out[r[i].number] = (char)('a' + r[i].fate + 4 * r[i].what);
}

static void test_fates(void)
{
    struct link_settings s = settings(2 * MS);
    char first[DATAGRAMS + 1], again[DATAGRAMS + 1], other[DATAGRAMS + 1];
    struct link *link;
    struct link_stats st = {0}, same = {0}, else_ = {0};
    const struct link_counts *c = &st.path[LINK_CLIENT];

    s.path[LINK_CLIENT].loss = 0.1;
    s.path[LINK_CLIENT].duplicate = 0.05;
    s.path[LINK_CLIENT].corrupt = 0.05;
    s.path[LINK_CLIENT].reorder = 0.05;
    s.path[LINK_CLIENT].reorder_delay = MS;
    link = opened(&s);
    fates(link, 7, first, &st);
    fates(link, 8, other, &else_);
    fates(link, 7, again, &same);
    tap_check(strlen(first) == DATAGRAMS && strcmp(first, again) == 0,
              "the same seed, the same fate for each of %zu packets", strlen(first));
    tap_check(strcmp(first, other) != 0, "another seed, other fates");
    tap_check(c->in_packets == DATAGRAMS && balanced(c) && balanced(&st.path[LINK_SERVER]) &&
                  c->dropped_loss == same.path[LINK_CLIENT].dropped_loss,
              "in = out + dropped - duplicated");
    /* four standard deviations */
    tap_check(c->dropped_loss > 23 && c->dropped_loss < 77, "10%% of loss: %d of 500",
              (int)c->dropped_loss);
    tap_check(c->duplicated > 0 && c->corrupted > 0 && c->reordered > 0,
              "duplicated %d, corrupted %d, reordered %d", (int)c->duplicated, (int)c->corrupted,
              (int)c->reordered);
    link_close(link);
}

static void damage(bool fix, struct damaged *d, struct link_stats *st)
{
    struct link_settings s = settings(MS);
    struct link *link;
    pid_t server, client;

    s.path[LINK_CLIENT].corrupt = 0.2;
    s.path[LINK_CLIENT].fix_checksum = fix;
    link = opened(&s);
    *d = (struct damaged){.got = 0};
    if (pipe(d->ready) == 0 && pipe(d->enough) == 0 && link_begin(link, 1) == 0 &&
        link_start(link, LINK_SERVER, count_damaged, d, &server) == 0 && heard(d->ready[0]) &&
        link_start(link, LINK_CLIENT, send_datagrams, NULL, &client) == 0 &&
        link_wait(link, client, LIMIT) == 0 && link_end(link, st) == 0 &&
        write(d->enough[1], "", 1) == 1)
        link_wait(link, server, LIMIT);
    link_close(link);
}

static void test_corruption(void)
{
    struct damaged *d =
        mmap(NULL, sizeof *d, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct link_stats st = {0};
    const struct link_counts *c = &st.path[LINK_CLIENT];

    damage(false, d, &st);
    tap_check(c->corrupted > 50 && d->got > 0 && d->damaged == 0,
              "checksums find flipped bits: %d of %d corrupted, %u came, %u damaged",
              (int)c->corrupted, (int)c->in_packets, d->got, d->damaged);
    damage(true, d, &st);
    tap_check(d->damaged > 0 && d->damaged <= c->corrupted,
              "with the checksum fixed they come through: %d corrupted, %u came, %u damaged",
              (int)c->corrupted, d->got, d->damaged);
}

static void test_queue(void)
{
    struct link_settings s = settings(0);
    struct link_stats st = {0};
    char ignored[DATAGRAMS + 1];
    struct link *link;
    const struct link_counts *c = &st.path[LINK_CLIENT];

    s.path[LINK_CLIENT].rate = 100000;
    s.path[LINK_CLIENT].queue = 2280; /* ten datagrams */
    link = opened(&s);
    fates(link, 1, ignored, &st);
    tap_check(c->dropped_queue > 0 && c->backlog_max <= 2280 && balanced(c),
              "a full queue drops: %d of %d, at most %d bytes queued", (int)c->dropped_queue,
              (int)c->in_packets, (int)c->backlog_max);
    link_close(link);
}

static bool at_the_second_look(void *arg)
{
    unsigned *looks = arg;

    return ++*looks == 2;
}

/* What is on its way for twenty seconds is not waited for, not even the five that an end takes. */
static void test_hurry(void)
{
    struct link_settings s = settings(20 * SEC);
    struct link *link = opened(&s);
    struct link_stats st = {0};
    const struct link_counts *c = &st.path[LINK_CLIENT];
    unsigned looks = 0;
    struct timespec begun = {0};
    int64_t took;
    pid_t client;
    size_t n;
    int err = -1;

    if (link_begin(link, 1) == 0 &&
        link_start(link, LINK_CLIENT, send_datagrams, NULL, &client) == 0 &&
        link_wait(link, client, LIMIT) == 0) {
        clock_gettime(CLOCK_MONOTONIC, &begun);
        err = link_end_unless(link, at_the_second_look, &looks, &st);
    }
    took = st.ended - begun.tv_sec * SEC - begun.tv_nsec;
    tap_check(err == 0 && took < 9 * SEC / 2, "an end in a hurry takes no 5 s: %d ms",
              (int)(took / MS));
    link_records(link, &n);
    tap_check(c->out_packets == DATAGRAMS && balanced(c) && n == DATAGRAMS,
              "what was on its way arrives all the same: %d", (int)c->out_packets);
    tap_check(link_begin(link, 2) == 0 && link_end(link, &st) == 0 && c->in_packets == 0,
              "and another run begins with nothing");
    link_close(link);
}

static void test_tcp(uint32_t mtu)
{
    struct link_settings s = settings(5 * MS);
    struct bulk *b =
        mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct link_stats st = {0};
    struct link *link;
    pid_t server, client;
    size_t n, largest = 0;
    const struct link_record *r;
    int served = -1, given = -1, err;

    s.path[0].rate = s.path[1].rate = 50000000;
    s.mtu = mtu;
    link = opened(&s);
    b->congestion = "cubic";
    if (pipe(b->ready) == 0 && link_begin(link, 1) == 0 &&
        link_start(link, LINK_SERVER, take_bulk, b, &server) == 0 && heard(b->ready[0]) &&
        link_start(link, LINK_CLIENT, give_bulk, b, &client) == 0) {
        given = link_wait(link, client, LIMIT);
        served = link_wait(link, server, LIMIT);
    }
    tap_check(given == 0 && served == 0 && b->got == BULK && b->intact,
              "TCP with cubic carries 2 MiB in packets of %u (%d, %d, %d bytes)", mtu, given,
              served, (int)b->got);
    err = link_end(link, &st);
    tap_check(err == 0 && balanced(&st.path[0]) && balanced(&st.path[1]) &&
                  st.path[0].in_bytes > BULK,
              "its packets are counted: %d and %d", (int)st.path[0].in_packets,
              (int)st.path[1].in_packets);
    r = link_records(link, &n);
    for (size_t i = 0; i < n; i++)
        largest = r[i].length > largest ? r[i].length : largest;
    tap_check(st.records_missed == st.path[0].in_packets + st.path[1].in_packets - n,
              "what is not recorded is told: %d", (int)st.records_missed);
    tap_check(largest == mtu, "none is larger than the MTU: %zu", largest);
    link_close(link);
}

static void test_segments(void)
{
    struct link_settings s = settings(MS);
    struct link *link = opened(&s);
    struct link_stats st = {0};
    const struct link_record *r;
    pid_t server, client;
    int ready[2], status = -1;
    size_t n, whole = 0;

    if (pipe(ready) == 0 && link_begin(link, 1) == 0 &&
        link_start(link, LINK_SERVER, hear_datagrams, ready, &server) == 0 && heard(ready[0]) &&
        link_start(link, LINK_CLIENT, send_segmented, NULL, &client) == 0)
        status = link_wait(link, client, LIMIT);
    link_end(link, &st);
    r = link_records(link, &n);
    for (size_t i = 0; i < n; i++)
        whole += r[i].length == 1028;
    tap_check(status != 0 || (n == 10 && whole == 10),
              "datagrams given as one cross one by one (%d: %zu of %zu)", status, whole, n);
    link_close(link); /* and the server with it */
}

static void test_capture(void)
{
    struct link_settings s = settings(MS);
    char fate[DATAGRAMS + 1];
    int fd = memfd_create("capture", 0), err;
    struct link *link;
    struct link_stats st;
    struct link_capture *c;
    const struct link_record *r;
    size_t n;

    s.path[0].loss = 0.1;
    link = opened(&s);
    fates(link, 1, fate, &st);
    r = link_records(link, &n);
    err = link_capture_open(&c, fdopen(dup(fd), "wb"));
    if (!err)
        err = link_capture_add(c, "udp", r, n);
    if (!err)
        err = link_capture_close(c);
    tap_check(err == 0 && n >= DATAGRAMS && lseek(fd, 0, SEEK_END) > (off_t)(n * DATAGRAM),
              "a capture is written of %zu packets", n);
    close(fd);
    link_close(link);
}

/* ---- ends ---- */

static int sleep_long(void *arg)
{
    (void)arg;
    sleep(1000);
    return 0;
}

/* A port that no other process may have meanwhile; tells whether it has it. */
static int hold_port(void *arg)
{
    const int *told = arg;
    struct sockaddr_in a = server_address();
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (write(told[1], bind(fd, (struct sockaddr *)&a, sizeof a) == 0 ? "y" : "n", 1) != 1)
        return 1;
    pause();
    return 0;
}

static void test_kill(void)
{
    struct link_settings s = settings(0);
    struct link *link = opened(&s);
    unsigned held = 0;
    int told[2];
    char answer;
    pid_t pid;

    if (pipe(told) < 0)
        exit(99);
    for (unsigned i = 0; i < KILLS; i++) {
        if (link_start(link, LINK_SERVER, hold_port, told, &pid) == 0 && heard(told[0]) &&
            read(told[0], &answer, 1) == 1)
            held += answer == 'y';
        link_kill(link, pid);
    }
    tap_check(held == KILLS, "who is killed is gone: %u of %d had the port after one another", held,
              KILLS);
    link_close(link);
}

static void test_exit_status(void)
{
    struct link_settings s = settings(0);
    struct link *link = opened(&s);
    char *program[] = {"sh", "-c", "test \"$(id -u)\" = 0 && exit 42", NULL};
    char *none[] = {"no-such-program", NULL};
    pid_t pid;

    link_start_program(link, LINK_CLIENT, program, &pid);
    tap_check(link_wait(link, pid, LIMIT) == 42, "a program's exit status comes back");
    link_start_program(link, LINK_CLIENT, none, &pid);
    tap_check(link_wait(link, pid, LIMIT) == 127, "one that is not there: 127");
    link_start(link, LINK_SERVER, sleep_long, NULL, &pid);
    tap_check(link_wait(link, pid, MS) == -ETIMEDOUT, "waiting has a limit");
    link_terminate(link, pid);
    tap_check(link_wait(link, pid, LIMIT) == 128 + SIGTERM, "SIGTERM is passed on");
    link_start(link, LINK_SERVER, sleep_long, NULL, &pid);
    link_close(link);
    tap_check(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "closing leaves no child behind");
}

/* Everybody holds the pipe that its caller made: its end is the end of all. */
static void test_killed_caller(void)
{
    int alive[2], standing[2];
    struct pollfd p;
    pid_t caller, pid;

    if (pipe(alive) < 0 || pipe(standing) < 0)
        exit(99);
    caller = fork();
    if (caller == 0) {
        struct link_settings s = settings(0);
        struct link *link = opened(&s);

        link_start(link, LINK_CLIENT, sleep_long, NULL, &pid);
        link_start(link, LINK_SERVER, sleep_long, NULL, &pid);
        link_begin(link, 1);
        if (write(standing[1], "", 1) != 1)
            _exit(1);
        pause();
    }
    close(alive[1]);
    p = (struct pollfd){.fd = alive[0], .events = POLLIN};
    tap_check(heard(standing[0]) && poll(&p, 1, 0) == 0, "a link stands with processes in it");
    kill(caller, SIGKILL);
    waitpid(caller, NULL, 0);
    tap_check(poll(&p, 1, 60000) == 1 && (p.revents & POLLHUP),
              "kill -9 of its caller ends every one");
}

/* What chance does to a few echoes is no fault of the machine; what it cannot do is one. */
static void test_judgement(void)
{
    struct link_settings s = settings(5 * MS);
    struct link_measure m = {.echoes = 21, .rtt = 22 * MS, .rtt_expected = 10 * MS};
    struct link_problem p;

    tap_check(!link_is_faithful(&s, &m, &p), "12 ms off: %s", p.why);
    s.path[0].jitter = s.path[1].jitter = 50 * MS;
    tap_check(link_is_faithful(&s, &m, &p), "jitter of 50 ms each way may do that");
    s = settings(0);
    s.path[0].rate = 1000000;
    m = (struct link_measure){.rate = {900000}, .took = {SEC / 4}};
    tap_check(!link_is_faithful(&s, &m, &p), "a tenth too slow: %s", p.why);
    s.path[0].jitter = 25 * MS;
    m.rtt = m.rtt_expected = 12 * MS;
    tap_check(link_is_faithful(&s, &m, &p), "jitter may do that, too");
    m.rtt = -1;
    tap_check(!link_is_faithful(&s, &m, &p), "nothing at all: %s", p.why);
}

static void test_impossible(void)
{
    static const struct {
        const char *about;
        struct link_settings s;
    } t[] = {
        {"loss", {.mtu = 1500, .path[0].loss = 1}},
        {"corruption", {.mtu = 1500, .path[1].corrupt = 1}},
        {"duplication", {.mtu = 1500, .path[0].duplicate = 1.01}},
        {"MTU", {.mtu = 68}},
        {"MTU", {.mtu = LINK_MTU_MAX + 1}},
        {"delay", {.mtu = 1500, .path[0].delay = -1}},
        {"delay", {.mtu = 1500, .path[0].jitter = LINK_DELAY_MAX + 1}},
        {"rate", {.mtu = 1500, .path[0].rate = LINK_RATE_MIN - 1}},
        {"rate", {.mtu = 1500, .path[0].rate = LINK_RATE_MAX + 1}},
        {"hold packets back", {.mtu = 1500, .path[0].reorder = 0.1}},
        {"queue", {.mtu = 1500, .path[0].queue = 1499}},
    };
    struct link_problem p;
    struct link *link;

    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++)
        tap_check(link_open(&link, &t[i].s, &p) < 0 && !link && strstr(p.why, t[i].about),
                  "refused: %s", p.why);
}

int main(void)
{
    struct link_ability a;

    become_ordinary();
    link_check(&a);
    if (a.way == LINK_NO_WAY)
        tap_skip_all(a.problem.why);
    tap_check(a.way == LINK_BY_USER_NAMESPACE, "an ordinary user has a link");
    tap_check(strstr(a.congestion_controls, "cubic"), "TCP has: %s", a.congestion_controls);
    test_impossible();
    test_judgement();
    test_exit_status();
    test_kill();
    test_killed_caller();
    test_round_trip();
    test_rate();
    test_fates();
    test_corruption();
    test_queue();
    test_hurry();
    test_tcp(1500);
    test_tcp(LINK_MTU_MIN);
    test_tcp(LINK_MTU_MAX);
    test_segments();
    test_capture();
    return tap_end();
}
