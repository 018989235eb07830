#include "config.h"

#include "session/chan.h"

#include <stdio.h>
#include <stdlib.h>

int chan_init(struct chan *ch, int fd, int stop_fd)
{
    *ch = (struct chan){0};
    return stream_init(&ch->s, fd, stop_fd, CHAN_IN_CAP, CHAN_OUT_CAP);
}

void chan_free(struct chan *ch)
{
    stream_free(&ch->s);
    free(ch->scratch);
    ch->scratch = NULL;
}

uint8_t *chan_scratch(struct chan *ch)
{
    if (!ch->scratch)
        ch->scratch = malloc(CHAN_SCRATCH);
    return ch->scratch;
}

static int skip_payload(struct chan *ch)
{
    const uint8_t *p;
    long n;

    while ((n = chan_payload(ch, &p)) > 0)
        continue;
    return (int)n;
}

static int decode(struct chan *ch, const char *line, size_t n, struct wire_msg *m)
{
    int r = wire_decode(line, n, m);
    if (r < 0)
        return r;
    if (m->verb == WIRE_DATA)
        ch->body_left = m->length;
    return 1;
}

int chan_recv(struct chan *ch, struct wire_msg *m)
{
    const char *line;
    size_t n;

    int r = skip_payload(ch);
    if (r < 0)
        return r;
    r = stream_line(&ch->s, WIRE_LINE_MAX, &line, &n);
    return r <= 0 ? r : decode(ch, line, n, m);
}

int chan_expect(struct chan *ch, struct wire_msg *m)
{
    int r = chan_recv(ch, m);

    if (r == 0)
        r = ch->s.err = -XFER_ELOST;
    return r;
}

int chan_try_recv(struct chan *ch, struct wire_msg *m)
{
    const char *line;
    size_t n;

    if (ch->body_left)
        return 0;
    int r = stream_try_line(&ch->s, WIRE_LINE_MAX, &line, &n);
    return r <= 0 ? r : decode(ch, line, n, m);
}

long chan_payload(struct chan *ch, const uint8_t **p)
{
    if (ch->body_left == 0)
        return 0;
    size_t max = ch->body_left < SIZE_MAX ? (size_t)ch->body_left : SIZE_MAX;
    long n = stream_span(&ch->s, max, p);
    if (n == 0)
        return ch->s.err = -XFER_ELOST;
    if (n > 0)
        ch->body_left -= (uint64_t)n;
    return n;
}

int chan_send(struct chan *ch, const struct wire_msg *m)
{
    char line[WIRE_LINE_MAX];

    long n = wire_encode(m, line, sizeof line);
    return n < 0 ? (int)n : stream_write(&ch->s, line, (size_t)n);
}

int chan_reply(struct chan *ch, unsigned code)
{
    char line[16];

    int n = snprintf(line, sizeof line, "%03u\n", code);
    return stream_write(&ch->s, line, (size_t)n);
}

int chan_refuse(struct chan *ch, bool abort, int err, const char *text)
{
    const struct err_row *row = err_row(err);
    struct wire_msg m;

    m.verb = abort ? WIRE_ABORT : WIRE_REPLY;
    m.keys = 0;
    m.code = row->wire_code;
    m.error = -(int)row->err;
    if (!text) /* what the system said is news only where our own word for it is vague */
        text = row->err == XFER_EREMOTE ? xfer_strerror(err) : row->text;
    snprintf(m.text, sizeof m.text, "%s", text);
    return chan_send(ch, &m);
}

int chan_send_data(struct chan *ch, const void *p, size_t n)
{
    char head[32];

    int k = snprintf(head, sizeof head, "DATA %zu\n", n);
    int r = stream_write(&ch->s, head, (size_t)k);
    return r < 0 ? r : stream_write(&ch->s, p, n);
}
