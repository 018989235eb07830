#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare/data.h"

#define CHUNK 65536

static void remove_all(const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(d), e->d_name, 0);
    if (d != NULL)
        closedir(d);
    rmdir(dir);
}

/* What the keeper tells when the directory is there, or cannot be. */
struct made {
    int err;
    char dir[DATA_DIR_MAX];
};

static void ignore_signals(void)
{
    static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        signal(all[i], SIG_IGN);
}

/* Makes the directory, waits until every copy of the other end of the lifeline is gone, whatever
 * took its holders, and removes it: at no moment does it belong to one who may be killed alone. */
static __attribute__((noreturn)) void keep(struct made *m, int told, int lifeline)
{
    char byte;

    ignore_signals();
    m->err = mkdtemp(m->dir) != NULL ? 0 : -errno;
    if (write(told, m, sizeof *m) == sizeof *m)
        while (read(lifeline, &byte, 1) < 0 && errno == EINTR)
            ;
    if (m->err == 0)
        remove_all(m->dir);
    _exit(0);
}

static int start_keeper(struct data *d, struct made *m, const int told[2], const int lifeline[2])
{
    ssize_t n;

    d->keeper = fork();
    if (d->keeper == 0) {
        close(lifeline[1]);
        keep(m, told[1], lifeline[0]);
    }
    close(told[1]);
    if (d->keeper < 0)
        return -errno;
    do
        n = read(told[0], m, sizeof *m);
    while (n < 0 && errno == EINTR);
    return n == sizeof *m ? m->err : -EPIPE;
}

int data_open(struct data *d, const char *file, uint64_t seed)
{
    const char *tmp = getenv("TMPDIR");
    struct made m = {.err = 0};
    int lifeline[2], told[2], err;

    *d = (struct data){.file = file, .seed = seed, .lifeline = -1};
    err = snprintf(m.dir, sizeof m.dir, "%s/xfer-compare-XXXXXX",
                   tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    if (err < 0 || (size_t)err >= sizeof m.dir)
        return -ENAMETOOLONG;
    memcpy(d->dir, m.dir, sizeof d->dir);
    if (pipe2(lifeline, O_CLOEXEC) < 0)
        return -errno;
    if (pipe2(told, O_CLOEXEC) < 0) {
        err = -errno;
    } else {
        err = start_keeper(d, &m, told, lifeline);
        close(told[0]);
    }
    close(lifeline[0]);
    d->lifeline = lifeline[1];
    if (err < 0)
        data_close(d);
    else
        memcpy(d->dir, m.dir, sizeof d->dir);
    return err;
}

/* By ourselves, whatever became of the keeper meanwhile. */
void data_close(struct data *d)
{
    if (d->lifeline < 0)
        return;
    close(d->lifeline);
    d->lifeline = -1;
    if (d->keeper <= 0)
        return;
    remove_all(d->dir);
    kill(d->keeper, SIGKILL);
    while (waitpid(d->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
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

        return got == 0 ? -1 : got; /* shorter than it was: told as EIO */
    }
    for (size_t i = 0; i < CHUNK / sizeof *buf; i++)
        buf[i] = draw(state);
    return (ssize_t)n;
}

static int fill(const struct data *d, int from, int to, uint64_t n)
{
    uint64_t *buf = malloc(CHUNK), state = d->seed;
    int rc = buf != NULL ? 0 : -ENOMEM;

    errno = EIO;
    while (rc == 0 && n > 0) {
        ssize_t got = more(from, &state, buf, n < CHUNK ? (size_t)n : CHUNK);

        if (got < 0 || write(to, buf, (size_t)got) != got)
            rc = -errno;
        else
            n -= (uint64_t)got;
    }
    free(buf);
    return rc;
}

int data_need(const struct data *d, uint64_t n, char name[DATA_NAME_MAX])
{
    char path[DATA_DIR_MAX + DATA_NAME_MAX];
    int from = -1, to, rc;

    snprintf(name, DATA_NAME_MAX, "data-%llu", (unsigned long long)n);
    snprintf(path, sizeof path, "%s/%s", d->dir, name);
    to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return errno == EEXIST ? 0 : -errno;
    if (d->file != NULL)
        from = open(d->file, O_RDONLY | O_CLOEXEC);
    rc = d->file != NULL && from < 0 ? -errno : fill(d, from, to, n);
    if (from >= 0)
        close(from);
    if (close(to) < 0 && rc == 0)
        rc = -errno;
    if (rc < 0)
        unlink(path);
    return rc;
}
