#include "config.h"

#include "session/chan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define CHECK_LEN 15 /* " check=" and 8 hex digits */

int chan_init(struct chan *ch, int fd, int stop_fd)
{
    *ch = (struct chan){.lines = digest_new()};
    int r = ch->lines ? stream_init(&ch->s, fd, stop_fd, CHAN_IN_CAP, CHAN_OUT_CAP) : -ENOMEM;
    if (r < 0) {
        digest_free(ch->lines);
        ch->lines = NULL;
    }
    return r;
}

void chan_free(struct chan *ch)
{
    stream_free(&ch->s);
    digest_free(ch->lines);
    free(ch->scratch);
    ch->lines = NULL;
    ch->scratch = NULL;
}

/* ---- checks: a name or a condition has no digest but this ---- */

static int line_sum(struct chan *ch, const char *line, size_t n, uint8_t sum[DIGEST_LEN])
{
    digest_reset(ch->lines);
    digest_update(ch->lines, line, n);
    return digest_peek(ch->lines, sum) ? 0 : -ENOMEM;
}

/* Takes the check off a line that has one. -XFER_EINTEGRITY: it was damaged on its way, or has none
 * though all before had. DATA needs none: whatever its damage, END tells. */
static int take_check(struct chan *ch, const char *line, size_t *n)
{
    uint8_t sum[DIGEST_LEN], theirs[4];
    size_t end = *n > 0 && line[*n - 1] == '\r' ? *n - 1 : *n;
    size_t bare = end > CHECK_LEN ? end - CHECK_LEN : 0;

    if (!bare || memcmp(line + bare, " check=", 7) != 0 ||
        !parse_hex(line + bare + 7, 8, theirs, sizeof theirs))
        return !ch->checked || (*n > 5 && memcmp(line, "DATA ", 5) == 0) ? 0 : -XFER_EINTEGRITY;
    *n = bare;
    ch->checked = true;
    int r = line_sum(ch, line, bare, sum);
    return r == 0 && memcmp(sum, theirs, sizeof theirs) != 0 ? -XFER_EINTEGRITY : r;
}

/* Queues a line, with its check where it has one. */
static int send_line(struct chan *ch, char *line, size_t n)
{
    uint8_t sum[DIGEST_LEN];

    if (ch->checks && line_sum(ch, line, n - 1, sum) < 0)
        return ch->s.err = -ENOMEM;
    if (ch->checks)
        n += (size_t)sprintf(line + n - 1, " check=%02x%02x%02x%02x\n", sum[0], sum[1], sum[2],
                             sum[3]) -
             1;
    return stream_write(&ch->s, line, n);
}

/* ---- lines ---- */

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
    int r = take_check(ch, line, &n);
    if (r < 0)
        return ch->s.err = r;
    r = wire_decode(line, n, m);
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
    char line[WIRE_LINE_MAX + CHECK_LEN];

    long n = wire_encode(m, line, WIRE_LINE_MAX - CHECK_LEN);
    return n < 0 ? (int)n : send_line(ch, line, (size_t)n);
}

int chan_reply(struct chan *ch, unsigned code)
{
    char line[16 + CHECK_LEN];

    int n = snprintf(line, 16, "%03u\n", code);
    return send_line(ch, line, (size_t)n);
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
