#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/out.h"

/* As global as the stream itself, whose error flag forgets the reason. */
static int first_err;

static bool keep(bool ok)
{
    if (!ok && first_err == 0)
        first_err = errno != 0 ? errno : EIO;
    return first_err == 0;
}

bool out_write(const void *p, size_t n)
{
    errno = 0;
    return keep(fwrite(p, 1, n, stdout) == n);
}

bool out_flush(void)
{
    errno = 0;
    return keep(fflush(stdout) == 0);
}

bool out_is_closed(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO};

    return first_err == EPIPE || (poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)) != 0);
}

int out_close(int status)
{
    if (out_flush()) {
        errno = 0;
        keep(fclose(stdout) == 0);
    }
    if (first_err == 0)
        return status;
    if (first_err == EPIPE)
        return EXIT_CLOSED_PIPE;
    fprintf(stderr, "xfer: standard output: %s\n", strerror(first_err));
    return status != 0 ? status : EXIT_LOCAL;
}
