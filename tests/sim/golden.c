#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* A trace file:
 *
 *     # what it shows, for people
 *     @ get size=1500 blksize=512 window=1 delay=10   (or put; timeout=S, peer=plain, tail=N, ...)
 *     @ lose server DATA 2          the first packet of this text that this side sends
 *     @ twice client ACK 1
 *     @ hold client ACK 1 for 1500  ms, beyond the delay's order
 *     @ at 35 server gets ACK 5     ms; a packet from nowhere
 *     ---
 *     the trace, as it must come out (its last N lines, with tail=N)
 */

#define MARK "---\n"

struct golden {
    struct scenario sc;
    struct sim_rule rules[SIM_RULES];
    unsigned n_rules;
    struct {
        double ms;
        unsigned to;
        char packet[128];
    } injects[SIM_INJECTS];
    unsigned n_injects;
    unsigned long tail;
};

static bool side_of(const char *word, unsigned *side)
{
    *side = strcmp(word, "server") == 0;
    return *side || strcmp(word, "client") == 0;
}

static enum sim_peer peer_of(const char *word)
{
    static const char *const names[] = {"ours", "plain", "refuses", "crude-receiver",
                                        "crude-sender"};

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(word, names[i]) == 0)
            return (enum sim_peer)i;
    return SIM_OURS;
}

static bool set(struct golden *g, const char *key, const char *value)
{
    unsigned long v = strtoul(value, NULL, 10);

    if (strcmp(key, "size") == 0)
        g->sc.size = v;
    else if (strcmp(key, "blksize") == 0)
        g->sc.blksize = (unsigned)v;
    else if (strcmp(key, "window") == 0)
        g->sc.window = (unsigned)v;
    else if (strcmp(key, "timeout") == 0)
        g->sc.timeout = (unsigned)v;
    else if (strcmp(key, "delay") == 0)
        g->sc.link[0].delay = g->sc.link[1].delay = (int64_t)v * SIM_MS;
    else if (strcmp(key, "give-up") == 0)
        g->sc.give_up = (int64_t)v * 1000 * SIM_MS;
    else if (strcmp(key, "discard") == 0)
        g->sc.discard = v > 0;
    else if (strcmp(key, "options") == 0)
        g->sc.no_options = v == 0;
    else if (strcmp(key, "peer") == 0)
        g->sc.peer = peer_of(value);
    else if (strcmp(key, "tail") == 0)
        g->tail = v;
    else
        return false;
    return true;
}

static bool parse_transfer(struct golden *g, const char *words)
{
    char key[32], value[32];

    for (int used; sscanf(words, " %31[^= ]=%31s%n", key, value, &used) == 2; words += used)
        if (!set(g, key, value))
            return false;
    return true;
}

static bool parse_rule(struct golden *g, const char *verb, const char *words)
{
    static const char *const verbs[] = {"lose", "twice", "hold"};
    struct sim_rule r = {0};
    char side[16], *hold;
    double ms;

    if (g->n_rules == SIM_RULES || sscanf(words, " %15s %63[^\n]", side, r.packet) != 2)
        return false;
    while (strcmp(verb, verbs[r.what]) != 0)
        r.what++;
    hold = strstr(r.packet, " for ");
    if (hold && sscanf(hold, " for %lf", &ms) == 1) {
        r.hold = (int64_t)(ms * (double)SIM_MS);
        *hold = '\0';
    }
    g->rules[g->n_rules++] = r;
    return side_of(side, &g->rules[g->n_rules - 1].side) && (r.what != RULE_HOLD || hold);
}

static bool parse_inject(struct golden *g, const char *words)
{
    char side[16];

    if (g->n_injects == SIM_INJECTS ||
        sscanf(words, " %lf %15s gets %127[^\n]", &g->injects[g->n_injects].ms, side,
               g->injects[g->n_injects].packet) != 3)
        return false;
    return side_of(side, &g->injects[g->n_injects++].to);
}

static bool parse_line(struct golden *g, const char *line)
{
    char verb[16];
    int used;

    if (line[0] == '#' || line[0] == '\n')
        return true;
    if (sscanf(line, "@ %15s%n", verb, &used) != 1)
        return false;
    if (strcmp(verb, "get") == 0 || strcmp(verb, "put") == 0) {
        g->sc.write = verb[0] == 'p';
        return parse_transfer(g, line + used);
    }
    if (strcmp(verb, "at") == 0)
        return parse_inject(g, line + used);
    if (strcmp(verb, "lose") == 0 || strcmp(verb, "twice") == 0 || strcmp(verb, "hold") == 0)
        return parse_rule(g, verb, line + used);
    return false;
}

/* The head of a file; the rest is returned, NULL when it is malformed. */
static const char *parse(struct golden *g, char *text)
{
    memset(g, 0, sizeof *g);
    g->sc.blksize = TFTP_BLKSIZE_DEFAULT;
    g->sc.window = 1;
    g->sc.class = SIM_STORMY;
    g->sc.give_up = 30000 * SIM_MS;
    while (strncmp(text, MARK, strlen(MARK)) != 0) {
        char *eol = strchr(text, '\n');
        char line[512];

        if (!eol || (size_t)(eol - text) >= sizeof line)
            return NULL;
        memcpy(line, text, (size_t)(eol - text));
        line[eol - text] = '\0';
        if (!parse_line(g, line))
            return NULL;
        text = eol + 1;
    }
    return text + strlen(MARK);
}

static void inject_all(const struct golden *g, struct world *w)
{
    uint8_t bytes[2048];

    for (unsigned i = 0; i < g->n_injects; i++) {
        long len = packet_bytes(g->injects[i].packet, bytes, sizeof bytes);

        if (len < 0)
            abort();
        world_inject(w, (int64_t)(g->injects[i].ms * (double)SIM_MS), g->injects[i].to,
                     packet_new(bytes, (size_t)len, false));
    }
}

/* The last lines, when no more are wanted. */
static const char *tail_of(const struct text *t, unsigned long lines)
{
    const char *p = t->p + t->len;

    for (lines++; lines > 1 && p > t->p; p--)
        if (p[-1] == '\n' && p != t->p + t->len && --lines == 1)
            return p;
    return t->p;
}

static void outcome(struct world *w)
{
    static const char *const reasons[] = {"done",        "peer",        "local",   "timeout",
                                          "unreachable", "unconfirmed", "protocol"};

    for (unsigned side = 0; side < 2; side++) {
        const struct node *n = &w->node[side];

        if (n->crude || n->idle)
            continue;
        text_add(w->trace, "%s: %s%s; %llu sent, %llu again, %llu timeouts\n",
                 side == SIM_CLIENT ? "client" : "server", reasons[n->sm.reason],
                 n->verified ? ", verified" : "", (unsigned long long)n->sm.counts.sent,
                 (unsigned long long)n->sm.counts.resent,
                 (unsigned long long)n->sm.counts.timeouts);
    }
}

static char *read_whole(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 1 << 20);

    if (f && text && fread(text, 1, (1 << 20) - 1, f) == 0)
        text[0] = '\0';
    if (!f || !text) {
        free(text);
        text = NULL;
    }
    if (f)
        fclose(f);
    return text;
}

static int compare(const char *expected, const char *got)
{
    if (strcmp(expected, got) == 0)
        return 0;
    for (const char *p = got; *p;) {
        size_t n = strcspn(p, "\n"), m = strcspn(expected, "\n");
        bool same = n == m && memcmp(p, expected, n) == 0;

        printf("# %c %.*s\n", same ? ' ' : '+', (int)n, p);
        if (!same)
            printf("# - %.*s\n", (int)m, expected);
        p += n + (p[n] != '\0');
        expected += m + (expected[m] != '\0');
    }
    return -1;
}

static int rewrite(const char *path, const char *head, size_t head_len, const char *got)
{
    FILE *f = fopen(path, "w");

    if (!f)
        return -1;
    fwrite(head, 1, head_len, f);
    fputs(got, f);
    return fclose(f);
}

int golden_run(const char *path, bool update)
{
    static struct golden g;
    char *text = read_whole(path);
    const char *expected = text ? parse(&g, text) : NULL;
    struct text trace = {0};
    struct world w;
    int err;

    if (!expected) {
        printf("# %s: cannot be read\n", path);
        free(text);
        return -1;
    }
    world_init(&w, &g.sc, &trace);
    memcpy(w.rules, g.rules, sizeof g.rules);
    w.n_rules = g.n_rules;
    inject_all(&g, &w);
    world_run(&w);
    outcome(&w);

    const char *got = g.tail ? tail_of(&trace, g.tail) : trace.p;

    err = update ? rewrite(path, text, (size_t)(expected - text), got) : compare(expected, got);
    for (unsigned i = 0; i < w.n_rules; i++)
        if (!w.rules[i].used) {
            printf("# nothing was sent that fits: %s\n", w.rules[i].packet);
            err = -1;
        }
    if (w.broken) {
        printf("# %s\n", w.broken);
        err = -1;
    }
    world_free(&w);
    free(trace.p);
    free(text);
    return err;
}
