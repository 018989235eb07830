#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "cli/listing.h"
#include "cli/log.h"
#include "cli/records.h"
#include "cli/report.h"

static char line[REPORT_LINE_MAX];

/* Holds what `write` writes to &w against what it should be. */
#define EXPECT_WRITTEN(write, want)                                                                \
    do {                                                                                           \
        struct wbuf w = wbuf_init(line, sizeof line - 1);                                          \
        write;                                                                                     \
        cr_assert_not(w.failed);                                                                   \
        line[w.len] = '\0';                                                                        \
        cr_expect_str_eq(line, want, "%s", line);                                                  \
    } while (0)

static const struct report_style get_utf8 = {.utf8 = true, .resumes = true};
static const struct report_style get_ascii = {.resumes = true};
static const struct report_style put_utf8 = {.put = true, .utf8 = true, .resumes = true};
static const struct report_style put_counting = {.put = true, .utf8 = true, .counting = true};
static const struct report_style get_counting = {.utf8 = true, .counting = true};

#define SUM                                                                                        \
    {                                                                                              \
        .type = 'f', .has_sha256 = true, .sha256 = { 0x9f, 0x2c, 0x41, 0xd0, 0x11 }                \
    }

Test(report, files)
{
    static const struct {
        const struct report_style *st;
        struct xfer_event ev;
        const char *line;
    } t[] = {
        {&get_utf8,
         {.name = "big.iso",
          .outcome = XFER_DONE,
          .verified = true,
          .bytes = 4000000000,
          .resumed_at = 2400000000,
          .seconds = 15,
          .entry = SUM},
         "big.iso  4.0 GB (resumed at 2.4 GB)  15.0 s  107 MB/s  sha256 9f2c41d0…  verified"},
        {&get_ascii,
         {.name = "a\n", .outcome = XFER_DONE, .bytes = 12, .entry = SUM},
         "a\\n  12 B  0.0 s  -  sha256 9f2c41d0...  unverified"},
        {&put_utf8,
         {.name = "a", .outcome = XFER_DONE, .verified = true, .bytes = 1000, .seconds = 1},
         "a  1.0 kB  1.0 s  1.0 kB/s  verified"},
        {&put_utf8, {.name = "a", .outcome = XFER_WOULD, .bytes = 12}, "would send a  12 B"},
        {&get_utf8, {.name = "a", .outcome = XFER_WOULD, .bytes = 12}, "would get a  12 B"},
        {&get_utf8,
         {.name = "a", .outcome = XFER_UNCHANGED, .bytes = 12, .entry = SUM},
         "a  12 B  unchanged"},
        {&get_utf8, {.remote = "nas:/a", .outcome = XFER_UNCHANGED}, "nas:/a  0 B  unchanged"},
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        EXPECT_WRITTEN(report_file(t[i].st, &t[i].ev, &w), t[i].line);
}

Test(report, problems)
{
    static const struct {
        const struct report_style *st;
        struct xfer_event ev;
        const char *line;
    } t[] = {
        {&get_utf8,
         {.name = "nope",
          .remote = "nas:/nope",
          .local = "./nope",
          .outcome = XFER_FAILED,
          .err = -XFER_ENOTFOUND},
         "xfer: nas:/nope: not found"},
        {&get_utf8,
         {.name = "nope",
          .remote = "nas:/nope",
          .outcome = XFER_FAILED,
          .err = -XFER_ENOTFOUND,
          .text = "not found"},
         "xfer: nas:/nope: not found"},
        {&put_utf8,
         {.name = "a",
          .remote = "nas:/d/a",
          .local = "a",
          .outcome = XFER_FAILED,
          .err = -XFER_ENOTFOUND},
         "xfer: nas:/d/a: not found; --mkpath makes missing directories"},
        {&put_utf8,
         {.name = "a", .remote = "nas:/a", .local = "a", .outcome = XFER_FAILED, .err = -ENOENT},
         "xfer: a: No such file or directory"},
        {&get_utf8,
         {.name = "a", .remote = "nas:/a", .local = "x/a", .outcome = XFER_FAILED, .err = -EACCES},
         "xfer: x/a: Permission denied"},
        {&get_utf8,
         {.name = "a", .remote = "nas:/a", .local = "-", .outcome = XFER_FAILED, .err = -EIO},
         "xfer: nas:/a: Input/output error"},
        {&put_utf8,
         {.name = "a",
          .remote = "nas:/a",
          .local = "a",
          .outcome = XFER_FAILED,
          .err = -XFER_ECHANGED},
         "xfer: a: source changed while it was read"},
        {&get_utf8,
         {.name = "a",
          .remote = "nas:/a",
          .outcome = XFER_FAILED,
          .err = -XFER_EPERM,
          .text = "ask\033[31m root"},
         "xfer: nas:/a: not permitted: ask\\x1b[31m root"},
        {&get_utf8,
         {.name = "a", .remote = "nas:/a", .outcome = XFER_FAILED, .err = -ECONNREFUSED},
         "xfer: nas:/a: Connection refused; is 'xfer serve' running there, on that port?"},
        {&put_utf8,
         {.name = "l",
          .remote = "nas:/l",
          .local = "d/l",
          .outcome = XFER_SKIPPED,
          .err = -XFER_ENOTREG},
         "xfer: d/l: skipped: not a regular file"},
        {&put_utf8,
         {.name = "l", .local = "d/l", .outcome = XFER_SKIPPED, .text = "a FIFO: skipped"},
         "xfer: d/l: a FIFO: skipped"},
        {&put_utf8,
         {.name = "d",
          .local = "d",
          .outcome = XFER_FAILED,
          .err = -EISDIR,
          .text = "is a directory (-r copies it)"},
         "xfer: d: is a directory (-r copies it)"},
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        EXPECT_WRITTEN(report_problem(t[i].st, &t[i].ev, &w), t[i].line);
}

Test(report, hints_to_resume_only_where_it_can)
{
    struct report_style no_resume = {.utf8 = true};

    EXPECT_WRITTEN(report_error(&get_utf8, "nas:/a", -XFER_ELOST, NULL, &w),
                   "xfer: nas:/a: connection lost; the same command goes on from there");
    EXPECT_WRITTEN(report_error(&no_resume, "nas:/a", -XFER_ELOST, NULL, &w),
                   "xfer: nas:/a: connection lost");
    EXPECT_WRITTEN(report_error(&no_resume, NULL, -XFER_ELOST, "peer fell silent", &w),
                   "xfer: connection lost: peer fell silent");
}

Test(report, totals)
{
    static const struct {
        const struct report_style *st;
        struct xfer_totals t;
        uint64_t would;
        const char *line;
    } t[] = {
        {&put_utf8,
         {.files_done = 412, .bytes = 96100000, .seconds = 0.9},
         0,
         "412 files  96.1 MB  0.9 s  107 MB/s  verified"},
        {&put_counting,
         {.files_unchanged = 412, .seconds = 0.1},
         0,
         "412 files: 0 sent, 412 unchanged"},
        {&get_counting,
         {.files_done = 1, .files_unchanged = 2, .bytes = 1000, .seconds = 1},
         0,
         "3 files: 1 received, 2 unchanged  1.0 kB  1.0 s  1.0 kB/s  verified"},
        {&get_utf8,
         {.files_done = 1, .bytes = 1000, .seconds = 1},
         0,
         "1 file  1.0 kB  1.0 s  1.0 kB/s  verified"},
        {&get_utf8,
         {.files_done = 2, .files_skipped = 2, .files_failed = 1, .bytes = 1000, .seconds = 1},
         0,
         "2 files  1.0 kB  1.0 s  1.0 kB/s  verified; 2 skipped, 1 failed"},
        {&get_utf8, {.files_failed = 3}, 0, "0 files; 3 failed"},
        {&get_utf8, {.seconds = 1}, 0, "0 files"},
        {&put_utf8, {.files_would = 2}, 1000, "would send 2 files  1.0 kB"},
        {&get_counting,
         {.files_would = 1, .files_unchanged = 4},
         12,
         "would get 1 file  12 B; 4 unchanged"},
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        EXPECT_WRITTEN(report_total(t[i].st, &t[i].t, t[i].would, &w), t[i].line);
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

Test(report, checksums_escape_as_coreutils_does)
{
    static const struct {
        const char *name, *line;
    } t[] = {
        {"a b", ZEROS "  a b"},         {"-", ZEROS "  -"},
        {"a\nb", "\\" ZEROS "  a\\nb"}, {"a\\b", "\\" ZEROS "  a\\\\b"},
        {"a\rb", "\\" ZEROS "  a\\rb"}, {"\xff\033", ZEROS "  \xff\033"},
    };
    uint8_t sum[DIGEST_LEN] = {0};

    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        EXPECT_WRITTEN(report_checksum(sum, t[i].name, &w), t[i].line);
}

Test(report, details)
{
    static const struct {
        struct xfer_entry e;
        const char *line;
    } t[] = {
        {{.type = 'f', .mode = 0644, .size = 12, .mtime = {1700000000, 0}},
         "-rw-r--r--    12  2023-11-14 22:13:20  "},
        {{.type = 'd', .mode = 0755, .size = 4096, .mtime = {-1, 0}},
         "drwxr-xr-x  4096  1969-12-31 23:59:59  "},
        {{.type = 'l', .mode = 0777, .mtime = {4102444800, 0}},
         "lrwxrwxrwx     0  2100-01-01 00:00:00  "},
        {{.type = 'f', .err = -XFER_EPERM}, "-?????????     ?                    ?  "},
        {{.type = 'o', .err = -XFER_EPERM}, "??????????     ?                    ?  "},
    };

    setenv("TZ", "UTC", 1);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        EXPECT_WRITTEN(report_details(&t[i].e, 4, &w), t[i].line);
}

Test(report, the_longest_names_fit)
{
    static char name[4096 + 260];
    struct xfer_event ev = {
        .name = name, .remote = name, .outcome = XFER_FAILED, .err = -XFER_EPERM, .text = name};
    struct wbuf w = wbuf_init(line, sizeof line - 1);

    memset(name, '\xff', sizeof name - 1);
    report_problem(&get_utf8, &ev, &w);
    cr_expect_not(w.failed);
    cr_expect(w.len > 2 * 4 * (sizeof name - 1));
}

/* ---- the server's log ---- */

static const struct timespec when = {1795348800, 123456789};

Test(log, text)
{
    static const struct {
        struct xfer_request r;
        const char *line;
    } t[] = {
        {{.peer = "127.0.0.1:5555",
          .verb = "GET",
          .path = "/docs/a.txt",
          .bytes = 12,
          .seconds = 0.001},
         "2026-11-22T12:00:00.123Z 127.0.0.1:5555 GET /docs/a.txt offset=0 bytes=12 resent=0 "
         "seconds=0.001 ok"},
        {{.peer = "[::1]:5555",
          .verb = "PUT",
          .path = " a b\nx ",
          .offset = 7,
          .err = -XFER_EPERM,
          .text = "no \033"},
         "2026-11-22T12:00:00.123Z [::1]:5555 PUT \\x20a\\x20b\\nx\\x20 offset=7 bytes=0 resent=0 "
         "seconds=0.000 failed not-permitted: no \\x1b"},
        {{.peer = "127.0.0.1:5555", .verb = "GET", .path = "", .err = -ENOENT},
         "2026-11-22T12:00:00.123Z 127.0.0.1:5555 GET - offset=0 bytes=0 resent=0 seconds=0.000 "
         "failed not-found: No such file or directory"},
        {{.peer = "127.0.0.1:5555",
          .transport = "udp",
          .options = "blksize=512",
          .verb = "GET",
          .path = "a",
          .resent = 3,
          .timeouts = 2},
         "2026-11-22T12:00:00.123Z 127.0.0.1:5555 GET a transport=udp blksize=512 offset=0 bytes=0 "
         "resent=3 timeouts=2 seconds=0.000 ok"},
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        EXPECT_WRITTEN(log_text(&t[i].r, &when, &w), t[i].line);
}

Test(log, xferlog)
{
    static const struct {
        struct xfer_request r;
        const char *line;
    } t[] = {
        {{.peer = "127.0.0.1:5555", .verb = "GET", .path = "/a b.txt", .bytes = 12, .seconds = 1.6},
         "Sun Nov 22 12:00:00 2026 2 127.0.0.1 12 /a_b.txt b _ o a anonymous xfer 0 * c\n"},
        {{.peer = "[::1]:5555", .verb = "PUT", .path = "/x\ny", .err = -XFER_EPERM},
         "Sun Nov 22 12:00:00 2026 0 ::1 0 /x_y b _ i a anonymous xfer 0 * i\n"},
    };
    struct xfer_request list = {.peer = "127.0.0.1:5555", .verb = "LIST", .path = "/"};

    setenv("TZ", "UTC", 1);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        EXPECT_WRITTEN(cr_expect(log_xferlog(&t[i].r, &when, &w)), t[i].line);
    EXPECT_WRITTEN(cr_expect_not(log_xferlog(&list, &when, &w)), "");
}

/* ---- records ---- */

static const char *text_of(json_t *record)
{
    char *s = record_line(record);

    cr_assert_not_null(s);
    snprintf(line, sizeof line, "%s", s);
    free(s);
    return line;
}

Test(records, files)
{
    struct xfer_event ev = {.name = "big.iso",
                            .remote = "nas:/big.iso",
                            .local = "big.iso",
                            .outcome = XFER_DONE,
                            .verified = true,
                            .bytes = 1000,
                            .resumed_at = 500,
                            .seconds = 2};

    cr_expect_str_eq(text_of(record_file(&ev)),
                     "{\"schema\":1,\"type\":\"file\",\"name\":\"big.iso\",\"remote\":\"nas:/"
                     "big.iso\",\"local\":\"big.iso\",\"outcome\":\"done\",\"bytes\":1000,"
                     "\"resumed_at_bytes\":500,\"seconds\":2.0,\"bits_per_second\":2000,"
                     "\"verified\":true}\n",
                     "%s", line);
    ev = (struct xfer_event){.name = "a\xff\n", .outcome = XFER_FAILED, .err = -XFER_ENOTFOUND};
    cr_expect_str_eq(text_of(record_file(&ev)),
                     "{\"schema\":1,\"type\":\"file\",\"name_escaped\":\"a\\\\xff\\\\n\","
                     "\"outcome\":\"failed\",\"error\":\"not-found\",\"message\":\"not found\"}\n",
                     "%s", line);
}

Test(records, entries)
{
    struct xfer_event ev = {.name = "d/\n",
                            .entry = {.type = 'd', .mode = 0755, .mtime = {-1, 500000000}}};

    cr_expect_str_eq(text_of(record_entry(&ev)),
                     "{\"schema\":1,\"type\":\"entry\",\"name\":\"d/\\n\",\"kind\":\"directory\","
                     "\"mtime\":\"1969-12-31T23:59:59.500000000Z\",\"mode\":\"0755\"}\n",
                     "%s", line);
}

Test(records, errors_of_the_system_have_tokens_of_ours)
{
    text_of(record_error(-ECONNREFUSED, "nas:/", NULL));
    cr_expect(strstr(line, "\"error\":\"unreachable\"") != NULL, "%s", line);
    text_of(record_error(-ENOSPC, "nas:/", NULL));
    cr_expect(strstr(line, "\"error\":\"local\"") != NULL, "%s", line);
    text_of(record_error(0, NULL, "beware"));
    cr_expect_str_eq(line, "{\"schema\":1,\"type\":\"warning\",\"message\":\"beware\"}\n");
}

/* ---- listing ---- */

Test(listing, sorts_by_bytes)
{
    static const char *const names[] = {"b", "a\xff", "a", "B", "a/b", "\xc3\xa4"};
    static const char *const sorted[] = {"B", "a", "a/b", "a\xff", "b", "\xc3\xa4"};
    struct listing l = {.n = 0};

    listing_sort(&l, false);
    cr_expect_eq(listing_size_columns(&l), 1);
    for (size_t i = 0; i < 6; i++) {
        struct xfer_event ev = {.name = names[i],
                                .entry = {.type = i == 0 ? 'd' : 'f', .size = 100 * (6 - i)}};

        cr_assert(listing_add(&l, &ev));
    }
    listing_sort(&l, false);
    for (size_t i = 0; i < 6; i++)
        cr_expect_str_eq(l.rows[i].name, sorted[i]);
    listing_sort(&l, true);
    for (size_t i = 0; i < 6; i++)
        cr_expect_str_eq(l.rows[i].name, sorted[5 - i]);
    cr_expect_eq(listing_size_columns(&l), 3);
    cr_expect_eq(listing_bytes(&l), 1500);
    listing_free(&l);
}
