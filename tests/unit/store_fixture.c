#include "config.h"

#include "store_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

void room_open(struct room *r)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(r->dir, sizeof(r->dir), "%s/store.XXXXXX", tmp ? tmp : "/tmp");
    cr_assert_not_null(mkdtemp(r->dir));
    r->fd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(r->fd, 0);
    cr_assert_eq(store_open(&r->st, r->dir), 0);
}

/* By descriptors: trees of these tests have paths beyond PATH_MAX. */
static void remove_below(int fd)
{
    struct dirent *e;
    DIR *d;

    fchmod(fd, 0700);
    d = fdopendir(fd);
    while (d && (e = readdir(d))) {
        int sub;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, e->d_name, 0) == 0)
            continue;
        if (fchmodat(fd, e->d_name, 0700, 0) != 0)
            continue;
        sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub >= 0)
            remove_below(sub);
        unlinkat(fd, e->d_name, AT_REMOVEDIR);
    }
    if (d)
        closedir(d);
}

void room_close(struct room *r)
{
    store_close(&r->st);
    remove_below(r->fd);
    rmdir(r->dir);
}

void make_file(const struct room *r, const char *path, const char *text)
{
    int fd = openat(r->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

void make_dir(const struct room *r, const char *path)
{
    cr_assert_eq(mkdirat(r->fd, path, 0755), 0, "%s: %s", path, strerror(errno));
}

void make_link(const struct room *r, const char *to, const char *path)
{
    cr_assert_eq(symlinkat(to, r->fd, path), 0, "%s: %s", path, strerror(errno));
}

struct stat stat_of(const struct room *r, const char *path)
{
    struct stat sb;

    cr_assert_eq(fstatat(r->fd, path, &sb, AT_SYMLINK_NOFOLLOW), 0, "%s: %s", path,
                 strerror(errno));
    return sb;
}

static char *read_all(int dir, const char *path, size_t *n)
{
    struct stat sb;
    size_t done = 0;
    char *p = NULL;
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && fstat(fd, &sb) == 0 && (p = malloc((size_t)sb.st_size + 1))) {
        while (done < (size_t)sb.st_size) {
            ssize_t k = read(fd, p + done, (size_t)sb.st_size - done);

            if (k <= 0)
                break;
            done += (size_t)k;
        }
        p[done] = '\0';
    }
    if (fd >= 0)
        close(fd);
    if (n)
        *n = done;
    return p;
}

char *slurp(const struct room *r, const char *path, size_t *n)
{
    char *p = read_all(r->fd, path, n);

    cr_assert_not_null(p, "%s", path);
    return p;
}

bool holds(const struct room *r, const char *path, const char *text)
{
    size_t n;
    char *p = read_all(r->fd, path, &n);
    bool same = p && n == strlen(text) && memcmp(p, text, n) == 0;

    free(p);
    return same;
}

unsigned leftovers(const struct room *r, const char *path)
{
    unsigned n = 0;
    struct dirent *e;
    DIR *d = fdopendir(openat(r->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));

    while (d && (e = readdir(d)))
        n += path_is_hidden(e->d_name, strlen(e->d_name));
    if (d)
        closedir(d);
    return n;
}

int put(const struct room *r, const char *path, const void *p, size_t n,
        const struct store_write_opts *o, const struct store_commit_opts *k)
{
    const struct store_write_opts no_opts = {0};
    const struct store_commit_opts no_commit = {0};
    struct store_writer w;
    int err = store_write_open(&r->st, path, o ? o : &no_opts, &w);

    if (err < 0)
        return err;
    err = store_write(&w, p, n);
    if (err == 0)
        err = store_write_finish(&w, k ? k : &no_commit);
    if (err == 0)
        err = store_write_publish(&w, k && k->sync);
    store_write_abort(&w, false);
    return err;
}

static int run_child(int (*fn)(struct room *), struct room *r, bool ordinary)
{
    int status;
    pid_t pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        if (ordinary && geteuid() == 0 &&
            (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
             setresuid(NOBODY, NOBODY, NOBODY) < 0))
            _exit(255);
        _exit(fn(r));
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status), "the child ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

int in_child(int (*fn)(struct room *), struct room *r)
{
    return run_child(fn, r, false);
}

int as_ordinary_user(int (*fn)(struct room *), struct room *r)
{
    if (geteuid() == 0)
        cr_assert_eq(fchown(r->fd, NOBODY, NOBODY), 0);
    return run_child(fn, r, true);
}

int deny_syscall(long nr, int err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

size_t heap_in_use(void)
{
    struct mallinfo2 m;

    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    m = mallinfo2();
    return m.uordblks + m.hblkhd;
}
