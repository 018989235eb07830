/* Measures one setting of the link, for tests/bench/link.py:
 *     fidelity RATE DELAY_MS LOSS
 * RATE in bits a second, 0 for none; each way the same. Prints one object of JSON. */
#include "config.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "link/link.h"

#define MS 1e6
#define LIMIT INT64_C(60000000000)

enum { DATAGRAMS = 5000, DATAGRAM = 40 };

static int send_datagrams(void *arg)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    char buf[DATAGRAM] = {0};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    (void)arg;
    inet_pton(AF_INET, LINK_SERVER_ADDRESS, &to.sin_addr);
    for (unsigned i = 0; i < DATAGRAMS; i++)
        if (sendto(fd, buf, sizeof buf, 0, (struct sockaddr *)&to, sizeof to) < 0)
            return 1;
    return 0;
}

static bool lose(struct link *link, struct link_stats *ret)
{
    pid_t pid;

    return link_begin(link, 1) == 0 &&
           link_start(link, LINK_CLIENT, send_datagrams, NULL, &pid) == 0 &&
           link_wait(link, pid, LIMIT) == 0 && link_end(link, ret) == 0;
}

int main(int argc, char **argv)
{
    struct link_settings s = {.mtu = 1500};
    struct link_measure m;
    struct link_stats lost;
    struct link_problem p, why;
    struct link *link;
    bool trusted;

    if (argc != 4)
        return 2;
    s.path[0].rate = strtoull(argv[1], NULL, 10);
    s.path[0].delay = (int64_t)(strtod(argv[2], NULL) * MS);
    s.path[0].loss = strtod(argv[3], NULL);
    s.path[1] = s.path[0];
    if (link_open(&link, &s, &p) < 0 || link_measure(link, &m) < 0 || !lose(link, &lost)) {
        fprintf(stderr, "fidelity: %s\n", p.why);
        return 1;
    }
    trusted = link_is_trustworthy(&s, &m.stats, &p);
    link_is_faithful(&s, &m, &why);
    printf("{\"rtt_ms\": %.4f, \"expected_ms\": %.4f, \"up\": %" PRIu64 ", \"down\": %" PRIu64
           ", \"late_p50_ms\": %.4f, \"late_p99_ms\": %.4f, \"sent\": %" PRIu64
           ", \"lost\": %" PRIu64 ", \"problem\": \"%s\"}\n",
           (double)m.rtt / MS, (double)m.rtt_expected / MS, m.rate[0], m.rate[1],
           (double)m.stats.path[0].lateness_p50 / MS, (double)m.stats.path[0].lateness_p99 / MS,
           lost.path[0].in_packets, lost.path[0].dropped_loss, !trusted ? p.why : why.why);
    link_close(link);
    return 0;
}
