#include "config.h"

#include "ground.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned results, failures;

/* ---- TAP ---- */

void tap_check(bool ok, const char *fmt, ...)
{
    va_list ap;

    failures += !ok;
    printf("%s %u - ", ok ? "ok" : "not ok", ++results);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

int tap_end(void)
{
    printf("1..%u\n", results);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

unsigned rounds(unsigned small, unsigned large)
{
    const char *full = getenv("XFER_TEST_FULL");

    return full && *full && strcmp(full, "0") != 0 ? large : small;
}

/* The machine, not the program under test, fails us. */
static void give_up(const char *what)
{
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(99);
}

/* ---- a server ---- */

static void on_listening(void *user, const char *proto, const char *addr)
{
    struct ground *g = user;

    if (strcmp(proto, "tcp") != 0)
        return;
    pthread_mutex_lock(&g->mutex);
    snprintf(g->addr, sizeof g->addr, "%s", addr);
    g->listening = true;
    pthread_cond_signal(&g->ready);
    pthread_mutex_unlock(&g->mutex);
}

static void on_request(void *user, const struct xfer_request *r)
{
    struct ground *g = user;

    g->requests++;
    g->resumed += r->resumed;
}

static void *serve(void *arg)
{
    struct ground *g = arg;

    g->served = xfer_serve(&g->o);
    pthread_mutex_lock(&g->mutex);
    g->listening = true; /* nobody shall wait for one that could not begin */
    pthread_cond_signal(&g->ready);
    pthread_mutex_unlock(&g->mutex);
    return NULL;
}

/* All ends of all connections, and their files, are descriptors of one process here. */
static void raise_descriptor_limit(void)
{
    struct rlimit rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max < 65536 ? rl.rlim_max : 65536;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
}

void ground_open(struct ground *g, const struct xfer_serve_opts *o)
{
    static const char *const any_port[] = {"127.0.0.1:0"};
    const char *tmp = getenv("TMPDIR");

    raise_descriptor_limit();
    *g = (struct ground){.o = o ? *o : (struct xfer_serve_opts){.write = XFER_WRITE_REPLACE}};
    snprintf(g->dir, sizeof g->dir, "%s/xfer-race-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(g->dir))
        give_up(g->dir);
    make_dir(ground_path(g, g->root, "root"));
    pthread_mutex_init(&g->mutex, NULL);
    pthread_cond_init(&g->ready, NULL);
    g->o.dir = g->root;
    g->o.listen = any_port;
    g->o.n_listen = 1;
    g->o.stop = xfer_stop_new();
    g->o.on_listening = on_listening;
    g->o.on_request = on_request;
    g->o.user = g;
    if (!g->o.stop || pthread_create(&g->thread, NULL, serve, g) != 0)
        give_up("no thread for a server");
    pthread_mutex_lock(&g->mutex);
    while (!g->listening)
        pthread_cond_wait(&g->ready, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
    if (!g->addr[0])
        give_up("no server");
}

static int remove_one(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb, (void)type, (void)at;
    return remove(path);
}

void ground_close(struct ground *g)
{
    xfer_stop_raise(g->o.stop);
    pthread_join(g->thread, NULL);
    tap_check(g->served == 0, "the server ends well when it is stopped (%s, %lu requests)",
              xfer_strerror(g->served), g->requests);
    xfer_stop_free(g->o.stop);
    pthread_cond_destroy(&g->ready);
    pthread_mutex_destroy(&g->mutex);
    nftw(g->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

char *ground_path(const struct ground *g, char *out, const char *fmt, ...)
{
    va_list ap;

    int n = snprintf(out, PATH_MAX, "%s/", g->dir);
    va_start(ap, fmt);
    vsnprintf(out + n, PATH_MAX - (size_t)n, fmt, ap);
    va_end(ap);
    return out;
}

/* ---- files ---- */

uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void make_dir(const char *path)
{
    if (mkdir(path, 0777) < 0 && errno != EEXIST)
        give_up(path);
}

void make_file(const char *path, uint64_t seed, uint64_t n, uint8_t sum[DIGEST_LEN])
{
    FILE *f = fopen(path, "wb");
    struct digest *d = digest_new();

    if (!f || !d)
        give_up(path);
    for (uint64_t off = 0; off < n; off += 8) {
        uint64_t word = next_random(&seed);
        size_t k = n - off < 8 ? (size_t)(n - off) : 8;
        fwrite(&word, 1, k, f);
        digest_update(d, &word, k);
    }
    if (fclose(f) != 0)
        give_up(path);
    if (sum)
        digest_peek(d, sum);
    digest_free(d);
}

bool holds(const char *path, uint64_t seed, uint64_t n)
{
    FILE *f = fopen(path, "rb");
    bool same = f != NULL;

    for (uint64_t off = 0; same && off < n; off += 8) {
        uint64_t word = next_random(&seed), got = 0;
        size_t k = n - off < 8 ? (size_t)(n - off) : 8;
        same = fread(&got, 1, k, f) == k && memcmp(&got, &word, k) == 0;
    }
    same = same && fgetc(f) == EOF;
    if (f)
        fclose(f);
    return same;
}

static bool is_temporary(const char *name)
{
    return strncmp(name, ".xfer-", 6) == 0;
}

unsigned leftovers(const char *dir)
{
    char path[PATH_MAX];
    unsigned n = 0;
    struct dirent *e;
    DIR *d = opendir(dir);

    while (d && (e = readdir(d))) {
        n += is_temporary(e->d_name);
        if (e->d_type == DT_DIR && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
            n += leftovers(path);
        }
    }
    if (d)
        closedir(d);
    return n;
}

uint64_t largest_part(const char *dir)
{
    uint64_t most = 0;
    struct dirent *e;
    struct stat sb;
    DIR *d = opendir(dir);

    while (d && (e = readdir(d)))
        if (is_temporary(e->d_name) && fstatat(dirfd(d), e->d_name, &sb, 0) == 0 &&
            (uint64_t)sb.st_size > most)
            most = (uint64_t)sb.st_size;
    if (d)
        closedir(d);
    return most;
}

static bool same_bytes(const char *a, const char *b)
{
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    bool same = f && g;
    int c;

    do {
        c = same ? getc(f) : EOF;
        same = same && c == getc(g);
    } while (same && c != EOF);
    if (f)
        fclose(f);
    if (g)
        fclose(g);
    return same;
}

static int count_names(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

bool same_tree(const char *a, const char *b)
{
    char pa[PATH_MAX], pb[PATH_MAX];
    struct dirent *e;
    DIR *d = opendir(a);
    bool same = d && count_names(a) == count_names(b);

    while (same && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(pa, sizeof pa, "%s/%s", a, e->d_name);
        snprintf(pb, sizeof pb, "%s/%s", b, e->d_name);
        same = e->d_type == DT_DIR ? same_tree(pa, pb) : same_bytes(pa, pb);
    }
    if (d)
        closedir(d);
    return same;
}

/* ---- clients ---- */

struct starter {
    pthread_barrier_t *all;
    void (*fn)(void *arg);
    void *arg;
};

static void *begin(void *p)
{
    const struct starter *s = p;

    pthread_barrier_wait(s->all);
    s->fn(s->arg);
    return NULL;
}

void run_together(unsigned n, void (*fn)(void *arg), void *args, size_t size)
{
    pthread_t *t = calloc(n, sizeof *t);
    struct starter *s = calloc(n, sizeof *s);
    pthread_barrier_t all;

    if (!t || !s)
        give_up("no memory");
    pthread_barrier_init(&all, NULL, n);
    for (unsigned i = 0; i < n; i++) {
        s[i] = (struct starter){&all, fn, (char *)args + i * size};
        if (pthread_create(&t[i], NULL, begin, &s[i]) != 0)
            give_up("no thread for a client");
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(t[i], NULL);
    pthread_barrier_destroy(&all);
    free(s);
    free(t);
}

static void on_event(void *user, const struct xfer_event *ev)
{
    struct told *t = user;
    bool done = ev->type == XFER_EV_FILE && ev->outcome == XFER_DONE;

    if (ev->type == XFER_EV_FILE && ev->outcome == XFER_FAILED) {
        t->failed++;
        snprintf(t->why, sizeof t->why, "%s: %s", ev->name,
                 ev->text ? ev->text : xfer_strerror(ev->err));
    }
    if (ev->type == XFER_EV_WARNING)
        snprintf(t->why, sizeof t->why, "%s", ev->text ? ev->text : xfer_strerror(ev->err));
    if (done) {
        t->done++;
        t->all_verified = t->all_verified && ev->verified;
        t->resumed_at = ev->resumed_at;
    }
    t->entries += ev->type == XFER_EV_ENTRY && ev->entry.err == 0;
    if (ev->entry.has_sha256)
        memcpy(t->sum, ev->entry.sha256, DIGEST_LEN);
    if (done && t->stop)
        xfer_stop_raise(t->stop);
}

struct xfer_net_opts client_net(struct told *t)
{
    struct xfer_net_opts o = XFER_NET_DEFAULTS;

    *t = (struct told){.all_verified = true};
    o.on_event = on_event;
    o.user = t;
    return o;
}

struct xfer_copy_opts client_copy(struct told *t)
{
    return (struct xfer_copy_opts){.net = client_net(t)};
}

int put_one(const struct ground *g, const struct xfer_copy_opts *o, const char *local,
            const char *remote, struct xfer_totals *totals)
{
    char to[PATH_MAX + 80];

    snprintf(to, sizeof to, "%s%s", g->addr, remote);
    return xfer_put(o, &local, 1, to, totals);
}

int get_one(const struct ground *g, const struct xfer_copy_opts *o, const char *remote,
            const char *local, struct xfer_totals *totals)
{
    char from[PATH_MAX + 80];
    const char *p = from;

    snprintf(from, sizeof from, "%s%s", g->addr, remote);
    return xfer_get(o, &p, 1, local, totals);
}
