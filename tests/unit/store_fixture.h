/* store_fixture.h - a private directory, opened as a store, and what tests of the store do in it.
 */
#ifndef XFER_TESTS_STORE_FIXTURE_H
#define XFER_TESTS_STORE_FIXTURE_H

#include "store/store.h"

#include <limits.h>

struct room {
    char dir[PATH_MAX];
    int fd; /* readable, unlike that of the store */
    struct store st;
};

void room_open(struct room *r); /* below TMPDIR */
void room_close(struct room *r);

/* All relative to the room; they fail the test themselves. */
void make_file(const struct room *r, const char *path, const char *text);
void make_dir(const struct room *r, const char *path);
void make_link(const struct room *r, const char *to, const char *path);
struct stat stat_of(const struct room *r, const char *path); /* lstat */
/* The file's bytes, to be freed; NUL-terminated. n may be NULL. */
char *slurp(const struct room *r, const char *path, size_t *n);
bool holds(const struct room *r, const char *path, const char *text);
/* How many of xfer's temporaries there are in a directory. */
unsigned leftovers(const struct room *r, const char *path);

/* Opens, writes, finishes, publishes; the first error. o and k may be NULL. */
int put(const struct room *r, const char *path, const void *p, size_t n,
        const struct store_write_opts *o, const struct store_commit_opts *k);

/* Runs fn in a child, and returns what it returned, 0 to 255. As an ordinary user: one that owns
 * the room (root passes all permissions). In the child: NEED, no assertions of Criterion. */
int in_child(int (*fn)(struct room *), struct room *r);
int as_ordinary_user(int (*fn)(struct room *), struct room *r);

/* In a child: from now on this system call fails so. 0, or -1 where filters are not to be had. */
int deny_syscall(long nr, int err);

/* What malloc has given out, under sanitizers too. */
size_t heap_in_use(void);

#define NEED(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

#endif
