#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/units.h"
#include "compare/link.h"
#include "compare/method.h"
#include "compare/spec.h"
#include "compare/theory.h"
#include "link/link.h"

#define SIZE_DEFAULT (1 << 20)
#define SIZE_MAX_BYTES (UINT64_C(1) << 40)
#define HEADERS 32 /* IPv4, UDP and TFTP before a block */
#define FLIGHT_MAX (1 << 20)
#define SENDING 0.0005 /* s at most until all fragments of a block have come to the queue */

void compare_spec_default(struct compare_spec *s)
{
    static const char *const methods[] = {"tcp", "udp:window=16", "udp"};
    char why[COMPARE_WHY_MAX];

    *s = (struct compare_spec){.size = SIZE_DEFAULT, .rounds = 3, .max_time = 30, .n = 3};
    for (size_t i = 0; i < s->n; i++)
        compare_method_parse(methods[i], &s->methods[i], why);
    compare_link_default(&s->link);
}

bool compare_spec_method(struct compare_spec *s, const char *text, char why[COMPARE_WHY_MAX])
{
    struct compare_method m;

    if (!compare_method_parse(text, &m, why))
        return false;
    if (!s->methods_given)
        s->n = 0;
    s->methods_given = true;
    for (size_t i = 0; i < s->n; i++)
        if (memcmp(&m, &s->methods[i], sizeof m) == 0) {
            snprintf(why, COMPARE_WHY_MAX, "method '%.60s' is given twice", text);
            return false;
        }
    if (s->n == COMPARE_METHODS_MAX) {
        snprintf(why, COMPARE_WHY_MAX, "more than %d methods", COMPARE_METHODS_MAX);
        return false;
    }
    s->methods[s->n++] = m;
    return true;
}

enum compare_direction compare_spec_direction(const struct compare_spec *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (compare_spec_refusal(&s->methods[i], COMPARE_PUT) != NULL)
            return COMPARE_GET;
    return COMPARE_PUT;
}

const char *compare_spec_refusal(const struct compare_method *m, enum compare_direction direction)
{
    return m->streams > 1 && direction == COMPARE_PUT
               ? "an upload is one stream of bytes; several connections share a file to get: "
                 "--direction get"
               : NULL;
}

bool compare_spec_size(struct compare_spec *s, const char *text, char why[COMPARE_WHY_MAX])
{
    uint64_t size;

    if (!units_parse_size(text, &size) || size == 0 || size > SIZE_MAX_BYTES) {
        snprintf(why, COMPARE_WHY_MAX, "size '%.40s': a size from 1 to 1T (as in 4M)", text);
        return false;
    }
    s->size = size;
    return true;
}

static bool set_block(struct compare_spec *s, const char *key, const char *value, double *number,
                      char why[COMPARE_WHY_MAX])
{
    char text[COMPARE_LABEL_MAX];
    struct compare_method m;
    bool any = false, window = strcmp(key, "window") == 0;

    snprintf(text, sizeof text, "udp:%s=%.20s", key, value);
    if (!compare_method_parse(text, &m, why))
        return false;
    for (size_t i = 0; i < s->n; i++) {
        if (s->methods[i].transport != COMPARE_UDP)
            continue;
        any = true;
        if (window)
            s->methods[i].window = m.window;
        else
            s->methods[i].blksize = m.blksize;
    }
    if (!any)
        snprintf(why, COMPARE_WHY_MAX, "no method over UDP has a %s to sweep", key);
    *number = window ? m.window : m.blksize;
    return any;
}

static bool is_block_key(const char *key)
{
    return strcmp(key, "blksize") == 0 || strcmp(key, "window") == 0;
}

static bool set_key(struct compare_spec *s, const char *key, const char *value, double *number,
                    char why[COMPARE_WHY_MAX])
{
    if (strcmp(key, "size") == 0) {
        if (!compare_spec_size(s, value, why))
            return false;
        *number = (double)s->size;
        return true;
    }
    if (is_block_key(key))
        return set_block(s, key, value, number, why);
    if (!compare_link_is_key(key)) {
        snprintf(why, COMPARE_WHY_MAX,
                 "sweep '%.20s': neither size, blksize or window, nor one of " COMPARE_LINK_KEYS,
                 key);
        return false;
    }
    return compare_link_set(&s->link, key, value, number, why);
}

/* Two methods that differ in what is swept alone would be measured twice. */
static bool part_methods(struct compare_spec *s, char why[COMPARE_WHY_MAX])
{
    struct compare_spec point;
    char a[COMPARE_LABEL_MAX], b[COMPARE_LABEL_MAX];
    size_t n = 0;

    if (!is_block_key(s->sweep.key))
        return true;
    if (!compare_spec_point(s, 0, &point, why))
        return false;
    for (size_t i = 0; i < s->n; i++) {
        size_t k = 0;

        while (k < n && memcmp(&point.methods[k], &point.methods[i], sizeof *point.methods) != 0)
            k++;
        if (k < n && s->methods_given) {
            compare_method_name(&s->methods[k], a);
            compare_method_name(&s->methods[i], b);
            snprintf(why, COMPARE_WHY_MAX, "sweep: with one %s '%s' and '%s' are the same method",
                     s->sweep.key, a, b);
            return false;
        }
        if (k == n) {
            point.methods[n] = point.methods[i];
            s->methods[n++] = s->methods[i];
        }
    }
    s->n = n;
    return true;
}

static bool add_value(struct compare_spec *s, const char *value, size_t n,
                      char why[COMPARE_WHY_MAX])
{
    struct compare_sweep *w = &s->sweep;
    struct compare_spec tried = *s;

    if (w->n == COMPARE_SWEEP_MAX) {
        snprintf(why, COMPARE_WHY_MAX, "more than %d values to sweep", COMPARE_SWEEP_MAX);
        return false;
    }
    if (n >= sizeof w->values[0]) {
        snprintf(why, COMPARE_WHY_MAX, "sweep: '%.*s' is too long", (int)(n < 40 ? n : 40), value);
        return false;
    }
    memcpy(w->values[w->n], value, n);
    w->values[w->n][n] = '\0';
    if (!set_key(&tried, w->key, w->values[w->n], &w->numbers[w->n], why))
        return false;
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->values[i], w->values[w->n]) == 0) {
            snprintf(why, COMPARE_WHY_MAX, "sweep: %s is given twice", w->values[i]);
            return false;
        }
    w->n++;
    return true;
}

bool compare_spec_sweep(struct compare_spec *s, const char *text, char why[COMPARE_WHY_MAX])
{
    size_t key = strcspn(text, "="), n;
    struct rbuf list;
    const char *value;

    s->sweep = (struct compare_sweep){0};
    if (key == 0 || key >= sizeof s->sweep.key || text[key] != '=' ||
        strchr("=,", text[strlen(text) - 1]) != NULL) {
        snprintf(why, COMPARE_WHY_MAX, "sweep '%.40s': KEY=A,B,C (as in rtt=1ms,10ms,100ms)", text);
        return false;
    }
    memcpy(s->sweep.key, text, key);
    list = rbuf_init(text + key + 1, strlen(text + key + 1));
    while (rbuf_token(&list, ',', &value, &n))
        if (!add_value(s, value, n, why))
            return false;
    return part_methods(s, why);
}

size_t compare_spec_points(const struct compare_spec *s)
{
    return s->sweep.n > 0 ? s->sweep.n : 1;
}

bool compare_spec_series(const struct compare_spec *s)
{
    return s->sweep.n > 0 && s->n == 1;
}

bool compare_spec_point(const struct compare_spec *s, size_t i, struct compare_spec *out,
                        char why[COMPARE_WHY_MAX])
{
    double number;

    *out = *s;
    out->sweep = (struct compare_sweep){0};
    return s->sweep.n == 0 || set_key(out, s->sweep.key, s->sweep.values[i], &number, why);
}

static bool check_mtu(const struct compare_spec *s, const struct compare_method *m,
                      char why[COMPARE_WHY_MAX])
{
    if (m->transport != COMPARE_UDP || !s->link.mtu_given || m->blksize + HEADERS <= s->link.mtu)
        return true;
    snprintf(why, COMPARE_WHY_MAX,
             "blocks of %u bytes do not fit an MTU of %u: with headers they take %u; "
             "udp:blksize=%u fits",
             m->blksize, s->link.mtu, m->blksize + HEADERS, s->link.mtu - HEADERS);
    return false;
}

/* What is in flight is kept to be sent again, and that is bounded. */
static bool check_window(const struct compare_method *m, char why[COMPARE_WHY_MAX])
{
    unsigned most = FLIGHT_MAX / (m->blksize + 4);

    if (m->transport != COMPARE_UDP || m->window == 1 || m->window <= most)
        return true;
    snprintf(why, COMPARE_WHY_MAX,
             "%u blocks of %u bytes are more than the 1 MiB that a window holds; "
             "udp:blksize=%u,window=%u fits",
             m->window, m->blksize, m->blksize, most);
    return false;
}

/* The fragments of a block come to the queue at once: where it drops one each time, no block ever
 * arrives. */
static bool check_queue(const struct compare_spec *s, const struct compare_method *m,
                        char why[COMPARE_WHY_MAX])
{
    unsigned blksize = s->size < m->blksize ? (unsigned)s->size : m->blksize;

    if (!s->link.emulated || m->transport != COMPARE_UDP)
        return true;
    for (int d = COMPARE_PUT; d <= COMPARE_GET; d++) {
        struct theory_path p = theory_path(&s->link, (enum compare_direction)d);
        double queue = p.queue;

        p.queue += SENDING * p.rate / 8;
        if ((s->direction != COMPARE_BOTH && (int)s->direction != d) ||
            !theory_overflows(&p, blksize, 1))
            continue;
        snprintf(why, COMPARE_WHY_MAX,
                 "a block of %u bytes is cut into packets of which a queue of %.0f bytes holds but "
                 "a part: it never arrives whole; use smaller blocks, or --queue",
                 blksize, queue);
        return false;
    }
    return true;
}

static bool check_point(const struct compare_spec *s, char why[COMPARE_WHY_MAX])
{
    for (int i = 0; i < 2; i++) {
        const struct compare_way *w = &s->link.way[i];

        if (s->link.emulated && w->queue > 0 && w->queue < s->link.mtu) {
            snprintf(why, COMPARE_WHY_MAX, "a queue of %llu bytes holds no packet of %u",
                     (unsigned long long)w->queue, s->link.mtu);
            return false;
        }
    }
    for (size_t i = 0; i < s->n; i++)
        if (!check_mtu(s, &s->methods[i], why) || !check_window(&s->methods[i], why) ||
            !check_queue(s, &s->methods[i], why))
            return false;
    return true;
}

bool compare_spec_check(const struct compare_spec *s, char why[COMPARE_WHY_MAX])
{
    struct compare_spec point;

    if (s->n == 0 || s->rounds == 0 || s->rounds > COMPARE_ROUNDS_MAX || !(s->max_time > 0)) {
        snprintf(why, COMPARE_WHY_MAX, "a method, 1 to %d rounds and some time are needed",
                 COMPARE_ROUNDS_MAX);
        return false;
    }
    for (size_t i = 0; i < compare_spec_points(s); i++)
        if (!compare_spec_point(s, i, &point, why) || !check_point(&point, why))
            return false;
    return true;
}

const char *compare_spec_warning(const struct compare_spec *s)
{
    for (int i = 0; i < 2; i++)
        if (s->link.emulated && s->link.way[i].rate > LINK_RATE_SUPPORTED)
            return "rates above 500 Mbit/s may be more than this machine can emulate; the link's "
                   "own check will tell";
    return NULL;
}
