/* batch.c - many files that share one round of syncs. */
#include "config.h"

#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Directories repeat in a batch: one sync for each that differs from the one before. */
static void sync_directories(struct store_writer *const w[], size_t n, int err[])
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

void store_sync_batch(struct store_writer *const w[], size_t n, int err[],
                      int (*publish)(void *arg, size_t i), void *arg)
{
    /* Start all the writing before waiting for the first: then the others are nearly done. */
    for (size_t i = 0; i < n; i++)
        sync_file_range(w[i]->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    for (size_t i = 0; i < n; i++)
        err[i] = fsync(w[i]->fd) < 0 ? -errno : 0;
    for (size_t i = 0; i < n; i++)
        if (err[i] == 0)
            err[i] = publish(arg, i);
    sync_directories(w, n, err);
}
