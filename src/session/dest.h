/* dest.h - where xfer_get puts what it receives. */
#ifndef XFER_SESSION_DEST_H
#define XFER_SESSION_DEST_H

#include "store/store.h"
#include "xfer.h"

struct dest {
    bool stream;                     /* standard output */
    bool into;                       /* store is the directory that was named */
    struct store store;              /* else: of the directory that the file goes into */
    char name[PATH_NAME_MAX + 1];    /* else: the file's name there */
    char prefix[PATH_CLEAN_MAX + 2]; /* of local paths as the user sees them: "", "dir/" */
};

/* Finds out what the word means and opens its directory. several: more than one file may come;
 * tree: a directory is made if it is missing (its parents with o->mkpath only). Negative: -errno,
 * -XFER_EUSAGE. */
int dest_open(struct dest *d, const char *word, const struct xfer_copy_opts *o, bool several,
              bool tree);
void dest_close(struct dest *d);

/* An error of the store as one of our own: what it says as errno has it, since the other words are
 * for what a peer refuses. */
int dest_error(int err);

/* The local path of something below it, for people. Returns out. */
char *dest_show(const struct dest *d, const char *target, char *out, size_t cap);

#endif
