#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/units.h"
#include "compare/link.h"
#include "link/link.h"

#define QUEUE_MIN 16 /* packets */

struct preset {
    const char *name;
    bool emulated;
    struct compare_way up, down;
};

static const struct preset presets[] = {
    {"default", true, {20000000, .01, 0, 0, 0, 0, 0, 0}, {20000000, .01, 0, 0, 0, 0, 0, 0}},
    {"loopback", false, {0}, {0}},
    {"lan", true, {100000000, .0005, 0, 0, 0, 0, 0, 0}, {100000000, .0005, 0, 0, 0, 0, 0, 0}},
    {"broadband", true, {10000000, .01, 0, 0, 0, 0, 0, 0}, {50000000, .01, 0, 0, 0, 0, 0, 0}},
    {"mobile",
     true,
     {10000000, .03, .01, .005, 0, 0, 0, 0},
     {20000000, .03, .01, .005, 0, 0, 0, 0}},
    {"satellite", true, {5000000, .3, 0, .001, 0, 0, 0, 0}, {20000000, .3, 0, .001, 0, 0, 0, 0}},
};

enum kind { KIND_TIME, KIND_HALVED, KIND_RATE, KIND_CHANCE, KIND_BYTES };

static const struct key {
    const char *name;
    enum kind kind;
    size_t offset; /* in struct compare_way */
} keys[] = {
    {"rtt", KIND_HALVED, offsetof(struct compare_way, delay)},
    {"delay", KIND_TIME, offsetof(struct compare_way, delay)},
    {"jitter", KIND_TIME, offsetof(struct compare_way, jitter)},
    {"rate", KIND_RATE, offsetof(struct compare_way, rate)},
    {"loss", KIND_CHANCE, offsetof(struct compare_way, loss)},
    {"duplicate", KIND_CHANCE, offsetof(struct compare_way, duplicate)},
    {"corrupt", KIND_CHANCE, offsetof(struct compare_way, corrupt)},
    {"reorder", KIND_CHANCE, offsetof(struct compare_way, reorder)},
    {"queue", KIND_BYTES, offsetof(struct compare_way, queue)},
};

static bool wrong(char why[COMPARE_WHY_MAX], const char *key, const char *value, const char *text)
{
    snprintf(why, COMPARE_WHY_MAX, "%.20s '%.40s': %s", key, value, text);
    return false;
}

static void from_preset(struct compare_link *l, const struct preset *p)
{
    uint64_t seed = l->seed;

    *l = (struct compare_link){.emulated = p->emulated, .mtu = COMPARE_MTU, .seed = seed};
    snprintf(l->name, sizeof l->name, "%s", p->name);
    l->way[0] = p->up;
    l->way[1] = p->down;
}

void compare_link_default(struct compare_link *l)
{
    l->seed = 1;
    from_preset(l, &presets[0]);
}

static bool parse_time(const char *key, const char *s, double *seconds, char why[COMPARE_WHY_MAX])
{
    bool zero = strcmp(s, "0") == 0;

    if (!units_parse_seconds(s, seconds))
        return wrong(why, key, s, "no time (as in 20ms or 0.5s)");
    if (!zero && s[strcspn(s, "smhSMH")] == '\0')
        return wrong(why, key, s, "a time needs a unit (as in 20ms or 0.5s)");
    if (*seconds > 1e-9 * LINK_DELAY_MAX)
        return wrong(why, key, s, "more than 30 s");
    return true;
}

static bool parse_rate(const char *key, const char *s, double *bits, char why[COMPARE_WHY_MAX])
{
    uint64_t bytes_per_second;

    if ((*s != '\0' && s[strspn(s, "0.")] == '\0') || (s[strspn(s, "0.")] > '9' && s[0] == '0'))
        return wrong(why, key, s, "nothing crosses a link without a rate");
    if (*s != '\0' && s[strspn(s, "0123456789.")] == '\0')
        return wrong(why, key, s, "a rate needs a unit (as in 20mbit)");
    if (!units_parse_rate(s, &bytes_per_second))
        return wrong(why, key, s, "no rate (as in 20mbit)");
    if (bytes_per_second < LINK_RATE_MIN / 8)
        return wrong(why, key, s, "less than 1kbit");
    if (bytes_per_second > LINK_RATE_MAX / 8)
        return wrong(why, key, s, "more than 10gbit");
    *bits = 8 * (double)bytes_per_second;
    return true;
}

static bool parse_chance(const char *key, const char *s, double *chance, char why[COMPARE_WHY_MAX])
{
    size_t n = strlen(s), comma = strcspn(s, ",");
    char hint[128], *end;
    bool percent = n > 0 && s[n - 1] == '%';

    if (s[comma] == ',') {
        snprintf(hint, sizeof hint, "decimals have a point: %.*s.%.20s",
                 (int)(comma < 20 ? comma : 20), s, s + comma + 1);
        return wrong(why, key, s, hint);
    }
    if (!percent && strcmp(s, "0") != 0)
        return wrong(why, key, s, "a share needs a percent sign (as in 0.5%)");
    *chance = strtod(s, &end) / 100;
    if (s[strspn(s, "0123456789.")] != (percent ? '%' : '\0') || end != s + n - percent || end == s)
        return wrong(why, key, s, "no percentage (as in 0.5%)");
    if (*chance > 1)
        return wrong(why, key, s, "more than 100%");
    if (*chance == 1 && strstr(key, "loss") != NULL)
        return wrong(why, key, s, "nothing would arrive");
    if (*chance == 1 && strstr(key, "corrupt") != NULL)
        return wrong(why, key, s, "nothing would arrive whole");
    return true;
}

static bool parse_value(const struct key *k, const char *name, const char *s, double *v,
                        char why[COMPARE_WHY_MAX])
{
    uint64_t bytes;

    switch (k->kind) {
    case KIND_TIME:
    case KIND_HALVED:
        return parse_time(name, s, v, why);
    case KIND_RATE:
        return parse_rate(name, s, v, why);
    case KIND_CHANCE:
        return parse_chance(name, s, v, why);
    case KIND_BYTES:
        break;
    }
    if (!units_parse_size(s, &bytes) || bytes == 0)
        return wrong(why, name, s, "no size (as in 64K)");
    *v = (double)bytes;
    return true;
}

static void store_value(struct compare_way *w, const struct key *k, double v)
{
    char *field = (char *)w + k->offset;
    uint64_t whole = (uint64_t)v;

    if (k->kind == KIND_HALVED)
        v /= 2;
    if (k->kind == KIND_RATE || k->kind == KIND_BYTES)
        memcpy(field, &whole, sizeof whole);
    else
        memcpy(field, &v, sizeof v);
}

static bool set_whole(struct compare_link *l, const char *key, const char *value, double *number,
                      char why[COMPARE_WHY_MAX])
{
    uint64_t v;

    if (strcmp(key, "seed") == 0) {
        if (!parse_u64(value, strlen(value), INT64_MAX, &v))
            return wrong(why, key, value, "no number");
        l->seed = v;
    } else {
        if (!parse_u64(value, strlen(value), LINK_MTU_MAX, &v) || v < LINK_MTU_MIN)
            return wrong(why, key, value, "an MTU is a number from 576 to 9000");
        l->mtu = (unsigned)v;
        l->mtu_given = true;
    }
    *number = (double)v;
    return true;
}

static const struct key *find_key(const char *name)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(name, keys[i].name) == 0)
            return &keys[i];
    return NULL;
}

/* Whether a name is "up-", "down-" or neither, and what follows. */
static const char *way_of(const char *key, bool *up, bool *down)
{
    *up = strncmp(key, "up-", 3) == 0;
    *down = strncmp(key, "down-", 5) == 0;
    return *up ? key + 3 : *down ? key + 5 : key;
}

bool compare_link_is_key(const char *key)
{
    bool up, down;
    const struct key *k = find_key(way_of(key, &up, &down));

    return k != NULL ? k->kind != KIND_HALVED || !(up || down)
                     : strcmp(key, "mtu") == 0 || strcmp(key, "seed") == 0;
}

/* "20mbit/1mbit": up, then down. */
static bool set_apart(struct compare_link *l, const struct key *k, const char *key, bool one_way,
                      const char *value, double *number, char why[COMPARE_WHY_MAX])
{
    const char *slash = strchr(value, '/');
    char up[32];
    double back;

    if (k->kind == KIND_HALVED)
        return wrong(why, key, value,
                     "a round trip is one; each way has a delay (--link delay=A/B)");
    if (one_way)
        return wrong(why, key, value, "it is of one way: one value");
    snprintf(up, sizeof up, "%.*s", (int)(slash - value < 31 ? slash - value : 31), value);
    if (!parse_value(k, key, up, number, why) || !parse_value(k, key, slash + 1, &back, why))
        return false;
    store_value(&l->way[0], k, *number);
    store_value(&l->way[1], k, back);
    return true;
}

bool compare_link_set(struct compare_link *l, const char *key, const char *value, double *number,
                      char why[COMPARE_WHY_MAX])
{
    bool up, down;
    const char *name = way_of(key, &up, &down);
    const struct key *k = find_key(name);
    double v;

    if (number == NULL)
        number = &v;
    if (!compare_link_is_key(key))
        return wrong(why, key, value, "a link has " COMPARE_LINK_KEYS);
    if (strcmp(key, "seed") == 0)
        return set_whole(l, key, value, number, why);
    if (!l->emulated)
        return wrong(why, key, value, "the loopback device has no settings; leave out the preset");
    if (strcmp(key, "mtu") == 0)
        return set_whole(l, key, value, number, why);
    if (strchr(value, '/') != NULL)
        return set_apart(l, k, key, up || down, value, number, why);
    if (!parse_value(k, key, value, number, why))
        return false;
    if (!down)
        store_value(&l->way[0], k, *number);
    if (!up)
        store_value(&l->way[1], k, *number);
    return true;
}

static bool set_preset(struct compare_link *l, const char *name, char why[COMPARE_WHY_MAX])
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (strcmp(name, presets[i].name) == 0) {
            from_preset(l, &presets[i]);
            return true;
        }
    return wrong(why, "link", name,
                 "neither default, loopback, lan, broadband, mobile or satellite, nor KEY=VALUE");
}

bool compare_link_parse(const char *s, struct compare_link *l, char why[COMPARE_WHY_MAX])
{
    struct rbuf list = rbuf_init(s, strlen(s));
    const char *part;
    char item[64], *equals;
    size_t n;
    bool first = true;

    if (*s == '\0')
        return wrong(why, "link", s, "empty");
    for (; rbuf_token(&list, ',', &part, &n); first = false) {
        snprintf(item, sizeof item, "%.*s", (int)(n < sizeof item ? n : sizeof item - 1), part);
        equals = strchr(item, '=');
        if (equals == NULL && !first)
            return wrong(why, "link", item,
                         "a preset comes first, then KEY=VALUE; decimals have a point");
        if (equals == NULL) {
            if (!set_preset(l, item, why))
                return false;
            continue;
        }
        *equals = '\0';
        if (!compare_link_set(l, item, equals + 1, NULL, why))
            return false;
    }
    return true;
}

double compare_link_rtt(const struct compare_link *l)
{
    return l->way[0].delay + l->way[1].delay;
}

uint64_t compare_link_queue(const struct compare_link *l, int way)
{
    const struct compare_way *w = &l->way[way];
    double product = (double)w->rate / 8 * compare_link_rtt(l);
    uint64_t least = (uint64_t)QUEUE_MIN * l->mtu;

    if (w->queue > 0)
        return w->queue;
    return product > (double)least ? (uint64_t)product : least;
}

static void put_rate(struct wbuf *w, uint64_t rate)
{
    static const struct {
        uint64_t unit;
        const char *name;
    } t[] = {{1000000000, "Gbit/s"}, {1000000, "Mbit/s"}, {1000, "kbit/s"}};
    char text[40];

    for (size_t i = 0; i < 3; i++)
        if (rate >= t[i].unit || i == 2) {
            snprintf(text, sizeof text, "%.4g %s", (double)rate / (double)t[i].unit, t[i].name);
            wbuf_str(w, text);
            return;
        }
}

static void put_chance(struct wbuf *w, const char *what, double up, double down)
{
    char text[80];

    if (up == 0 && down == 0)
        return;
    if (up == down)
        snprintf(text, sizeof text, ", %s %.4g%%", what, 100 * up);
    else
        snprintf(text, sizeof text, ", %s %.4g%% up, %.4g%% down", what, 100 * up, 100 * down);
    wbuf_str(w, text);
}

static void put_queues(struct wbuf *w, const struct compare_link *l)
{
    uint64_t up = l->way[0].queue, down = l->way[1].queue;
    char text[80], a[24], b[24];

    if (up == 0 && down == 0)
        return;
    units_size(compare_link_queue(l, 0), a, sizeof a);
    units_size(compare_link_queue(l, 1), b, sizeof b);
    snprintf(text, sizeof text, up == down ? ", queue %s" : ", queue %s up, %s down", a, b);
    wbuf_str(w, text);
}

static void put_path(struct wbuf *w, const struct compare_link *l, double measured_rtt)
{
    char text[80];

    if (l->way[0].rate > 0) {
        put_rate(w, l->way[0].rate);
        if (l->way[1].rate != l->way[0].rate) {
            wbuf_str(w, " up, ");
            put_rate(w, l->way[1].rate);
            wbuf_str(w, " down");
        }
        wbuf_str(w, ", ");
    }
    snprintf(text, sizeof text, "RTT %.4g ms",
             1e3 * (l->emulated ? compare_link_rtt(l) : measured_rtt));
    wbuf_str(w, text);
    if (measured_rtt > 0) {
        snprintf(text, sizeof text, l->emulated ? " (measured %.3g)" : " (measured)",
                 1e3 * measured_rtt);
        wbuf_str(w, text);
    }
}

char *compare_link_text(const struct compare_link *l, double measured_rtt, char *out, size_t cap)
{
    const struct compare_way *up = &l->way[0], *down = &l->way[1];
    struct wbuf w = wbuf_init(out, cap - 1);
    char text[48];

    if (!l->emulated && l->name[0])
        wbuf_str(&w, "the loopback device, ");
    else if (l->emulated && strcmp(l->name, presets[0].name) != 0) {
        wbuf_str(&w, l->name);
        wbuf_str(&w, ": ");
    }
    if (l->emulated || measured_rtt > 0)
        put_path(&w, l, measured_rtt);
    if (l->emulated) {
        if (up->jitter + down->jitter > 0) {
            snprintf(text, sizeof text, ", jitter %.4g ms", 1e3 * (up->jitter + down->jitter) / 2);
            wbuf_str(&w, text);
        }
        if (up->loss == 0 && down->loss == 0)
            wbuf_str(&w, ", no loss");
        put_chance(&w, "loss", up->loss, down->loss);
        put_chance(&w, "duplicates", up->duplicate, down->duplicate);
        put_chance(&w, l->fix_checksums ? "corrupted with checksums fixed" : "corrupted",
                   up->corrupt, down->corrupt);
        put_chance(&w, "reordered", up->reorder, down->reorder);
        put_queues(&w, l);
        if (l->mtu != COMPARE_MTU) {
            snprintf(text, sizeof text, ", MTU %u", l->mtu);
            wbuf_str(&w, text);
        }
        wbuf_str(&w, ", ");
    }
    if (!l->emulated && measured_rtt > 0)
        wbuf_str(&w, ", ");
    snprintf(text, sizeof text, "seed %llu", (unsigned long long)l->seed);
    wbuf_str(&w, text);
    out[w.len] = '\0';
    return out;
}
