#include "config.h"

#include "link/refusal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RESTRICTED "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
#define SWITCH "/proc/sys/kernel/unprivileged_userns_clone"

#define SUDO "sudo xfer compare"
#define OR_SUDO "; or: " SUDO

static __attribute__((format(printf, 4, 5))) int refused(struct link_problem *p, int err,
                                                         const char *remedy, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(p->why, sizeof p->why, fmt, ap);
    va_end(ap);
    snprintf(p->remedy, sizeof p->remedy, "%s", remedy);
    return err;
}

static char first_char(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char c = '\0';

    if (fd < 0 || read(fd, &c, 1) != 1)
        c = '\0';
    if (fd >= 0)
        close(fd);
    return c;
}

/* Ubuntu lets the namespace be made, and takes the rights in it away. */
static bool is_by_apparmor(int err)
{
    return (err == -EPERM || err == -EACCES) && first_char(RESTRICTED) == '1';
}

static int by_apparmor(struct link_problem *p, int err, const char *what)
{
    return refused(p, err,
                   "install xfer with its AppArmor profile: sudo make install (see AppArmor in "
                   "xfer's manual)" OR_SUDO,
                   "AppArmor restricts user namespaces here: %s: %s", what, strerror(-err));
}

int refusal_of_userns(struct link_problem *p, int err)
{
    switch (err) {
    case -ENOSPC:
        return refused(p, err, "let root raise user.max_user_namespaces with sysctl" OR_SUDO,
                       "user namespaces are used up: user.max_user_namespaces is 0 or reached");
    case -EPERM:
        if (first_char(SWITCH) == '0')
            return refused(p, err, SUDO,
                           "user namespaces are for root alone: "
                           "kernel.unprivileged_userns_clone is 0");
        return refused(p, err,
                       "in a container: allow unshare in its seccomp profile, or add "
                       "CAP_SYS_ADMIN; elsewhere: " SUDO,
                       "user namespaces are not permitted here: a container's seccomp filter, "
                       "or a chroot");
    case -EINVAL:
        return refused(p, err, "a kernel with CONFIG_USER_NS is needed" OR_SUDO,
                       "the kernel has no user namespaces, or the caller has threads");
    default:
        return refusal_of(p, err, "user namespace");
    }
}

/* What helps where nothing better is known. */
static const char *general_remedy(int err)
{
    static const struct {
        int err;
        const char *remedy;
    } t[] = {
        {EMFILE, "allow more open files: ulimit -n 256"},
        {ENFILE, "let root raise fs.file-max with sysctl"},
        {EAGAIN, "allow more processes: ulimit -u, or the container's limit of them"},
        {ENOMEM, "give it more memory: ulimit -v, ulimit -l, or the container's limit"},
        {ENOBUFS, "give it more memory: ulimit -v, ulimit -l, or the container's limit"},
        {ENOSPC, "let root raise user.max_pid_namespaces and user.max_net_namespaces with sysctl"},
        {ENOENT, "mount /proc: this chroot or container has none, or hides a part of it"},
        {EROFS, "let the container write to /proc/sys"},
        {EOPNOTSUPP, "load the kernel's module of virtual devices: sudo modprobe veth"},
        {EAFNOSUPPORT, "load the kernel's module of packet sockets: sudo modprobe af_packet"},
        {ENOPROTOOPT, "a kernel with CONFIG_PACKET and TPACKET_V2 is needed"},
        {ETIMEDOUT, "try again when the machine has less to do"},
        {EPERM, "in a container: add CAP_SYS_ADMIN and CAP_NET_RAW, or allow it in its seccomp "
                "profile; elsewhere: " SUDO},
        {EACCES, "in a container: add CAP_SYS_ADMIN and CAP_NET_RAW, or allow it in its seccomp "
                 "profile; elsewhere: " SUDO},
    };

    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++)
        if (-err == t[i].err)
            return t[i].remedy;
    return SUDO "; if that is no better, the kernel's log (dmesg) may say why";
}

int refusal_of(struct link_problem *p, int err, const char *what)
{
    if (is_by_apparmor(err))
        return by_apparmor(p, err, what);
    return refused(p, err, general_remedy(err), "%s: %s", what, strerror(-err));
}
