#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compare/process.h"

#define SIGNALLED 128
#define BLIND 0.002 /* s between looks at a process that cannot be waited for */

bool watch_look(const struct watch *w)
{
    if (w->tick != NULL)
        w->tick(w->user);
    return !xfer_stop_is_raised(w->stop);
}

double process_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

void process_pause(double seconds)
{
    struct timespec ts = {.tv_sec = (time_t)seconds,
                          .tv_nsec = (long)(1e9 * (seconds - (double)(time_t)seconds))};

    nanosleep(&ts, NULL);
}

int process_start(int (*fn)(void *), void *arg, pid_t *ret)
{
    pid_t parent = getpid();

    *ret = fork();
    if (*ret == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(getppid() == parent ? fn(arg) : 1);
    }
    return *ret < 0 ? -errno : 0;
}

/* 0: it runs. */
static pid_t look(pid_t pid, int *status)
{
    pid_t got;

    do
        got = waitpid(pid, status, WNOHANG);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Without a descriptor to spare it is looked at again and again. */
int process_wait(pid_t pid, double seconds)
{
    struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    double until = process_now() + seconds, left;
    int status = 0;
    pid_t got;

    while ((got = look(pid, &status)) == 0 && (left = until - process_now()) > 0) {
        if (p.fd >= 0)
            poll(&p, 1, (int)(1e3 * left) + 1);
        else
            process_pause(left < BLIND ? left : BLIND);
    }
    if (p.fd >= 0)
        close(p.fd);
    if (got == 0)
        return -ETIMEDOUT;
    if (got < 0)
        return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : SIGNALLED + WTERMSIG(status);
}

void process_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static FILE *open_children(void)
{
    return fopen("/proc/thread-self/children", "re");
}

static bool adopts; /* every child is ours then */

/* A shell that has become this program leaves it children of its own: `> >(tee log)`. */
static bool is_childless(void)
{
    FILE *f = open_children();
    bool none = f != NULL && fgetc(f) == EOF && !ferror(f);

    if (f != NULL)
        fclose(f);
    return none;
}

void process_adopt(void)
{
    signal(SIGCHLD, SIG_DFL); /* ignored, as some callers leave it, no status would be left */
    adopts = is_childless() && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
}

/* Whether it is known who they are. */
static bool kill_children(void)
{
    FILE *f = open_children();
    int pid;

    while (f != NULL && fscanf(f, "%d", &pid) == 1)
        kill(pid, SIGKILL);
    return f != NULL && fclose(f) == 0;
}

/* The first process of a namespace ends after all others are waited for, which may be ours. */
void process_kill_all(void)
{
    while (adopts && kill_children() && (waitpid(-1, NULL, 0) > 0 || errno == EINTR))
        ;
}
