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

/* Waits until every copy of the other end of the pipe is gone, whatever took its holders. */
static __attribute__((noreturn)) void keep(const char *dir, int lifeline)
{
    static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
    char byte;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        signal(all[i], SIG_IGN);
    while (read(lifeline, &byte, 1) < 0 && errno == EINTR)
        ;
    remove_all(dir);
    _exit(0);
}

int data_open(struct data *d, const char *file, uint64_t seed)
{
    const char *tmp = getenv("TMPDIR");
    int ends[2], n;

    *d = (struct data){.file = file, .seed = seed, .lifeline = -1};
    n = snprintf(d->dir, sizeof d->dir, "%s/xfer-compare-XXXXXX",
                 tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    if (n < 0 || (size_t)n >= sizeof d->dir)
        return -ENAMETOOLONG;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    if (mkdtemp(d->dir) == NULL) {
        n = -errno;
    } else if ((d->keeper = fork()) == 0) {
        close(ends[1]);
        keep(d->dir, ends[0]);
    } else {
        n = d->keeper < 0 ? -errno : 0;
        if (n < 0)
            rmdir(d->dir);
    }
    close(ends[0]);
    if (n < 0)
        close(ends[1]);
    else
        d->lifeline = ends[1];
    return n < 0 ? n : 0;
}

void data_close(struct data *d)
{
    if (d->lifeline < 0)
        return;
    close(d->lifeline);
    d->lifeline = -1;
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
