#include "config.h"

#include "link/link.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "link/internal.h"
#include "link/refusal.h"

#define OPEN_MAX_TIME (10 * LINK_SEC)
#define BEGIN_MAX_TIME (10 * LINK_SEC)
#define END_MAX_TIME (10 * LINK_SEC) /* the forwarder drains for 5 s at most */
#define HURRIED_MAX_TIME (2 * LINK_SEC)
#define END_SLICE (LINK_SEC / 10)
#define CLOSE_MAX_TIME (2 * LINK_SEC)

/* What the link's processes say when the link stands, or cannot; with descriptors of namespaces. */
struct ready {
    int err;
    enum link_way way;
    struct link_problem problem;
};

union fds_space {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(NETNS_FDS * sizeof(int))];
};

/* ---- in the link's processes ---- */

static void tell(int control, struct ready *r, const int *fds, size_t n)
{
    union fds_space space;
    struct iovec iov = {.iov_base = r, .iov_len = sizeof *r};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n > 0) {
        memset(&space, 0, sizeof space);
        m.msg_control = space.bytes;
        m.msg_controllen = CMSG_SPACE(n * sizeof *fds);

        struct cmsghdr *c = CMSG_FIRSTHDR(&m);

        *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS,
                              .cmsg_len = CMSG_LEN(n * sizeof *fds)};
        memcpy(CMSG_DATA(c), fds, n * sizeof *fds);
    }
    sendmsg(control, &m, MSG_NOSIGNAL);
}

static __attribute__((noreturn)) void forward(const struct link *link, int control, struct ready *r)
{
    struct port ports[2];
    struct forwarder *f;
    int fds[NETNS_FDS];

    signal(SIGCHLD, SIG_IGN); /* orphans of this namespace are ours, and nobody waits for them */
    r->err = netns_build(r->way, link->s.mtu, ports, fds, &r->problem);
    if (!r->err) {
        r->err = forward_new(&f, control, ports, &link->s, link->records);
        if (r->err)
            refusal_of(&r->problem, r->err, "memory of the forwarder");
    }
    if (r->err) {
        tell(control, r, NULL, 0);
        _exit(1);
    }
    if (fds[NETNS_USER] < 0)
        tell(control, r, fds + 1, NETNS_FDS - 1);
    else
        tell(control, r, fds, NETNS_FDS);
    for (unsigned i = 0; i < NETNS_FDS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    forward_run(f);
}

/* A terminal's signals are the caller's: it wants to read counters before the link goes. */
static void ignore_signals(void)
{
    static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP};
    sigset_t none;

    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        signal(all[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static __attribute__((noreturn)) void keep(struct link *link, int control, pid_t parent)
{
    struct ready r = {.err = 0};
    int status;
    pid_t pid;

    close(link->control);
    ignore_signals();
    r.err = netns_leave(&r.way, &r.problem);
    link_die_with(parent); /* after leaving: a change of rights would undo it */
    pid = r.err ? -1 : fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        forward(link, control, &r);
    }
    if (pid < 0) {
        r.err = r.err ? r.err : refusal_of(&r.problem, -errno, "process of the link");
        tell(control, &r, NULL, 0);
        _exit(1);
    }
    close(control);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    _exit(0);
}

/* ---- in the caller ---- */

static bool is_readable_in(int fd, int64_t timeout)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t until = link_now() + timeout, left;
    int n;

    do {
        left = until - link_now();
        n = poll(&p, 1, left > 0 ? (int)(left / LINK_MS) + 1 : 0);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

/* All of them, or as many as there was room for, so that these are closed. */
static int take_fds(struct link *link, struct msghdr *m)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    size_t n = c && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    size_t want = link->way == LINK_BY_ROOT ? NETNS_FDS - 1 : NETNS_FDS;

    n = n < want ? n : want;
    for (size_t i = 0; i < n; i++)
        memcpy(&link->ns[NETNS_FDS - want + i], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    return n == want ? 0 : -EMFILE;
}

static int hear(struct link *link, struct link_problem *p)
{
    struct ready r;
    union fds_space space;
    struct iovec iov = {.iov_base = &r, .iov_len = sizeof r};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = space.bytes,
                       .msg_controllen = sizeof space};
    ssize_t n;

    if (!is_readable_in(link->control, OPEN_MAX_TIME))
        return -ETIMEDOUT;
    n = recvmsg(link->control, &m, MSG_CMSG_CLOEXEC);
    if (n != sizeof r)
        return n < 0 ? -errno : -EPIPE; /* somebody has killed it */
    link->way = r.way;
    if (r.err)
        *p = r.problem;
    return r.err ? r.err : take_fds(link, &m);
}

static size_t records_size(const struct link_settings *s)
{
    return sizeof(struct forward_records) + s->records * sizeof(struct link_record);
}

static int make_records(struct link *link)
{
    void *p;

    if (link->s.records == 0)
        return 0;
    p = mmap(NULL, records_size(&link->s), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return -errno;
    link->records = p;
    return 0;
}

static int start(struct link *link)
{
    int pair[2];
    pid_t parent = getpid();

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    link->control = pair[0];
    link->keeper = fork();
    if (link->keeper == 0)
        keep(link, pair[1], parent);
    close(pair[1]);
    return link->keeper < 0 ? -errno : 0;
}

int link_open(struct link **ret, const struct link_settings *s, struct link_problem *p)
{
    struct link *link;
    int err = link_settings_check(s, p);

    *ret = NULL;
    if (err)
        return err;
    link = calloc(1, sizeof *link);
    if (!link)
        return refusal_of(p, -ENOMEM, "emulated link");
    *link = (struct link){.s = *s, .keeper = -1, .control = -1, .ns = {-1, -1, -1, -1}};
    err = make_records(link);
    if (!err)
        err = start(link);
    if (!err)
        err = hear(link, p);
    if (err) {
        if (p->why[0] == '\0')
            refusal_of(p, err, "emulated link");
        link_close(link);
        return err;
    }
    *ret = link;
    return 0;
}

void link_close(struct link *link)
{
    int status;

    if (!link)
        return;
    for (unsigned i = 0; i < LINK_PROCESSES; i++)
        if (link->processes[i] > 0)
            link_kill(link, link->processes[i]);
    if (link->control >= 0)
        close(link->control);
    if (link->keeper > 0 && link_reap(link->keeper, CLOSE_MAX_TIME, &status) == -ETIMEDOUT) {
        kill(link->keeper, SIGKILL);
        link_reap(link->keeper, CLOSE_MAX_TIME, &status);
    }
    for (unsigned i = 0; i < NETNS_FDS; i++)
        if (link->ns[i] >= 0)
            close(link->ns[i]);
    if (link->records)
        munmap(link->records, records_size(&link->s));
    free(link);
}

enum link_way link_way(const struct link *link)
{
    return link->way;
}

static int command(struct link *link, enum forward_verb verb, uint64_t seed)
{
    struct forward_command c = {.verb = verb, .seed = seed};

    return send(link->control, &c, sizeof c, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int hear_answer(struct link *link, int64_t timeout, struct forward_answer *a)
{
    if (!is_readable_in(link->control, timeout))
        return -ETIMEDOUT;
    if (recv(link->control, a, sizeof *a, 0) != sizeof *a)
        return -EPIPE;
    return a->err;
}

int link_begin(struct link *link, uint64_t seed)
{
    struct forward_answer a;
    int err = command(link, FORWARD_BEGIN, seed);

    return err ? err : hear_answer(link, BEGIN_MAX_TIME, &a);
}

int link_end(struct link *link, struct link_stats *ret)
{
    return link_end_unless(link, NULL, NULL, ret);
}

int link_end_unless(struct link *link, bool (*hurry)(void *), void *arg, struct link_stats *ret)
{
    struct forward_answer a;
    int64_t until = link_now() + END_MAX_TIME;
    int err = command(link, FORWARD_END, 0);

    if (err)
        return err;
    do {
        if (hurry && hurry(arg)) {
            command(link, FORWARD_HURRY, 0);
            until = link_now() + HURRIED_MAX_TIME;
            hurry = NULL;
        }
        err = hear_answer(link, END_SLICE, &a);
    } while (err == -ETIMEDOUT && link_now() < until);
    if (!err)
        *ret = a.stats;
    return err;
}

const struct link_record *link_records(const struct link *link, size_t *n)
{
    *n = link->records ? link->records->n : 0;
    return link->records ? link->records->r : NULL;
}
