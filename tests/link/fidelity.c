/* Measures one setting of the link, for tests/bench/link.py:
 *     fidelity RATE DELAY_MS LOSS
 * RATE in bits a second, 0 for none; each way the same. Prints one object of JSON. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "link/link.h"

#define MS 1e6

int main(int argc, char **argv)
{
    struct link_settings s = {.mtu = 1500};
    struct link_measure m;
    struct link_problem p, why;
    struct link *link;
    bool trusted, faithful;

    if (argc != 4)
        return 2;
    s.path[0].rate = strtoull(argv[1], NULL, 10);
    s.path[0].delay = (int64_t)(strtod(argv[2], NULL) * MS);
    s.path[0].loss = strtod(argv[3], NULL);
    s.path[1] = s.path[0];
    if (link_open(&link, &s, &p) < 0 || link_measure(link, &m) < 0) {
        fprintf(stderr, "fidelity: %s\n", p.why);
        return 1;
    }
    trusted = link_is_trustworthy(&s, &m.stats, &p);
    faithful = link_is_faithful(&s, &m, &why);
    printf("{\"rtt_ms\": %.4f, \"expected_ms\": %.4f, \"up\": %" PRIu64 ", \"down\": %" PRIu64
           ", \"late_p50_ms\": %.4f, \"late_p99_ms\": %.4f, \"problem\": \"%s\"}\n",
           (double)m.rtt / MS, (double)m.rtt_expected / MS, m.rate[0], m.rate[1],
           (double)m.stats.path[0].lateness_p50 / MS, (double)m.stats.path[0].lateness_p99 / MS,
           !trusted    ? p.why
           : !faithful ? why.why
                       : "");
    link_close(link);
    return 0;
}
