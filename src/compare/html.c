#include "config.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "compare/html.h"
#include "compare/spec.h"
#include "compare/words.h"
#include "compare/markup.h"
#include "compare/vendor.h"

/* Nothing may be fetched: the browser itself holds the page to that. */
static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:\">\n"
    "<link rel=\"icon\" href=\"data:,\">\n"
    "<title>xfer compare</title>\n<style>\n";
static const char style[] =
    "body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;"
    "color:#1a1a1a;background:#fff}h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem;"
    "font-variant-numeric:tabular-nums}th,td{padding:.35rem .6rem;text-align:right;"
    "border-bottom:1px solid #ddd;white-space:nowrap}th:first-child,td:first-child{text-align:left}"
    "td.why{text-align:left;white-space:normal;color:#b00020}small{color:#555;display:block}"
    ".warn{border-left:4px solid #b00020;padding-left:.8rem}.chart{margin:1rem 0}"
    ".ladder svg{max-width:800px;width:100%;min-width:520px;height:auto;border:1px solid #ddd}"
    "pre{white-space:pre-wrap;font-size:.75rem}.u-legend{font-size:.85rem}\n</style>\n";

/* Draws what the data asks for; knows nothing of transfers. */
static const char script[] =
    "const colours=['#1f5fa8','#c4570a','#2a7d3a','#7a3fa0','#b00020','#55708a','#8a6d1b',"
    "'#0f7f86'];\n"
    "const charts=[];\n"
    "const width=e=>Math.max(260,e.clientWidth);\n"
    "const decades=v=>{const a=v.flat().filter(x=>x>0);return[10**Math.floor(Math.log10("
    "Math.min(...a)*.999)),10**Math.ceil(Math.log10(Math.max(...a)*1.001))]};\n"
    "const number=v=>v==null?'\\u2013':v<.1?v.toPrecision(2):v<10?v.toFixed(2):v<100?v.toFixed(1):"
    "v.toFixed(0);\n"
    "function bars(e,d){const x=d.labels.map((_,i)=>i),log=d.log?{distr:3,range:decades([d.values,"
    "d.theory||[]])}:{range:(u,a,b)=>[0,b*1.1||1]};\n"
    "const s=[{label:'method',value:(u,v)=>v==null?'\\u2013':d.labels[v]},{label:d.unit,"
    "fill:colours[0]+'b0',stroke:colours[0],paths:uPlot.paths.bars({size:[.6,70]}),"
    "points:{show:false},value:(u,v)=>number(v)}];\n"
    "if(d.theory)s.push({label:'theory',stroke:'#c4570a',paths:()=>null,points:{show:true,size:11,"
    "width:3,fill:'#fff'},value:(u,v)=>number(v)});\n"
    "make(e,{height:320,scales:{x:{time:false,range:[-.6,x.length-.4]},y:log},series:s,"
    "axes:[{splits:()=>x,values:(u,v)=>v.map(i=>(d.labels[i]||'').replace(/ /g,'\\n')),size:76,"
    "grid:{show:false}},{label:d.unit,values:(u,v)=>v.map(n=>n==null?'':String(n)),size:60}]},"
    "d.theory?[x,d.values,d.theory]:[x,d.values])}\n"
    "function lines(e,d){const log=d.x.every(v=>v>0)&&Math.max(...d.x)>=20*Math.min(...d.x);\n"
    "const s=[{label:d.key,value:(u,v)=>v==null?'\\u2013':d.names[d.x.indexOf(v)]}];\n"
    "d.series.forEach((t,i)=>s.push({label:t.label,stroke:colours[i>>1&7],width:2,"
    "dash:i&1?[6,4]:[],spanGaps:true,points:{show:!(i&1),size:7},value:(u,v)=>number(v)}));\n"
    "make(e,{height:360,scales:{x:{time:false,distr:log?3:1,range:log?decades([d.x]):undefined},"
    "y:{distr:3,range:decades(d.series.map(t=>t.values))}},series:s,axes:[{label:d.key,"
    "splits:()=>d.x,values:(u,v)=>v.map(n=>d.names[d.x.indexOf(n)])},{label:d.unit,size:60,"
    "values:(u,v)=>v.map(n=>n==null?'':String(n))}]},[d.x,...d.series.map(t=>t.values)])}\n"
    "function make(e,o,data){o.width=width(e);charts.push([e,new uPlot(o,data,e),o.height])}\n"
    "document.querySelectorAll('.chart').forEach((e,i)=>(data[i].x?lines:bars)(e,data[i]));\n"
    "addEventListener('resize',()=>charts.forEach(([e,u,h])=>u.setSize({width:width(e),height:h})))"
    ";"
    "\n";

static const char *direction_name(enum compare_direction d)
{
    return d == COMPARE_PUT ? "put" : "get";
}

static bool in_part(const struct compare_row *row, unsigned point, int direction)
{
    return row->point == point && (int)row->direction == direction;
}

static void put_cell(double v, const char *unit, bool known, FILE *f)
{
    if (known && isfinite(v))
        fprintf(f, "<td>%.*f%s</td>", v < 0.1 ? 3 : v < 10 ? 2 : v < 1000 ? 1 : 0, v, unit);
    else
        fputs("<td>–</td>", f);
}

static void put_done(const struct compare_row *row, FILE *f)
{
    put_cell(row->median, "", true, f);
    fprintf(f, "<td>%.3g–%.3g</td>", row->min, row->max);
    put_cell(row->theory, "", true, f);
    put_cell(row->bits_per_second / 1e6, "", true, f);
    if (row->share > 0)
        fprintf(f, "<td>%.0f%%</td>", 100 * row->share);
    else
        fputs("<td>–</td>", f);
    if (row->counted)
        fprintf(f, "<td>%llu</td><td>%llu</td>", (unsigned long long)row->packets,
                (unsigned long long)row->wire_bytes);
    else
        fputs("<td>–</td><td>–</td>", f);
    fprintf(f, "<td>%llu</td><td>%llu</td>", (unsigned long long)row->retransmits,
            (unsigned long long)row->timeouts);
    put_cell(row->cpu_seconds, "", row->cpu_seconds > 0, f);
    fprintf(f, "<td>%.*f</td>", row->ratio < 9.95 ? 1 : 0, row->ratio);
}

static void put_failed(const struct compare_row *row, FILE *f)
{
    fprintf(f, "<td class=\"why\" colspan=\"11\">%s%s",
            row->state == COMPARE_REFUSED      ? "refused by the kernel"
            : row->state == COMPARE_UNFINISHED ? "did not finish"
                                               : "failed",
            row->why[0] ? ": " : "");
    markup_text(row->why, f);
    fputs("</td>", f);
}

static void put_row(const struct compare_row *row, FILE *f)
{
    char part[24], whole[24];

    fputs("<tr><td>", f);
    markup_text(row->label, f);
    if (row->state == COMPARE_DONE && row->bytes < row->size)
        fprintf(f, "<small>measured on the first %s of %s</small>",
                compare_words_size(row->bytes, part, sizeof part),
                compare_words_size(row->size, whole, sizeof whole));
    if (row->state == COMPARE_DONE && row->failed > 0) {
        fprintf(f, "<small>%u of %u rounds failed: ", row->failed, row->rounds);
        markup_text(row->why, f);
        fputs("</small>", f);
    }
    fputs("</td>", f);
    if (row->state == COMPARE_DONE)
        put_done(row, f);
    else
        put_failed(row, f);
    fputs("</tr>\n", f);
}

static void put_table(const struct compare_result *r, unsigned point, int direction, FILE *f)
{
    fputs("<div class=\"scroll\"><table><thead><tr><th>method</th><th>time s (median)</th>"
          "<th>min–max</th><th>theory s</th><th>Mbit/s</th><th>link</th><th>packets</th>"
          "<th>bytes on the wire</th><th>resent</th><th>timeouts</th><th>CPU s</th><th>ratio</th>"
          "</tr></thead><tbody>\n",
          f);
    for (size_t i = 0; i < r->n_rows; i++)
        if (in_part(&r->rows[i], point, direction))
            put_row(&r->rows[i], f);
    fputs("</tbody></table></div>\n", f);
}

/* Plain words are made before they are escaped. */
static bool put_words(const struct compare_result *r, unsigned point, int direction, FILE *f)
{
    char *text = NULL;
    size_t n;
    FILE *words = open_memstream(&text, &n);

    if (words == NULL)
        return false;
    compare_words_long(r, point, (enum compare_direction)direction, words);
    if (fclose(words) != 0) {
        free(text);
        return false;
    }
    fputs("<p>", f);
    markup_text(text, f);
    fputs("</p>\n", f);
    free(text);
    return true;
}

/* null where there is nothing to draw; scaled to the whole file, so that all stand for the same. */
static json_t *seconds_json(const struct compare_row *row, double seconds)
{
    double v = row->bytes > 0 ? seconds * (double)row->size / (double)row->bytes : NAN;

    return isfinite(v) && v > 0 ? json_real(v) : json_null();
}

/* Two charts of a table: the time, and what crosses in a second. */
static void add_bars(json_t *charts, const struct compare_result *r, unsigned point, int direction)
{
    json_t *labels = json_array(), *rates_labels = json_array(), *seconds = json_array(),
           *theory = json_array(), *rates = json_array();

    for (size_t i = 0; i < r->n_rows; i++) {
        const struct compare_row *row = &r->rows[i];

        if (!in_part(row, point, direction) || row->state != COMPARE_DONE)
            continue;
        json_array_append_new(labels, json_string(row->label));
        json_array_append_new(rates_labels, json_string(row->label));
        json_array_append_new(seconds, seconds_json(row, row->median));
        json_array_append_new(theory, seconds_json(row, row->theory));
        json_array_append_new(rates, json_real(row->bits_per_second / 1e6));
    }
    json_array_append_new(charts,
                          json_pack("{s:o, s:o, s:o, s:s, s:b}", "labels", labels, "values",
                                    seconds, "theory", theory, "unit", "seconds (log)", "log", 1));
    json_array_append_new(charts, json_pack("{s:o, s:o, s:s, s:b}", "labels", rates_labels,
                                            "values", rates, "unit", "Mbit/s", "log", 0));
}

static const struct compare_row *find(const struct compare_result *r, unsigned point,
                                      unsigned method, int direction)
{
    for (size_t i = 0; i < r->n_rows; i++)
        if (in_part(&r->rows[i], point, direction) && r->rows[i].method == method)
            return &r->rows[i];
    return NULL;
}

/* A measured line and its theory; none of a method that never finished. */
static void add_series(json_t *series, const struct compare_result *r, unsigned method,
                       int direction)
{
    json_t *measured = json_array(), *theory = json_array();
    bool any = false;
    char label[COMPARE_LABEL_MAX] = "", predicted[COMPARE_LABEL_MAX + 16];

    for (unsigned p = 0; p < r->spec->sweep.n; p++) {
        const struct compare_row *row = find(r, p, method, direction);
        bool done = row != NULL && row->state == COMPARE_DONE;

        any = any || done;
        if (done)
            snprintf(label, sizeof label, "%s", row->label);
        json_array_append_new(measured, done ? seconds_json(row, row->median) : json_null());
        json_array_append_new(theory, done ? seconds_json(row, row->theory) : json_null());
    }
    if (!any) {
        json_decref(measured);
        json_decref(theory);
        return;
    }
    snprintf(predicted, sizeof predicted, "%s (theory)", label);
    json_array_append_new(series, json_pack("{s:s, s:o}", "label", label, "values", measured));
    json_array_append_new(series, json_pack("{s:s, s:o}", "label", predicted, "values", theory));
}

static int compare_numbers(const void *a, const void *b, void *numbers)
{
    const double *v = numbers, x = v[*(const size_t *)a], y = v[*(const size_t *)b];

    return (x > y) - (x < y);
}

/* uPlot draws lines along rising x alone. */
static void sort_points(const struct compare_sweep *w, size_t order[COMPARE_SWEEP_MAX])
{
    double numbers[COMPARE_SWEEP_MAX];

    for (size_t i = 0; i < w->n; i++) {
        order[i] = i;
        numbers[i] = w->numbers[i];
    }
    qsort_r(order, w->n, sizeof *order, compare_numbers, numbers);
}

static json_t *reordered(json_t *values, const size_t *order, size_t n)
{
    json_t *sorted = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append(sorted, json_array_get(values, order[i]));
    return sorted;
}

static void add_lines(json_t *charts, const struct compare_result *r, int direction)
{
    const struct compare_sweep *w = &r->spec->sweep;
    json_t *x = json_array(), *names = json_array(), *series = json_array(), *one;
    size_t order[COMPARE_SWEEP_MAX], i;

    sort_points(w, order);
    for (i = 0; i < w->n; i++) {
        json_array_append_new(x, json_real(w->numbers[order[i]]));
        json_array_append_new(names, json_string(w->values[order[i]]));
    }
    for (unsigned m = 0; m < r->spec->n; m++)
        add_series(series, r, m, direction);
    json_array_foreach(series, i, one)
        json_object_set_new(one, "values", reordered(json_object_get(one, "values"), order, w->n));
    json_array_append_new(charts,
                          json_pack("{s:o, s:o, s:o, s:s, s:s}", "x", x, "names", names, "series",
                                    series, "key", w->key, "unit", "seconds (log)"));
}

static bool put_part(const struct compare_result *r, unsigned point, int direction, json_t *charts,
                     FILE *f)
{
    char setting[480];

    compare_words_setting(r, point, setting, sizeof setting);
    fputs("<h2>", f);
    if (r->spec->sweep.n > 0) {
        markup_text(r->spec->sweep.key, f);
        fputs(" = ", f);
        markup_text(r->spec->sweep.values[point], f);
        fputs(", ", f);
    }
    fprintf(f, "%s</h2>\n<p>", direction_name((enum compare_direction)direction));
    markup_text(setting, f);
    fputs("</p>\n", f);
    put_table(r, point, direction, f);
    if (r->spec->sweep.n == 0) {
        fputs("<div class=\"chart\"></div>\n<div class=\"chart\"></div>\n", f);
        add_bars(charts, r, point, direction);
    }
    return put_words(r, point, direction, f);
}

static bool put_parts(const struct compare_result *r, json_t *charts, FILE *f)
{
    for (int d = COMPARE_PUT; d <= COMPARE_GET; d++) {
        if (r->spec->direction != COMPARE_BOTH && (int)r->spec->direction != d)
            continue;
        if (r->spec->sweep.n > 0) {
            fputs("<div class=\"chart\"></div>\n", f);
            add_lines(charts, r, d);
        }
        for (unsigned p = 0; p < compare_spec_points(r->spec); p++)
            if (!put_part(r, p, d, charts, f))
                return false;
    }
    return true;
}

static bool put_script(json_t *charts, FILE *f)
{
    char *text = json_dumps(charts, JSON_COMPACT | JSON_REAL_PRECISION(9));

    if (text == NULL)
        return false;
    fprintf(f, "<script>\n/*\n%s*/\n%s</script>\n<script>\nconst data=", vendor_uplot_2,
            vendor_uplot_0);
    markup_json(text, f);
    fprintf(f, ";\n%s</script>\n", script);
    free(text);
    return true;
}

bool compare_html(const struct compare_result *r, const struct compare_ladder *ladders, size_t n,
                  FILE *f)
{
    json_t *charts = json_array();
    bool good;

    fprintf(f, "%s%s%s</head><body>\n<h1>xfer compare</h1>\n", head, vendor_uplot_1, style);
    if (r->warning != NULL) {
        fputs("<p class=\"warn\">", f);
        markup_text(r->warning, f);
        fputs("</p>\n", f);
    }
    good = put_parts(r, charts, f);
    if (n > 0)
        fputs("<h2>The first packets</h2>\n", f);
    for (size_t i = 0; i < n; i++) {
        fputs("<div class=\"ladder scroll\">\n", f);
        compare_ladder_svg(&ladders[i], f);
        fputs("</div>\n", f);
    }
    fputs(
        "<p><small>Theory is computed from the settings before anything runs (the formulas are in "
        "xfer(1)). Charts by uPlot, MIT licence, whose text is in this page's source.</small></p>"
        "\n",
        f);
    good = good && put_script(charts, f);
    fputs("</body></html>\n", f);
    json_decref(charts);
    return good;
}
