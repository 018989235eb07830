#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare/charts.h"
#include "compare/html.h"
#include "compare/plot.h"
#include "compare/row.h"
#include "compare/spec.h"

/* Rounds made up for these tests: nobody measured them. */
static const struct compare_round made_up[] = {
    {.method = 0,
     .number = 1,
     .verified = true,
     .bytes = 1 << 20,
     .size = 1 << 20,
     .seconds = .5,
     .congestion = "cubic"},
    {.method = 1,
     .number = 1,
     .state = COMPARE_FAILED,
     .why = "lost </script><b>",
     .size = 1 << 20},
    {.method = 2, .number = 1, .verified = true, .bytes = 1 << 18, .size = 1 << 20, .seconds = 4},
    {.point = 1,
     .method = 0,
     .number = 1,
     .verified = true,
     .bytes = 1 << 20,
     .size = 1 << 20,
     .seconds = .6,
     .congestion = "cubic"},
};
static struct compare_spec spec;
static struct compare_row rows[64];

static struct compare_result result(size_t n)
{
    struct compare_result r = {.spec = &spec, .rounds = made_up, .n_rounds = n, .rows = rows};

    r.n_rows = compare_rows(&spec, made_up, n, rows, 64);
    return r;
}

static char *page(const struct compare_result *r)
{
    static const struct compare_packet packets[] = {
        {.kind = COMPARE_TFTP, .opcode = 4, .block = 1, .arrives = .01}};
    struct compare_ladder l = {"udp", packets, 1, false};
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    cr_assert(compare_html(r, &l, 1, f));
    fclose(f);
    return text;
}

static char *script(const struct compare_result *r, const char *file)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    compare_plot_script(r, file, f);
    fclose(f);
    return text;
}

static void setup(void)
{
    compare_spec_default(&spec);
}

TestSuite(compare_pictures, .init = setup);

Test(compare_pictures, page_is_whole_and_safe)
{
    struct compare_result r = result(3);
    char *html, *body;

    r.file = "a<b>\n";
    r.remote = "nas:/<i>/";
    html = page(&r);
    body = strstr(html, "<body>");
    cr_assert_not_null(body);
    cr_expect_not_null(strstr(html, "default-src 'none'"));
    cr_expect_not_null(strstr(html, "Permission is hereby granted"), "licence");
    cr_expect_not_null(strstr(body, "failed: lost &lt;/script&gt;&lt;b&gt;"));
    cr_expect_null(strstr(body, "lost </script>"));
    cr_expect_not_null(strstr(body, "measured on the first 256 KiB of 1 MiB"));
    cr_expect_not_null(strstr(body, "<svg "));
    cr_expect_not_null(strstr(body,
                              "const data=[{\"title\":\"Time to move 1 MiB\",\"labels\":[\"tcp "
                              "(cubic)\",\"udp stop-and-wait\\n(scaled)\"]"));
    cr_expect_not_null(strstr(body, "File: a&lt;b&gt;\\n"));
    cr_expect_not_null(strstr(body, "Server: nas:/&lt;i&gt;/"));
    for (size_t i = 0; i < 3; i++) {
        static const char *const fetching[] = {" src=", "@import", "url(http"};

        cr_expect_null(strstr(html, fetching[i]), "%s", fetching[i]);
    }
    free(html);
}

Test(compare_pictures, sweep_is_sorted_for_its_lines)
{
    struct compare_result r;
    char why[COMPARE_WHY_MAX], *html;

    cr_assert(compare_spec_sweep(&spec, "rtt=50ms,1ms", why));
    r = result(4);
    html = page(&r);
    cr_expect_not_null(strstr(html, "\"x\":[0.001,0.05],\"names\":[\"1ms\",\"50ms\"]"));
    cr_expect_not_null(strstr(html, "\"label\":\"tcp (cubic)\",\"values\":[0.6,0.5]"));
    free(html);
}

Test(compare_pictures, what_was_cut_is_scaled_where_that_is_true)
{
    struct compare_result r = result(3);
    struct compare_row stream = r.rows[0], waiting = r.rows[2];

    cr_expect_float_eq(charts_whole(&r, &stream, stream.median), .5, 1e-9);
    cr_expect_float_eq(charts_whole(&r, &waiting, waiting.median), 16, 1e-9);
    stream.bytes /= 2; /* of slow start, which says nothing of the rest */
    cr_expect(isnan(charts_whole(&r, &stream, stream.median)));
    cr_expect(isnan(charts_whole(&r, &r.rows[1], 1)), "failed");
}

Test(compare_pictures, series_are_named_without_what_is_swept)
{
    struct compare_row row = {.method = 2, .label = "udp 512, waiting"};
    struct compare_result r = {.spec = &spec};
    char why[COMPARE_WHY_MAX], name[COMPARE_LABEL_MAX];
    static const char *const t[][2] = {{"blksize=512,1024", "udp stop-and-wait"},
                                       {"window=1,4", "udp"},
                                       {"rtt=1ms,2ms", "udp 512, waiting"}};

    for (size_t i = 0; i < 3; i++) {
        compare_spec_default(&spec);
        row.method = i == 1 ? 1 : 2;
        cr_assert(compare_spec_sweep(&spec, t[i][0], why), "%s", why);
        charts_series_name(&r, &row, name);
        cr_expect_str_eq(name, t[i][1]);
    }
}

Test(compare_pictures, gnuplot_script)
{
    struct compare_result r = result(3);
    char *text = script(&r, "it's.svg");

    cr_expect_not_null(strstr(text, "\"tcp (cubic)\" 0.5 0.5 0.5 0.496"), "%s", text);
    cr_expect_not_null(strstr(text, "\"udp window 16 (no result)\" NaN NaN NaN"), "%s", text);
    cr_expect_not_null(strstr(text, "\"udp stop-and-wait (scaled)\" 16 16 16 "), "%s", text);
    free(text);
}

Test(compare_pictures, plots_that_cannot_be_made_are_told)
{
    char why[COMPARE_WHY_MAX];

    cr_expect_not(compare_plot_named("a.gif", why));
    cr_expect_not(compare_plot_named(".svg", why));
    cr_expect(compare_plot_named("a.svg", why), "%s", why);
    setenv("PATH", "/nonexistent", 1);
    cr_expect_not(compare_plot_possible(why));
    cr_expect_not_null(strstr(why, "gnuplot-nox"), "%s", why);
}

static void draw(const struct compare_result *r, const char *file, const char *magic)
{
    char why[COMPARE_WHY_MAX], begin[8] = "", *text = script(r, file);
    struct watch watch = {.stop = xfer_stop_new()};
    FILE *f = fopen(file, "w+");

    cr_assert_not_null(f);
    cr_expect_eq(compare_plot_run(text, strlen(text), fileno(f), 120, &watch, why), 0, "%s\n%s",
                 why, text);
    free(text);
    xfer_stop_free(watch.stop);
    rewind(f);
    cr_expect_eq(fread(begin, 1, strlen(magic), f), strlen(magic));
    fclose(f);
    unlink(file);
    cr_expect_str_eq(begin, magic);
}

/* A gnuplot that never ends. */
Test(compare_pictures, gnuplot_is_not_waited_for_without_a_limit)
{
    char dir[] = "/tmp/xfer-plot-XXXXXX", file[64], path[4096], why[COMPARE_WHY_MAX];
    struct watch watch = {.stop = xfer_stop_new()};
    FILE *f;

    cr_assert_not_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/gnuplot", dir);
    f = fopen(file, "w");
    cr_assert_not_null(f);
    fputs("#!/bin/sh\nexec sleep 600\n", f);
    fclose(f);
    cr_assert_eq(chmod(file, 0700), 0);
    snprintf(path, sizeof path, "%s:%s", dir, getenv("PATH"));
    setenv("PATH", path, 1);
    cr_expect_eq(compare_plot_run("", 0, STDOUT_FILENO, .3, &watch, why), -ETIMEDOUT, "%s", why);
    cr_expect_str_eq(why, "gnuplot did not end within 0.3 s");
    cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "it is left");
    xfer_stop_free(watch.stop);
    unlink(file);
    rmdir(dir);
}

Test(compare_pictures, gnuplot_draws)
{
    char dir[] = "/tmp/xfer-plot-XXXXXX", svg[64], png[64], own[64], why[COMPARE_WHY_MAX];
    struct compare_result r = result(3);
    FILE *f;

    if (!compare_plot_possible(why))
        cr_skip_test("%s", why);
    cr_assert_not_null(mkdtemp(dir));
    snprintf(svg, sizeof svg, "%s/it's.svg", dir);
    snprintf(png, sizeof png, "%s/a.png", dir);
    /* A user's own settings, by which the picture would go elsewhere. */
    snprintf(own, sizeof own, "%s/.gnuplot", dir);
    f = fopen(own, "w");
    cr_assert_not_null(f);
    fputs("set output '/dev/null'\n", f);
    fclose(f);
    setenv("HOME", dir, 1);
    draw(&r, svg, "<?xml");
    cr_assert(compare_spec_sweep(&spec, "rtt=50ms,1ms", why));
    r = result(4);
    draw(&r, png, "\x89PNG");
    /* A percent sign, which begins a format; and nothing that could be drawn. */
    cr_assert(compare_spec_sweep(&spec, "loss=0,1%", why));
    draw(&r, png, "\x89PNG");
    r.n_rows = 0;
    draw(&r, svg, "<?xml");
    compare_spec_default(&spec);
    draw(&r, png, "\x89PNG");
    r.n_rows = 1; /* a bar that has no place */
    rows[0].state = COMPARE_UNFINISHED;
    draw(&r, svg, "<?xml");
    unlink(own);
    rmdir(dir);
}
