#include "config.h"

#include "session/tftp_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK (128 * 1024) /* stays in the L2 cache (docs/decisions/004) */

/* ---- sending ---- */

int tftp_source_init(struct tftp_source *s, int fd, uint64_t limit, bool netascii, struct digest *d)
{
    *s = (struct tftp_source){
        .fd = fd, .limit = limit, .netascii = netascii, .digest = d, .held = -1};
    s->buf = malloc(CHUNK);
    return s->buf ? 0 : -ENOMEM;
}

void tftp_source_free(struct tftp_source *s)
{
    free(s->buf);
    s->buf = NULL;
}

static void hash_up_to(struct tftp_source *s, size_t end)
{
    if (s->digest)
        digest_update(s->digest, s->buf + s->hashed, end - s->hashed);
    s->hashed = end;
}

/* The next chunk of the file. Only when all of the last one was handed out. */
static void refill(struct tftp_source *s)
{
    uint64_t left = s->limit - s->off;
    ssize_t n;

    hash_up_to(s, s->n);
    s->n = s->at = s->hashed = 0;
    do
        n = pread(s->fd, s->buf, left < CHUNK ? (size_t)left : CHUNK, (off_t)s->off);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        s->err = -errno;
        return;
    }
    s->n = (size_t)n;
    s->off += (uint64_t)n;
    s->ended = n == 0;
}

/* Whether there are bytes in the buffer, after having looked for some. */
static bool has_bytes(struct tftp_source *s)
{
    if (s->at == s->n && !s->ended && !s->err)
        refill(s);
    return s->at < s->n;
}

static size_t read_octets(struct tftp_source *s, uint8_t *out, size_t n)
{
    size_t done = 0;

    while (done < n && has_bytes(s)) {
        size_t k = s->n - s->at < n - done ? s->n - s->at : n - done;
        memcpy(out + done, s->buf + s->at, k);
        s->at += k;
        done += k;
    }
    return done;
}

static size_t read_netascii(struct tftp_source *s, uint8_t *out, size_t n)
{
    size_t done = 0;

    while (done < n && (s->held >= 0 || has_bytes(s))) {
        if (s->held >= 0) {
            out[done++] = (uint8_t)s->held;
            s->held = -1;
            continue;
        }
        uint8_t c = s->buf[s->at++];
        s->held = c == '\n' ? '\n' : c == '\r' ? '\0' : -1;
        out[done++] = c == '\n' ? '\r' : c;
    }
    return done;
}

long tftp_source_read(struct tftp_source *s, uint8_t *out, size_t n)
{
    size_t done = s->netascii ? read_netascii(s, out, n) : read_octets(s, out, n);

    return s->err ? s->err : (long)done;
}

void tftp_source_idle(struct tftp_source *s)
{
    if (s->err)
        return;
    hash_up_to(s, s->at); /* while it is still in the cache */
    if (s->at == s->n && !s->ended)
        refill(s);
}

void tftp_source_finish(struct tftp_source *s)
{
    hash_up_to(s, s->n);
}

/* ---- receiving ---- */

int tftp_sink_init(struct tftp_sink *s, int (*write)(void *, const void *, size_t), void *arg,
                   bool netascii, struct digest *d)
{
    *s = (struct tftp_sink){.write = write, .arg = arg, .netascii = netascii, .digest = d};
    s->buf = malloc(CHUNK);
    return s->buf ? 0 : -ENOMEM;
}

void tftp_sink_free(struct tftp_sink *s)
{
    free(s->buf);
    s->buf = NULL;
}

static void hash_behind(struct tftp_sink *s)
{
    digest_update(s->digest, s->buf + s->hashed, s->n - s->hashed);
    s->hashed = s->n;
}

static void flush(struct tftp_sink *s)
{
    hash_behind(s);
    if (s->n && !s->err)
        s->err = s->write(s->arg, s->buf, s->n);
    s->n = s->hashed = 0;
}

static void take(struct tftp_sink *s, const uint8_t *p, size_t n)
{
    s->bytes += n;
    while (n > 0 && !s->err) {
        size_t k = CHUNK - s->n < n ? CHUNK - s->n : n;
        memcpy(s->buf + s->n, p, k);
        s->n += k;
        p += k;
        n -= k;
        if (s->n == CHUNK)
            flush(s);
    }
}

/* CR LF is an end of line, CR NUL a CR; a CR before anything else is taken as it is. */
static void take_netascii(struct tftp_sink *s, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s->cr && p[i] == '\n') {
            take(s, p + i, 1);
        } else if (s->cr) {
            take(s, (const uint8_t *)"\r", 1);
            if (p[i] != '\0' && p[i] != '\r')
                take(s, p + i, 1);
        } else if (p[i] != '\r') {
            take(s, p + i, 1);
        }
        s->cr = p[i] == '\r';
    }
}

int tftp_sink_write(struct tftp_sink *s, const uint8_t *p, size_t n)
{
    if (s->netascii)
        take_netascii(s, p, n);
    else
        take(s, p, n);
    return s->err;
}

/* Large pieces are cheaper to write, but not while the peer waits: as soon as as much again as came
 * since the last time would not fit. */
void tftp_sink_idle(struct tftp_sink *s)
{
    size_t lately = s->n - s->hashed;

    if (lately > CHUNK - s->n)
        flush(s);
    else
        hash_behind(s);
}

int tftp_sink_finish(struct tftp_sink *s)
{
    if (s->cr)
        take(s, (const uint8_t *)"\r", 1);
    s->cr = false;
    flush(s);
    return s->err;
}
