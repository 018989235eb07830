/* batch.c - many files that share one round of syncs. */
#include "config.h"

#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void store_sync_files(struct store_writer *const w[], size_t n, int err[])
{
    /* Start all the writing before waiting for the first: then the others are nearly done. */
    for (size_t i = 0; i < n; i++)
        if (err[i] == 0)
            sync_file_range(w[i]->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    for (size_t i = 0; i < n; i++)
        if (err[i] == 0 && fsync(w[i]->fd) < 0)
            err[i] = -errno;
}

/* Directories repeat in a batch: one sync for each that differs from the one before. */
void store_sync_dirs(struct store_writer *const w[], size_t n, int err[])
{
    struct stat last = {0}, now;
    int result = 0;

    for (size_t i = 0; i < n; i++) {
        if (err[i])
            continue;
        if (fstat(w[i]->dir_fd, &now) < 0) {
            err[i] = -errno;
            continue;
        }
        if (now.st_dev != last.st_dev || now.st_ino != last.st_ino)
            result = store_sync_dir(w[i]);
        last = now;
        err[i] = result;
    }
}
