/* store.h - files, below one directory that nothing leads out of.
 *
 * Invariants
 *  - Every path is clean (base/path.h) and is resolved by openat2 beneath the root's descriptor:
 *    no "..", no absolute or magic symlink, none that leads out. A directory swapped for a symlink
 *    between check and use therefore cannot lead out either.
 *  - A file appears under its name by rename, whole and verified, or not at all.
 *  - FIFOs, devices and sockets are never opened in a way that blocks, and never served.
 *  - Names of xfer's own temporaries are neither listed nor opened for a peer.
 *
 * Errors are -errno as the system gave it, or -XFER_E... where the protocol has a word for it: what
 * leads out is EPERM; EISDIR, ENOTDIR, ENOTREG, ELOOP, ETOOLONG. A struct store may be used by
 * several threads at once; a walk and a writer belong to one.
 */
#ifndef XFER_STORE_STORE_H
#define XFER_STORE_STORE_H

#include <stdio.h>
#include <dirent.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/path.h"

struct store {
    int fd; /* the root, O_PATH | O_DIRECTORY */
    mode_t umask;
    struct sweep_table *sweeps; /* when directories were swept last */
};

/* Opens a root; dir itself may be or contain symlinks. -ENOSYS when the kernel, or a filter around
 * us, does not have openat2 (Linux 5.6). */
int store_open(struct store *st, const char *dir);
void store_close(struct store *st); /* safe on fd -1 */

/* openat2 below the root with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS, again on EAGAIN (bounded,
 * then -EAGAIN), O_CLOEXEC added. "" is the root. mode & 0777 where a file is created. A descriptor
 * or a negative error; a way out (EXDEV) is -XFER_EPERM. */
int store_openat(const struct store *st, const char *path, int flags, mode_t mode);

/* stat of what the path leads to (symlinks inside the tree followed); lstat with nofollow. */
int store_stat(const struct store *st, const char *path, bool nofollow, struct stat *sb);

/* mkdir of the last component, mode & 0777 less umask; -EEXIST when something is there. With
 * parents, missing ones are made too (0777 less umask) and an existing directory is no error:
 * returns 1 when the last was there already, 0 when made. */
int store_mkdir(const struct store *st, const char *path, mode_t mode, bool parents);

/* Sets a directory's mtime, as the last thing when a tree was copied. The directory must be
 * readable. */
int store_set_dir_mtime(const struct store *st, const char *path, struct timespec mtime);

/* ---- versions of a file ---- */

#define STORE_ETAG_MAX 64

/* Opaque token of a version: device, inode, size, mtime, ctime. Hex, NUL-terminated, at most
 * STORE_ETAG_MAX. */
void store_etag(const struct stat *sb, char out[STORE_ETAG_MAX + 1]);

/* Whether two fstats of one descriptor show the same content: size, mtime and ctime. A ctime that
 * moved together with the link count is a rename over the file, which leaves our bytes alone. */
bool store_same_version(const struct stat *a, const struct stat *b);

/* ---- reading ---- */

/* Opens a regular file for reading and stats it. Returns the descriptor, or -XFER_EISDIR,
 * -XFER_ENOTREG, -errno. Never blocks on a FIFO. sb is untouched on failure. */
int store_read_open(const struct store *st, const char *path, struct stat *sb);

/* ---- listing ---- */

struct store_entry {
    char type;    /* 'f', 'd', 'l' (leads out, dangling, loops), 'o' (FIFO, socket, device) */
    bool symlink; /* reached through one */
    int err; /* negative: could not be looked at, or (type 'd') not be read; for 'l' why it leads
                nowhere: -XFER_EPERM out, -ENOENT dangling, -XFER_ELOOP, or as openat2 has it */
    struct stat
        sb; /* of what a symlink leads to, if it does; zeroed when it could not be looked at */
    const char *path; /* relative to the listed directory, valid until the next call */
};

struct store_list; /* a walk in progress */

/* Lists a directory, or with recursive the tree below it (a directory's own entry comes before
 * those in it); symlinks inside the tree are followed, a directory that is its own ancestor is an
 * entry of type 'l' with err -XFER_ELOOP. `self` gives one entry, the named thing itself, under its
 * base name
 * ("" for the root). Names that vanish during the walk are left out; a directory whose path leaves
 * no room for a longest name below PATH_CLEAN_MAX is an entry with err -XFER_ETOOLONG. Memory is
 * bounded by the depth, not by the number of entries; at most STORE_LIST_FDS + 1 descriptors are
 * open at once: deeper down, outer directories are closed and opened anew on the way back. The
 * store must outlive the walk. */
#define STORE_LIST_FDS 8
int store_list_open(const struct store *st, const char *path, bool recursive, bool self,
                    struct store_list **ret);
/* 1 with the next entry, 0 at the end, negative when the walk cannot go on (a directory fails in
 * its middle, or was replaced while the walk was far below it: -XFER_ECHANGED). */
int store_list_next(struct store_list *l, struct store_entry *e);
void store_list_close(struct store_list *l); /* NULL-safe */

/* ---- writing ---- */

enum store_replace { STORE_REPLACE, STORE_NEW /* never over an existing file */ };

struct store_write_opts {
    enum store_replace replace;
    bool mkpath;              /* make missing parents */
    const uint8_t *resume_id; /* 16 bytes: keep and continue a part under this id; NULL: never */
};

struct store_writer {
    int dir_fd, fd;               /* parent directory, temporary file */
    char name[PATH_NAME_MAX + 1]; /* base name of the target */
    char tmp[48];                 /* of the temporary */
    bool part;                    /* resumable: survives store_abort with keep */
    enum store_replace replace;
    uint64_t offset; /* bytes written so far */
    uint64_t
        written; /* length that the file has on disk, less than offset where zeros were skipped */
    bool dense; /* zeros are written, too: something else may stand there */
    mode_t umask;
    struct stat target; /* st_mode 0: the target did not exist */
};

/* Checks the target (not a directory, or a symlink to one: -XFER_EISDIR; existing with STORE_NEW:
 * -XFER_EEXISTS; special: -XFER_ENOTREG; existing and not writable for us: -EACCES), opens the
 * temporary (0600) beside it and locks it. A symlink to a file, and a dangling one, is itself what
 * is replaced; one that leads out is refused. A part that another writer holds is -XFER_EBUSY. On a
 * resume w->offset is the length of the part (0: nothing was kept). A part that is not a plain file
 * of ours with one name is removed, not continued; where it cannot be removed, or locks do not
 * work, the write goes to a plain temporary (w->part). Sweeps old leftovers of that directory, at
 * most once an hour. On failure there is nothing to abort. */
int store_write_open(const struct store *st, const char *path, const struct store_write_opts *o,
                     struct store_writer *w);
/* Forgets the part's bytes: offset 0 again. */
int store_write_restart(struct store_writer *w);
/* Appends; blocks of zeros become holes. -errno on failure, w->offset then tells what was taken. */
int store_write(struct store_writer *w, const void *p, size_t n);

/* A writer of the same temporary that begins at offset, for one of several threads: nothing but
 * store_write is for it. dense: something may have been written there before. The first writer must
 * be told where the file ends by store_write_end_at, which forgets what is behind. */
void store_write_fork(const struct store_writer *w, uint64_t offset, bool dense,
                      struct store_writer *ret);
int store_write_end_at(struct store_writer *w, uint64_t size); /* 0 without a file */

struct store_commit_opts {
    bool set_mode, set_mtime;
    mode_t mode; /* & 0777 is what is used, never more */
    struct timespec mtime;
    bool sync; /* fsync the file before the rename and the directory after it */
    const uint8_t *remember_sha256; /* record the digest in attributes; NULL: no */
};

/* In two steps, so that a batch can share its syncs. finish sets length, mode, times and attributes
 * (with sync: and fsyncs), and learns what a close would report; publish renames (and fsyncs the
 * directory). Without set_mode an existing target's mode is kept, a new file gets 0666 less umask.
 * A mode or time that the file system cannot hold is no error, nor are attributes. Publish with
 * STORE_NEW is -XFER_EEXISTS when somebody was first. After a failure call store_write_abort: when
 * it was only the directory's fsync that failed, the file is in place all the same. */
int store_write_finish(struct store_writer *w, const struct store_commit_opts *o);
int store_write_publish(struct store_writer *w, bool sync);
/* Many files that share one round of syncs: finish each without sync, sync_files, publish each
 * without sync, sync_dirs (each directory once). Those whose err[i] is set are passed over; a
 * failure sets it. */
void store_sync_files(struct store_writer *const w[], size_t n, int err[]);
void store_sync_dirs(struct store_writer *const w[], size_t n, int err[]);

/* Ends a write: closes, and unlinks the temporary unless it is a part with bytes in it and keep is
 * asked. Safe after publish (nothing but closing is left then) and on a zeroed writer with
 * fd = dir_fd = -1. */
void store_write_abort(struct store_writer *w, bool keep);

/* Name of the part that a resume id gets for a target of this base name. */
void store_part_name(const uint8_t id[16], const char *base, char out[48]);

/* Removes xfer's leftovers in a directory: temporaries that nobody holds and older than a minute,
 * parts that nobody holds and older than seven days, by ctime, if they are regular files of ours.
 * Looks at no more than the first 200,000 names. Returns how many it removed. dir_fd may be O_PATH.
 */
int store_sweep(int dir_fd, time_t now);

/* ---- remembered digests ---- */

/* A record on disk, as shatag writes it (user.shatag.sha256: 64 hex digits, user.shatag.ts: mtime
 * as "seconds.nanoseconds") with user.xfer.id ("size:inode"). 1 with out when there is one that can
 * be trusted for sb, 0 otherwise. */
int store_recall(int fd, const struct stat *sb, uint8_t out[DIGEST_LEN]);
/* Writes one for a file that was hashed from `began` (wall clock) on; nothing is written when the
 * mtime was not more than 2 s old then, the file is smaller than 1 MiB, or its file system has no
 * attributes. 0 or -errno. */
int store_remember(int fd, const struct stat *sb, const uint8_t sha256[DIGEST_LEN], time_t began);

/* Digests in memory: bounded, thread-safe, one version a file, oldest forgotten first. Same rule of
 * 2 s. 0 entries count as 1. */
struct digest_cache;
struct digest_cache *digest_cache_new(size_t entries);
void digest_cache_free(struct digest_cache *c);
bool digest_cache_get(struct digest_cache *c, const struct stat *sb, uint8_t out[DIGEST_LEN]);
void digest_cache_put(struct digest_cache *c, const struct stat *sb,
                      const uint8_t sha256[DIGEST_LEN], time_t began);

#endif
