#include "config.h"

#include "prng.h"
#include "sim.h"

/* How many of a hundred transfers are of each class. A rollover is long: one of 400. */
static const struct {
    const char *name;
    unsigned share;
} classes[SIM_CLASSES] = {
    [SIM_CLEAN] = {"nothing lost", 8},
    [SIM_RARE] = {"now and then one lost, doubled or late", 12},
    [SIM_TWISTED] = {"duplicated, reordered, jittered", 12},
    [SIM_LOSSY] = {"up to 20 % lost", 16},
    [SIM_STORMY] = {"lost, duplicated, reordered, corrupted, up to 20 %", 14},
    [SIM_HARSH] = {"20 to 50 % lost", 12},
    [SIM_FIXED] = {"corrupted, with the checksum fixed", 8},
    [SIM_NARROW] = {"slow line, short queue", 8},
    [SIM_FOREIGN] = {"foreign peers", 10},
    [SIM_ROLLOVER] = {"more than 65535 blocks", 0},
};

const char *sim_class_name(enum sim_class c)
{
    return classes[c].name;
}

static enum sim_class pick_class(struct prng *r)
{
    unsigned at = (unsigned)prng_below(r, 100);
    unsigned c = 0;

    if (prng_below(r, 400) == 0)
        return SIM_ROLLOVER;
    while (at >= classes[c].share)
        at -= classes[c++].share;
    return (enum sim_class)c;
}

static unsigned pick_blksize(struct prng *r)
{
    static const unsigned usual[] = {8, 9, 16, 511, 512, 513, 1024, 1428, 1432, 8192, 65463, 65464};
    const size_t n = sizeof usual / sizeof usual[0];
    uint64_t at = prng_below(r, n + 4);

    return at < n ? usual[at] : 8 + (unsigned)prng_below(r, 3000);
}

static unsigned pick_window(struct prng *r)
{
    static const unsigned usual[] = {1, 1, 1, 1, 1, 2, 3, 4, 8, 16, 63, 64};
    const size_t n = sizeof usual / sizeof usual[0];
    uint64_t at = prng_below(r, n + 3);

    return at < n ? usual[at] : 1 + (unsigned)prng_below(r, 64);
}

/* Around every edge: none, one block, the window and its double, and anything. */
static size_t pick_size(struct prng *r, unsigned blksize, unsigned window)
{
    const uint64_t edges[] = {0, 1, 2, window, window + 1, 2 * window, 3 * window};
    uint64_t at = prng_below(r, 12), size;
    uint64_t most = SIM_FILE_MAX / 4 / blksize;
    uint64_t blocks = at < 7 ? edges[at] : prng_below(r, at < 11 ? 60 : 400);

    if (blocks > most)
        blocks = 1 + prng_below(r, most);
    size = blocks * blksize;
    switch (prng_below(r, 4)) {
    case 0:
        return size;
    case 1:
        return size > 0 ? size - 1 : 0;
    case 2:
        return size + 1;
    default:
        return size + prng_below(r, blksize);
    }
}

static int64_t pick_delay(struct prng *r)
{
    static const int64_t us[] = {0, 20, 100, 1000, 5000, 20000, 50000, 150000};

    return us[prng_below(r, 8)] * (SIM_MS / 1000);
}

static void twist(struct linkq_params *p, struct prng *r, double most)
{
    p->jitter = (int64_t)prng_below(r, (uint64_t)p->delay + SIM_MS);
    p->duplicate = prng_unit(r) * most;
    p->reorder = prng_unit(r) * most;
    p->reorder_delay = (int64_t)prng_below(r, (uint64_t)p->delay + 2 * SIM_MS);
}

static void spoil(struct scenario *sc, struct linkq_params *p, struct prng *r)
{
    switch (sc->class) {
    case SIM_CLEAN:
    case SIM_CLASSES:
        break;
    case SIM_RARE: /* so late that it was sent again meanwhile */
        p->loss = prng_unit(r) * 0.004;
        p->duplicate = prng_unit(r) * 0.004;
        p->reorder = prng_unit(r) * 0.004;
        p->reorder_delay = (int64_t)prng_below(r, 10 * (uint64_t)p->delay + 1000 * SIM_MS);
        break;
    case SIM_TWISTED:
        twist(p, r, 0.3);
        break;
    case SIM_LOSSY:
    case SIM_FOREIGN:
        p->loss = prng_unit(r) * 0.2;
        break;
    case SIM_STORMY: /* 20 % in all: what the checksum finds is lost as well */
        twist(p, r, 0.2);
        p->loss = prng_unit(r) * 0.15;
        p->corrupt = prng_unit(r) * 0.05;
        break;
    case SIM_HARSH:
        p->loss = 0.2 + prng_unit(r) * 0.3;
        break;
    case SIM_FIXED:
        p->fix_checksum = true;
        p->corrupt = prng_unit(r) * 0.1;
        p->loss = prng_unit(r) * 0.05;
        break;
    case SIM_NARROW: /* some windows fit, some do not; one datagram always does */
        p->rate = 1000000 + prng_below(r, 99000000);
        p->queue = 1 + prng_below(r, 32) * (sc->blksize + TFTP_HEADER);
        break;
    case SIM_ROLLOVER:
        p->loss = prng_below(r, 2) ? 0.002 : 0;
        break;
    }
}

static void pick_foreign(struct scenario *sc, struct prng *r)
{
    sc->peer = (enum sim_peer)(SIM_PLAIN + prng_below(r, 4));
    if (sc->peer == SIM_CRUDE_SENDER)
        sc->window = 1;
    if (sc->peer == SIM_PLAIN || sc->peer == SIM_REFUSES)
        sc->size %= 200 * TFTP_BLKSIZE_DEFAULT;
}

struct scenario sim_scenario(uint64_t seed)
{
    struct prng r = {seed * UINT64_C(0x2545f4914f6cdd1d) + 1};
    struct scenario sc = {.seed = seed, .give_up = 30000 * SIM_MS};
    int64_t delay;

    sc.class = pick_class(&r);
    sc.write = prng_below(&r, 2);
    sc.blksize = pick_blksize(&r);
    sc.window = pick_window(&r);
    sc.size = pick_size(&r, sc.blksize, sc.window);
    sc.timeout = prng_below(&r, 12) ? 0 : 1;
    sc.no_options = prng_below(&r, 16) == 0 && sc.class != SIM_FIXED;
    delay = pick_delay(&r);
    if (sc.class == SIM_ROLLOVER) {
        sc.no_options = false;
        sc.blksize = 8;
        sc.size = 65530 * 8 + prng_below(&r, 100 * 8);
    }
    if (sc.class == SIM_RARE) {
        sc.blksize = sc.blksize > 1432 ? 512 : sc.blksize;
        sc.size = sc.blksize * (200 + prng_below(&r, 600)) + prng_below(&r, 8);
    }
    if (sc.class == SIM_FOREIGN)
        pick_foreign(&sc, &r);
    if (sc.no_options) {
        sc.blksize = TFTP_BLKSIZE_DEFAULT;
        sc.window = 1;
        sc.timeout = 0;
    }
    for (unsigned side = 0; side < 2; side++) {
        sc.link[side] = (struct linkq_params){.delay = delay, .seed = seed, .direction = side};
        spoil(&sc, &sc.link[side], &r);
    }
    return sc;
}
