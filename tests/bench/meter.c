/* meter.c - runs a command and writes what it took, with all that it waited for, to a file:
 * seconds, user and system CPU seconds, peak resident KiB, exit status.
 * usage: meter FILE COMMAND...
 *
 * A program of its own since a process inherits the peak of the one that it was forked from: a
 * Python's would hide the command's. */
#define _GNU_SOURCE

#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    struct timespec began, ended;
    struct rusage ru;
    int status;

    if (argc < 3)
        errx(2, "usage: meter FILE COMMAND...");
    clock_gettime(CLOCK_MONOTONIC, &began);
    pid_t pid = fork();
    if (pid < 0)
        err(2, "fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        execvp(argv[2], argv + 2);
        err(127, "%s", argv[2]);
    }
    if (wait4(pid, &status, 0, &ru) < 0)
        err(2, "wait4");
    clock_gettime(CLOCK_MONOTONIC, &ended);
    FILE *f = fopen(argv[1], "w");
    if (!f)
        err(2, "%s", argv[1]);
    fprintf(f, "%.6f %.6f %.6f %ld %d\n",
            (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9,
            seconds(ru.ru_utime), seconds(ru.ru_stime), ru.ru_maxrss,
            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return fclose(f) == 0 ? 0 : 2;
}
