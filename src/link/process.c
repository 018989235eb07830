#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "link/internal.h"

enum { NOT_FOUND = 127, SIGNALLED = 128, NO_ENTRY = 126 };

int64_t link_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * LINK_SEC + ts.tv_nsec;
}

void link_die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(NO_ENTRY);
}

/* ---- waiting ---- */

static int wait_for_end(pid_t pid, int64_t timeout)
{
    struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    int64_t until = link_now() + timeout, left;
    int n;

    if (p.fd < 0)
        return errno == ESRCH ? -ECHILD : -errno;
    do {
        left = until - link_now();
        n = poll(&p, 1, left > 0 ? (int)((left + LINK_MS - 1) / LINK_MS) : 0);
    } while (n < 0 && errno == EINTR);
    close(p.fd);
    return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

int link_reap(pid_t pid, int64_t timeout, int *status)
{
    int err = wait_for_end(pid, timeout);

    if (err)
        return err;
    return waitpid(pid, status, 0) == pid ? 0 : -errno;
}

/* ---- between the caller and a process of an end ---- */

static int exit_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : SIGNALLED + WTERMSIG(status);
}

/* Passes SIGTERM on, and ends as the process ends; SIGUSR1 ends that by force. A terminal's signals
 * reach it by themselves. */
static __attribute__((noreturn)) void attend(pid_t pid, const sigset_t *signals)
{
    int status;

    for (;;) {
        int got = sigwaitinfo(signals, NULL);

        if (got == SIGTERM || got == SIGUSR1)
            kill(pid, got == SIGTERM ? SIGTERM : SIGKILL);
        if (got == SIGCHLD && waitpid(pid, &status, WNOHANG) == pid)
            _exit(exit_status(status));
    }
}

/* The process itself: its parent is outside of its namespace, and thus 0. */
static __attribute__((noreturn)) void become(int (*fn)(void *), void *arg, const sigset_t *before)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, before, NULL);
    _exit(fn(arg));
}

/* With all signals blocked. */
static __attribute__((noreturn)) void enter(const struct link *link, enum link_side side,
                                            int (*fn)(void *), void *arg, pid_t parent,
                                            const sigset_t *before)
{
    sigset_t all;
    pid_t pid;

    sigfillset(&all);
    signal(SIGCHLD, SIG_DFL);
    close(link->control);
    if (netns_enter(link->ns, side) < 0)
        _exit(NO_ENTRY);
    link_die_with(parent); /* after entering: a change of rights would undo it */
    pid = fork();
    if (pid == 0)
        become(fn, arg, before);
    if (pid < 0)
        _exit(NO_ENTRY);
    attend(pid, &all);
}

int link_start(struct link *link, enum link_side side, int (*fn)(void *), void *arg, pid_t *ret)
{
    pid_t *place = link->processes, parent = getpid();
    sigset_t all, before;
    int err;

    while (place < link->processes + LINK_PROCESSES && *place != 0)
        place++;
    if (place == link->processes + LINK_PROCESSES)
        return -EAGAIN;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before); /* none is lost to a handler that it inherits */
    *ret = fork();
    err = *ret < 0 ? -errno : 0;
    if (*ret == 0)
        enter(link, side, fn, arg, parent, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (!err)
        *place = *ret;
    return err;
}

static int run_program(void *arg)
{
    char *const *argv = arg;

    execvp(argv[0], argv);
    return NOT_FOUND;
}

int link_start_program(struct link *link, enum link_side side, char *const argv[], pid_t *ret)
{
    return link_start(link, side, run_program, (void *)argv, ret);
}

int link_wait(struct link *link, pid_t pid, int64_t timeout)
{
    int status, err = link_reap(pid, timeout, &status);

    if (err)
        return err;
    for (unsigned i = 0; i < LINK_PROCESSES; i++)
        if (link->processes[i] == pid)
            link->processes[i] = 0;
    return exit_status(status);
}

void link_terminate(struct link *link, pid_t pid)
{
    (void)link;
    kill(pid, SIGTERM);
}

/* The attendant tells when the process is gone; one that is not heard goes itself, and takes the
 * process with it a little later. */
void link_kill(struct link *link, pid_t pid)
{
    kill(pid, SIGUSR1);
    if (link_wait(link, pid, LINK_SEC) != -ETIMEDOUT)
        return;
    kill(pid, SIGKILL);
    link_wait(link, pid, LINK_SEC);
}
