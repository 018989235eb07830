#include "config.h"

#include "session/source.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int source_open(const struct job *j, struct stat *sb)
{
    if (j->store)
        return store_read_open(j->store, j->path, sb);
    int fd = open(j->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    int r = fd < 0 || fstat(fd, sb) < 0 ? -errno : 0;
    if (r == 0 && !S_ISREG(sb->st_mode))
        r = S_ISDIR(sb->st_mode) ? -EISDIR : -XFER_ENOTREG;
    if (r < 0 && fd >= 0)
        close(fd);
    return r < 0 ? r : fd;
}
