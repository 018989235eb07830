#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/units.h"
#include "compare/link.h"
#include "compare/method.h"
#include "compare/spec.h"
#include "link/link.h"

#define SIZE_DEFAULT (1 << 20)
#define SIZE_MAX_BYTES (UINT64_C(1) << 40)
#define HEADERS 32 /* IPv4, UDP and TFTP before a block */

void compare_spec_default(struct compare_spec *s)
{
    static const char *const methods[] = {"tcp", "udp:window=16", "udp"};
    char why[COMPARE_WHY_MAX];

    *s = (struct compare_spec){.size = SIZE_DEFAULT, .rounds = 3, .max_time = 30, .n = 3};
    for (size_t i = 0; i < s->n; i++)
        compare_method_parse(methods[i], &s->methods[i], why);
    compare_link_default(&s->link);
}

bool compare_spec_method(struct compare_spec *s, const char *text, bool *given,
                         char why[COMPARE_WHY_MAX])
{
    struct compare_method m;

    if (!compare_method_parse(text, &m, why))
        return false;
    if (!*given)
        s->n = 0;
    *given = true;
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

static bool set_key(struct compare_spec *s, const char *key, const char *value, double *number,
                    char why[COMPARE_WHY_MAX])
{
    if (strcmp(key, "size") == 0) {
        if (!compare_spec_size(s, value, why))
            return false;
        *number = (double)s->size;
        return true;
    }
    if (strcmp(key, "blksize") == 0 || strcmp(key, "window") == 0)
        return set_block(s, key, value, number, why);
    return compare_link_set(&s->link, key, value, number, why);
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
    return true;
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
        if (!check_mtu(s, &s->methods[i], why))
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
