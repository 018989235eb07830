#include "config.h"

#include "net/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/clock.h"
#include "xfer.h"

int stream_init(struct stream *s, int fd, int stop_fd, size_t in_cap, size_t out_cap)
{
    *s = (struct stream){.fd = -1, .stop_fd = stop_fd, .in_cap = in_cap, .out_cap = out_cap};
    s->in = malloc(in_cap);
    s->out = malloc(out_cap);
    if (!s->in || !s->out) {
        stream_free(s);
        return -ENOMEM;
    }
    s->fd = fd;
    s->deadline = CLOCK_NEVER;
    return 0;
}

void stream_free(struct stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
    free(s->in);
    free(s->out);
    *s = (struct stream){.fd = -1, .stop_fd = -1, .err = -XFER_ELOST};
}

static int fail(struct stream *s, int err)
{
    if (!s->err)
        s->err = err;
    return s->err;
}

/* ns until the nearest limit; sets *why to the error that its passing means. Idle time counts from
 * the beginning of the wait: what this side spent on its own disk is not the peer's silence. */
static int64_t time_left(const struct stream *s, int64_t began, int *why)
{
    int64_t now = clock_now();
    int64_t left = s->deadline == CLOCK_NEVER ? CLOCK_NEVER : s->deadline - now;

    *why = -XFER_EDEADLINE;
    if (s->idle && began + s->idle - now < left) {
        left = began + s->idle - now;
        *why = -ETIMEDOUT;
    }
    return left;
}

/* Bytes of ours that the other end has not acknowledged. */
static int unsent(const struct stream *s)
{
    int n;
    return s->idle && ioctl(s->fd, SIOCOUTQ, &n) == 0 ? n : 0;
}

/* Waits for any of the events. The only place of this module that blocks. A peer that takes what we
 * sent is not idle: the kernel holds megabytes, and says that there is room only when a third of
 * them is gone. So we look now and then. */
static int wait_for(struct stream *s, short events)
{
    int64_t began = clock_now();
    int queued = unsent(s);

    for (;;) {
        int why;
        int64_t left = time_left(s, began, &why);
        if (left <= 0)
            return fail(s, why);
        int64_t look = queued && s->idle / 8 < left ? s->idle / 8 : left;
        struct timespec ts = {look / CLOCK_SEC, look % CLOCK_SEC};
        struct pollfd p[2] = {{.fd = s->fd, .events = events},
                              {.fd = s->stop_fd, .events = POLLIN}};
        int n = ppoll(p, 2, look == CLOCK_NEVER ? NULL : &ts, NULL);
        if (n < 0 && errno != EINTR)
            return fail(s, -errno);
        if (n > 0 && p[1].revents)
            return fail(s, -XFER_ECANCELED);
        if (n > 0)
            return 0;
        int still = queued ? unsent(s) : 0;
        began = still < queued ? clock_now() : began;
        queued = still;
    }
}

static size_t in_room(const struct stream *s)
{
    return s->in_cap - s->in_off - s->in_len;
}

static void compact(struct stream *s)
{
    uint8_t *old = s->in;

    if (s->in_off == 0 || (s->in_len && s->in_off <= s->in_cap / 2 && in_room(s)))
        return;
    if (s->exchange)
        s->in = s->exchange(s->exchange_arg, old);
    memmove(s->in, old + s->in_off, s->in_len);
    s->in_off = 0;
}

int stream_pull(struct stream *s)
{
    if (s->err)
        return s->err;
    compact(s);
    if (s->eof || in_room(s) == 0)
        return 0;
    ssize_t n = recv(s->fd, s->in + s->in_off + s->in_len, in_room(s), MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : fail(s, -errno);
    if (n == 0) {
        s->eof = true;
        return 0;
    }
    s->in_len += (size_t)n;
    s->bytes_in += (uint64_t)n;
    return 0;
}

/* One attempt to send what is pending and then n bytes of p. Returns how many of p went. */
static long push(struct stream *s, const uint8_t *p, size_t n)
{
    struct iovec v[2] = {{s->out, s->out_len}, {(void *)p, n}};
    struct msghdr m = {.msg_iov = s->out_len ? v : v + 1, .msg_iovlen = s->out_len ? 2 : 1};
    if (n == 0)
        m.msg_iovlen = 1;
    ssize_t sent = sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : fail(s, -errno);
    s->bytes_out += (uint64_t)sent;
    if ((size_t)sent >= s->out_len) {
        sent -= (ssize_t)s->out_len;
        s->out_len = 0;
        return sent;
    }
    s->out_len -= (size_t)sent;
    memmove(s->out, s->out + sent, s->out_len);
    return 0;
}

/* Waits until more can be sent, taking in what arrives meanwhile. */
static int wait_for_room(struct stream *s)
{
    short events = POLLOUT;

    if (!s->eof && in_room(s) > 0)
        events |= POLLIN;
    int r = wait_for(s, events);
    return r == 0 && (events & POLLIN) ? stream_pull(s) : r;
}

/* Sends everything pending and all of p. */
static int send_all(struct stream *s, const uint8_t *p, size_t n)
{
    while (s->out_len + n > 0) {
        uint64_t before = s->bytes_out;
        long k = push(s, p, n);
        if (k < 0)
            return (int)k;
        p += k;
        n -= (size_t)k;
        if (s->out_len + n == 0 || s->bytes_out != before)
            continue;
        int r = wait_for_room(s);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Waits for input and holds the peer to min_rate. Only time spent waiting for it counts, so neither
 * a slow disk here nor a closed window of the peer's is held against it. */
static int wait_for_input(struct stream *s)
{
    int64_t began = clock_now();
    int r = wait_for(s, (short)(POLLIN | (s->out_len ? POLLOUT : 0)));

    if (r < 0 || !s->min_rate)
        return r;
    s->rate_waited += clock_now() - began;
    if (s->rate_waited < STREAM_RATE_WINDOW)
        return 0;
    uint64_t got = s->bytes_in - s->rate_mark;
    s->rate_waited = 0;
    s->rate_mark = s->bytes_in;
    return got < s->min_rate * (STREAM_RATE_WINDOW / CLOCK_SEC) ? fail(s, -ETIMEDOUT) : 0;
}

void stream_min_rate(struct stream *s, uint64_t bytes_per_second)
{
    s->min_rate = bytes_per_second;
    s->rate_waited = 0;
    s->rate_mark = s->bytes_in;
}

/* Where there is always input nobody waits, and nothing but this ends it in time. */
static int check_limits(struct stream *s)
{
    struct pollfd stop = {.fd = s->stop_fd, .events = POLLIN};

    if (s->err)
        return s->err;
    if (s->deadline != CLOCK_NEVER && clock_now() >= s->deadline)
        return fail(s, -XFER_EDEADLINE);
    return s->stop_fd >= 0 && poll(&stop, 1, 0) > 0 ? fail(s, -XFER_ECANCELED) : 0;
}

int stream_fill(struct stream *s)
{
    size_t had = s->in_len;

    if (check_limits(s) < 0)
        return s->err;
    for (;;) {
        int r = stream_pull(s);
        if (r < 0)
            return r;
        if (s->in_len > had || in_room(s) == 0)
            return 1;
        if (s->eof)
            return 0;
        if (s->out_len && push(s, NULL, 0) < 0)
            return s->err;
        r = wait_for_input(s);
        if (r < 0)
            return r;
    }
}

static int take_line(struct stream *s, size_t max, const char **line, size_t *n, size_t *seen)
{
    const char *p = (const char *)s->in + s->in_off;
    const char *lf = memchr(p + *seen, '\n', s->in_len - *seen);
    size_t len = lf ? (size_t)(lf - p) + 1 : s->in_len;

    if (len > max || (!lf && len == max))
        return fail(s, -XFER_ETOOLONG);
    if (!lf) {
        *seen = s->in_len;
        return 0;
    }
    *line = p;
    *n = len - 1;
    s->in_off += len;
    s->in_len -= len;
    return 1;
}

int stream_line(struct stream *s, size_t max, const char **line, size_t *n)
{
    size_t seen = 0;

    for (;;) {
        int r = s->err ? s->err : take_line(s, max, line, n, &seen);
        if (r != 0)
            return r;
        r = stream_fill(s);
        if (r < 0)
            return r;
        if (r == 0)
            return s->in_len ? fail(s, -XFER_ELOST) : 0;
    }
}

int stream_try_line(struct stream *s, size_t max, const char **line, size_t *n)
{
    size_t seen = 0;

    int r = s->err ? s->err : take_line(s, max, line, n, &seen);
    if (r != 0)
        return r;
    r = stream_pull(s);
    return r < 0 ? r : take_line(s, max, line, n, &seen);
}

long stream_span(struct stream *s, size_t max, const uint8_t **p)
{
    if (s->in_len == 0) {
        int r = stream_fill(s);
        if (r <= 0)
            return r;
    }
    size_t n = s->in_len < max ? s->in_len : max;
    *p = s->in + s->in_off;
    s->in_off += n;
    s->in_len -= n;
    return (long)n;
}

int stream_write(struct stream *s, const void *p, size_t n)
{
    if (s->err || n == 0)
        return s->err;
    if (n <= s->out_cap - s->out_len) {
        memcpy(s->out + s->out_len, p, n);
        s->out_len += n;
        return 0;
    }
    return send_all(s, p, n);
}

int stream_flush(struct stream *s)
{
    return s->err ? s->err : send_all(s, NULL, 0);
}
