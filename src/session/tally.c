#include "config.h"

#include "session/tally.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "net/addr.h"
#include "net/clock.h"

#define SHOW_EVERY (CLOCK_SEC / 5)

void tally_init(struct tally *t, const struct xfer_net_opts *o)
{
    *t = (struct tally){.o = o, .began = clock_now()};
    pthread_mutex_init(&t->mutex, NULL);
}

int tally_finish(struct tally *t, struct xfer_totals *ret)
{
    t->t.seconds = clock_seconds_since(t->began);
    if (t->special)
        t->err = err_merge(t->err, -XFER_ESPECIAL);
    if (ret)
        *ret = t->t;
    pthread_mutex_destroy(&t->mutex);
    return t->err;
}

static void tell(struct tally *t, const struct xfer_event *ev)
{
    if (t->o->on_event)
        t->o->on_event(t->o->user, ev);
}

static uint64_t *counter(struct tally *t, enum xfer_outcome outcome)
{
    switch (outcome) {
    case XFER_DONE:
        return &t->t.files_done;
    case XFER_UNCHANGED:
        return &t->t.files_unchanged;
    case XFER_WOULD:
        return &t->t.files_would;
    case XFER_SKIPPED:
        return &t->t.files_skipped;
    case XFER_FAILED:
        break;
    }
    return &t->t.files_failed;
}

void tally_file(struct tally *t, struct xfer_event *ev)
{
    ev->type = XFER_EV_FILE;
    pthread_mutex_lock(&t->mutex);
    ++*counter(t, ev->outcome);
    if (ev->outcome == XFER_DONE)
        t->t.bytes += ev->bytes;
    if (ev->outcome == XFER_FAILED)
        t->err = err_merge(t->err, ev->err);
    if (ev->outcome == XFER_SKIPPED && ev->err)
        t->special++;
    tell(t, ev);
    pthread_mutex_unlock(&t->mutex);
}

void tally_entry(struct tally *t, const struct xfer_event *ev)
{
    pthread_mutex_lock(&t->mutex);
    t->t.files_done++;
    if (ev->entry.err)
        t->err = err_merge(t->err, ev->entry.err);
    tell(t, ev);
    pthread_mutex_unlock(&t->mutex);
}

void tally_fail(struct tally *t, const char *name, int err, const char *text)
{
    struct xfer_event ev = {.type = XFER_EV_WARNING, .name = name, .err = err, .text = text};

    pthread_mutex_lock(&t->mutex);
    t->err = err_merge(t->err, err);
    if (err != -XFER_ECANCELED) /* who stopped us knows */
        tell(t, &ev);
    pthread_mutex_unlock(&t->mutex);
}

static void tell_text(struct tally *t, enum xfer_event_type type, int err, const char *fmt,
                      va_list ap)
{
    char text[1024];
    struct xfer_event ev = {.type = type, .err = err, .text = text};

    vsnprintf(text, sizeof text, fmt, ap);
    pthread_mutex_lock(&t->mutex);
    tell(t, &ev);
    pthread_mutex_unlock(&t->mutex);
}

void tally_note(struct tally *t, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tell_text(t, XFER_EV_NOTE, 0, fmt, ap);
    va_end(ap);
}

void tally_warn(struct tally *t, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tell_text(t, XFER_EV_WARNING, err, fmt, ap);
    va_end(ap);
}

void tally_dir(struct tally *t)
{
    pthread_mutex_lock(&t->mutex);
    t->t.dirs++;
    pthread_mutex_unlock(&t->mutex);
}

void tally_retry(struct tally *t)
{
    pthread_mutex_lock(&t->mutex);
    t->t.retries++;
    pthread_mutex_unlock(&t->mutex);
}

void tally_tcp(struct tally *t, const struct tcp_facts *f)
{
    tally_note(t, "%llu segments sent, %llu of them again, RTT %.2f ms",
               (unsigned long long)f->segments, (unsigned long long)f->retransmits, f->rtt * 1e3);
    pthread_mutex_lock(&t->mutex);
    t->t.segments += f->segments;
    t->t.retransmits += f->retransmits;
    t->t.rtt = f->rtt;
    memcpy(t->t.congestion, f->congestion, sizeof t->t.congestion);
    pthread_mutex_unlock(&t->mutex);
}

void tally_udp(struct tally *t, const struct xfer_udp_facts *f)
{
    tally_note(
        t, "%llu datagrams sent, %llu blocks again, %llu received, %llu timeouts, RTT %.3f ms",
        (unsigned long long)f->packets_sent, (unsigned long long)f->retransmits,
        (unsigned long long)f->packets_received, (unsigned long long)f->timeouts, f->rtt * 1e3);
    pthread_mutex_lock(&t->mutex);
    t->t.packets_sent += f->packets_sent;
    t->t.packets_received += f->packets_received;
    t->t.retransmits += f->retransmits;
    t->t.timeouts += f->timeouts;
    if (f->rtt > 0)
        t->t.rtt = f->rtt;
    pthread_mutex_unlock(&t->mutex);
}

void tally_expect(struct tally *t, uint64_t files, uint64_t bytes)
{
    pthread_mutex_lock(&t->mutex);
    t->files_total += files;
    t->bytes_total += bytes;
    pthread_mutex_unlock(&t->mutex);
}

/* Called with the mutex held. */
static void show_progress(struct tally *t)
{
    int64_t now = clock_now();

    if (now - t->shown_at < SHOW_EVERY)
        return;
    t->shown_at = now;
    struct xfer_event ev = {.type = XFER_EV_PROGRESS,
                            .bytes_done = t->bytes_done,
                            .bytes_total = t->bytes_total,
                            .files_done = t->t.files_done + t->t.files_unchanged,
                            .files_total = t->files_total,
                            .seconds = (double)(now - t->began) / CLOCK_SEC};
    tell(t, &ev);
}

void tally_moved(struct tally *t, uint64_t n, bool wire)
{
    pthread_mutex_lock(&t->mutex);
    t->bytes_done += n;
    if (wire)
        t->t.bytes_wire += n;
    show_progress(t);
    pthread_mutex_unlock(&t->mutex);
}

void tally_unmoved(struct tally *t, uint64_t n)
{
    pthread_mutex_lock(&t->mutex);
    t->bytes_done -= n < t->bytes_done ? n : t->bytes_done;
    pthread_mutex_unlock(&t->mutex);
}
