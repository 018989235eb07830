/* outfile.h - a file that has its name when it is whole: what stood there stays until then, and
 * nothing is left by a run that fails or is killed.
 *
 * A device or a pipe is written as it is. Where the file system makes no files without a name, one
 * that begins with .xfer- is in the same directory meanwhile.
 */
#ifndef XFER_COMPARE_OUTFILE_H
#define XFER_COMPARE_OUTFILE_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

struct outfile {
    const char *name; /* as given; NULL: none */
    int fd;
    bool in_place;       /* no regular file */
    char path[PATH_MAX]; /* symbolic links followed */
    char temp[PATH_MAX]; /* "": without a name */
};

/* 0 or -errno. name must outlive it; NULL is no file: then the others do nothing. */
int outfile_open(struct outfile *o, const char *name);
/* A stream of its own; NULL with errno. */
FILE *outfile_stream(const struct outfile *o);
/* Gives the name and closes, or closes alone. 0 or -errno. */
int outfile_commit(struct outfile *o);
void outfile_drop(struct outfile *o);

/* Whether both would have the same name. */
bool outfile_same(const struct outfile *a, const struct outfile *b);

#endif
