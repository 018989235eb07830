/* sweep.c - removal of what transfers left behind that nobody came back for. */
#include "config.h"

#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SWEEP_INTERVAL 3600
#define TMP_AGE 60
#define PART_AGE (7 * 24 * 3600)
/* A sweep happens while somebody waits for a file to open. */
#define SWEEP_ENTRIES 200000

#define TABLE_SLOTS 1024
#define TABLE_PROBES 8

struct sweep_slot {
    uint64_t hash;
    time_t when; /* 0: empty */
};

struct sweep_table {
    pthread_mutex_t lock;
    struct sweep_slot slots[TABLE_SLOTS]; /* by lock */
};

struct sweep_table *sweep_table_new(void)
{
    struct sweep_table *t = calloc(1, sizeof(*t));

    if (t && pthread_mutex_init(&t->lock, NULL) != 0) {
        free(t);
        return NULL;
    }
    return t;
}

void sweep_table_free(struct sweep_table *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* FNV-1a: two directories with one hash cost one of them a sweep. */
static uint64_t hash_path(const char *path, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)path[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* The slot of a directory, or one that is free or out of date; NULL when all that it may use are
 * taken: then this directory has to wait. */
static struct sweep_slot *find_slot(struct sweep_table *t, uint64_t hash, time_t now)
{
    struct sweep_slot *room = NULL;

    for (size_t i = 0; i < TABLE_PROBES; i++) {
        struct sweep_slot *s = &t->slots[(hash + i) % TABLE_SLOTS];

        if (s->when && s->hash == hash)
            return s;
        if (!room && (!s->when || now - s->when >= SWEEP_INTERVAL))
            room = s;
    }
    return room;
}

bool sweep_table_due(struct sweep_table *t, const char *path, size_t len)
{
    uint64_t hash = hash_path(path, len);
    struct sweep_slot *s;
    struct timespec ts;
    time_t now;
    bool due;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    now = ts.tv_sec + 1; /* never 0 */
    pthread_mutex_lock(&t->lock);
    s = find_slot(t, hash, now);
    due = s && (!s->when || s->hash != hash || now - s->when >= SWEEP_INTERVAL);
    if (due)
        *s = (struct sweep_slot){.hash = hash, .when = now};
    pthread_mutex_unlock(&t->lock);
    return due;
}

/* What is hidden may be of either case; what we make is lower. */
static bool is_own_name(const char *name)
{
    return path_is_hidden(name, strlen(name)) && !strpbrk(name, "ABCDEF");
}

/* By ctime: the mtime is already that of the source when a temporary is finished. */
static bool is_stale(const struct stat *sb, const char *name, time_t now)
{
    bool part = strcmp(name + strlen(name) - 5, ".part") == 0;

    return S_ISREG(sb->st_mode) && sb->st_uid == geteuid() &&
           now - sb->st_ctim.tv_sec > (part ? PART_AGE : TMP_AGE);
}

static int open_leftover(int dir_fd, const char *name)
{
    int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = openat(dir_fd, name, O_RDWR | flags); /* NFS locks only what can be written */

    if (fd < 0 && errno == EACCES)
        fd = openat(dir_fd, name, O_RDONLY | flags);
    return fd;
}

static int remove_leftover(int dir_fd, const char *name, time_t now)
{
    struct stat named, held;
    int fd, removed = 0;

    if (fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0 || !is_stale(&named, name, now))
        return 0;
    fd = open_leftover(dir_fd, name);
    if (fd < 0)
        return 0;
    /* Looked at again under the lock: it may have been published or taken over meanwhile. */
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &held) == 0 &&
        fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        store_same_inode(&named, &held) && is_stale(&held, name, now))
        removed = unlinkat(dir_fd, name, 0) == 0;
    close(fd);
    return removed;
}

int store_sweep(int dir_fd, time_t now)
{
    int removed = 0;
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (!d) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    for (int i = 0; i < SWEEP_ENTRIES; i++) {
        struct dirent *e = readdir(d);

        if (!e)
            break;
        if (is_own_name(e->d_name))
            removed += remove_leftover(fd, e->d_name, now);
    }
    closedir(d);
    return removed;
}
