/* Runs a server and a client at the ends of an emulated link:
 *     between LINK SERVER... -- CLIENT...
 * LINK as compare's --link has it: rtt=40ms,loss=5%. The client starts when the server has printed
 * a line, and finds it at 10.77.0.2; its exit status is ours. 125: no link here, or no server. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare/link.h"
#include "compare/place.h"

#define SEC INT64_C(1000000000)

enum { NOTHING_RAN = 125, SERVER_END = 30, CLIENT_END = 900 };

struct server {
    char **argv;
    int out[2]; /* a pipe: what it prints */
};

static int run_server(void *arg)
{
    struct server *s = arg;

    if (dup2(s->out[1], STDOUT_FILENO) < 0)
        return 1;
    close(s->out[0]);
    close(s->out[1]);
    execvp(s->argv[0], s->argv);
    return 127;
}

/* The rest of what it prints is not read: a pipe holds it. */
static bool start_server(struct link *link, struct server *s, pid_t *pid)
{
    char c = 0;

    if (pipe(s->out) < 0 || link_start(link, LINK_SERVER, run_server, s, pid) < 0)
        return false;
    close(s->out[1]);
    while (c != '\n')
        if (read(s->out[0], &c, 1) != 1)
            return false;
    return true;
}

static int run(struct link *link, struct server *s, char **client)
{
    pid_t server, pid;
    int status;

    if (link_begin(link, 1) < 0 || !start_server(link, s, &server) ||
        link_start_program(link, LINK_CLIENT, client, &pid) < 0)
        return NOTHING_RAN;
    status = link_wait(link, pid, CLIENT_END * SEC);
    link_terminate(link, server);
    link_wait(link, server, SERVER_END * SEC);
    return status < 0 ? NOTHING_RAN : status;
}

static char **find_client(char **argv)
{
    while (*argv != NULL && strcmp(*argv, "--") != 0)
        argv++;
    if (*argv == NULL)
        return NULL;
    *argv = NULL;
    return argv + 1;
}

int main(int argc, char **argv)
{
    struct server server = {.argv = argv + 2};
    struct compare_link wanted;
    struct link_settings settings;
    struct link_problem problem;
    char why[COMPARE_WHY_MAX], **client = argc > 2 ? find_client(argv + 2) : NULL;
    struct link *link;
    int status;

    compare_link_default(&wanted);
    if (client == NULL || !compare_link_parse(argv[1], &wanted, why))
        return 2;
    place_settings(&wanted, 0, &settings);
    if (link_open(&link, &settings, &problem) < 0) {
        fprintf(stderr, "between: %s\n", problem.why);
        return NOTHING_RAN;
    }
    status = run(link, &server, client);
    link_close(link);
    return status;
}
