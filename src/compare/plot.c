#include "config.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "compare/charts.h"
#include "compare/plot.h"
#include "compare/words.h"

static bool ends_in(const char *file, const char *ending)
{
    size_t n = strlen(file), k = strlen(ending);

    return n > k && strcmp(file + n - k, ending) == 0;
}

static bool in_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[4096];

    while (path != NULL && *path != '\0') {
        int n = (int)strcspn(path, ":");

        if (snprintf(file, sizeof file, "%.*s/%s", n, path, program) < (int)sizeof file &&
            access(file, X_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

bool compare_plot_named(const char *file, char why[COMPARE_WHY_MAX])
{
    char shown[160];

    if (!ends_in(file, ".svg") && !ends_in(file, ".png")) {
        snprintf(why, COMPARE_WHY_MAX, "--plot '%s': the name ends in .svg or .png",
                 escape_show(file, strlen(file), shown, sizeof shown));
        return false;
    }
    if (strpbrk(file, "\r\n") != NULL) {
        snprintf(why, COMPARE_WHY_MAX, "--plot: gnuplot takes no name with a line feed");
        return false;
    }
    return true;
}

bool compare_plot_possible(char why[COMPARE_WHY_MAX])
{
    if (!in_path("gnuplot")) {
        snprintf(why, COMPARE_WHY_MAX,
                 "--plot needs gnuplot, which is not installed (apt install gnuplot-nox); "
                 "--report FILE.html needs none");
        return false;
    }
    return true;
}

/* In single quotes gnuplot takes everything literally; a quote is doubled. */
static void put_quoted(const char *s, FILE *f)
{
    fputc('\'', f);
    for (; *s != '\0'; s++) {
        if (*s == '\'')
            fputc('\'', f);
        fputc(*s, f);
    }
    fputc('\'', f);
}

static const char *direction_word(const struct compare_result *r, const struct compare_row *row)
{
    if (r->spec->direction != COMPARE_BOTH)
        return "";
    return row->direction == COMPARE_PUT ? " put" : " get";
}

static void put_value(double v, FILE *f)
{
    if (isfinite(v) && v > 0)
        fprintf(f, " %.9g", v);
    else
        fputs(" NaN", f);
}

/* Those of Okabe and Ito, which the colour-blind tell apart. */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                      "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"};
#define COLOURS (sizeof colours / sizeof *colours)

static void put_head(const char *title, const char *file, int height, FILE *f)
{
    bool svg = ends_in(file, ".svg");

    fprintf(f, "set encoding utf8\nset terminal %s size 900,%d%s\n", svg ? "svg" : "pngcairo",
            height, svg ? " enhanced background rgb 'white'" : " enhanced");
    fputs("set title ", f);
    put_quoted(title, f);
    fputs(" noenhanced\nset key outside right top Left reverse noenhanced\nset style line 9 lc rgb "
          "'#b0b0b0' lw 0.5\n",
          f);
}

/* What is drawn of an axis. */
struct range {
    double least, most;
};

static struct range no_range(void)
{
    return (struct range){.least = INFINITY};
}

static void widen(struct range *r, double v)
{
    if (isfinite(v) && v > 0) {
        r->least = fmin(r->least, v);
        r->most = fmax(r->most, v);
    }
}

/* Whole decades, with 2 and 5 between them where there are few. */
static void put_decades(char axis, struct range r, double room, FILE *f)
{
    int from = isfinite(r.least) ? (int)floor(log10(r.least * .999)) : -1;
    int to = isfinite(r.least) ? (int)ceil(log10(r.most * 1.001)) : 0;
    bool few = to - from < 3, any = false;

    fprintf(f, "set logscale %c\nset %crange [1e%d:%g]\nset %ctics (", axis, axis, from,
            pow(10, to) * room, axis);
    for (int e = from; e <= to; e++)
        for (int m = 1; m < 10; m += m == 2 ? 3 : m == 5 ? 5 : 1)
            if ((m == 1 || few) && (m == 1 || e < to)) {
                fprintf(f, "%s'%.15g' %de%d", any ? ", " : "", m * pow(10, e), m, e);
                any = true;
            }
    fputs(")\n", f);
}

/* ---- one setting: bars that lie, since names of methods are long ---- */

static void put_bar(const struct compare_result *r, const struct compare_row *row, FILE *f)
{
    double v = charts_whole(r, row, row->median), right = fmax(v, charts_whole(r, row, row->max));
    const char *mark = row->state != COMPARE_DONE ? " (no result)"
                       : isnan(v)                 ? " (cut)"
                       : row->bytes < row->size   ? " (scaled)"
                                                  : "";

    fprintf(f, "\"%s%s%s\"", row->label, direction_word(r, row), mark);
    put_value(v, f);
    put_value(charts_whole(r, row, row->min), f);
    put_value(charts_whole(r, row, row->max), f);
    put_value(charts_whole(r, row, row->theory), f);
    put_value(fmax(right, charts_whole(r, row, row->theory)), f);
    fprintf(f, " \"%.*f\"\n", v < .01 ? 4 : v < .1 ? 3 : v < 10 ? 2 : v < 100 ? 1 : 0, v);
}

static struct range put_data(const struct compare_result *r, FILE *f)
{
    struct range range = no_range();

    fputs("$data << EOD\n", f);
    for (size_t i = 0; i < r->n_rows; i++) {
        const struct compare_row *row = &r->rows[i];

        put_bar(r, row, f);
        widen(&range, charts_whole(r, row, row->median));
        widen(&range, charts_whole(r, row, row->max));
        widen(&range, charts_whole(r, row, row->theory));
    }
    fputs("EOD\n", f);
    return range;
}

static bool has_theory(const struct compare_result *r)
{
    for (size_t i = 0; i < r->n_rows; i++)
        if (isfinite(charts_whole(r, &r->rows[i], r->rows[i].theory)))
            return true;
    return false;
}

static void put_bars(const struct compare_result *r, const char *file, FILE *f)
{
    char setting[480];
    struct range range;
    double from = 0;

    compare_words_setting(r, 0, setting, sizeof setting);
    put_head(setting, file, 150 + 46 * (int)r->n_rows, f);
    range = put_data(r, f);
    if (range.most >= CHARTS_LOG_FROM * range.least) {
        put_decades('x', range, 2, f);
        from = pow(10, floor(log10(range.least * .999)));
    } else {
        fprintf(f, "set xrange [0:%g]\n", range.most > 0 ? range.most * 1.12 : 1);
    }
    fprintf(f,
            "set xlabel 'seconds%s'\nset yrange [%zu.5:-0.5]\nset ytics scale 0 noenhanced\n"
            "set grid xtics ls 9\nset border 3\nset tics nomirror\nset style fill solid noborder\n"
            "plot $data using 2:0:(%g):2:($0-0.3):($0+0.3):ytic(1) with boxxyerror "
            "lc rgb '%s' title 'measured (median)', "
            "'' using 2:0:3:4 with xerrorbars lc black lw 1.5 pt 0 title 'least to most'",
            from > 0 ? " (log scale)" : "", r->n_rows > 0 ? r->n_rows - 1 : 0, from, colours[0]);
    if (has_theory(r))
        fprintf(
            f,
            ", '' using 5:($0-0.4):(0):(0.8) with vectors nohead lw 3 lc rgb '%s' title 'theory'",
            colours[1]);
    if (range.most > 0) /* gnuplot 5.4 falls over labels that are all without a place */
        fputs(", '' using 6:0:7 with labels left offset 1,0 notitle", f);
    fputc('\n', f);
}

/* ---- a sweep: lines ---- */

/* A key whose values span more than a decade reads better so. */
static bool wants_log(struct range r)
{
    return r.least > 0 && r.most >= 20 * r.least;
}

/* The name of a tick is a format: "1%" would be the beginning of one. */
static void put_tick(const char *name, FILE *f)
{
    char text[2 * COMPARE_NAME_MAX];
    size_t n = 0;

    for (; *name != '\0' && n + 2 < sizeof text; name++) {
        text[n++] = *name;
        if (*name == '%')
            text[n++] = '%';
    }
    text[n] = '\0';
    put_quoted(text, f);
}

/* A little room on either side of the values, as it looks on the axis. */
static void put_axis(const struct compare_sweep *w, FILE *f)
{
    struct range r = no_range();
    double margin;

    for (size_t i = 0; i < w->n; i++) {
        r.least = fmin(r.least, w->numbers[i]);
        r.most = fmax(r.most, w->numbers[i]);
    }
    margin = wants_log(r)       ? pow(r.most / r.least, .04)
             : r.most > r.least ? (r.most - r.least) * .04
                                : 1;
    if (wants_log(r))
        fprintf(f, "set logscale x\nset xrange [%.9g:%.9g]\n", r.least / margin, r.most * margin);
    else
        fprintf(f, "set xrange [%.9g:%.9g]\n", r.least - margin, r.most + margin);
    fputs("set xtics noenhanced (", f);
    for (size_t i = 0; i < w->n; i++) {
        fputs(i ? ", " : "", f);
        put_tick(w->values[i], f);
        fprintf(f, " %.9g", w->numbers[i]);
    }
    fputs(")\nset xlabel ", f);
    put_quoted(charts_key(w->key), f);
    fputs(" noenhanced\n", f);
}

#define SERIES_NAME (COMPARE_LABEL_MAX + 8)

/* The values of a method and direction along the sweep. */
struct series {
    char name[SERIES_NAME];
    double x[COMPARE_SWEEP_MAX], measured[COMPARE_SWEEP_MAX], theory[COMPARE_SWEEP_MAX];
    size_t n;
};

static struct series collect(const struct compare_result *r, unsigned method, int direction)
{
    struct series s = {.n = 0};
    char name[COMPARE_LABEL_MAX];

    for (size_t i = 0; i < r->n_rows; i++) {
        const struct compare_row *row = &r->rows[i];
        double v = charts_whole(r, row, row->median);

        if (row->method != method || (int)row->direction != direction ||
            row->state != COMPARE_DONE || !(v > 0))
            continue;
        charts_series_name(r, row, name);
        snprintf(s.name, sizeof s.name, "%s%s", name, direction_word(r, row));
        s.x[s.n] = r->spec->sweep.numbers[row->point];
        s.measured[s.n] = v;
        s.theory[s.n++] = charts_whole(r, row, row->theory);
    }
    return s;
}

/* One block of data each, as gnuplot's index counts them. */
static size_t put_blocks(const struct compare_result *r, char names[][SERIES_NAME],
                         struct range *range, FILE *f)
{
    size_t n = 0;

    fputs("$data << EOD\n", f);
    for (unsigned m = 0; m < r->spec->n; m++)
        for (int d = COMPARE_PUT; d <= COMPARE_GET; d++) {
            struct series s = collect(r, m, d);

            for (size_t i = 0; i < s.n; i++) {
                fprintf(f, "%.9g", s.x[i]);
                put_value(s.measured[i], f);
                put_value(s.theory[i], f);
                fputc('\n', f);
                widen(range, s.measured[i]);
                widen(range, s.theory[i]);
            }
            if (s.n == 0)
                continue;
            fputs("\n\n", f);
            memcpy(names[n++], s.name, SERIES_NAME);
        }
    fputs("EOD\n", f);
    return n;
}

static void put_lines(const struct compare_result *r, const char *file, FILE *f)
{
    char names[2 * COMPARE_METHODS_MAX][SERIES_NAME];
    struct range range = no_range();
    size_t n;

    put_head("Time to move the file: measured (solid) and predicted (dashed)", file, 560, f);
    n = put_blocks(r, names, &range, f);
    put_axis(&r->spec->sweep, f);
    put_decades('y', range, 1, f);
    fputs("set ylabel 'seconds (log scale)'\nset grid xtics ytics ls 9\nplot ", f);
    if (n == 0)
        fputs("1/0 notitle", f); /* nothing finished: axes alone */
    for (size_t i = 0; i < n; i++) {
        const char *colour = colours[i % COLOURS];

        fprintf(f, "%s$data index %zu using 1:2 with linespoints lw 2 pt %zu lc rgb '%s' title ",
                i ? ", " : "", i, 4 + i % 11, colour);
        put_quoted(names[i], f);
        fprintf(f, ", $data index %zu using 1:3 with lines lw 1.5 dt 2 lc rgb '%s' notitle", i,
                colour);
    }
    fputc('\n', f);
}

void compare_plot_script(const struct compare_result *r, const char *file, FILE *f)
{
    if (r->spec->sweep.n > 0)
        put_lines(r, file, f);
    else
        put_bars(r, file, f);
}

static int failed(char why[COMPARE_WHY_MAX], const char *what, int err)
{
    snprintf(why, COMPARE_WHY_MAX, "gnuplot: %s: %s", what, strerror(err));
    return -err;
}

/* From a file, not a pipe: nobody has to write while gnuplot reads. */
static FILE *script_file(const char *script, size_t n)
{
    FILE *f = tmpfile();

    if (f != NULL && (fwrite(script, 1, n, f) != n || fflush(f) != 0 || fseek(f, 0, SEEK_SET))) {
        fclose(f);
        f = NULL;
    }
    return f;
}

struct gnuplot {
    int from, to;
};

#define NOT_FOUND 127

static int become_gnuplot(void *arg)
{
    char *const argv[] = {"gnuplot", "-d", NULL}; /* settings of the user might draw elsewhere */
    const struct gnuplot *g = arg;
    struct sigaction usual = {.sa_handler = SIG_DFL};

    sigaction(SIGPIPE, &usual, NULL);
    if (dup2(g->from, STDIN_FILENO) >= 0 && dup2(g->to, STDOUT_FILENO) >= 0)
        execvp(argv[0], argv);
    return NOT_FOUND;
}

/* An interrupt of before has ended the run: what was measured is drawn all the same, and the next
 * one ends the whole command. */
static int wait_for_it(pid_t pid, double seconds, const struct watch *w)
{
    bool late = xfer_stop_is_raised(w->stop);
    double until = process_now() + seconds;
    int status;

    while ((status = process_wait(pid, PROCESS_SLICE)) == -ETIMEDOUT) {
        bool go_on = watch_look(w) || late;

        if (go_on && process_now() < until)
            continue;
        process_kill(pid);
        process_kill_all(); /* a script in its place has children */
        return go_on ? -ETIMEDOUT : -EINTR;
    }
    return status > 0 && !late && xfer_stop_is_raised(w->stop) ? -EINTR : status;
}

int compare_plot_run(const char *script, size_t n, int to, double seconds, const struct watch *w,
                     char why[COMPARE_WHY_MAX])
{
    FILE *f = script_file(script, n);
    struct gnuplot g = {.to = to};
    int status;
    pid_t pid;

    if (f == NULL)
        return failed(why, "script", errno);
    g.from = fileno(f);
    status = process_start(become_gnuplot, &g, &pid);
    if (status == 0)
        status = wait_for_it(pid, seconds, w);
    fclose(f);
    if (status == -ETIMEDOUT)
        snprintf(why, COMPARE_WHY_MAX, "gnuplot did not end within %g s", seconds);
    else if (status == -EINTR)
        snprintf(why, COMPARE_WHY_MAX, "gnuplot was interrupted: there is no plot");
    else if (status < 0)
        return failed(why, "cannot be started", -status);
    else if (status == NOT_FOUND)
        snprintf(why, COMPARE_WHY_MAX, "gnuplot cannot be started");
    else if (status > 0)
        snprintf(why, COMPARE_WHY_MAX, "gnuplot could not draw the plot");
    return status > 0 ? -EIO : status;
}
