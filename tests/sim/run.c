/* The simulator. Without arguments: the golden traces and ten thousand seeded transfers, as TAP.
 *
 *     run --seed N            one transfer with its trace
 *     run --seeds N           a campaign of N transfers [--first M]
 *     run --golden FILE...    these traces; --update rewrites what they expect
 */
#include "config.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim.h"

#define SEEDS 10000
#define TRACE_HEAD 6000 /* bytes of a failed transfer's trace that are shown, from either end */
#define TRACE_TAIL 12000

static unsigned results, failures;

static void tap(bool good, const char *name)
{
    printf("%sok %u - %s\n", good ? "" : "not ", ++results, name);
    failures += !good;
}

/* ---- one transfer ---- */

static void print_commented(const char *p, size_t n)
{
    for (const char *end = p + n; p < end;) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        size_t len = eol ? (size_t)(eol - p) : (size_t)(end - p);

        printf("# %.*s\n", (int)len, p);
        p += len + 1;
    }
}

static void print_scenario(const struct scenario *sc)
{
    static const char *const peers[] = {"ours", "plain", "refusing", "crude receiver",
                                        "crude sender"};

    printf("# seed %llu: %s, peer %s: %s %zu bytes, blksize %u, window %u, timeout %u%s\n",
           (unsigned long long)sc->seed, sim_class_name(sc->class), peers[sc->peer],
           sc->write ? "put" : "get", sc->size, sc->blksize, sc->window, sc->timeout,
           sc->no_options ? ", no options" : "");
    for (unsigned side = 0; side < 2; side++) {
        const struct linkq_params *p = &sc->link[side];

        printf("# %s: delay %.3f ms, jitter %.3f ms, loss %.3f, duplicate %.3f, reorder %.3f by "
               "%.3f ms, corrupt %.3f, rate %llu, queue %llu\n",
               side == SIM_CLIENT ? "from client" : "from server", (double)p->delay / SIM_MS,
               (double)p->jitter / SIM_MS, p->loss, p->duplicate, p->reorder,
               (double)p->reorder_delay / SIM_MS, p->corrupt, (unsigned long long)p->rate,
               (unsigned long long)p->queue);
    }
}

static void print_trace(const struct text *t, bool whole)
{
    if (whole || t->len < TRACE_HEAD + TRACE_TAIL) {
        print_commented(t->p, t->len);
        return;
    }
    print_commented(t->p, TRACE_HEAD);
    printf("# ... (--seed shows all)\n");
    print_commented(t->p + t->len - TRACE_TAIL, TRACE_TAIL);
}

static bool show_seed(uint64_t seed, bool whole)
{
    struct scenario sc = sim_scenario(seed);
    struct text trace = {0};
    struct world w;

    world_init(&w, &sc, &trace);
    world_run(&w);

    const char *fault = sim_check(&w);

    print_scenario(&sc);
    print_trace(&trace, whole);
    printf("# %llu packets for %llu blocks, %llu things happened to them; %s\n",
           (unsigned long long)sim_packets(&w), (unsigned long long)sim_blocks(&w),
           (unsigned long long)sim_events(&w), fault ? fault : "all holds");
    printf("# replay: tests/sim/run --seed %llu\n", (unsigned long long)seed);
    world_free(&w);
    free(trace.p);
    return !fault;
}

/* ---- campaigns ---- */

struct tally {
    uint64_t transfers, failed, broken, unconfirmed, packets, blocks, worst_seed;
    double worst; /* packets a block */
    double storm; /* windows for each thing that happened */
};

static void count(struct tally *t, const struct world *w)
{
    const struct node *client = &w->node[SIM_CLIENT], *server = &w->node[SIM_SERVER];
    const struct node *from = w->sc->write ? client : server;
    uint64_t blocks = sim_blocks(w);
    double ratio = (double)sim_packets(w) / (double)blocks;

    t->transfers++;
    t->failed += client->result != SIM_DONE;
    t->unconfirmed += !from->crude && from->sm.reason == TFTP_R_UNCONFIRMED;
    if (sim_storm(w) > t->storm)
        t->storm = sim_storm(w);
    t->packets += sim_packets(w);
    t->blocks += blocks;
    if (blocks >= 20 && ratio > t->worst) {
        t->worst = ratio;
        t->worst_seed = w->sc->seed;
    }
}

static void run_seed(uint64_t seed, struct tally tallies[SIM_CLASSES])
{
    struct scenario sc = sim_scenario(seed);
    struct tally *t = &tallies[sc.class];
    struct world w;

    world_init(&w, &sc, NULL);
    world_run(&w);
    count(t, &w);

    const char *fault = sim_check(&w);

    if (fault && t->broken++ < 3)
        show_seed(seed, false);
    world_free(&w);
}

static void report(const struct tally *t, enum sim_class c)
{
    char name[160];

    snprintf(name, sizeof name, "%s: %llu transfers", sim_class_name(c),
             (unsigned long long)t->transfers);
    tap(t->broken == 0, name);
    printf(
        "# %llu wrong, %llu failed and said so, %llu unconfirmed, %.2f packets a block on "
        "average, %.1f at worst (seed %llu), at most %.2f windows for each thing that happened\n",
        (unsigned long long)t->broken, (unsigned long long)t->failed,
        (unsigned long long)t->unconfirmed, (double)t->packets / (double)t->blocks, t->worst,
        (unsigned long long)t->worst_seed, t->storm);
}

static void campaign(uint64_t first, uint64_t n)
{
    struct tally tallies[SIM_CLASSES] = {{0}};
    clock_t begin = clock();
    double seconds;

    for (uint64_t seed = first; seed < first + n; seed++)
        run_seed(seed, tallies);
    for (unsigned c = 0; c < SIM_CLASSES; c++)
        if (tallies[c].transfers > 0)
            report(&tallies[c], (enum sim_class)c);
    seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    printf("# %llu transfers in %.1f s of CPU: %.0f a second\n", (unsigned long long)n, seconds,
           (double)n / (seconds > 0 ? seconds : 1));
}

/* ---- golden traces ---- */

static void golden(const char *path, bool update)
{
    const char *name = strrchr(path, '/');

    tap(golden_run(path, update) == 0, name ? name + 1 : path);
}

static void golden_all(void)
{
    const char *srcdir = getenv("srcdir");
    char pattern[4096];
    glob_t found;

    snprintf(pattern, sizeof pattern, "%s/tests/sim/golden/*.txt", srcdir ? srcdir : ".");
    if (glob(pattern, 0, NULL, &found) != 0) {
        tap(false, "golden traces are there");
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        golden(found.gl_pathv[i], false);
    globfree(&found);
}

static int usage(void)
{
    fprintf(stderr,
            "usage: run [--seed N | --seeds N [--first M] | --golden [--update] FILE...]\n");
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t seeds = 0, first = 1;
    bool update = false;

    if (argc == 3 && strcmp(argv[1], "--seed") == 0)
        return !show_seed(strtoull(argv[2], NULL, 10), true);
    if (argc > 2 && strcmp(argv[1], "--golden") == 0) {
        for (int i = 2; i < argc; i++)
            if (strcmp(argv[i], "--update") == 0)
                update = true;
            else
                golden(argv[i], update);
    } else if (argc == 1) {
        golden_all();
        campaign(1, SEEDS);
    } else if (argc == 3 || argc == 5) {
        for (int i = 1; i < argc; i += 2)
            if (strcmp(argv[i], "--seeds") == 0)
                seeds = strtoull(argv[i + 1], NULL, 10);
            else if (strcmp(argv[i], "--first") == 0)
                first = strtoull(argv[i + 1], NULL, 10);
        if (seeds == 0)
            return usage();
        campaign(first, seeds);
    } else {
        return usage();
    }
    printf("1..%u\n", results);
    return failures > 0;
}
