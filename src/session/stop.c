#include "config.h"

#include "session/stop.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/clock.h"

struct xfer_stop {
    int fd;
    atomic_bool raised; /* the same, for those who ask often */
};

struct xfer_stop *xfer_stop_new(void)
{
    struct xfer_stop *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    atomic_init(&s->raised, false);
    s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->fd < 0) {
        free(s);
        return NULL;
    }
    return s;
}

void xfer_stop_free(struct xfer_stop *stop)
{
    if (stop)
        close(stop->fd);
    free(stop);
}

void xfer_stop_raise(struct xfer_stop *stop)
{
    int saved = errno;
    uint64_t one = 1;
    atomic_store(&stop->raised, true);
    ssize_t n = write(stop->fd, &one, sizeof one);

    (void)n; /* full means raised already */
    errno = saved;
}

int stop_fd(const struct xfer_stop *stop)
{
    return stop ? stop->fd : -1;
}

bool xfer_stop_is_raised(const struct xfer_stop *stop)
{
    return stop && atomic_load(&stop->raised);
}

int stop_sleep(const struct xfer_stop *stop, int64_t ns)
{
    int64_t until = clock_now() + ns;

    if (ns <= 0)
        return xfer_stop_is_raised(stop) ? -XFER_ECANCELED : 0;
    for (;;) {
        int64_t left = until - clock_now();
        struct timespec ts = {0};
        if (left > 0)
            ts = (struct timespec){left / CLOCK_SEC, left % CLOCK_SEC};
        struct pollfd p = {.fd = stop_fd(stop), .events = POLLIN};
        int n = ppoll(&p, 1, &ts, NULL);
        if (n > 0)
            return -XFER_ECANCELED;
        if (n == 0 || errno != EINTR) /* better a short sleep than none that ends */
            return 0;
    }
}
