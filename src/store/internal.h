/* internal.h - what the files of the store share with each other, and with nobody else. */
#ifndef XFER_STORE_INTERNAL_H
#define XFER_STORE_INTERNAL_H

#include "store/store.h"

/* The negative error for an errno of a path call. */
int store_error(int err);

/* The directory that the last component of a path is in, O_PATH, so that a directory which may be
 * searched and written but not read will do. Makes missing ones with mkpath. *base points into
 * path. */
int store_open_parent(const struct store *st, const char *path, bool mkpath, const char **base);

/* Whether a and b are stats of one inode. */
bool store_same_inode(const struct stat *a, const struct stat *b);

/* Smaller files are read again more cheaply than a record costs: on ext4 a second block. */
#define STORE_REMEMBER_MIN (1024 * 1024)

/* Whether the mtime was more than 2 s old at `began`: one that is younger may stay the same when
 * the file is changed once more. */
bool store_is_settled(const struct stat *sb, time_t began);

/* Syncs the directory that a writer publishes in. */
int store_sync_dir(const struct store_writer *w);

/* Opens and locks the temporary of a writer whose dir_fd and name are set: sets fd, tmp, part, and
 * the offset of a resumed part. A part that cannot be used or replaced becomes a plain temporary.
 */
int temporary_open(struct store_writer *w);
int temporary_open_part(struct store_writer *w, const uint8_t id[16]);

/* When directories were swept last: a bounded table, thread-safe. */
struct sweep_table *sweep_table_new(void);
void sweep_table_free(struct sweep_table *t); /* NULL-safe */
/* Whether the directory of this path is due, at most once an hour; if so it counts as swept now. */
bool sweep_table_due(struct sweep_table *t, const char *path, size_t len);

#endif
