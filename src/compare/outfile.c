#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compare/outfile.h"

#define TRIES 100 /* of names that exist */

/* In the directory of the file, so that a rename is all there is to do. */
static int temp_name(const struct outfile *o, unsigned number, char out[PATH_MAX])
{
    const char *slash = strrchr(o->path, '/');
    int n =
        snprintf(out, PATH_MAX, "%.*s.xfer-%d-%u.tmp",
                 slash != NULL ? (int)(slash + 1 - o->path) : 0, o->path, (int)getpid(), number);

    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int open_named(struct outfile *o, mode_t mode)
{
    for (unsigned i = 0; i < TRIES; i++) {
        int err = temp_name(o, i, o->temp);

        if (err < 0)
            return err;
        o->fd = open(o->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (o->fd >= 0 || errno != EEXIST)
            break;
    }
    if (o->fd >= 0)
        return 0;
    o->temp[0] = '\0';
    return -errno;
}

static void directory_of(const struct outfile *o, char dir[PATH_MAX])
{
    const char *slash = strrchr(o->path, '/');

    if (slash != NULL)
        snprintf(dir, PATH_MAX, "%.*s", slash > o->path ? (int)(slash - o->path) : 1, o->path);
    else
        strcpy(dir, ".");
}

static int open_nameless(struct outfile *o, mode_t mode)
{
    char dir[PATH_MAX];

    directory_of(o, dir);
    o->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    return o->fd < 0 ? -errno : 0;
}

/* A directory, a device or a pipe (never waiting for who reads it). */
static int open_in_place(struct outfile *o)
{
    o->in_place = true;
    /* What stands in a file behind /dev/stdout is not ours to overwrite. */
    o->fd = open(o->path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC);
    if (o->fd < 0)
        return -errno;
    fcntl(o->fd, F_SETFL, fcntl(o->fd, F_GETFL) & ~O_NONBLOCK);
    return 0;
}

/* What a process has open (/dev/stdout) is no name to be replaced; in /dev/shm they are files. */
static bool is_replaceable(const char *name, const struct stat *sb)
{
    bool shared = strncmp(name, "/dev/shm/", 9) == 0;

    return S_ISREG(sb->st_mode) && (shared || strncmp(name, "/dev/", 5) != 0) &&
           strncmp(name, "/proc/", 6) != 0;
}

int outfile_open(struct outfile *o, const char *name)
{
    mode_t mode = 0666;
    struct stat sb;
    int err;

    *o = (struct outfile){.name = name, .fd = -1};
    if (name == NULL)
        return 0;
    if (strlen(name) >= sizeof o->path)
        return -ENAMETOOLONG;
    strcpy(o->path, name);
    if (stat(name, &sb) == 0) {
        if (!is_replaceable(name, &sb))
            return open_in_place(o);
        if (access(name, W_OK) < 0 || realpath(name, o->path) == NULL)
            return -errno;
        mode = sb.st_mode & 0777;
    } else if (errno != ENOENT || name[0] == '\0' || name[strlen(name) - 1] == '/') {
        return -errno;
    }
    err = open_nameless(o, mode);
    if (err == -EOPNOTSUPP || err == -EISDIR || err == -EINVAL)
        err = open_named(o, mode);
    if (err == 0 && mode != 0666)
        fchmod(o->fd, mode); /* as it was, whatever the umask */
    return err;
}

FILE *outfile_stream(const struct outfile *o)
{
    int fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 3);
    FILE *f = fd >= 0 ? fdopen(fd, "wb") : NULL;

    if (f == NULL && fd >= 0)
        close(fd);
    return f;
}

/* A file without a name gets one beside its place first: a link replaces nothing. */
static int give_name(struct outfile *o)
{
    char from[64];

    snprintf(from, sizeof from, "/proc/self/fd/%d", o->fd);
    for (unsigned i = 0; o->temp[0] == '\0' && i < TRIES; i++) {
        char temp[PATH_MAX];
        int err = temp_name(o, i, temp);

        if (err < 0)
            return err;
        if (linkat(AT_FDCWD, from, AT_FDCWD, temp, AT_SYMLINK_FOLLOW) == 0)
            strcpy(o->temp, temp);
        else if (errno != EEXIST)
            return -errno;
    }
    return rename(o->temp, o->path) < 0 ? -errno : 0;
}

int outfile_commit(struct outfile *o)
{
    int err = 0;

    if (o->name == NULL || o->fd < 0)
        return 0;
    if (!o->in_place)
        err = give_name(o);
    if (err == 0) {
        o->temp[0] = '\0';
        if (close(o->fd) < 0)
            err = -errno;
        o->fd = -1;
    }
    outfile_drop(o);
    return err;
}

void outfile_drop(struct outfile *o)
{
    if (o->name == NULL)
        return;
    if (o->temp[0] != '\0')
        unlink(o->temp);
    if (o->fd >= 0)
        close(o->fd);
    o->temp[0] = '\0';
    o->fd = -1;
}

static const char *base_of(const struct outfile *o)
{
    const char *slash = strrchr(o->path, '/');

    return slash != NULL ? slash + 1 : o->path;
}

bool outfile_same(const struct outfile *a, const struct outfile *b)
{
    struct stat x, y;
    char dir[PATH_MAX];

    if (a->name == NULL || b->name == NULL || a->in_place || b->in_place ||
        strcmp(base_of(a), base_of(b)) != 0)
        return false;
    directory_of(a, dir);
    if (stat(dir, &x) < 0)
        return false;
    directory_of(b, dir);
    return stat(dir, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}
