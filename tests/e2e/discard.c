/* discard put|get [-u] [-j N] FROM TO: copies by the library with `discard` set, which no command
 * does. TO of a get is not looked at. A line for each file: its outcome, size, whether it is
 * verified, digest, and why it failed. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xfer.h"

static void told(void *user, const struct xfer_event *ev)
{
    (void)user;
    if (ev->type != XFER_EV_FILE && ev->type != XFER_EV_WARNING)
        return;
    printf("%s %llu %s ", ev->type == XFER_EV_FILE && ev->outcome == XFER_DONE ? "done" : "failed",
           (unsigned long long)ev->bytes, ev->verified ? "verified" : "unverified");
    for (size_t i = 0; ev->entry.has_sha256 && i < XFER_SHA256_LEN; i++)
        printf("%02x", ev->entry.sha256[i]);
    printf(" %s%s%s\n", ev->err ? xfer_strerror(ev->err) : "", ev->text ? ": " : "",
           ev->text ? ev->text : "");
}

int main(int argc, char **argv)
{
    struct xfer_copy_opts o = {.net = XFER_NET_DEFAULTS, .discard = true};
    int c;

    o.net.on_event = told;
    while ((c = getopt(argc - 1, argv + 1, "uj:n")) > 0) {
        o.udp = o.udp || c == 'u';
        o.no_clobber = o.no_clobber || c == 'n';
        o.jobs = c == 'j' ? (unsigned)atoi(optarg) : o.jobs;
    }
    if (argc - optind != 3)
        return 2;
    const char *from = argv[optind + 1], *to = argv[optind + 2];
    bool put = strcmp(argv[1], "put") == 0;
    return xfer_exit_status(put ? xfer_put(&o, &from, 1, to, NULL)
                                : xfer_get(&o, &from, 1, to, NULL));
}
