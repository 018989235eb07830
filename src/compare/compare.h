/* compare.h - what `xfer compare` is told, and what it found: the data that its parsers make and
 * its renderers show. No functions, no pointers to free.
 *
 * Way 0 is from the client to the server, way 1 back. Times are seconds, rates bits a second,
 * chances 0 to 1.
 */
#ifndef XFER_COMPARE_COMPARE_H
#define XFER_COMPARE_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMPARE_METHODS_MAX 16
#define COMPARE_SWEEP_MAX 16
#define COMPARE_ROUNDS_MAX 100
#define COMPARE_WHY_MAX 256
#define COMPARE_LABEL_MAX 48
#define COMPARE_NAME_MAX 16 /* as TCP_CA_NAME_MAX: a congestion control, a preset, a key */

#define COMPARE_BLKSIZE 1428
#define COMPARE_MTU 1500

enum compare_transport { COMPARE_TCP, COMPARE_UDP };

struct compare_method {
    enum compare_transport transport;
    char congestion[COMPARE_NAME_MAX]; /* TCP; empty: the kernel's default */
    unsigned streams;                  /* TCP, at least 1 */
    unsigned blksize, window;          /* UDP */
};

struct compare_way {
    uint64_t rate;        /* 0: no limit, or not known */
    double delay, jitter; /* one way; jitter is uniform and added */
    double loss, duplicate, corrupt, reorder;
    uint64_t queue; /* bytes; 0: one bandwidth-delay product */
};

struct compare_link {
    char name[COMPARE_NAME_MAX]; /* of the preset it began with */
    bool emulated;               /* else the loopback device, or a real network */
    struct compare_way way[2];
    unsigned mtu;
    bool mtu_given;     /* asked for: then blocks must fit it whole */
    bool fix_checksums; /* checksums of corrupted packets are fixed: only a digest finds them */
    uint64_t seed;
};

enum compare_direction { COMPARE_PUT, COMPARE_GET, COMPARE_BOTH };

/* One key that takes several values in turn. */
struct compare_sweep {
    char key[COMPARE_NAME_MAX]; /* empty: none */
    char values[COMPARE_SWEEP_MAX][COMPARE_NAME_MAX];
    double numbers[COMPARE_SWEEP_MAX]; /* in the base unit of the key: a plot's x */
    size_t n;
};

struct compare_spec {
    struct compare_method methods[COMPARE_METHODS_MAX];
    size_t n;
    bool methods_given; /* else they are the defaults */
    struct compare_link link;
    struct compare_sweep sweep;
    uint64_t size;
    unsigned rounds;
    double max_time;
    enum compare_direction direction;
};

enum compare_state {
    COMPARE_DONE,
    COMPARE_FAILED,    /* lost, refused by the peer, or the digest did not match */
    COMPARE_REFUSED,   /* impossible here: no such congestion control, or no such upload */
    COMPARE_UNFINISHED /* the time was over */
};

/* One way of the link during a round, from its own counters; bytes with all headers. */
struct compare_counts {
    uint64_t packets, bytes;
    uint64_t dropped_queue, dropped_loss, dropped_full;
    uint64_t duplicated, corrupted, reordered;
};

/* One transfer, as it was measured. */
struct compare_round {
    unsigned point;  /* of the sweep, 0 without one */
    unsigned method; /* index */
    unsigned number; /* from 1 */
    enum compare_direction direction;
    enum compare_state state;
    char why[COMPARE_WHY_MAX]; /* when it is not done */
    bool verified;             /* by SHA-256 */
    uint64_t bytes;            /* of the file, moved */
    uint64_t size;             /* of the whole file */
    double seconds, cpu_seconds;
    bool counted;  /* way[] holds something */
    bool doubtful; /* the link was not what was asked for */
    struct compare_counts way[2];
    bool untold; /* by its ends: retransmits, timeouts and processor time are not known */
    uint64_t retransmits, timeouts;
    double rtt;                        /* as the transport saw it; 0: not known */
    char congestion[COMPARE_NAME_MAX]; /* TCP: read back */
    unsigned blksize, window;          /* UDP: as agreed */
};

/* The rounds of one method in one direction, summed up. Medians over the rounds that are done, or,
 * where none is, counters over those that ended as the row did. */
struct compare_row {
    unsigned point, method;
    enum compare_direction direction;
    enum compare_state state; /* DONE as soon as one round is */
    char why[COMPARE_WHY_MAX];
    char label[COMPARE_LABEL_MAX];
    unsigned rounds, failed; /* measured, and those of them that are not done */
    unsigned doubtful;       /* those that met a link that was not as asked for */
    uint64_t bytes, size;
    double median, min, max;
    double bits_per_second; /* of the file */
    double share;           /* of the link's rate; 0: the rate is not known */
    double cpu_seconds;
    bool counted, untold;                                      /* as of a round */
    uint64_t packets, wire_bytes, dropped_loss, dropped_queue; /* both ways */
    uint64_t way_packets[2], way_bytes[2], corrupted;
    bool resent_unknown; /* sent again by a server elsewhere, which does not tell */
    uint64_t retransmits, timeouts;
    unsigned window, window_asked; /* UDP: as agreed, 0: not known */
    enum compare_transport transport;
    double theory; /* for `bytes`; NAN: none */
    double ratio;  /* to the fastest method, or value of a series; byte for byte */
};

/* What a whole run came to: all that renderers need. */
struct compare_result {
    const struct compare_spec *spec;
    const char *file, *remote; /* names as they were given, NULL: none */
    const struct compare_round *rounds;
    size_t n_rounds;
    const struct compare_row *rows;
    size_t n_rows;
    double estimate;     /* seconds, told beforehand */
    double measured_rtt; /* by the self-check; 0: not measured */
    uint64_t measured_rate;
    const char *doubt;   /* of the first round that met another link than asked for; NULL: none */
    const char *warning; /* "not trustworthy on this machine: ...", NULL: none */
};

#endif
