/* packet.h - packets of a trace: IPv4 with TCP, or UDP with TFTP, made of their bytes.
 * Pure.
 */
#ifndef XFER_COMPARE_PACKET_H
#define XFER_COMPARE_PACKET_H

#include "compare/compare.h"

#define COMPARE_NOTE_MAX 96

enum compare_fate { COMPARE_ARRIVES, COMPARE_LOST, COMPARE_OVERFLOW /* of the queue */ };

enum compare_kind {
    COMPARE_SEGMENT, /* TCP */
    COMPARE_TFTP,
    COMPARE_TIMEOUT, /* no packet: `way` says whose (0: the client's) */
    COMPARE_OTHER
};

/* One rung of a ladder. */
struct compare_packet {
    double seconds; /* when it was sent */
    double arrives; /* of one that arrives */
    unsigned way;   /* 0: from the client */
    enum compare_fate fate;
    enum compare_kind kind;
    bool again;                            /* sent before */
    bool duplicated, corrupted, reordered; /* by the link */
    unsigned connection;                   /* from 1, where there are several; else 0 */
    uint16_t from, to;                     /* ports */
    uint32_t len;                          /* of the payload: of a segment, of a block */
    /* COMPARE_SEGMENT */
    uint8_t flags; /* as in the header: FIN 1, SYN 2, RST 4, PSH 8, ACK 16 */
    uint32_t seq, ack;
    /* COMPARE_TFTP */
    uint16_t opcode, block; /* block: error code of an ERROR */
    char note[COMPARE_NOTE_MAX];
    /* name and options of a request, text of an error, what a fragment is; printable ASCII */
};

/* Fills in ports, kind, and what belongs to it, from the first n bytes of an IPv4 packet: len is
 * that of the whole, however little was captured behind the headers. What has no whole header, or
 * is unknown, is COMPARE_OTHER. */
void compare_packet_decode(const uint8_t *p, size_t n, struct compare_packet *ret);

/* "SYN seq 0", "ACK 1449", "seq 1, 1448 bytes", "DATA 3, 1428 bytes (again)", "ACK 3",
 * "RRQ a.txt blksize=1428", "timeout". Returns out. */
char *compare_packet_text(const struct compare_packet *k, char *out, size_t cap);

#endif
