#include "config.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare/csv.h"
#include "compare/json.h"
#include "compare/link.h"
#include "compare/row.h"
#include "compare/spec.h"
#include "compare/table.h"
#include "compare/words.h"
#include "cli/records.h"

/* Rounds made up for these tests: nobody measured them. */
#define TCP(number_, seconds_)                                                                     \
    {                                                                                              \
        .method = 0, .number = number_, .verified = true, .bytes = 1 << 20, .size = 1 << 20,       \
        .seconds = seconds_, .cpu_seconds = .01, .counted = true,                                  \
        .way = {{.packets = 730, .bytes = 1090000}, {.packets = 366, .bytes = 20000}},             \
        .congestion = "cubic", .rtt = .0201                                                        \
    }
#define WINDOW(number_, seconds_)                                                                  \
    {                                                                                              \
        .method = 1, .number = number_, .verified = true, .bytes = 1 << 20, .size = 1 << 20,       \
        .seconds = seconds_, .counted = true, .blksize = 1428, .window = 16, .way = {              \
            {.packets = 737, .bytes = 1070000},                                                    \
            {.packets = 48, .bytes = 2000}                                                         \
        }                                                                                          \
    }
#define WAITING(number_, seconds_)                                                                 \
    {                                                                                              \
        .method = 2, .number = number_, .verified = true, .bytes = 1 << 20, .size = 1 << 20,       \
        .seconds = seconds_, .counted = true, .blksize = 1428, .window = 1, .way = {               \
            {.packets = 737, .bytes = 1070000},                                                    \
            {.packets = 737, .bytes = 23000}                                                       \
        }                                                                                          \
    }

static const struct compare_round made_up[] = {
    TCP(1, .51),     WINDOW(1, 1.36), WAITING(1, 15.2), TCP(2, .52),
    WINDOW(2, 1.35), TCP(3, .50),     WINDOW(3, 1.37),
};

static struct compare_spec spec;
static struct compare_row rows[2 * COMPARE_METHODS_MAX];

static struct compare_result result_of(const struct compare_round *rounds, size_t n)
{
    struct compare_result r = {.spec = &spec, .rounds = rounds, .n_rounds = n, .rows = rows};

    r.n_rows = compare_rows(&spec, rounds, n, rows, sizeof rows / sizeof *rows);
    return r;
}

#define EXPECT_TEXT(call, expected)                                                                \
    do {                                                                                           \
        char *text_ = NULL;                                                                        \
        size_t n_;                                                                                 \
        FILE *f = open_memstream(&text_, &n_);                                                     \
        call;                                                                                      \
        fclose(f);                                                                                 \
        cr_expect_str_eq(text_, expected, "got:\n%s", text_);                                      \
        free(text_);                                                                               \
    } while (0)

static void setup(void)
{
    compare_spec_default(&spec);
}

TestSuite(compare_report, .init = setup);

Test(compare_report, rows)
{
    struct compare_result r = result_of(made_up, 7);

    cr_assert_eq(r.n_rows, 3);
    cr_expect_float_eq(rows[0].median, .51, 1e-9);
    cr_expect_float_eq(rows[0].min, .50, 1e-9);
    cr_expect_float_eq(rows[0].max, .52, 1e-9);
    cr_expect_float_eq(rows[0].ratio, 1, 1e-9);
    cr_expect_float_eq(rows[0].share, 8 * 1048576 / .51 / 20e6, 1e-9);
    cr_expect_float_eq(rows[2].ratio, 15.2 / .51, 1e-9);
    cr_expect_eq(rows[0].packets, 1096);
    cr_expect_eq(rows[2].rounds, 1);
}

Test(compare_report, table)
{
    struct compare_result r = result_of(made_up, 7);

    r.measured_rtt = .0202;
    r.estimate = 20.7;
    EXPECT_TEXT(
        {
            compare_table_head(&r, 0, f);
            compare_table(&r, true, f);
        },
        "1 MiB, 20 Mbit/s, RTT 20 ms (measured 20.2), no loss, seed 1: about 21 s\n"
        "method            time s (min–max)  Mbit/s  link  packets  resent  theory  ratio\n"
        "tcp (cubic)       0.51 (0.50–0.52)    16.4   82%     1096       0    0.50    1.0\n"
        "udp window 16     1.36 (1.35–1.37)     6.2   31%      785       0    1.37    2.7\n"
        "udp stop-and-wait 15.2 (one round)     0.6    3%     1474       0    15.2     30\n"
        "\n"
        "tcp (cubic)       █ 1.0x\n"
        "udp window 16     ████ 2.7x\n"
        "udp stop-and-wait ████████████████████████████████████████ 30x\n"
        "\n"
        "735 blocks × 20.6 ms = 15.1 s. Waiting is slow, not UDP: see window 16.\n");
}

/* A path that is no link of ours: no rate, no theory, but a round trip. */
static const struct compare_round elsewhere[] = {TCP(1, .51), WAITING(1, 29.9)};

Test(compare_report, elsewhere_by_the_measured_round_trip)
{
    spec.link = (struct compare_link){.mtu = 1500, .seed = 1};
    struct compare_result r = result_of(elsewhere, 2);

    cr_expect(isnan(rows[1].theory));
    r.measured_rtt = .0403;
    EXPECT_TEXT(compare_words_short(&r, 0, COMPARE_PUT, true, f),
                "735 blocks × 40.3 ms (the measured RTT) = 29.6 s. tcp (cubic) does not wait for "
                "each answer: it takes 1/59 of the time for each byte.");
    EXPECT_TEXT(compare_words_long(&r, 0, COMPARE_PUT, f),
                "The fastest was tcp (cubic) with 16.4 Mbit/s of file data. Stop-and-wait sends "
                "one block and does nothing until its acknowledgment is back: 735 blocks × 40.3 "
                "ms (the measured RTT) = 29.6 s. It was measured at 29.9 s. tcp (cubic) took 0.51 "
                "s.");
    r.measured_rtt = .0003;
    EXPECT_TEXT(compare_words_short(&r, 0, COMPARE_PUT, true, f),
                "tcp (cubic) is 59 times as fast as udp stop-and-wait.");
    EXPECT_TEXT(compare_words_long(&r, 0, COMPARE_PUT, f),
                "The fastest was tcp (cubic) with 16.4 Mbit/s of file data. Stop-and-wait sends "
                "one block and does nothing until its acknowledgment is back. It was measured at "
                "29.9 s. tcp (cubic) took 0.51 s.");
}

Test(compare_report, what_failed_is_not_dropped)
{
    struct compare_round rounds[] = {
        TCP(1, .51),
        WINDOW(1, 1.36),
        WAITING(1, 5.2),
        WINDOW(2, 0),
        {.method = 3,
         .number = 1,
         .state = COMPARE_REFUSED,
         .size = 1 << 20,
         .why = "no congestion control 'bbr'; as root: modprobe tcp_bbr"},
        {.method = 4, .number = 1, .state = COMPARE_UNFINISHED, .size = 1 << 20, .seconds = 30},
    };
    struct compare_result r;
    char why[COMPARE_WHY_MAX];

    spec.methods_given = true;
    cr_assert(compare_spec_method(&spec, "tcp:bbr", why));
    cr_assert(compare_spec_method(&spec, "udp:blksize=512,window=16", why));
    rounds[2].bytes = 256 << 10;
    rounds[3].state = COMPARE_FAILED;
    strcpy(rounds[3].why, "the digest did not match");
    r = result_of(rounds, 6);
    EXPECT_TEXT(compare_table(&r, false, f),
                "method            time s (min-max)  Mbit/s  link  packets  resent  theory  ratio\n"
                "tcp (cubic)       0.51 (one round)    16.4   82%     1096       0    0.50    1.0\n"
                "udp window 16     1.36 (one round)     6.2   31%      785       0    1.37    2.7\n"
                "  1 of 2 rounds failed: the digest did not match\n"
                "udp stop-and-wait 5.20 (one round)     0.4    2%     1474       0    3.81     41\n"
                "  measured on the first 256 KiB of 1 MiB\n"
                "tcp (bbr)         refused: no congestion control 'bbr'; as root: modprobe\n"
                "                  tcp_bbr\n"
                "udp 512 window 16 did not finish\n"
                "\n"
                "tcp (cubic)       # 1.0x\n"
                "udp window 16     ### 2.7x\n"
                "udp stop-and-wait ######################################## 41x\n"
                "\n"
                "184 blocks x 20.6 ms = 3.79 s. Waiting is slow, not UDP: see window 16.\n");
}

Test(compare_report, predictions_are_labelled)
{
    struct compare_result r = {.spec = &spec};

    EXPECT_TEXT(compare_table_predicted(&r, f),
                "1 MiB, 20 Mbit/s, RTT 20 ms, no loss, seed 1\n"
                "method               time s   Mbit/s   predicted, not measured (put)\n"
                "tcp                    0.50     16.9\n"
                "udp window 16          1.37      6.1\n"
                "udp stop-and-wait      15.2      0.6\n");
}

Test(compare_report, no_line_is_wider_than_a_terminal)
{
    struct compare_round rounds[] = {TCP(1, 123456), WINDOW(1, .00001), WAITING(1, 1e-9)};
    struct compare_result r;
    char *text = NULL, *line, *rest;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    rounds[0].way[0].packets = UINT64_MAX / 4;
    rounds[0].retransmits = UINT64_MAX / 2;
    r = result_of(rounds, 3);
    compare_table(&r, false, f);
    fclose(f);
    for (rest = text; (line = strsep(&rest, "\n")) != NULL;)
        cr_expect_leq(strlen(line), 80, "%s", line);
    free(text);
}

static void expect_narrow(char *text)
{
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;) {
        size_t columns = 0;

        for (const char *p = line; *p != '\0'; p++)
            columns += (*p & 0xc0) != 0x80;
        cr_expect_leq(columns, 80, "%s", line);
    }
}

/* Sixteen methods with long names, both ways, each point of a sweep, figures of any size. */
Test(compare_report, nothing_makes_it_wider)
{
    static const double sizes[] = {1e-9, .0123, 1, 99.96, 12345, 1e7};
    struct compare_round rounds[2 * 2 * COMPARE_METHODS_MAX];
    static struct compare_row many[2 * 2 * COMPARE_METHODS_MAX];
    struct compare_result r = {.spec = &spec, .rounds = rounds, .rows = many, .estimate = 123456};
    char name[COMPARE_LABEL_MAX], why[COMPARE_WHY_MAX], *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    spec.direction = COMPARE_BOTH;
    for (unsigned i = 0; i < COMPARE_METHODS_MAX; i++) {
        snprintf(name, sizeof name, "tcp:averylongname_%u*64", i);
        if (i >= 4 && i % 2) /* what is beyond 65464 is refused */
            snprintf(name, sizeof name, "udp:blksize=1%04u,window=64", i);
        else if (i >= 4)
            snprintf(name, sizeof name, "udp:blksize=6%02u00,window=15", i);
        cr_assert(compare_spec_method(&spec, name, why), "%s", why);
    }
    cr_assert(compare_spec_sweep(&spec, "rate=123.456mbit,1gbit", why), "%s", why);
    for (unsigned i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        double v = sizes[i % (sizeof sizes / sizeof *sizes)];

        rounds[i] = (struct compare_round){.point = i / 2 / COMPARE_METHODS_MAX,
                                           .method = i / 2 % COMPARE_METHODS_MAX,
                                           .direction = i % 2 ? COMPARE_GET : COMPARE_PUT,
                                           .number = 1,
                                           .state = i % 7 == 6 ? COMPARE_FAILED : COMPARE_DONE,
                                           .bytes = (uint64_t)(v * 1e6) + 1,
                                           .size = UINT64_C(1) << 40,
                                           .seconds = v,
                                           .cpu_seconds = v,
                                           .counted = i % 5 > 0,
                                           .blksize = 1428,
                                           .window = 3,
                                           .retransmits = (uint64_t)(v * 1e12),
                                           .timeouts = (uint64_t)(v * 1e12)};
        for (int way = 0; way < 2; way++)
            rounds[i].way[way] = (struct compare_counts){.packets = (uint64_t)(v * 1e12),
                                                         .bytes = (uint64_t)(v * 1e12),
                                                         .dropped_loss = (uint64_t)(v * 1e12),
                                                         .dropped_queue = (uint64_t)(v * 1e12),
                                                         .corrupted = (uint64_t)(v * 1e12)};
        memset(rounds[i].why, 'w', 200);
        memset(rounds[i].congestion, 'c', sizeof rounds[i].congestion - 1);
    }
    r.n_rounds = sizeof rounds / sizeof *rounds;
    r.n_rows = compare_rows(&spec, rounds, r.n_rounds, many, sizeof many / sizeof *many);
    cr_assert_eq(r.n_rows, r.n_rounds);
    compare_table_head(&r, 0, f);
    compare_table(&r, true, f);
    compare_table_counts(&r, f);
    compare_table_predicted(&r, f);
    fclose(f);
    expect_narrow(text);
    free(text);
}

/* -v: what the first table has no room for. */
Test(compare_report, counts)
{
    struct compare_result r = result_of(made_up, 7);

    rows[0].dropped_queue = 12;
    rows[1].timeouts = 2;
    EXPECT_TEXT(
        compare_table_counts(&r, f),
        "\n"
        "                      to the server    to the client                  time   CPU\n"
        "method             packets    bytes packets    bytes lost queue flips outs     s\n"
        "tcp (cubic)            730  1090000     366    20000    0    12     0    - 0.010\n"
        "udp window 16          737  1070000      48     2000    0     0     0    2 0.000\n"
        "udp stop-and-wait      737  1070000     737    23000    0     0     0    0 0.000\n");
}

/* What is known of them, and no more; rounds that ended otherwise have no part in it. */
Test(compare_report, counts_of_what_failed)
{
    struct compare_round rounds[] = {WINDOW(1, 2), WINDOW(2, 2), WINDOW(3, 2), WAITING(1, 3),
                                     TCP(1, 1)};
    struct compare_result r;
    char *line;

    rounds[0].state = rounds[1].state = COMPARE_FAILED;
    rounds[2].state = COMPARE_UNFINISHED;
    rounds[0].timeouts = rounds[0].way[1].dropped_loss = 4;
    rounds[1].timeouts = rounds[1].way[1].dropped_loss = rounds[1].retransmits = 6;
    rounds[3].state = COMPARE_UNFINISHED;
    rounds[3].untold = true;
    rounds[3].timeouts = 9;
    rounds[4].state = COMPARE_REFUSED;
    r = result_of(rounds, 5);
    EXPECT_TEXT(
        compare_table_counts(&r, f),
        "\n"
        "                      to the server    to the client                  time   CPU\n"
        "method             packets    bytes packets    bytes lost queue flips outs     s\n"
        "udp window 16          737  1070000      48     2000    5     0     0    5 0.000\n"
        "udp stop-and-wait      737  1070000     737    23000    0     0     0    -     -\n");
    line = record_line(compare_json_summary(&r, &rows[1]));
    cr_assert_not_null(line);
    cr_expect_not_null(strstr(line, "\"cpu_seconds\":0.0,\"retransmits\":3,\"timeouts\":5,"
                                    "\"packets\":785,\"wire_bytes\":1072000,"
                                    "\"dropped_loss\":5,\"dropped_queue\":0}"),
                       "%s", line);
    cr_expect_null(strstr(line, "median_seconds"), "%s", line);
    free(line);
    line = record_line(compare_json_summary(&r, &rows[2]));
    cr_assert_not_null(line);
    cr_expect_null(strstr(line, "timeouts"), "%s", line);
    cr_expect_not_null(strstr(line, "\"packets\":1474,"), "%s", line);
    free(line);
    line = record_line(compare_json_round(&r, &rounds[3]));
    cr_assert_not_null(line);
    cr_expect_null(strstr(line, "timeouts"), "%s", line);
    cr_expect_null(strstr(line, "retransmits"), "%s", line);
    free(line);
    for (size_t i = 0; i < 3; i++)
        rows[i].theory = NAN;
    EXPECT_TEXT(
        compare_csv(&r, f),
        "method,label,direction,sweep_key,sweep_value,outcome,message,rounds,rounds_failed,"
        "rounds_doubtful,bytes,size_bytes,median_seconds,min_seconds,max_seconds,theory_seconds,"
        "bits_per_second,link_share,ratio,cpu_seconds,packets,wire_bytes,dropped_loss,"
        "dropped_queue,timeouts,retransmits\r\n"
        "tcp,tcp (cubic),put,,,refused,,1,1,0,1048576,1048576,,,,,,,,,,,,,,\r\n"
        "udp:window=16,udp window "
        "16,put,,,failed,,3,3,0,1048576,1048576,,,,,,,,0,785,1072000,5,0,5,"
        "3\r\n"
        "udp,udp stop-and-wait,put,,,unfinished,,1,1,0,1048576,1048576,,,,,,,,,1474,1093000,0,0,,"
        "\r\n");
}

Test(compare_report, words_follow_the_figures)
{
    struct compare_round rounds[] = {TCP(1, 7), WINDOW(1, 3.5)};
    struct compare_result r;
    char why[COMPARE_WHY_MAX];

    spec.direction = COMPARE_PUT;
    cr_assert(compare_link_parse("rate=100mbit,rtt=50ms,loss=1%", &spec.link, why));
    r = result_of(rounds, 2);
    EXPECT_TEXT(compare_words_short(&r, 0, COMPARE_PUT, true, f),
                "udp window 16 is 2.0 times as fast as tcp (cubic).");
    EXPECT_TEXT(compare_words_short(&r, 0, COMPARE_GET, true, f), "");
    EXPECT_TEXT(compare_words_long(&r, 0, COMPARE_GET, f),
                "No method finished, so there is nothing to compare.");
}

/* Three values of one method: a table of values, not three tables of one row. */
Test(compare_report, a_sweep_of_one_method_is_one_table)
{
    struct compare_round rounds[] = {TCP(1, 1), TCP(1, 2), TCP(1, 8.58), TCP(2, 8.5), TCP(3, 12)};
    struct compare_result r;
    char why[COMPARE_WHY_MAX];

    spec.n = 1;
    cr_assert(compare_spec_sweep(&spec, "rtt=1ms,20ms,80ms", why));
    rounds[1].point = 1;
    for (size_t i = 2; i < 5; i++)
        rounds[i].point = 2;
    r = result_of(rounds, 5);
    cr_expect(compare_spec_series(&spec));
    EXPECT_TEXT(
        {
            compare_table_head(&r, 1, f);
            compare_table(&r, true, f);
        },
        "rtt = 20ms: 1 MiB, 20 Mbit/s, RTT 20 ms, no loss, seed 1\n"
        "tcp (cubic), by rtt\n"
        "rtt               time s (min–max)  Mbit/s  link  packets  resent  theory  ratio\n"
        "1ms               1.00 (one round)     8.4   42%     1096       0    0.44    1.0\n"
        "20ms              2.00 (one round)     4.2   21%     1096       0    0.50    2.0\n"
        "80ms              8.6 (8.5–12.0)       1.0    5%     1096       0    0.82    8.6\n"
        "\n"
        "1ms               █████ 1.0x\n"
        "20ms              █████████ 2.0x\n"
        "80ms              ████████████████████████████████████████ 8.6x\n"
        "\n"
        "With rtt 80ms each byte takes 8.6 times as long as with 1ms.\n");
}

Test(compare_report, a_sweep_of_several_methods_compares_methods)
{
    struct compare_round rounds[] = {TCP(1, 1), WAITING(1, 4), TCP(1, 2)};
    struct compare_result r;
    char why[COMPARE_WHY_MAX];

    cr_assert(compare_spec_sweep(&spec, "rtt=1ms,20ms", why));
    rounds[1].timeouts = 3;
    rounds[2].point = 1;
    r = result_of(rounds, 3);
    EXPECT_TEXT(
        compare_table(&r, false, f),
        "rtt = 1ms\n"
        "method            time s (min-max)  Mbit/s  link  packets  resent  theory  ratio\n"
        "tcp (cubic)       1.00 (one round)     8.4   42%     1096       0    0.44    1.0\n"
        "udp stop-and-wait 4.00 (one round)     2.1   10%     1474       0    1.17    4.0\n"
        "\n"
        "tcp (cubic)       ########## 1.0x\n"
        "udp stop-and-wait ######################################## 4.0x\n"
        "\n"
        "735 blocks x 1.6 ms = 1.17 s. 3 timeouts came on top. tcp (cubic) does not wait\n"
        "for each answer: it takes 1/4 of the time for each byte.\n"
        "\n"
        "rtt = 20ms\n"
        "method            time s (min-max)  Mbit/s  link  packets  resent  theory  ratio\n"
        "tcp (cubic)       2.00 (one round)     4.2   21%     1096       0    0.50    1.0\n");
}

Test(compare_report, json)
{
    struct compare_result r = result_of(made_up, 7);
    char *line = record_line(compare_json_round(&r, &made_up[2]));

    cr_assert_not_null(line);
    cr_expect_str_eq(
        line,
        "{\"schema\":1,\"type\":\"round\",\"method\":\"udp\",\"transport\":\"udp\","
        "\"direction\":\"put\",\"round\":1,\"seed\":1,\"outcome\":\"done\",\"verified\":true,"
        "\"bytes\":1048576,\"size_bytes\":1048576,\"seconds\":15.2,\"cpu_seconds\":0.0,"
        "\"retransmits\":0,\"block_size_bytes\":1428,\"window\":1,\"timeouts\":0,"
        "\"doubtful\":false,\"client_to_server\":{\"packets\":737,\"wire_bytes\":1070000,\"dropped_"
        "queue\":0,"
        "\"dropped_loss\":0,\"dropped_full\":0,\"duplicated\":0,\"corrupted\":0,"
        "\"reordered\":0},\"server_to_client\":{\"packets\":737,\"wire_bytes\":23000,"
        "\"dropped_queue\":0,\"dropped_loss\":0,\"dropped_full\":0,\"duplicated\":0,"
        "\"corrupted\":0,\"reordered\":0}}\n",
        "%s", line);
    free(line);
    line = record_line(compare_json_summary(&r, &rows[0]));
    cr_assert_not_null(line);
    cr_expect_not_null(strstr(line, "\"type\":\"summary\",\"method\":\"tcp\""), "%s", line);
    cr_expect_not_null(strstr(line, "\"median_seconds\":0.51,\"min_seconds\":0.5,"), "%s", line);
    cr_expect_not_null(strstr(line, "\"packets\":1096,"), "%s", line);
    cr_expect_not_null(strstr(line, "\"link\":{\"mtu_bytes\":1500,"), "%s", line);
    free(line);
}

Test(compare_report, csv)
{
    struct compare_round rounds[] = {TCP(1, .5),
                                     {.method = 1,
                                      .number = 1,
                                      .state = COMPARE_FAILED,
                                      .size = 9,
                                      .untold = true,
                                      .why = "=lost, \"gone\""}};
    struct compare_result r;

    rounds[0].doubtful = true;
    r = result_of(rounds, 2);
    rows[1].theory = NAN;
    EXPECT_TEXT(
        compare_csv(&r, f),
        "method,label,direction,sweep_key,sweep_value,outcome,message,rounds,rounds_failed,"
        "rounds_doubtful,bytes,size_bytes,median_seconds,min_seconds,max_seconds,theory_seconds,"
        "bits_per_second,link_share,ratio,cpu_seconds,packets,wire_bytes,dropped_loss,"
        "dropped_queue,timeouts,retransmits\r\n"
        "tcp,tcp (cubic),put,,,done,,1,0,1,1048576,1048576,0.5,0.5,0.5,0.496530659,16777216,"
        "0.8388608,1,0.01,1096,1110000,0,0,0,0\r\n"
        "udp:window=16,udp window 16,put,,,failed,\"'=lost, \"\"gone\"\"\",1,1,0,0,9,,,,,,,,,,"
        ",,,,\r\n");
}
