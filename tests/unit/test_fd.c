#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

#define TARGET 4711 /* no descriptor: what is written here goes to `got` */

/* What each call on TARGET takes, or -errno; after the last of them all is taken. */
static int script[8];
static size_t calls, n_script, n_got;
static char got[64];

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    int take = calls < n_script ? script[calls] : INT_MAX;

    if (fd != TARGET)
        return __real_write(fd, p, n);
    calls++;
    if (take < 0) {
        errno = -take;
        return -1;
    }
    n = n < (size_t)take ? n : (size_t)take;
    cr_assert(n <= sizeof got - n_got);
    memcpy(got + n_got, p, n);
    n_got += n;
    return (ssize_t)n;
}

static int write_by(const int *steps, size_t n)
{
    memcpy(script, steps, n * sizeof *steps);
    n_script = n;
    calls = n_got = 0;
    return fd_write_all(TARGET, "abcdefghij", 10);
}

#define WRITE_BY(...)                                                                              \
    write_by((const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

static void expect_got(const char *want, size_t want_calls)
{
    cr_expect(n_got == strlen(want) && memcmp(got, want, n_got) == 0, "%.*s", (int)n_got, got);
    cr_expect(calls == want_calls, "%zu calls", calls);
}

Test(fd, one_call_where_one_does)
{
    cr_expect(WRITE_BY(10) == 0);
    expect_got("abcdefghij", 1);
}

Test(fd, short_writes_go_on_where_they_ended)
{
    cr_expect(WRITE_BY(1, 3, 2) == 0);
    expect_got("abcdefghij", 4);
}

Test(fd, interrupts_lose_and_repeat_nothing)
{
    cr_expect(WRITE_BY(-EINTR, 4, -EINTR, -EINTR, 5, -EINTR) == 0);
    expect_got("abcdefghij", 7);
}

Test(fd, an_error_ends_it)
{
    cr_expect(WRITE_BY(4, -ENOSPC) == -ENOSPC);
    expect_got("abcd", 2);
    cr_expect(WRITE_BY(-EAGAIN) == -EAGAIN);
    expect_got("", 1);
}

Test(fd, nothing_is_no_call)
{
    calls = 0;
    cr_expect(fd_write_all(TARGET, NULL, 0) == 0);
    cr_expect(calls == 0);
}

Test(fd, the_kernel_refuses)
{
    cr_expect(fd_write_all(-1, "x", 1) == -EBADF);
}
