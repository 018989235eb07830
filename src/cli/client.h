/* client.h - what put, get and ls have in common: options of the connection, remotes on the command
 * line. */
#ifndef XFER_CLI_CLIENT_H
#define XFER_CLI_CLIENT_H

#include "cli/cmd.h"

/* First member of each client command's struct. */
struct client_options {
    bool quiet, verbose, json, ipv4, ipv6, udp;
    double timeout, max_time;
    unsigned retries;
    const char *bind_addr;
};

#define CLIENT_OPTIONS_DEFAULTS                                                                    \
    {                                                                                              \
        .timeout = 30, .retries = 5                                                                \
    }

extern const struct opt client_rows[];

/* -1 to go on, else the exit status. */
int client_check(const struct cmd *c, const struct client_options *o);

struct xfer_net_opts client_net(const struct client_options *o, struct xfer_stop *stop,
                                xfer_event_fn on_event, void *user);

/* Whether an operand is a remote that this version can talk to: 1 (with *tftp set if its address
 * says so), 0 for a local path, else -1 with
 * the exit status in *status, the reason told. */
int client_is_remote(const struct cmd *c, const char *operand, bool *tftp, int *status);

#endif
