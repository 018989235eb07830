/* xfer.h - move files between machines and prove that they arrived.
 *
 * Recipe
 *   1. Fill an options struct: `struct xfer_get_opts o = {.net = XFER_NET_DEFAULTS};` and set what
 *      you need. Zero means the documented default everywhere else.
 *   2. Give it an event function: it is told of every finished, skipped or failed file, of progress
 *      and of each listed entry. It may be called from several threads, never from two at once.
 *   3. Call xfer_put, xfer_get or xfer_list. They block until all is done, given up or stopped.
 *   4. The result is 0, or a negative error that covers all files: -errno, or minus one of
 *      enum xfer_err. xfer_strerror gives its text, xfer_exit_status the exit status for a shell.
 *   5. To stop from a signal handler or another thread: xfer_stop_raise on the stop object that the
 *      options name. A server stops taking connections and finishes what it has begun.
 *
 * The library keeps no global state, installs no signal handler, writes nothing to standard error.
 * Strings passed in stay the caller's; strings in an event live until the event function returns.
 */
#ifndef XFER_H
#define XFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define XFER_API __attribute__((visibility("default")))
#else
#define XFER_API
#endif

/* xfer's own port, TCP and UDP alike. */
#define XFER_PORT 7069

#define XFER_SHA256_LEN 32

/* Errors that are not errno values. Functions return them negated; docs/PROTOCOL.md has the reply
 * code of each. New ones are added at the end: numbers are part of the ABI. */
enum xfer_err {
    XFER_OK = 0,
    XFER_EUSAGE = 10000, /* the call itself is wrong: a name, an option, a combination */
    XFER_EHOST,          /* host name unknown */
    XFER_ELOST,          /* connection lost, or the peer fell silent, after all retries */
    XFER_EPROTO,         /* the peer does not speak the protocol */
    XFER_EBUSY,          /* the peer has no room for us now */
    XFER_ENOTFOUND,      /* no such file over there */
    XFER_EPERM,          /* not permitted over there */
    XFER_EREADONLY,      /* the server takes no writes */
    XFER_EEXISTS,        /* the target exists and may not be replaced */
    XFER_EISDIR,         /* a directory where a file is needed */
    XFER_ENOTDIR,        /* a file where a directory is needed */
    XFER_ENOTREG,        /* not a regular file */
    XFER_ENAME,          /* a name that cannot be accepted */
    XFER_ENOSPACE,       /* no space over there */
    XFER_ECHANGED,       /* the source changed while it was read */
    XFER_ECONFLICT,      /* if=sha256 did not hold */
    XFER_EREMOTE,        /* input/output error over there */
    XFER_EUNKNOWN,       /* the peer does not know the request */
    XFER_EINTEGRITY,     /* a digest did not match; nothing kept */
    XFER_ECANCELED,      /* stopped by xfer_stop_raise */
    XFER_ESOME,          /* several files failed, for different reasons */
    XFER_ESPECIAL,       /* special files or outside symlinks were skipped */
    XFER_ETOOLONG,       /* a line, name or value over its limit */
    XFER_ELOOP,          /* symlinks that lead in a circle */
    XFER_ESAMEFILE,      /* source and destination are the same file */
    XFER_ECOLLISION,     /* two sources with one target name */
    XFER_EDEADLINE,      /* --max-time reached */
    XFER_EUNVERIFIED,    /* the peer knows no digests, and require_verified was set; nothing kept */
    XFER_EUNCONFIRMED,   /* TFTP: all was sent, but the last acknowledgment never came */
    XFER_ECONGESTION,    /* the kernel has no such congestion control, or not for us */
    XFER_ERR_END
};

/* Text of an error that any function here returned (negative), or of its absolute value. Static,
 * never NULL. */
XFER_API const char *xfer_strerror(int err);

/* Exit status for a shell: 0 done, 1 some failed for different reasons, 2 usage, 3 peer not reached
 * or lost, 4 peer refused, 5 integrity, 6 local error, 130 interrupted. */
XFER_API int xfer_exit_status(int err);

/* The library's version, as in "0.1.0". */
XFER_API const char *xfer_version(void);

/* ---- stopping ---- */

struct xfer_stop;

XFER_API struct xfer_stop *xfer_stop_new(void); /* NULL when out of descriptors or memory */
XFER_API void xfer_stop_free(struct xfer_stop *stop);
/* Async-signal-safe. Cannot be taken back. */
XFER_API void xfer_stop_raise(struct xfer_stop *stop);
XFER_API bool xfer_stop_is_raised(const struct xfer_stop *stop); /* of NULL: false */

/* ---- events ---- */

enum xfer_event_type {
    XFER_EV_FILE,     /* a file is finished with; see outcome */
    XFER_EV_PROGRESS, /* totals so far, about five times a second */
    XFER_EV_ENTRY,    /* xfer_list: one entry */
    XFER_EV_NOTE,     /* addresses, retries, resumes: for -v */
    XFER_EV_WARNING   /* something the user should know that is not a failure of one file */
};

enum xfer_outcome {
    XFER_DONE,      /* moved and verified */
    XFER_UNCHANGED, /* skipped: equal already, or exists and -n was asked */
    XFER_WOULD,     /* dry run: would be moved */
    XFER_SKIPPED,   /* special file or a symlink that leads out; err says which */
    XFER_FAILED     /* err and text say why */
};

/* What is known of one file or directory. */
struct xfer_entry {
    char type; /* 'f' file, 'd' directory, 'l' symlink that leads nowhere we follow, 'o' other */
    uint64_t size;
    struct timespec mtime;
    unsigned mode; /* permission bits */
    bool has_sha256;
    uint8_t sha256[XFER_SHA256_LEN];
    int err; /* nonzero: the entry could not be read; nothing else but the name holds */
};

/* What crossed the network for one file over UDP. */
struct xfer_udp_facts {
    const char *server;       /* address and port of the transfer */
    unsigned blksize, window; /* as agreed */
    uint64_t packets_sent, packets_received;
    uint64_t retransmits; /* blocks sent again */
    uint64_t timeouts;
    double rtt; /* smoothed, seconds; 0: not measured */
};

struct xfer_event {
    enum xfer_event_type type;
    /* FILE, ENTRY */
    const char *name;   /* as users know it: relative to what was asked */
    const char *local;  /* local path, "-" for a standard stream, NULL where there is none */
    const char *remote; /* remote address as it was given, joined with the path below it */
    enum xfer_outcome outcome;
    bool in_tree; /* belongs to a tree or a wildcard: -v shows it, the total counts it */
    bool verified;
    int err;             /* negative, as functions return it */
    const char *text;    /* WARNING, NOTE, and why a file failed: one line, not escaped */
    uint64_t bytes;      /* size of the file at its destination */
    uint64_t resumed_at; /* 0: from its beginning */
    double seconds;
    const struct xfer_udp_facts *udp; /* FILE that is done, over UDP; else NULL */
    struct xfer_entry entry;          /* ENTRY; for FILE type, mode, mtime and sha256 */
    /* PROGRESS */
    uint64_t bytes_done, bytes_total; /* bytes_total 0: not known (yet) */
    uint64_t files_done, files_total; /* files_total 0: not known (yet) */
};

typedef void (*xfer_event_fn)(void *user, const struct xfer_event *ev);

/* What a whole call came to. Complete whatever the result was. */
struct xfer_totals {
    uint64_t files_done, files_unchanged, files_would, files_skipped, files_failed, dirs;
    uint64_t bytes;       /* sizes of the files done */
    uint64_t bytes_wire;  /* payload that crossed the network, resent bytes included */
    unsigned retries;     /* connections made anew */
    uint64_t segments;    /* TCP segments sent, over all connections, where the kernel tells */
    uint64_t retransmits; /* of them sent again; over UDP blocks sent again */
    uint64_t packets_sent, packets_received, timeouts; /* UDP */
    double rtt;          /* smoothed round-trip time in seconds, of the last connection */
    char congestion[16]; /* TCP: congestion control of the last connection */
    double seconds;
};

/* ---- client ---- */

struct xfer_net_opts {
    int family;            /* 0 either, 4 or 6 */
    const char *bind_addr; /* local address, or NULL */
    double timeout;        /* seconds without progress until the connection counts as lost */
    double max_time;       /* seconds for the whole call; 0: no limit */
    unsigned retries; /* connections tried anew after a loss, counted since the last progress */
    const char *congestion; /* congestion control of TCP (tcp(7)); NULL: the kernel's default */
    struct xfer_stop *stop;
    xfer_event_fn on_event;
    void *user;
};
#define XFER_NET_DEFAULTS                                                                          \
    {                                                                                              \
        .timeout = 30, .retries = 5                                                                \
    }

enum xfer_sync { XFER_SYNC_NONE, XFER_SYNC_FILE, XFER_SYNC_BATCH };

enum xfer_update {
    XFER_UPDATE_ALL,   /* move everything */
    XFER_UPDATE_TIMES, /* skip what has equal size and mtime */
    XFER_UPDATE_DIGEST /* skip what has equal content */
};

struct xfer_filter {
    bool exclude;
    const char *glob; /* matched against the base name, or the path in the tree if it has a slash */
};

/* Options of put and get alike. */
struct xfer_copy_opts {
    struct xfer_net_opts net;
    bool recursive;
    unsigned jobs; /* parallel connections, 0 means 1 */
    bool no_resume;
    bool no_clobber;
    enum xfer_update update;
    const struct xfer_filter *filters; /* first match wins, as in rsync */
    size_t n_filters;
    bool mkpath;
    bool no_preserve;
    uint64_t limit_rate; /* bytes a second over all connections, 0: none */
    bool dry_run;
    enum xfer_sync sync;
    bool remember;     /* keep digests in extended attributes of files that are not ours, too */
    bool skip_special; /* special files are no reason for a failure */
    /* TFTP over UDP; remotes that begin with tftp:// imply it. It knows no directories, times or
     * resuming: recursive, update, jobs above 1 and, to put, no_clobber and mkpath are
     * -XFER_EUSAGE. */
    bool udp;
    unsigned blksize;      /* 0: 1428, or what the path carries in one piece */
    unsigned window;       /* blocks in flight; 0 means 1: stop-and-wait */
    bool no_spin;          /* never wait in a loop, however short the round trip is */
    bool require_verified; /* fail where the server knows no digests */
    /* To measure a network: the receiver hashes what arrives and throws it away. To put, the server
     * makes and replaces nothing, and need not take writes; it is -XFER_EUNKNOWN if it cannot do
     * so. To get, dest is not looked at. With update or no_clobber: -XFER_EUSAGE. */
    bool discard;
};

/* Copies local files to a remote. A source "-" is standard input (its size unknown). totals may be
 * NULL. */
XFER_API int xfer_put(const struct xfer_copy_opts *o, const char *const *sources, size_t n,
                      const char *remote, struct xfer_totals *totals);

/* Copies remote files here. dest "-" is standard output; NULL is the current directory. */
XFER_API int xfer_get(const struct xfer_copy_opts *o, const char *const *remotes, size_t n,
                      const char *dest, struct xfer_totals *totals);

struct xfer_list_opts {
    struct xfer_net_opts net;
    bool recursive;
    bool sha256; /* each file's digest, computed over there where it is not known */
    bool udp;    /* asks by TFTP, which knows the size of a single file and nothing else of it */
};

/* Lists a remote directory, file or wildcard: one XFER_EV_ENTRY each, in the server's order. */
XFER_API int xfer_list(const struct xfer_list_opts *o, const char *remote,
                       struct xfer_totals *totals);

/* ---- server ---- */

enum xfer_write { XFER_WRITE_NO, XFER_WRITE_REPLACE, XFER_WRITE_NEW };

/* One request, for the log. Strings are raw bytes from the peer: escape them. */
struct xfer_request {
    const char *peer;      /* address and port */
    const char *transport; /* "tcp" or "udp" */
    const char *options;   /* what was asked for ("mkpath sync=file") or agreed; NULL: nothing */
    const char *verb;
    const char *path;
    uint64_t offset;   /* where a resumed transfer went on */
    uint64_t bytes;    /* payload of this request */
    uint64_t size;     /* size of the whole file, for GET and PUT */
    uint64_t resent;   /* segments that TCP sent again meanwhile, or blocks that we did */
    uint64_t timeouts; /* UDP: ours */
    double seconds;
    int err; /* 0 or negative */
    const char *text;
    bool incoming, resumed;
};

struct xfer_serve_opts {
    const char *dir;
    const char *const *listen; /* "[ADDR]:PORT", "ADDR", "ADDR:PORT"; none: loopback, XFER_PORT */
    size_t n_listen;
    bool insecure; /* allow addresses beyond loopback though nothing is encrypted */
    enum xfer_write write;
    unsigned max_connections; /* 0: 1024; of UDP one address has a quarter, at least 64 */
    double timeout;           /* seconds without progress until a connection ends; 0: 60 */
    enum xfer_sync sync;
    bool remember;
    const char *user_name; /* drop to this user once the sockets are there */
    bool no_tcp, no_udp;
    unsigned udp_port;                 /* 0: the number that TCP has (69 is TFTP's own) */
    unsigned udp_port_lo, udp_port_hi; /* local ports of UDP transfers; 0: any */
    bool udp_single_port;              /* UDP transfers use the port that requests come to */
    const char *congestion;            /* of TCP, as in xfer_net_opts */
    struct xfer_stop *stop;
    void (*on_listening)(void *user, const char *proto, const char *addr);
    void (*on_request)(void *user, const struct xfer_request *r);
    void (*on_note)(void *user, const char *text);
    void *user;
};

/* Serves until stop is raised, then lets what has begun finish. on_request and on_note may be
 * called from several threads, never from two at once. Returns 0, or why it could not begin. */
XFER_API int xfer_serve(const struct xfer_serve_opts *o);

#ifdef __cplusplus
}
#endif
#endif
