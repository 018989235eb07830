#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/escape.h"
#include "compare/process.h"
#include "compare/trial.h"
#include "compare/words.h"
#include "link/link.h"

struct trial *trial_new(void)
{
    void *p =
        mmap(NULL, sizeof(struct trial), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

void trial_free(struct trial *t)
{
    if (t != NULL)
        munmap(t, sizeof *t);
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* ---- both ---- */

/* A handler is given nothing but the number: what it needs has to be at file scope. */
static struct xfer_stop *the_stop;

static void on_sigterm(int signo)
{
    (void)signo;
    xfer_stop_raise(the_stop);
}

/* ^C reaches every process of a terminal: these end when they are told to, and say how far they
 * came. */
static void stop_at_sigterm(struct xfer_stop *stop)
{
    struct sigaction stopping = {.sa_handler = on_sigterm, .sa_flags = SA_RESTART};
    struct sigaction ignoring = {.sa_handler = SIG_IGN};

    the_stop = stop;
    sigaction(SIGTERM, &stopping, NULL);
    sigaction(SIGINT, &ignoring, NULL);
    sigaction(SIGPIPE, &ignoring, NULL);
}

/* ---- the server ---- */

static void on_listening(void *user, const char *proto, const char *addr)
{
    struct trial *t = user;
    const char *colon = strrchr(addr, ':');

    (void)proto;
    t->port = colon != NULL ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
    if (write(t->ready[1], "", 1) != 1)
        _exit(1);
}

static void on_request(void *user, const struct xfer_request *r)
{
    struct trial *t = user;

    t->resent += r->resent;
    t->server_timeouts += r->timeouts;
}

static void on_note(void *user, const char *text)
{
    struct trial *t = user;

    escape_show(text, strlen(text), t->note, sizeof t->note);
}

/* Segments that TCP sent again in this network namespace, as the kernel counts them (RFC 4022). */
static uint64_t segments_resent(void)
{
    FILE *f = fopen("/proc/self/net/snmp", "re");
    char names[1024], values[1024], *n, *v, *at_n, *at_v;
    uint64_t found = 0;

    while (f != NULL && fgets(names, sizeof names, f) != NULL &&
           fgets(values, sizeof values, f) != NULL) {
        if (strncmp(names, "Tcp:", 4) != 0)
            continue;
        n = strtok_r(names, " \n", &at_n);
        v = strtok_r(values, " \n", &at_v);
        while (n != NULL && v != NULL && strcmp(n, "RetransSegs") != 0) {
            n = strtok_r(NULL, " \n", &at_n);
            v = strtok_r(NULL, " \n", &at_v);
        }
        found = n != NULL && v != NULL ? strtoull(v, NULL, 10) : 0;
    }
    if (f != NULL)
        fclose(f);
    return found;
}

/* A download's last segments are still sent again when the request is over. The server's end of a
 * link has no other connections. */
static void count_resent(struct trial *t)
{
    uint64_t n;

    if (strncmp(t->listen, LINK_SERVER_ADDRESS ":", sizeof LINK_SERVER_ADDRESS) != 0)
        return;
    n = segments_resent();
    if (n > t->resent)
        t->resent = n;
}

int trial_server(void *arg)
{
    struct trial *t = arg;
    const char *listen = t->listen;
    struct xfer_serve_opts o = {.dir = t->dir,
                                .listen = &listen,
                                .n_listen = 1,
                                .insecure = true,
                                .no_tcp = t->method.transport == COMPARE_UDP,
                                .no_udp = t->method.transport == COMPARE_TCP,
                                .congestion = t->method.congestion[0] ? t->method.congestion : NULL,
                                .stop = xfer_stop_new(),
                                .on_listening = on_listening,
                                .on_request = on_request,
                                .on_note = on_note,
                                .user = t};

    if (o.stop == NULL)
        return 1;
    stop_at_sigterm(o.stop);
    t->server_err = xfer_serve(&o);
    if (t->method.transport == COMPARE_TCP)
        count_resent(t);
    t->server_cpu = cpu_seconds();
    return 0;
}

/* ---- the client ---- */

static void on_event(void *user, const struct xfer_event *ev)
{
    struct trial *t = user;

    if (ev->type == XFER_EV_PROGRESS)
        t->moved = ev->bytes_done; /* of one that is cut, the totals may not tell */
    if (ev->type != XFER_EV_FILE)
        return;
    t->seconds = process_now() - t->begun;
    t->verified = ev->outcome == XFER_DONE && ev->verified;
    if (ev->text != NULL)
        escape_show(ev->text, strlen(ev->text), t->why, sizeof t->why); /* may be the peer's */
    if (ev->udp != NULL) {
        t->blksize = ev->udp->blksize;
        t->window = ev->udp->window;
    }
}

/* A connection that is lost is not tried again: that would hide it in the time. */
static struct xfer_copy_opts options(struct trial *t)
{
    const struct compare_method *m = &t->method;

    return (struct xfer_copy_opts){.net = {.family = t->family,
                                           .bind_addr = t->bind[0] ? t->bind : NULL,
                                           .timeout = 30,
                                           .max_time = t->limit,
                                           .congestion = m->congestion[0] ? m->congestion : NULL,
                                           .stop = t->stop,
                                           .on_event = on_event,
                                           .user = t},
                                   .jobs = m->streams,
                                   .no_resume = true,
                                   .no_preserve = true,
                                   .udp = m->transport == COMPARE_UDP,
                                   .blksize = m->blksize,
                                   .window = m->window,
                                   .discard = true};
}

static void put_port(struct trial *t)
{
    char *at = strstr(t->remote, "%u");
    char rest[sizeof t->remote], digits[12];

    if (at == NULL)
        return;
    snprintf(rest, sizeof rest, "%s", at + 2);
    snprintf(digits, sizeof digits, "%u", t->port);
    snprintf(at, sizeof t->remote - (size_t)(at - t->remote), "%s%s", digits, rest);
}

int trial_client(void *arg)
{
    struct trial *t = arg;
    struct xfer_copy_opts o = options(t);
    struct xfer_totals totals = {0};
    const char *local = t->local, *remote = t->remote;

    if (t->dir[0] != '\0')
        put_port(t);
    if (t->stop != NULL)
        stop_at_sigterm(t->stop);
    t->begun = process_now();
    t->err = t->direction == COMPARE_PUT ? xfer_put(&o, &local, 1, remote, &totals)
                                         : xfer_get(&o, &remote, 1, NULL, &totals);
    if (t->seconds == 0) /* nothing was told of the file */
        t->seconds = process_now() - t->begun;
    t->cpu = cpu_seconds();
    t->size = totals.bytes;
    if (totals.bytes_wire > t->moved)
        t->moved = totals.bytes_wire;
    t->retransmits = totals.retransmits;
    t->timeouts = totals.timeouts;
    t->rtt = totals.rtt;
    t->heard = totals.rtt > 0 || totals.packets_received > 0 || totals.bytes_wire > 0;
    snprintf(t->congestion, sizeof t->congestion, "%s", totals.congestion);
    t->told = true;
    return 0;
}

/* ---- afterwards ---- */

static int failed(char why[COMPARE_WHY_MAX], const char *who, int end)
{
    if (end > 128)
        snprintf(why, COMPARE_WHY_MAX, "the %s was ended by signal %d (%s)", who, end - 128,
                 strsignal(end - 128));
    else
        snprintf(why, COMPARE_WHY_MAX, "the %s ended with status %d", who, end);
    return -EIO;
}

/* What the processes came to besides their own words: 0 or a negative error. */
static int err_of_ends(const struct trial *t, char why[COMPARE_WHY_MAX])
{
    if (t->link_err < 0)
        snprintf(why, COMPARE_WHY_MAX, "the emulated link broke down: %s",
                 xfer_strerror(t->link_err));
    if (t->link_err < 0)
        return -EIO;
    if (t->server_end > 0)
        return failed(why, "server", t->server_end);
    if (t->client_end > 0)
        return failed(why, "client", t->client_end);
    if (t->server_err != 0) {
        snprintf(why, COMPARE_WHY_MAX, "server: %.240s",
                 t->note[0] ? t->note : xfer_strerror(t->server_err));
        return t->server_err;
    }
    return 0;
}

static int err_of_client(const struct trial *t, char why[COMPARE_WHY_MAX])
{
    if (t->err == -XFER_EUNKNOWN && t->direction == COMPARE_PUT)
        snprintf(why, COMPARE_WHY_MAX, "the server cannot throw an upload away: older, or no xfer");
    else if (t->err != 0)
        snprintf(why, COMPARE_WHY_MAX, "%s", t->why[0] ? t->why : xfer_strerror(t->err));
    if (t->err != 0)
        return t->err;
    if (!t->verified) {
        snprintf(why, COMPARE_WHY_MAX, "not verified: the server tells no digest");
        return -XFER_EUNVERIFIED;
    }
    if (t->size != t->bytes) {
        snprintf(why, COMPARE_WHY_MAX, "the file changed: %llu bytes, not %llu",
                 (unsigned long long)t->size, (unsigned long long)t->bytes);
        return -EIO;
    }
    if (t->server_end < 0) {
        snprintf(why, COMPARE_WHY_MAX, "the server did not end: what it counted is not known");
        return -EIO;
    }
    return 0;
}

static bool is_cut(const struct trial *t, char why[COMPARE_WHY_MAX])
{
    char moved[24];

    bool lost = !t->told || t->server_end < 0;

    if (t->err == -XFER_ECANCELED || (lost && xfer_stop_is_raised(t->stop)))
        snprintf(why, COMPARE_WHY_MAX, "interrupted");
    else if (t->err == -XFER_EDEADLINE)
        snprintf(why, COMPARE_WHY_MAX, "%.3g s were over after %s", t->limit,
                 compare_words_size(t->moved, moved, sizeof moved));
    else if (t->client_end < 0)
        snprintf(why, COMPARE_WHY_MAX, "%.3g s were over, and the client did not end", t->limit);
    else
        return false;
    return true;
}

static enum compare_state state_of(const struct trial *t, int *err, char why[COMPARE_WHY_MAX])
{
    *err = -XFER_ECONGESTION;
    if (t->server_err == *err || t->err == *err) {
        snprintf(why, COMPARE_WHY_MAX, "the kernel has no %s (try: sudo modprobe tcp_%s)",
                 t->method.congestion, t->method.congestion);
        return COMPARE_REFUSED;
    }
    *err = -XFER_EDEADLINE;
    if (is_cut(t, why))
        return COMPARE_UNFINISHED;
    *err = err_of_ends(t, why);
    if (*err == 0)
        *err = err_of_client(t, why);
    return *err == 0 ? COMPARE_DONE : COMPARE_FAILED;
}

int trial_result(const struct trial *t, struct compare_round *round)
{
    int err;

    round->state = state_of(t, &err, round->why);
    round->verified = t->verified && round->state == COMPARE_DONE;
    round->bytes = round->state == COMPARE_DONE ? t->bytes : t->moved;
    round->seconds = t->seconds;
    round->untold = round->state == COMPARE_REFUSED || !t->told || t->server_end != 0;
    round->cpu_seconds = t->cpu + t->server_cpu;
    round->retransmits = t->direction == COMPARE_PUT ? t->retransmits : t->resent;
    round->timeouts = t->timeouts + t->server_timeouts;
    round->rtt = t->rtt;
    snprintf(round->congestion, sizeof round->congestion, "%s", t->congestion);
    round->blksize = t->blksize;
    round->window = t->window;
    return err;
}
