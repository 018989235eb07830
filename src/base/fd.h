/* fd.h - all of a buffer through a file descriptor. */
#ifndef XFER_BASE_FD_H
#define XFER_BASE_FD_H

#include <stddef.h>

/* Writes all n bytes at the descriptor's place, in as many calls as it takes: 0, or -errno when
 * part of them may be there. Signals do not end it. For files and blocking descriptors: one that is
 * non-blocking and full gives -EAGAIN. */
int fd_write_all(int fd, const void *p, size_t n);

#endif
