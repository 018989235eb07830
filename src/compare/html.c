#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "compare/charts.h"
#include "compare/embedded.h"
#include "compare/html.h"
#include "compare/markup.h"
#include "compare/spec.h"
#include "compare/words.h"

#define COLUMNS 11

/* Nothing may be fetched: the browser itself holds the page to that. */
static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:\">\n"
    "<link rel=\"icon\" href=\"data:,\">\n"
    "<title>TCP and UDP compared</title>\n<style>\n";

/* ---- rows ---- */

/* Three digits, as they are read: 0.075, 1.39, 15.5, 149. */
static int decimals(double v)
{
    return v < 0.01 ? 4 : v < 0.1 ? 3 : v < 10 ? 2 : v < 100 ? 1 : 0;
}

static void put_number(double v, FILE *f)
{
    if (isfinite(v))
        fprintf(f, "<td>%.*f", decimals(v), v);
    else
        fputs("<td>–", f);
}

static void put_range(const struct compare_row *row, FILE *f)
{
    int d = decimals(row->median);

    put_number(row->median, f);
    if (row->rounds - row->failed > 1)
        fprintf(f, "<small>%.*f–%.*f</small>", d, row->min, d, row->max);
    else
        fputs("<small>one round</small>", f);
}

static void put_dropped(const struct compare_row *row, FILE *f)
{
    unsigned long long chance = row->dropped_loss, queue = row->dropped_queue;

    fprintf(f, "<td>%llu", chance + queue);
    if (chance > 0)
        fprintf(f, "<small>%llu by chance</small>", chance);
    if (queue > 0)
        fprintf(f, "<small>%llu by a full queue</small>", queue);
}

static void put_wire(const struct compare_row *row, FILE *f)
{
    char size[24];

    if (!row->counted) {
        fputs("<td>–<td>–", f);
        return;
    }
    fprintf(f, "<td>%llu<small>%s</small>", (unsigned long long)row->packets,
            compare_words_size(row->wire_bytes, size, sizeof size));
    put_dropped(row, f);
}

static void put_done(const struct compare_row *row, FILE *f)
{
    put_range(row, f);
    put_number(row->theory, f);
    put_number(row->bits_per_second / 1e6, f);
    if (row->share > 0)
        fprintf(f, "<td>%.0f %%", 100 * row->share);
    else
        fputs("<td>–", f);
    put_wire(row, f);
    if (row->resent_unknown)
        fputs("<td>–", f);
    else
        fprintf(f, "<td>%llu", (unsigned long long)row->retransmits);
    fprintf(f, "<td>%llu", (unsigned long long)row->timeouts);
    put_number(row->cpu_seconds > 0 ? row->cpu_seconds : NAN, f);
    fprintf(f, "<td>%.*f", row->ratio < 9.95 ? 1 : 0, row->ratio);
}

static void put_failed(const struct compare_row *row, FILE *f)
{
    fprintf(f, "<td class=\"why\" colspan=\"%d\">%s%s", COLUMNS - 1,
            row->state == COMPARE_REFUSED      ? "refused"
            : row->state == COMPARE_UNFINISHED ? "did not finish"
                                               : "failed",
            row->why[0] ? ": " : "");
    markup_text(row->why, f);
}

static void put_row(const struct compare_result *r, const struct compare_row *row, FILE *f)
{
    char part[24], whole[24];

    fputs("<tr><td>", f);
    markup_text(compare_spec_series(r->spec) ? r->spec->sweep.values[row->point] : row->label, f);
    if (row->state == COMPARE_DONE && row->bytes < row->size)
        fprintf(f, "<small>measured on the first %s of %s</small>",
                compare_words_size(row->bytes, part, sizeof part),
                compare_words_size(row->size, whole, sizeof whole));
    if (row->state == COMPARE_DONE && row->failed > 0) {
        fprintf(f, "<small>%u of %u rounds failed: ", row->failed, row->rounds);
        markup_text(row->why, f);
        fputs("</small>", f);
    }
    if (row->state == COMPARE_DONE)
        put_done(row, f);
    else
        put_failed(row, f);
    fputs("</tr>\n", f);
}

/* Of a series all points are shown in one table. */
static bool in_part(const struct compare_result *r, const struct compare_row *row, unsigned point,
                    enum compare_direction direction)
{
    return row->direction == direction && (row->point == point || compare_spec_series(r->spec));
}

static void put_table(const struct compare_result *r, unsigned point,
                      enum compare_direction direction, FILE *f)
{
    fputs("<div class=\"scroll\"><table class=\"rows\"><thead><tr><th>", f);
    markup_text(compare_spec_series(r->spec) ? charts_key(r->spec->sweep.key) : "Method", f);
    fputs("<th>Time<small>s, median</small><th>Theory<small>s</small>"
          "<th>Rate<small>Mbit/s</small><th>Share<small>of the link</small>"
          "<th>Packets<small>both ways</small><th>Dropped<small>by the link</small>"
          "<th>Sent<small>again</small><th>Timeouts<th>CPU<small>s</small>"
          "<th>Ratio<small>to fastest</small></tr></thead><tbody>\n",
          f);
    for (size_t i = 0; i < r->n_rows; i++)
        if (in_part(r, &r->rows[i], point, direction))
            put_row(r, &r->rows[i], f);
    fputs("</tbody></table></div>\n", f);
}

/* ---- words and charts ---- */

enum words { WORDS_LONG, WORDS_SHORT, WORDS_SERIES };

/* Plain words are made before they are escaped. */
static bool put_words(const struct compare_result *r, unsigned point,
                      enum compare_direction direction, enum words which, FILE *f)
{
    char *text = NULL;
    size_t n;
    FILE *words = open_memstream(&text, &n);

    if (words == NULL)
        return false;
    if (which == WORDS_LONG)
        compare_words_long(r, point, direction, words);
    else if (which == WORDS_SHORT)
        compare_words_short(r, point, direction, true, words);
    else
        compare_words_series(r, direction, words);
    if (fclose(words) != 0) {
        free(text);
        return false;
    }
    if (n > 0) {
        fputs("<p>", f);
        markup_text(text, f);
        fputs("</p>\n", f);
    }
    free(text);
    return true;
}

static void put_chart(json_t *charts, json_t *chart, FILE *f)
{
    const char *title = json_string_value(json_object_get(chart, "title"));

    fputs("<figure><figcaption>", f);
    markup_text(title != NULL ? title : "", f);
    fputs("</figcaption><div class=\"chart\" role=\"img\" aria-label=\"", f);
    markup_text(title != NULL ? title : "", f);
    fputs("\"></div></figure>\n", f);
    json_array_append_new(charts, chart);
}

static void put_bars(const struct compare_result *r, unsigned point,
                     enum compare_direction direction, json_t *charts, FILE *f)
{
    fputs("<div class=\"charts\">\n", f);
    put_chart(charts, charts_times(r, point, direction), f);
    put_chart(charts, charts_rates(r, point, direction), f);
    fprintf(
        f,
        "</div>\n<p class=\"soft\">Bars: median of the rounds; thin lines: least to most%s.</p>\n",
        r->remote == NULL && r->spec->link.emulated
            ? "; broad orange lines: theory; dashed: the link's rate"
            : "");
}

static bool has_any(const struct compare_result *r, enum compare_direction direction, bool scaled)
{
    for (size_t i = 0; i < r->n_rows; i++)
        if (r->rows[i].direction == direction && r->rows[i].state == COMPARE_DONE &&
            (!scaled || r->rows[i].bytes < r->rows[i].size))
            return true;
    return false;
}

static void put_scaled(const struct compare_result *r, enum compare_direction direction, FILE *f)
{
    if (has_any(r, direction, true))
        fputs("<p class=\"soft\">Where only the first part of the file was moved, charts show its "
              "time scaled to the whole; not over TCP, whose beginning is slower than the rest."
              "</p>\n",
              f);
}

/* ---- parts ---- */

static void put_setting(const struct compare_result *r, unsigned point, FILE *f)
{
    char setting[480];

    compare_words_setting(r, point, setting, sizeof setting);
    fputs("<p class=\"soft\">", f);
    markup_text(setting, f);
    fputs("</p>\n", f);
}

static bool put_sweep(const struct compare_result *r, enum compare_direction direction,
                      json_t *charts, FILE *f)
{
    const struct compare_sweep *w = &r->spec->sweep;

    if (compare_spec_series(r->spec) && !put_words(r, 0, direction, WORDS_SERIES, f))
        return false;
    if (has_any(r, direction, false))
        put_chart(charts, charts_sweep(r, direction), f);
    put_scaled(r, direction, f);
    if (compare_spec_series(r->spec)) {
        put_table(r, 0, direction, f);
        return true;
    }
    for (unsigned p = 0; p < w->n; p++) {
        fputs("<h3>", f);
        markup_text(charts_key(w->key), f);
        fputs(": ", f);
        markup_text(w->values[p], f);
        fputs("</h3>\n", f);
        put_setting(r, p, f);
        put_table(r, p, direction, f);
        if (!put_words(r, p, direction, WORDS_SHORT, f))
            return false;
    }
    return true;
}

static bool put_part(const struct compare_result *r, enum compare_direction direction,
                     json_t *charts, FILE *f)
{
    fprintf(f, "<h2>%s</h2>\n",
            direction == COMPARE_PUT ? "Put: from the client to the server"
                                     : "Get: from the server to the client");
    if (r->spec->sweep.n > 0)
        return put_sweep(r, direction, charts, f);
    if (!put_words(r, 0, direction, WORDS_LONG, f))
        return false;
    if (has_any(r, direction, false))
        put_bars(r, 0, direction, charts, f);
    put_scaled(r, direction, f);
    put_table(r, 0, direction, f);
    return true;
}

static void put_warning(const char *text, FILE *f)
{
    if (text == NULL)
        return;
    fputs("<p class=\"warn\">", f);
    markup_text(text, f);
    fputs("</p>\n", f);
}

static void put_name(const char *label, const char *name, FILE *f)
{
    char shown[1024];

    if (name == NULL)
        return;
    fprintf(f, "<br>%s: ", label);
    markup_text(escape_show(name, strlen(name), shown, sizeof shown), f);
}

static void put_begin(const struct compare_result *r, FILE *f)
{
    const struct compare_sweep *w = &r->spec->sweep;
    char setting[480];

    fprintf(f, "%s%s%s</style></head><body>\n<h1>TCP and UDP compared</h1>\n<p>", head,
            vendor_uplot_1, page_0);
    compare_words_setting(r, 0, setting, sizeof setting);
    for (size_t i = 0; i < w->n; i++) {
        fprintf(f, "%s%s", i > 0 ? ", " : w->key, i > 0 ? "" : " = ");
        markup_text(w->values[i], f);
    }
    if (w->n > 0)
        fprintf(f, "<br>With the first: ");
    markup_text(setting, f);
    put_name("File", r->file, f);
    put_name("Server", r->remote, f);
    fputs("</p>\n", f);
    put_warning(r->warning, f);
    put_warning(r->doubt, f);
}

static void put_ladders(const struct compare_result *r, const struct compare_ladder *ladders,
                        size_t n, FILE *f)
{
    const struct compare_sweep *w = &r->spec->sweep;

    if (n == 0)
        return;
    fputs("<h2>The first packets</h2>\n<p class=\"soft\">Of the first round of each method", f);
    if (w->n > 0) {
        fputs(", with ", f);
        markup_text(w->key, f);
        fputs(" = ", f);
        markup_text(w->values[0], f);
    }
    fputs(". Time runs down; arrows lean as long as packets are on their way. Sequence numbers of "
          "TCP begin at 0 each way.</p>\n<div class=\"ladders\">\n",
          f);
    for (size_t i = 0; i < n; i++) {
        fputs("<div class=\"ladder scroll\">\n", f);
        compare_ladder_svg(&ladders[i], f);
        fputs("</div>\n", f);
    }
    fputs("</div>\n", f);
}

static bool put_script(json_t *charts, FILE *f)
{
    char *text = json_dumps(charts, JSON_COMPACT | JSON_REAL_PRECISION(9));

    if (text == NULL)
        return false;
    fprintf(f, "<script>\n/*\n%s*/\n%s</script>\n<script>\nconst data=", vendor_uplot_2,
            vendor_uplot_0);
    markup_json(text, f);
    fprintf(f, ";\n%s</script>\n", page_1);
    free(text);
    return true;
}

bool compare_html(const struct compare_result *r, const struct compare_ladder *ladders, size_t n,
                  FILE *f)
{
    json_t *charts = json_array();
    bool good = true;

    put_begin(r, f);
    for (int d = COMPARE_PUT; d <= COMPARE_GET && good; d++)
        if (r->spec->direction == COMPARE_BOTH || (int)r->spec->direction == d)
            good = put_part(r, (enum compare_direction)d, charts, f);
    put_ladders(r, ladders, n, f);
    fputs("<footer class=\"soft\"><small>Made by " PACKAGE_STRING
          ". Theory is computed from the settings before anything runs; the formulas are in "
          "xfer(1). Charts by uPlot, MIT licence, whose text is in the source of this page."
          "</small></footer>\n",
          f);
    good = good && put_script(charts, f);
    fputs("</body></html>\n", f);
    json_decref(charts);
    return good;
}
