#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "compare/method.h"

#define STREAMS_MAX 64
#define BLKSIZE_MIN 8 /* RFC 2348 */
#define BLKSIZE_MAX 65464
#define WINDOW_MAX 32767 /* half of the block numbers: beyond that ACKs are ambiguous */

static bool wrong(char why[COMPARE_WHY_MAX], const char *method, const char *text)
{
    snprintf(why, COMPARE_WHY_MAX, "method '%.60s': %s", method, text);
    return false;
}

static bool parse_number(const char *s, size_t n, unsigned min, unsigned max, unsigned *ret)
{
    uint64_t v;

    if (!parse_u64(s, n, max, &v) || v < min)
        return false;
    *ret = (unsigned)v;
    return true;
}

/* What stands after "tcp". */
static bool parse_tcp(const char *s, struct compare_method *m, const char *whole,
                      char why[COMPARE_WHY_MAX])
{
    if (*s == ':') {
        size_t n = strcspn(++s, "*");

        if (n == 0 || n >= sizeof m->congestion ||
            strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") < n)
            return wrong(why, whole, "no name of a congestion control (as in tcp:cubic)");
        memcpy(m->congestion, s, n);
        s += n;
    }
    if (*s == '*' && !parse_number(s + 1, strlen(s + 1), 1, STREAMS_MAX, &m->streams))
        return wrong(why, whole, "connections are a number from 1 to 64 (as in tcp*4)");
    if (*s != '*' && *s != '\0')
        return wrong(why, whole, "after tcp comes :NAME or *N");
    return true;
}

static bool parse_udp_setting(const char *s, size_t n, struct compare_method *m, const char *whole,
                              char why[COMPARE_WHY_MAX])
{
    if (n > 8 && memcmp(s, "blksize=", 8) == 0)
        return parse_number(s + 8, n - 8, BLKSIZE_MIN, BLKSIZE_MAX, &m->blksize) ||
               wrong(why, whole, "blksize is a number from 8 to 65464");
    if (n > 7 && memcmp(s, "window=", 7) == 0)
        return parse_number(s + 7, n - 7, 1, WINDOW_MAX, &m->window) ||
               wrong(why, whole, "window is a number from 1 to 32767");
    return wrong(why, whole, "udp takes blksize=N and window=N (as in udp:blksize=512,window=16)");
}

/* What stands after "udp". */
static bool parse_udp(const char *s, struct compare_method *m, const char *whole,
                      char why[COMPARE_WHY_MAX])
{
    struct rbuf list;
    const char *setting;
    bool blksize = false, window = false; /* given */
    size_t n;

    m->blksize = COMPARE_BLKSIZE;
    m->window = 1;
    if (*s == '\0')
        return true;
    if (*s != ':' || s[strlen(s) - 1] == ':' || s[strlen(s) - 1] == ',')
        return wrong(why, whole, "udp takes blksize=N and window=N (as in udp:window=16)");
    list = rbuf_init(s + 1, strlen(s + 1));
    while (rbuf_token(&list, ',', &setting, &n)) {
        bool *again = *setting == 'b' ? &blksize : &window;

        if (!parse_udp_setting(setting, n, m, whole, why))
            return false;
        if (*again)
            return wrong(why, whole, "a setting is given twice");
        *again = true;
    }
    return true;
}

bool compare_method_parse(const char *s, struct compare_method *m, char why[COMPARE_WHY_MAX])
{
    *m = (struct compare_method){.streams = 1};
    if (strncmp(s, "tcp", 3) == 0) {
        m->transport = COMPARE_TCP;
        return parse_tcp(s + 3, m, s, why);
    }
    if (strncmp(s, "udp", 3) == 0) {
        m->transport = COMPARE_UDP;
        return parse_udp(s + 3, m, s, why);
    }
    return wrong(why, s, "a method begins with tcp or udp");
}

void compare_method_name(const struct compare_method *m, char out[COMPARE_LABEL_MAX])
{
    char streams[12] = "", blksize[24] = "", window[24] = "";
    bool given = m->blksize != COMPARE_BLKSIZE;

    if (m->transport == COMPARE_TCP) {
        if (m->streams > 1)
            snprintf(streams, sizeof streams, "*%u", m->streams);
        snprintf(out, COMPARE_LABEL_MAX, "tcp%s%s%s", m->congestion[0] ? ":" : "", m->congestion,
                 streams);
        return;
    }
    if (given)
        snprintf(blksize, sizeof blksize, "blksize=%u", m->blksize);
    if (m->window > 1)
        snprintf(window, sizeof window, "%swindow=%u", given ? "," : "", m->window);
    snprintf(out, COMPARE_LABEL_MAX, "udp%s%s%s", given || m->window > 1 ? ":" : "", blksize,
             window);
}

void compare_method_label(const struct compare_method *m, const char *congestion,
                          char out[COMPARE_LABEL_MAX])
{
    const char *cc = congestion[0] ? congestion : m->congestion;
    char streams[16] = "", blksize[16] = "";

    if (m->transport == COMPARE_TCP) {
        if (m->streams > 1)
            snprintf(streams, sizeof streams, " x %u", m->streams);
        snprintf(out, COMPARE_LABEL_MAX, cc[0] ? "tcp (%s)%s" : "tcp%s%s", cc, streams);
        return;
    }
    if (m->blksize != COMPARE_BLKSIZE)
        snprintf(blksize, sizeof blksize, " %u", m->blksize);
    if (m->window > 1)
        snprintf(out, COMPARE_LABEL_MAX, "udp%s window %u", blksize, m->window);
    else
        snprintf(out, COMPARE_LABEL_MAX, blksize[0] ? "udp%s, waiting" : "udp%s stop-and-wait",
                 blksize);
}
