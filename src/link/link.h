/* link.h - an emulated link between two network namespaces, through which real TCP and UDP pass.
 *
 *     struct link_settings s = {.mtu = 1500, .path = {{...}, {...}}};
 *     struct link_problem why;
 *     struct link *link;
 *
 *     link_open(&link, &s, &why)            namespaces, devices, forwarder: some milliseconds
 *     link_begin(link, seed)                a run: queues, counters, chance begin anew
 *     link_start(link, LINK_SERVER, ...)    processes at either end,
 *     link_start(link, LINK_CLIENT, ...)    which talk to LINK_SERVER_ADDRESS
 *     link_wait(link, pid, ...)
 *     link_end(link, &stats)                what is on its way arrives, then the counters
 *     link_close(link)
 *
 *        caller ── keeper ── forwarder, pid 1 of a namespace of processes
 *          └─ processes of the ends:  client end ══ forwarder ══ server end
 *
 * Invariants
 *  - Neither root nor a device node is needed where user namespaces are allowed; root does without.
 *  - Nothing stays behind, however the caller ends: the forwarder ends with it, and every process
 *    of the link with the forwarder. Every wait here has a limit.
 *  - Between link_end and link_begin nothing passes.
 *  - The link's processes hold copies of the descriptors that were open at link_open and
 *    link_start, close-on-exec or not, until they end.
 *  - Bytes, rates and limits count whole IPv4 packets: no Ethernet header. Nothing but IPv4 passes.
 *  - The same seed and settings give the Nth packet of a direction the same fate, whatever the
 *    time; how many packets there are is the protocol's affair.
 *
 * Not thread-safe. The thread that opens a link must live as long as the link.
 */
#ifndef XFER_LINK_LINK_H
#define XFER_LINK_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define LINK_CLIENT_ADDRESS "10.77.0.1"
#define LINK_SERVER_ADDRESS "10.77.0.2"
/* What a link can be. */
#define LINK_MTU_MIN 576  /* what every IPv4 host must take, RFC 791; Linux's TCP needs 552 */
#define LINK_MTU_MAX 9000 /* jumbo frames, the largest of Ethernet; no network has larger ones */
#define LINK_DELAY_MAX INT64_C(30000000000) /* ns: TCP gives up on longer ones */
#define LINK_RATE_MIN 1000                  /* slower ones carry no packet within TCP's timeouts */
#define LINK_RATE_MAX UINT64_C(10000000000)
#define LINK_RATE_SUPPORTED UINT64_C(500000000) /* beyond, one processor may not keep up */

enum link_side { LINK_CLIENT, LINK_SERVER };

/* ---- what is wanted ---- */

/* What happens to packets that one side sends. Times in ns, chances from 0 to 1, and less than 1
 * of what would let nothing pass. */
struct link_path {
    uint64_t rate;  /* bits a second; 0: no limit */
    int64_t delay;  /* one way */
    int64_t jitter; /* uniform in [0, jitter), added; order is kept */
    double loss;    /* after the queue, so that lost packets take their time on the line */
    double duplicate;
    double corrupt;    /* one bit flipped: checksums find it */
    bool fix_checksum; /* the checksum fits again: only a digest finds it */
    double reorder;    /* held back by reorder_delay, so that later ones overtake it */
    int64_t reorder_delay;
    uint64_t queue; /* bytes that may wait for the rate; 0: no limit */
};

struct link_settings {
    struct link_path path[2]; /* by enum link_side of the sender */
    uint32_t mtu;
    size_t records; /* packets of a run that are recorded, 256 bytes each; 0: none */
};

/* What is wrong, for people: both are empty when nothing is. */
struct link_problem {
    char why[256];
    char remedy[256];
};

/* -XFER_EUSAGE when no link can be like this. */
int link_settings_check(const struct link_settings *s, struct link_problem *p);

/* ---- what this machine allows ---- */

enum link_way { LINK_NO_WAY, LINK_BY_USER_NAMESPACE, LINK_BY_ROOT };

struct link_ability {
    enum link_way way;
    struct link_problem problem;   /* when there is none */
    char congestion_controls[256]; /* of TCP, with blanks between; what the kernel has loaded */
};

/* Tries it: opens a link, and closes it. */
void link_check(struct link_ability *ret);

/* ---- a link ---- */

struct link;

/* 0, or a negative error with its problem. */
int link_open(struct link **ret, const struct link_settings *s, struct link_problem *p);
void link_close(struct link *link); /* kills what still runs in it; NULL is no link */
enum link_way link_way(const struct link *link);

/* A run. Queues are empty, counters zero and chance begins anew. Connections of an earlier run must
 * have ended, or their last packets take the first draws. */
int link_begin(struct link *link, uint64_t seed);

/* ---- processes at its ends ---- */

/* Starts fn(arg) in a fork of the caller, with all rights over the network of that side; what it
 * returns is its exit status. From a caller with threads, fn may do no more than after any fork. */
int link_start(struct link *link, enum link_side side, int (*fn)(void *), void *arg, pid_t *ret);
/* The same for a program, looked up in PATH; exit status 127: not found. */
int link_start_program(struct link *link, enum link_side side, char *const argv[], pid_t *ret);
/* Its exit status (128 + signal, where one ended it), -ETIMEDOUT, or -ECHILD. */
int link_wait(struct link *link, pid_t pid, int64_t timeout);
void link_terminate(struct link *link, pid_t pid); /* SIGTERM; link_wait is still due */
void link_kill(struct link *link, pid_t pid);      /* SIGKILL, and waited for */

/* ---- what happened ---- */

/* in + duplicated = out + dropped_queue + dropped_loss + dropped_pool, in packets. */
struct link_counts {
    uint64_t in_packets, in_bytes, out_packets, out_bytes;
    uint64_t dropped_queue, dropped_loss;
    uint64_t dropped_pool; /* no memory for more: not part of the link that was asked for */
    uint64_t duplicated, corrupted, reordered;
    uint64_t backlog_max, backlog_mean; /* bytes queued, as packets met it */
    uint64_t hidden;                    /* packets that the kernel dropped before or behind us */
    int64_t lateness_p50, lateness_p99; /* ns: how much later than due packets left us */
};

struct link_stats {
    struct link_counts path[2]; /* by sender */
    int64_t begun, ended;       /* CLOCK_MONOTONIC */
    uint64_t records_missed;    /* for which there was no room */
};

/* Takes no more packets, delivers those on their way, and reads the counters. */
int link_end(struct link *link, struct link_stats *ret);
/* The same; but as soon as hurry(arg), asked ten times a second, is true, what is still on its way
 * arrives at once. */
int link_end_unless(struct link *link, bool (*hurry)(void *), void *arg, struct link_stats *ret);

/* Whether a run says something about the link rather than about this machine: no hidden drop, none
 * for lack of memory, and, where a hundred packets passed, a p99 lateness within 1 ms and 5 % of
 * the round trip. */
bool link_is_trustworthy(const struct link_settings *s, const struct link_stats *st,
                         struct link_problem *p);

#define LINK_SNAP 216

enum link_fate { LINK_PASSED, LINK_LOST_IN_QUEUE, LINK_LOST_BY_CHANCE, LINK_LOST_POOL };
enum { LINK_DUPLICATED = 1, LINK_CORRUPTED = 2, LINK_REORDERED = 4 };

struct link_record {
    int64_t time;    /* CLOCK_MONOTONIC: when it entered */
    int64_t due;     /* when it arrives, or would have; 0 when it never left the queue */
    uint32_t number; /* of its direction, from 0 */
    uint32_t length; /* of the IPv4 packet */
    uint16_t captured;
    uint8_t side;             /* enum link_side of the sender */
    uint8_t fate;             /* enum link_fate */
    uint8_t what;             /* LINK_DUPLICATED, ... */
    uint8_t bytes[LINK_SNAP]; /* as they entered, from the IPv4 header on */
};

/* The records of the last run, in order of time; after link_end and until link_begin. */
const struct link_record *link_records(const struct link *link, size_t *n);

/* "dropped: random loss", or NULL when nothing happened to it. */
const char *link_record_comment(const struct link_record *r);

/* ---- capture files ---- */

/* A pcapng file: a named interface for each run that is added. Each packet is in it once, when it
 * was sent. */
struct link_capture;

/* The stream is the capture's, whatever comes of it. */
int link_capture_open(struct link_capture **ret, FILE *file);
int link_capture_add(struct link_capture *c, const char *name, const struct link_record *r,
                     size_t n);
int link_capture_close(struct link_capture *c); /* 0: all of it is written; NULL is no file */

/* ---- does it do what was asked? ---- */

struct link_measure {
    int64_t rtt, rtt_expected; /* ns, medians of a UDP echo; -1: no echo came back */
    unsigned echoes, answered;
    uint64_t rate[2];        /* bits a second, by sender; 0: not measured, or no limit */
    int64_t took[2];         /* ns, in which that was measured */
    struct link_stats stats; /* of the echoes */
};

/* Runs of its own: echoes, and a train of packets each way. Some two seconds and round trips; more
 * on the slowest lines. */
int link_measure(struct link *link, struct link_measure *ret);

/* The round trip and rates within 1 ms and 5 % of what was asked, and what jitter and reordering
 * add to so few packets. */
bool link_is_faithful(const struct link_settings *s, const struct link_measure *m,
                      struct link_problem *p);

#endif
