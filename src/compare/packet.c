#include "config.h"

#include <stdio.h>
#include <string.h>

#include "compare/packet.h"

#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define FIN 1
#define SYN 2
#define RST 4
#define ACK 16

enum tftp_opcode { TFTP_RRQ = 1, TFTP_WRQ, TFTP_DATA, TFTP_ACK, TFTP_ERROR, TFTP_OACK };

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* n bytes are there, of `whole` that were sent. */
static void decode_tcp(const uint8_t *p, size_t n, size_t whole, struct compare_packet *ret)
{
    size_t header;

    if (n < 20 || (header = (size_t)(p[12] >> 4) * 4) < 20 || header > n)
        return;
    ret->kind = COMPARE_SEGMENT;
    ret->seq = get32(p + 4);
    ret->ack = get32(p + 8);
    ret->flags = p[13];
    ret->len = (uint32_t)(whole - header);
}

static void note(struct compare_packet *ret, const uint8_t *p, size_t n)
{
    size_t i;

    for (i = 0; i < n && i + 1 < sizeof ret->note && p[i] != '\0'; i++)
        ret->note[i] = (char)(p[i] >= ' ' && p[i] < 127 ? p[i] : '.');
    ret->note[i] = '\0';
}

/* The names of the options that an OACK agrees to, with their values: "blksize=1428 window...". */
static void note_options(struct compare_packet *ret, const uint8_t *p, size_t n)
{
    bool value = false;
    size_t len = 0;

    for (size_t i = 0; i < n && len + 1 < sizeof ret->note; i++) {
        if (p[i] != '\0') {
            ret->note[len++] = (char)(p[i] > ' ' && p[i] < 127 ? p[i] : '.');
        } else {
            value = !value;
            if (value || i + 1 < n)
                ret->note[len++] = value ? '=' : ' ';
        }
    }
    ret->note[len] = '\0';
}

static void decode_tftp(const uint8_t *p, size_t n, size_t whole, struct compare_packet *ret)
{
    if (n < 4 || whole < n)
        return;
    ret->opcode = get16(p);
    if (ret->opcode < TFTP_RRQ || ret->opcode > TFTP_OACK)
        return;
    ret->kind = COMPARE_TFTP;
    if (ret->opcode == TFTP_DATA || ret->opcode == TFTP_ACK || ret->opcode == TFTP_ERROR)
        ret->block = get16(p + 2);
    if (ret->opcode == TFTP_DATA)
        ret->len = (uint32_t)(whole - 4);
    else if (ret->opcode == TFTP_ERROR)
        note(ret, p + 4, n - 4);
    else if (ret->opcode == TFTP_OACK)
        note_options(ret, p + 2, n - 2);
    else if (ret->opcode != TFTP_ACK)
        note(ret, p + 2, n - 2);
}

void compare_packet_decode(const uint8_t *p, size_t n, struct compare_packet *ret)
{
    size_t header, total, there;

    ret->kind = COMPARE_OTHER;
    ret->len = 0;
    ret->note[0] = '\0';
    if (n < 20 || p[0] >> 4 != 4)
        return;
    header = (size_t)(p[0] & 15) * 4;
    total = get16(p + 2);
    there = n < total ? n : total;
    /* A later fragment has no header of its transport. */
    if (header < 20 || there < header || (get16(p + 6) & 0x1fff) != 0)
        return;
    if (p[9] == PROTOCOL_TCP)
        decode_tcp(p + header, there - header, total - header, ret);
    else if (p[9] == PROTOCOL_UDP && there >= header + 8 && get16(p + header + 4) >= 8)
        /* The length in UDP's header is that of all fragments. */
        decode_tftp(p + header + 8, there - header - 8, (size_t)get16(p + header + 4) - 8, ret);
}

static void segment_text(const struct compare_packet *k, const uint32_t base[2], char *out,
                         size_t cap)
{
    uint32_t seq = k->seq - base[k->way], ack = k->ack - base[!k->way];
    const char *name = k->flags & SYN   ? k->flags & ACK ? "SYN-ACK" : "SYN"
                       : k->flags & RST ? "RST"
                       : k->flags & FIN ? "FIN"
                                        : "";
    char data[32] = "", acks[24] = "";

    if (k->len > 0)
        snprintf(data, sizeof data, ", %u bytes", (unsigned)k->len);
    if (k->flags & ACK && (k->len == 0 || k->flags & (SYN | FIN)))
        snprintf(acks, sizeof acks, "%sack %u", name[0] ? ", " : "", (unsigned)ack);
    if (name[0] == '\0' && k->len == 0)
        snprintf(out, cap, "ACK %u", (unsigned)ack);
    else
        snprintf(out, cap, "%s%sseq %u%s%s", name, name[0] ? " " : "", (unsigned)seq, data, acks);
}

static void tftp_text(const struct compare_packet *k, char *out, size_t cap)
{
    switch ((enum tftp_opcode)k->opcode) {
    case TFTP_RRQ:
        snprintf(out, cap, "RRQ %s", k->note);
        break;
    case TFTP_WRQ:
        snprintf(out, cap, "WRQ %s", k->note);
        break;
    case TFTP_DATA:
        snprintf(out, cap, "DATA %u, %u bytes", k->block, (unsigned)k->len);
        break;
    case TFTP_ACK:
        snprintf(out, cap, "ACK %u", k->block);
        break;
    case TFTP_ERROR:
        snprintf(out, cap, "ERROR %u %s", k->block, k->note);
        break;
    case TFTP_OACK:
        snprintf(out, cap, "OACK %s", k->note);
        break;
    }
}

char *compare_packet_text(const struct compare_packet *k, const uint32_t base[2], char *out,
                          size_t cap)
{
    if (cap > 0)
        out[0] = '\0';
    switch (k->kind) {
    case COMPARE_SEGMENT:
        segment_text(k, base, out, cap);
        break;
    case COMPARE_TFTP:
        tftp_text(k, out, cap);
        break;
    case COMPARE_TIMEOUT:
        snprintf(out, cap, "timeout");
        break;
    case COMPARE_OTHER:
        snprintf(out, cap, "packet");
        break;
    }
    return out;
}
