#include "config.h"

#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "base/escape.h"
#include "base/remote.h"
#include "cli/client.h"

#define FIELD(name) .offset = offsetof(struct client_options, name)

const struct opt client_rows[] = {
    {.name = "quiet", .letter = 'q', .kind = OPT_FLAG, FIELD(quiet), .help = "tell errors only"},
    {.name = "verbose",
     .letter = 'v',
     .kind = OPT_FLAG,
     FIELD(verbose),
     .help = "tell addresses, retries, and each file of a tree"},
    {.name = "json",
     .kind = OPT_FLAG,
     FIELD(json),
     .help = "print one JSON object a line to standard output"},
    {.name = "timeout",
     .arg = "TIME",
     .kind = OPT_SECONDS,
     FIELD(timeout),
     .help = "give a connection up after this long without progress (default 30 seconds)"},
    {.name = "max-time",
     .arg = "TIME",
     .kind = OPT_SECONDS,
     FIELD(max_time),
     .help = "limit the whole command (default: no limit)"},
    {.name = "retries",
     .arg = "N",
     .kind = OPT_COUNT,
     .max = 1000000,
     FIELD(retries),
     .help = "connect again so often in a row after a loss (default 5)"},
    {.name = "bind",
     .arg = "ADDR",
     .kind = OPT_TEXT,
     FIELD(bind_addr),
     .help = "connect from this local address (default: the system's choice)"},
    {.name = "ipv4", .letter = '4', .kind = OPT_FLAG, FIELD(ipv4), .help = "use IPv4 only"},
    {.name = "ipv6", .letter = '6', .kind = OPT_FLAG, FIELD(ipv6), .help = "use IPv6 only"},
    {.name = "udp",
     .kind = OPT_FLAG,
     FIELD(udp),
     .help = "talk to the server by UDP (TFTP, one packet at a time) instead of TCP"},
    {.name = "help", .kind = OPT_HELP, .help = "print this help and exit"},
    {.kind = OPT_END}};

static int family_of(const struct client_options *o)
{
    return o->ipv4 ? AF_INET : o->ipv6 ? AF_INET6 : AF_UNSPEC;
}

int client_check(const struct cmd *c, const struct client_options *o)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_family = family_of(o)}, *found;
    char shown[128];

    if (o->ipv4 && o->ipv6)
        return cmd_wrong(c, "-4 and -6 exclude each other");
    if (o->bind_addr == NULL)
        return -1;
    if (getaddrinfo(o->bind_addr, NULL, &hints, &found) != 0)
        return cmd_wrong(c, "--bind: '%s' is not an address such as 192.0.2.7%s",
                         escape_show(o->bind_addr, strlen(o->bind_addr), shown, sizeof shown),
                         o->ipv4   ? ", as -4 wants it"
                         : o->ipv6 ? ", as -6 wants it"
                                   : " or 2001:db8::7");
    freeaddrinfo(found);
    return -1;
}

struct xfer_net_opts client_net(const struct client_options *o, struct xfer_stop *stop,
                                xfer_event_fn on_event, void *user)
{
    return (struct xfer_net_opts){.family = o->ipv4   ? 4
                                            : o->ipv6 ? 6
                                                      : 0,
                                  .bind_addr = o->bind_addr,
                                  .timeout = o->timeout,
                                  .max_time = o->max_time,
                                  .retries = o->retries,
                                  .stop = stop,
                                  .on_event = on_event,
                                  .user = user};
}

int client_is_remote(const struct cmd *c, const char *operand, bool *tftp, int *status)
{
    char why[OPT_WHY_MAX] = "", shown[256];
    struct remote r;
    int rc = remote_parse(operand, &r, why, sizeof why);

    *tftp = false;

    escape_show(operand, strlen(operand), shown, sizeof shown);
    if (rc < 0) {
        *status = cmd_wrong(c, "%s: %s", shown, why[0] != '\0' ? why : xfer_strerror(rc));
        return -1;
    }
    if (rc == 1 && r.scheme == REMOTE_XFERS) {
        *status =
            cmd_wrong(c, "%s: this version talks xfer:// and tftp:// only, not xfers://", shown);
        return -1;
    }
    *tftp = rc == 1 && r.scheme == REMOTE_TFTP;
    return rc;
}
