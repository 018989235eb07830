/* sim.h - the simulator: two TFTP machines with small drivers, two link queues, one virtual clock,
 * files in memory. What happens is a function of the scenario alone.
 *
 *     scenario.c  a scenario from a seed: class, sizes, link, kind of peer
 *     world.c     the clock, what is on its way, what is done to it; the loop
 *     node.c      the driver around a machine: packets in, actions out
 *     crude.c     a foreign peer without a machine of ours, as simple as they are in the field
 *     trace.c     packets as text, and back
 *     check.c     what must hold when a transfer is over
 *     golden.c    traces that must come out exactly
 *     run.c       the command line, TAP
 */
#ifndef XFER_TESTS_SIM_H
#define XFER_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link/linkq.h"
#include "tftp/opt.h"
#include "tftp/pkt.h"
#include "tftp/sm.h"

#define SIM_CLIENT 0
#define SIM_SERVER 1
#define SIM_FILE_MAX (1200 * 1024)
#define SIM_SLOTS 4096 /* packets on their way in one direction */
#define SIM_MS INT64_C(1000000)

/* ---- scenarios ---- */

enum sim_class {
    SIM_CLEAN,    /* nothing is lost */
    SIM_RARE,     /* little happens to many blocks: what grows by itself shows */
    SIM_TWISTED,  /* duplicated, reordered, jittered; nothing is lost */
    SIM_LOSSY,    /* up to 20 % lost */
    SIM_STORMY,   /* all of it, up to 20 %, and corruption that a checksum finds */
    SIM_HARSH,    /* 20 to 50 % lost: may fail, and says so */
    SIM_FIXED,    /* corrupted, and the checksum fixed: only the digest finds it */
    SIM_NARROW,   /* a slow line with a short queue, which windows overflow */
    SIM_FOREIGN,  /* peers without options, or that refuse them, or that are crude */
    SIM_ROLLOVER, /* more than 65535 blocks */
    SIM_CLASSES
};

enum sim_peer {
    SIM_OURS,
    SIM_PLAIN,          /* server: ignores options */
    SIM_REFUSES,        /* server: ERROR 8 to a request with options */
    SIM_CRUDE_RECEIVER, /* acknowledges whatever DATA comes, each block of a window too */
    SIM_CRUDE_SENDER    /* answers each ACK with DATA, the second one too; window 1 */
};

struct scenario {
    uint64_t seed;
    enum sim_class class;
    enum sim_peer peer;
    bool write;      /* the client sends */
    bool no_options; /* the client asks for none */
    bool discard;    /* the client has what it sends thrown away */
    size_t size;
    unsigned blksize, window, timeout;
    struct linkq_params link[2]; /* by sender: client, server */
    int64_t give_up;
};

struct scenario sim_scenario(uint64_t seed);
const char *sim_class_name(enum sim_class c);

/* The 20 % and less of the project's promise: the transfer must succeed. */
static inline bool sim_must_succeed(const struct scenario *sc)
{
    return sc->class != SIM_HARSH && sc->class != SIM_FIXED;
}

/* Corruption passes the checksums of the network. */
static inline bool sim_fixes_checksums(const struct scenario *sc)
{
    return sc->link[0].fix_checksum;
}

/* ---- packets on their way ---- */

struct sim_packet {
    unsigned refs;
    bool to_listener; /* to the server's known port, not to that of the transfer */
    uint32_t len;
    uint8_t bytes[];
};

/* ---- nodes ---- */

enum sim_result { SIM_PENDING, SIM_DONE, SIM_FAILED };

struct world;

struct node {
    struct world *w;
    unsigned side;
    bool idle; /* a server that nobody has asked yet, a client that asks anew */
    bool crude;
    struct tftp_sm sm;
    enum sim_result result;
    int64_t result_at;
    bool verified;
    bool fell_back; /* client: options were refused, it asked again without */
    struct tftp_opts asked, agreed;
    uint8_t *control; /* the request or the OACK */
    size_t control_len;
    uint8_t digest[32]; /* of the file, as it was told */
    bool has_digest;
    const uint8_t *source; /* sender */
    uint8_t *target;       /* receiver, SIM_FILE_MAX + room for one block */
    size_t size;           /* of the source; of what was received */
    uint64_t written;      /* blocks */
    const struct tftp_pkt *at_hand;
    uint64_t packets_sent, data_sent;
    /* crude */
    uint64_t block;
    int64_t deadline;
    unsigned tries;
};

void node_init(struct node *n, struct world *w, unsigned side);
void node_free(struct node *n);
void node_start(struct node *n); /* client: the request */
void node_packet(struct node *n, const uint8_t *bytes, size_t len, bool to_listener);
void node_tick(struct node *n);
int64_t node_deadline(const struct node *n);
bool node_over(const struct node *n);
bool node_sends(const struct node *n);
void node_finish(struct node *n, enum sim_result result);

void crude_start(struct node *n);
void crude_packet(struct node *n, const struct tftp_pkt *pkt);
void crude_tick(struct node *n);

/* ---- the world ---- */

/* What a golden trace does to a packet; each once, the first that fits. */
struct sim_rule {
    enum { RULE_LOSE, RULE_TWICE, RULE_HOLD } what;
    unsigned side; /* of its sender */
    char packet[64];
    int64_t hold;
    bool used;
};

/* What a golden trace sends itself. */
struct sim_inject {
    int64_t at;
    unsigned to;
    struct sim_packet *packet;
};

#define SIM_RULES 64
#define SIM_INJECTS 64

struct text {
    char *p;
    size_t len, cap;
};

struct world {
    const struct scenario *sc;
    int64_t now;
    struct node node[2];
    struct linkq link[2];
    struct linkq_packet *slots[2];
    const uint8_t *content;
    uint8_t digest[32];
    struct sim_rule rules[SIM_RULES];
    unsigned n_rules;
    struct sim_inject injects[SIM_INJECTS];
    unsigned n_injects;
    struct text *trace; /* NULL: none is kept */
    uint64_t steps;
    const char *broken; /* what did not hold while it ran */
};

void world_init(struct world *w, const struct scenario *sc, struct text *trace);
void world_run(struct world *w);
void world_free(struct world *w);
void world_send(struct world *w, unsigned side, const void *bytes, size_t len, bool to_listener);
void world_inject(struct world *w, int64_t at, unsigned to, struct sim_packet *p);
struct sim_packet *packet_new(const void *bytes, size_t len, bool to_listener);
void packet_drop(struct sim_packet *p);

/* ---- text ---- */

void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One line of the trace, with the time and the side. */
void trace_line(struct world *w, unsigned side, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void packet_text(const void *bytes, size_t len, char *out, size_t cap);
/* "ACK 5", "DATA 2 600", "ERROR 4 text", "OACK name=value ...", "RRQ", "hex 0004": its length in
 * out, -1 when it is none of these. */
long packet_bytes(const char *words, void *out, size_t cap);

/* ---- judging ---- */

/* What went wrong, or NULL. */
const char *sim_check(const struct world *w);
uint64_t sim_packets(const struct world *w);
uint64_t sim_blocks(const struct world *w);
uint64_t sim_events(const struct world *w); /* what the links did to packets */

/* Without any loss there is a packet a block and one a window. Each thing that happens to a packet
 * may cost SIM_STORM windows, and no more: a storm is what grows by itself. This is what it cost.
 */
#define SIM_STORM 1.5
double sim_storm(const struct world *w);

/* One trace file: its text is compared, or rewritten. 0, or -1 with a report on standard output. */
int golden_run(const char *path, bool update);

#endif
