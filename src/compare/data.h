/* data.h - the bytes that compare moves: a directory of its own, for the time of a run. */
#ifndef XFER_COMPARE_DATA_H
#define XFER_COMPARE_DATA_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "compare/process.h"

#define DATA_DIR_MAX 256
#define DATA_NAME_MAX 32

struct data {
    char dir[DATA_DIR_MAX];
    const char *file; /* NULL: bytes made from the seed */
    uint64_t seed;
    pid_t keeper;
    int lifeline;
};

/* Makes the directory in TMPDIR, else /tmp. It goes when the caller ends, however that ends, or
 * closes it. 0 or -errno. */
int data_open(struct data *d, const char *file, uint64_t seed);
void data_close(struct data *d);

/* Makes sure of a file with the first n bytes, within so many seconds; its name in the directory.
 * 0, -errno, -XFER_EDEADLINE or -XFER_ECANCELED. */
int data_need(const struct data *d, uint64_t n, double seconds, const struct watch *w,
              char name[DATA_NAME_MAX]);
/* Removes all files but the one with the first n bytes. */
void data_clear(const struct data *d, uint64_t n);

/* How many bytes the directory has room for. */
uint64_t data_space(const struct data *d);

#endif
