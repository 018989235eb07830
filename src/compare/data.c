#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "compare/data.h"

#define CHUNK 65536
#define PATIENCE 5000 /* ms until the keeper has made a directory */

/* All but the one of this name. */
static void remove_files(const char *dir, const char *but)
{
    DIR *d = opendir(dir);
    const struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            strcmp(e->d_name, but) != 0)
            unlinkat(dirfd(d), e->d_name, 0);
    if (d != NULL)
        closedir(d);
}

static void remove_all(const char *dir)
{
    remove_files(dir, "");
    rmdir(dir);
}

/* What the keeper tells when the directory is there, or cannot be. In memory of both: of a keeper
 * that never told, too, it is known what it made. */
struct made {
    int err;
    char dir[DATA_DIR_MAX];
};

/* Makes the directory, waits until every copy of the other end of the lifeline is gone, whatever
 * took its holders, and removes it: at no moment does it belong to one who may be killed alone. All
 * signals are blocked, and what is sent to the group of a shell or terminal does not come here. */
static __attribute__((noreturn)) void keep(struct made *m, int told, int lifeline)
{
    char byte;

    setsid();
    m->err = mkdtemp(m->dir) != NULL ? 0 : -errno;
    if (write(told, "", 1) == 1)
        while (read(lifeline, &byte, 1) < 0 && errno == EINTR)
            ;
    if (m->err == 0)
        remove_all(m->dir);
    _exit(0);
}

static void end_keeper(const struct data *d)
{
    kill(d->keeper, SIGKILL);
    while (waitpid(d->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* 0 when the keeper has told, whatever; it may be stopped or killed before. */
static int hear(int told)
{
    struct pollfd p = {.fd = told, .events = POLLIN};
    double until = process_now() + PATIENCE / 1e3;
    ssize_t n = -1;
    char byte;

    while (n < 0) {
        int left = (int)(1e3 * (until - process_now())) + 1,
            ready = poll(&p, 1, left > 0 ? left : 0);

        if (ready == 0)
            return -ECHILD;
        n = ready > 0 ? read(told, &byte, 1) : -1;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
    return n == 1 ? 0 : -ECHILD;
}

static int start_keeper(struct data *d, struct made *m, const int told[2], const int lifeline[2])
{
    sigset_t all, before;
    int err;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    d->keeper = fork();
    if (d->keeper == 0) {
        close(lifeline[1]);
        keep(m, told[1], lifeline[0]);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(told[1]);
    if (d->keeper < 0)
        return -errno;
    err = hear(told[0]);
    if (err == 0 && m->err == 0)
        return 0;
    end_keeper(d);
    if (err != 0)
        rmdir(m->dir);
    return err != 0 ? err : m->err;
}

static int start_with_pipes(struct data *d, struct made *m)
{
    int lifeline[2], told[2], err;

    if (pipe2(lifeline, O_CLOEXEC) < 0)
        return -errno;
    if (pipe2(told, O_CLOEXEC) < 0) {
        err = -errno;
    } else {
        err = start_keeper(d, m, told, lifeline);
        close(told[0]);
    }
    close(lifeline[0]);
    if (err == 0)
        d->lifeline = lifeline[1];
    else
        close(lifeline[1]);
    return err;
}

int data_open(struct data *d, const char *file, uint64_t seed)
{
    const char *tmp = getenv("TMPDIR");
    struct made *m;
    int err;

    *d = (struct data){.file = file, .seed = seed, .lifeline = -1};
    m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED)
        return -errno;
    err = snprintf(d->dir, sizeof d->dir, "%s/xfer-compare-XXXXXX",
                   tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    memcpy(m->dir, d->dir, sizeof m->dir);
    err = err < 0 || (size_t)err >= sizeof d->dir ? -ENAMETOOLONG : start_with_pipes(d, m);
    if (err == 0)
        memcpy(d->dir, m->dir, sizeof d->dir);
    munmap(m, sizeof *m);
    return err;
}

/* By ourselves, whatever became of the keeper meanwhile. */
void data_close(struct data *d)
{
    if (d->lifeline < 0)
        return;
    close(d->lifeline);
    d->lifeline = -1;
    remove_all(d->dir);
    end_keeper(d);
}

/* splitmix64, by Sebastiano Vigna: nothing on the way can compress it. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static ssize_t more(int from, uint64_t *state, uint64_t *buf, size_t n)
{
    if (from >= 0) {
        ssize_t got = read(from, buf, n);

        return got > 0 ? got : got < 0 ? -errno : -EIO; /* shorter than it was */
    }
    for (size_t i = 0; i < CHUNK / sizeof *buf; i++)
        buf[i] = draw(state);
    return (ssize_t)n;
}

static int fill(const struct data *d, int from, int to, uint64_t n, double until,
                const struct watch *w)
{
    uint64_t *buf = malloc(CHUNK), state = d->seed;
    double look_at = process_now() + PROCESS_SLICE;
    int rc = buf != NULL ? 0 : -ENOMEM;

    while (rc == 0 && n > 0) {
        ssize_t got = more(from, &state, buf, n < CHUNK ? (size_t)n : CHUNK);

        rc = got < 0 ? (int)got : fd_write_all(to, buf, (size_t)got);
        n -= rc == 0 ? (uint64_t)got : 0;
        if (rc == 0 && n > 0 && process_now() > until)
            rc = -XFER_EDEADLINE;
        if (rc == 0 && process_now() > look_at) {
            rc = watch_look(w) ? 0 : -XFER_ECANCELED;
            look_at = process_now() + PROCESS_SLICE;
        }
    }
    free(buf);
    return rc;
}

static void name_of(uint64_t n, char name[DATA_NAME_MAX])
{
    snprintf(name, DATA_NAME_MAX, "data-%llu", (unsigned long long)n);
}

void data_clear(const struct data *d, uint64_t n)
{
    char name[DATA_NAME_MAX];

    name_of(n, name);
    remove_files(d->dir, name);
}

uint64_t data_space(const struct data *d)
{
    struct statvfs s;

    return statvfs(d->dir, &s) == 0 ? (uint64_t)s.f_bavail * s.f_frsize : UINT64_MAX;
}

int data_need(const struct data *d, uint64_t n, double seconds, const struct watch *w,
              char name[DATA_NAME_MAX])
{
    char path[DATA_DIR_MAX + DATA_NAME_MAX];
    double until = process_now() + seconds;
    int from = -1, to, rc;

    name_of(n, name);
    snprintf(path, sizeof path, "%s/%s", d->dir, name);
    to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return errno == EEXIST ? 0 : -errno;
    if (d->file != NULL)
        from = open(d->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a FIFO by now: no waiting */
    rc = d->file != NULL && from < 0 ? -errno : fill(d, from, to, n, until, w);
    if (from >= 0)
        close(from);
    if (close(to) < 0 && rc == 0)
        rc = -errno;
    if (rc < 0)
        unlink(path);
    return rc;
}
