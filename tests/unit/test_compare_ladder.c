#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "compare/ladder.h"

/* Packets made up for these tests: nobody captured them. */
static const struct compare_packet waiting[] = {
    {.seconds = 1, .arrives = 1.01, .kind = COMPARE_TFTP, .opcode = 2, .note = "a<b"},
    {.seconds = 1.01,
     .arrives = 1.02,
     .way = 1,
     .kind = COMPARE_TFTP,
     .opcode = 6,
     .note = "blksize=1428"},
    {.seconds = 1.02,
     .fate = COMPARE_LOST,
     .kind = COMPARE_TFTP,
     .opcode = 3,
     .block = 1,
     .len = 1428},
    {.seconds = 1.05, .kind = COMPARE_TIMEOUT},
    {.seconds = 1.05, .arrives = 1.06, .kind = COMPARE_TFTP, .opcode = 3, .block = 1, .len = 1428},
    {.seconds = 1.06,
     .fate = COMPARE_OVERFLOW,
     .way = 1,
     .kind = COMPARE_TFTP,
     .opcode = 4,
     .block = 1},
    {.seconds = 1.09, .way = 1, .kind = COMPARE_TIMEOUT},
};
static const struct compare_packet stream[] = {
    {.seconds = 0, .arrives = .01, .kind = COMPARE_SEGMENT, .flags = 2},
    {.seconds = .01, .arrives = .02, .way = 1, .kind = COMPARE_SEGMENT, .flags = 18, .ack = 1},
    {.seconds = .02, .arrives = .03, .kind = COMPARE_SEGMENT, .flags = 16, .seq = 1, .ack = 1},
    {.seconds = .02,
     .arrives = .03,
     .kind = COMPARE_SEGMENT,
     .flags = 24,
     .seq = 1,
     .ack = 1,
     .len = 1448},
    {.seconds = .03,
     .arrives = .04,
     .way = 1,
     .kind = COMPARE_SEGMENT,
     .flags = 16,
     .seq = 1,
     .ack = 1449},
    {.seconds = .04,
     .arrives = .05,
     .kind = COMPARE_SEGMENT,
     .flags = 24,
     .seq = 1,
     .ack = 1,
     .len = 1448,
     .again = true,
     .duplicated = true,
     .connection = 2},
};

static char *drawn(const struct compare_ladder *l,
                   void (*draw)(const struct compare_ladder *, FILE *))
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    draw(l, f);
    fclose(f);
    return text;
}

static void as_text(const struct compare_ladder *l, FILE *f)
{
    compare_ladder_text(l, false, f);
}

Test(compare_ladder, stop_and_wait)
{
    struct compare_ladder l = {"udp stop-and-wait", waiting, 7, true};
    char *text = drawn(&l, as_text);

    cr_expect_str_eq(text,
                     "udp stop-and-wait\n"
                     "       ms  client                                                    server\n"
                     "      0.0  |--- WRQ a<b ------------------------------------------------->|\n"
                     "     10.0  |<--------------------------------------- OACK blksize=1428 ---|\n"
                     "     20.0  |--- DATA 1, 1428 bytes ----------------X lost                 |\n"
                     "     50.0  |  timeout: sends again                                        |\n"
                     "     50.0  |--- DATA 1, 1428 bytes -------------------------------------->|\n"
                     "     60.0  |                    queue full X-------------------- ACK 1 ---|\n"
                     "     90.0  |                                        timeout: sends again  |\n"
                     "      ...\n",
                     "got:\n%s", text);
    free(text);
}

Test(compare_ladder, stream_of_segments)
{
    struct compare_ladder l = {"tcp (cubic)", stream, 6, false};
    char *text = drawn(&l, as_text);

    cr_expect_str_eq(
        text,
        "tcp (cubic)\n"
        "       ms  client                                                    server\n"
        "      0.0  |--- SYN seq 0 ----------------------------------------------->|\n"
        "     10.0  |<------------------------------------ SYN-ACK seq 0, ack 1 ---|\n"
        "     20.0  |--- ACK 1 --------------------------------------------------->|\n"
        "     20.0  |--- seq 1, 1448 bytes --------------------------------------->|\n"
        "     30.0  |<------------------------------------------------ ACK 1449 ---|\n"
        "     40.0  |--- 2: seq 1, 1448 bytes (again, arrives twice) ------------->|\n",
        "got:\n%s", text);
    free(text);
}

Test(compare_ladder, remarks_stay_where_words_are_cut)
{
    struct compare_packet k = {.kind = COMPARE_TFTP,
                               .opcode = 2,
                               .again = true,
                               .duplicated = true,
                               .note = "data blksize=1428 tsize=1048576 windowsize=16 discard=1"};
    struct compare_ladder l = {"udp", &k, 1, false};
    char *text = drawn(&l, as_text);

    cr_expect_not_null(strstr(text, "|--- WRQ data blksize=1428 .. (again, arrives twice) "), "%s",
                       text);
    free(text);
}

Test(compare_ladder, no_line_is_wider_than_a_terminal)
{
    struct compare_packet wide = {.kind = COMPARE_TFTP, .opcode = 1, .seconds = 1e5};
    struct compare_packet packets[2] = {{.kind = COMPARE_OTHER}, wide};
    struct compare_ladder l = {"udp", packets, 2, true};
    char *text, *line, *rest;

    memset(packets[1].note, 'x', sizeof wide.note - 1);
    for (int fate = COMPARE_ARRIVES; fate <= COMPARE_OVERFLOW; fate++)
        for (unsigned way = 0; way < 2; way++) {
            packets[1].fate = (enum compare_fate)fate;
            packets[1].way = way;
            rest = text = drawn(&l, as_text);
            while ((line = strsep(&rest, "\n")) != NULL)
                cr_expect_leq(strlen(line), 80, "%s", line);
            free(text);
        }
}

Test(compare_ladder, drawing)
{
    struct compare_ladder l = {"udp <&>", waiting, 7, true};
    char *svg = drawn(&l, compare_ladder_svg);

    cr_expect_eq(strncmp(svg, "<svg xmlns", 10), 0);
    cr_expect_not_null(strstr(svg, "WRQ a&lt;b"));
    cr_expect_not_null(strstr(svg, "<title>udp &lt;&amp;&gt;</title>"));
    cr_expect_not_null(strstr(svg, "timeout"));
    cr_expect_not_null(strstr(svg, "queue full"));
    cr_expect_str_eq(svg + strlen(svg) - 7, "</svg>\n");
    free(svg);
}

#define IP(total, protocol)                                                                        \
    0x45, 0, 0, total, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2

Test(compare_packet, decoded)
{
    static const uint8_t syn[] = {IP(40, 6), 0x1b, 0x9d, 0x1b, 0x9d, 0, 0, 0, 7, 0, 0,
                                  0,         0,    0x50, 2,    0,    0, 0, 0, 0, 0};
    static const uint8_t data[] = {IP(35, 17), 0, 69, 4, 0, 0, 15, 0, 0, 0, 3, 1, 2, 'a', 'b', 'c'};
    static const uint8_t rrq[] = {IP(37, 17), 4, 0,   0,    69, 0,   17, 0,   0,
                                  0,          1, 'f', '\n', 0,  'o', 0,  'a', 0};
    static const uint8_t icmp[] = {IP(24, 1), 3, 3, 0, 0};
    static const uint8_t later[] = {0x45, 0, 0,  60, 0, 0, 0,  185, 64, 17,
                                    0,    0, 10, 0,  0, 1, 10, 0,   0,  2};
    static const uint8_t oack[] = {IP(35, 17), 0, 69, 4, 0, 0, 15, 0, 0, 0, 6, 'b', 's', 0, '5', 0};
    struct compare_packet k;

    compare_packet_decode(syn, sizeof syn, &k);
    cr_expect_eq(k.kind, COMPARE_SEGMENT);
    cr_expect_eq(k.seq, 7);
    cr_expect_eq(k.from, 7069);
    cr_expect_eq(k.flags, 2);
    cr_expect_eq(k.len, 0);
    compare_packet_decode(data, sizeof data, &k);
    cr_expect_eq(k.kind, COMPARE_TFTP);
    cr_expect_eq(k.block, 258);
    cr_expect_eq(k.len, 3);
    compare_packet_decode(rrq, sizeof rrq, &k);
    cr_expect_str_eq(k.note, "f. a");
    cr_expect_eq(k.from, 1024);
    cr_expect_eq(k.to, 69);
    compare_packet_decode(oack, sizeof oack, &k);
    cr_expect_str_eq(k.note, "bs=5");
    compare_packet_decode(icmp, sizeof icmp, &k);
    cr_expect_str_eq(k.note, "ICMP port unreachable");
    compare_packet_decode(later, sizeof later, &k);
    cr_expect_eq(k.kind, COMPARE_OTHER);
    cr_expect_str_eq(k.note, "fragment from byte 1480, 40 bytes");
}

Test(compare_packet, captures_hold_only_the_beginning)
{
    /* 1460 bytes of DATA 1; the first fragment of a block of 8192. */
    static const uint8_t data[] = {0x45, 0, 5, 180, 0,  0, 0, 0, 64,  17, 0, 0, 10, 0, 0, 1,   10,
                                   0,    0, 2, 0,   69, 4, 0, 5, 160, 0,  0, 0, 3,  0, 1, 'a', 'b'};
    static const uint8_t first[] = {0x45, 0, 5, 220, 0, 0,  0x20, 0, 64, 17, 0, 0, 10, 0, 0, 1,
                                    10,   0, 0, 2,   0, 69, 4,    0, 32, 12, 0, 0, 0,  3, 0, 1};
    struct compare_packet k;

    compare_packet_decode(data, sizeof data, &k);
    cr_expect_eq(k.kind, COMPARE_TFTP);
    cr_expect_eq(k.len, 1428);
    compare_packet_decode(first, sizeof first, &k);
    cr_expect_eq(k.kind, COMPARE_TFTP);
    cr_expect_eq(k.len, 8192);
}

/* Whatever is cut off: no read beyond the end (sanitizers see it), no claim to know it. */
Test(compare_packet, cut_short)
{
    static const uint8_t syn[] = {IP(40, 6), 0x1b, 0x9d, 0x1b, 0x9d, 0, 0, 0, 7, 0, 0,
                                  0,         0,    0x50, 2,    0,    0, 0, 0, 0, 0};
    struct compare_packet k;

    for (size_t n = 0; n < sizeof syn; n++) {
        uint8_t *p = malloc(n + 1);

        memcpy(p, syn, n);
        compare_packet_decode(p, n, &k);
        cr_expect_eq(k.kind, COMPARE_OTHER);
        free(p);
    }
}
