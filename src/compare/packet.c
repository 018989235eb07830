#include "config.h"

#include <stdio.h>
#include <string.h>

#include "compare/packet.h"

#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define FIN 1
#define SYN 2
#define RST 4
#define ACK 16

#define PORT_UNREACHABLE 0x0303 /* type and code */
#define WORD_MAX                                                                                   \
    20 /* of a name or a value: what is longer is a digest, and cut to its beginning               \
        */
#define WORD_CUT 6

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
    ret->from = get16(p);
    ret->to = get16(p + 2);
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

/* One string of a list that ends in NULs. Returns what it takes there. */
static size_t add_word(struct compare_packet *ret, const char *before, const uint8_t *p, size_t n)
{
    size_t whole = strnlen((const char *)p, n), shown = whole > WORD_MAX ? WORD_CUT : whole;
    size_t len = strlen(ret->note);

    if (len + strlen(before) + shown + 3 > sizeof ret->note)
        return whole + 1;
    len += (size_t)snprintf(ret->note + len, sizeof ret->note - len, "%s", before);
    for (size_t i = 0; i < shown; i++)
        ret->note[len++] = (char)(p[i] > ' ' && p[i] < 127 ? p[i] : '.');
    strcpy(ret->note + len, whole > shown ? ".." : "");
    return whole + 1;
}

/* "blksize=1428 windowsize=16 sha256=e674c2..". */
static void note_options(struct compare_packet *ret, const uint8_t *p, size_t n)
{
    size_t i = 0;

    for (bool value = false; i < n; value = !value)
        i += add_word(ret, value ? "=" : ret->note[0] ? " " : "", p + i, n - i);
}

/* The name, and the options: that the mode is octet is not worth its room. */
static void note_request(struct compare_packet *ret, const uint8_t *p, size_t n)
{
    size_t i = add_word(ret, "", p, n);

    if (i < n)
        i += strnlen((const char *)p + i, n - i) + 1;
    if (i < n)
        note_options(ret, p + i, n - i);
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
        note_request(ret, p + 2, n - 2);
}

/* The length in its header is that of all fragments. */
static void decode_udp(const uint8_t *p, size_t n, struct compare_packet *ret)
{
    ret->from = get16(p);
    ret->to = get16(p + 2);
    decode_tftp(p + 8, n - 8, (size_t)get16(p + 4) - 8, ret);
}

void compare_packet_decode(const uint8_t *p, size_t n, struct compare_packet *ret)
{
    size_t header, total, there, offset;

    ret->kind = COMPARE_OTHER;
    ret->len = 0;
    ret->note[0] = '\0';
    if (n < 20 || p[0] >> 4 != 4)
        return;
    header = (size_t)(p[0] & 15) * 4;
    total = get16(p + 2);
    there = n < total ? n : total;
    offset = (size_t)(get16(p + 6) & 0x1fff) * 8;
    if (header < 20 || there < header)
        return;
    if (offset > 0) { /* no header of its transport */
        snprintf(ret->note, sizeof ret->note, "fragment from byte %zu, %zu bytes", offset,
                 total - header);
        return;
    }
    if (p[9] == PROTOCOL_ICMP && there >= header + 2)
        snprintf(ret->note, sizeof ret->note, "ICMP%s",
                 get16(p + header) == PORT_UNREACHABLE ? " port unreachable" : "");
    else if (p[9] == PROTOCOL_TCP)
        decode_tcp(p + header, there - header, total - header, ret);
    else if (p[9] == PROTOCOL_UDP && there >= header + 8 && get16(p + header + 4) >= 8)
        decode_udp(p + header, there - header, ret);
}

static void segment_text(const struct compare_packet *k, char *out, size_t cap)
{
    const char *name = k->flags & SYN   ? k->flags & ACK ? "SYN-ACK" : "SYN"
                       : k->flags & RST ? "RST"
                       : k->flags & FIN ? "FIN"
                                        : "";
    char data[32] = "", acks[24] = "";

    if (k->len > 0)
        snprintf(data, sizeof data, ", %u bytes", (unsigned)k->len);
    if (k->flags & ACK && (k->len == 0 || k->flags & (SYN | FIN)))
        snprintf(acks, sizeof acks, "%sack %u", name[0] ? ", " : "", (unsigned)k->ack);
    if (name[0] == '\0' && k->len == 0)
        snprintf(out, cap, "ACK %u", (unsigned)k->ack);
    else
        snprintf(out, cap, "%s%sseq %u%s%s", name, name[0] ? " " : "", (unsigned)k->seq, data,
                 acks);
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

static void packet_text(const struct compare_packet *k, char *out, size_t cap)
{
    switch (k->kind) {
    case COMPARE_SEGMENT:
        segment_text(k, out, cap);
        break;
    case COMPARE_TFTP:
        tftp_text(k, out, cap);
        break;
    case COMPARE_TIMEOUT:
        snprintf(out, cap, "timeout");
        break;
    case COMPARE_OTHER:
        snprintf(out, cap, "%s", k->note[0] ? k->note : "packet");
        break;
    }
}

char *compare_packet_text(const struct compare_packet *k, char *out, size_t cap)
{
    const struct {
        bool is;
        const char *word;
    } remarks[] = {{k->again, "again"},
                   {k->duplicated, "arrives twice"},
                   {k->corrupted, "corrupted"},
                   {k->reordered, "reordered"}};
    char text[COMPARE_NOTE_MAX + 16] = "", words[64] = "", number[16] = "";
    size_t n = 0;

    packet_text(k, text, sizeof text);
    for (size_t i = 0; i < sizeof remarks / sizeof *remarks; i++)
        if (remarks[i].is)
            n += (size_t)snprintf(words + n, sizeof words - n, "%s%s", n > 0 ? ", " : " (",
                                  remarks[i].word);
    if (k->connection > 0)
        snprintf(number, sizeof number, "%u: ", k->connection);
    snprintf(out, cap, "%s%s%s%s", number, text, words, n > 0 ? ")" : "");
    return out;
}
