#include "config.h"

#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare/plot.h"
#include "compare/words.h"

extern char **environ;

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

bool compare_plot_check(const char *file, char why[COMPARE_WHY_MAX])
{
    if (!ends_in(file, ".svg") && !ends_in(file, ".png")) {
        snprintf(why, COMPARE_WHY_MAX, "--plot '%.80s': the name ends in .svg or .png", file);
        return false;
    }
    if (strpbrk(file, "\r\n") != NULL) {
        snprintf(why, COMPARE_WHY_MAX, "--plot: gnuplot takes no name with a line feed");
        return false;
    }
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

static void put_head(const struct compare_result *r, const char *file, FILE *f)
{
    char setting[480];
    bool svg = ends_in(file, ".svg");

    compare_words_setting(r, 0, setting, sizeof setting);
    fprintf(f, "set encoding utf8\nset terminal %s size 900,540%s\nset output ",
            svg ? "svg" : "pngcairo", svg ? " enhanced background rgb 'white'" : " enhanced");
    put_quoted(file, f);
    fputs("\nset title ", f);
    put_quoted(r->spec->sweep.n > 0 ? "seconds, measured (solid) and predicted (dashed)" : setting,
               f);
    fputs(" noenhanced\nset ylabel 'seconds (log scale)'\nset logscale y\nset grid ytics\n"
          "set key top left noenhanced\n",
          f);
}

/* Scaled to the whole file, so that bars stand for the same bytes. */
static double whole(const struct compare_row *row, double seconds)
{
    return row->bytes > 0 ? seconds * (double)row->size / (double)row->bytes : NAN;
}

static void put_bars(const struct compare_result *r, FILE *f)
{
    fputs("$data << EOD\n", f);
    for (size_t i = 0; i < r->n_rows; i++) {
        const struct compare_row *row = &r->rows[i];
        const char *mark = row->state != COMPARE_DONE ? " (no result)"
                           : row->bytes < row->size   ? " (scaled)"
                                                      : "";

        fprintf(f, "\"%s%s%s\"", row->label, direction_word(r, row), mark);
        put_value(whole(row, row->median), f);
        put_value(whole(row, row->min), f);
        put_value(whole(row, row->max), f);
        put_value(whole(row, row->theory), f);
        fputc('\n', f);
    }
    fputs("EOD\nset boxwidth 0.6\nset style fill solid 0.7\nset xtics noenhanced rotate by -20\n"
          "set xrange [-0.6:*]\n"
          "plot $data using 0:2:xtic(1) with boxes title 'measured (median)', "
          "'' using 0:2:3:4 with yerrorbars lc black pt 0 title 'least and most', "
          "'' using 0:5 with points pt 2 ps 1.5 lc black title 'theory'\n",
          f);
}

/* A key whose values span more than a decade reads better so. */
static bool wants_log(const struct compare_sweep *w)
{
    double least = INFINITY, most = 0;

    for (size_t i = 0; i < w->n; i++) {
        least = fmin(least, w->numbers[i]);
        most = fmax(most, w->numbers[i]);
    }
    return least > 0 && most >= 20 * least;
}

static void put_axis(const struct compare_sweep *w, FILE *f)
{
    fprintf(f, "%sset offsets graph 0.05, graph 0.05, 0, 0\nset xtics noenhanced (",
            wants_log(w) ? "set logscale x\n" : "");
    for (size_t i = 0; i < w->n; i++) {
        fputs(i ? ", " : "", f);
        put_quoted(w->values[i], f);
        fprintf(f, " %.9g", w->numbers[i]);
    }
    fputs(")\nset xlabel ", f);
    put_quoted(w->key, f);
}

/* One block of data a method and direction, as gnuplot's index counts them. */
static size_t put_series(const struct compare_result *r, unsigned method, int direction, size_t n,
                         char labels[][COMPARE_LABEL_MAX + 8], FILE *f)
{
    bool any = false;

    for (size_t i = 0; i < r->n_rows; i++) {
        const struct compare_row *row = &r->rows[i];

        if (row->method != method || (int)row->direction != direction || row->state != COMPARE_DONE)
            continue;
        snprintf(labels[n], COMPARE_LABEL_MAX + 8, "%s%s", row->label, direction_word(r, row));
        fprintf(f, "%.9g", r->spec->sweep.numbers[row->point]);
        put_value(whole(row, row->median), f);
        put_value(whole(row, row->theory), f);
        fputc('\n', f);
        any = true;
    }
    if (any)
        fputs("\n\n", f);
    return n + any;
}

static void put_lines(const struct compare_result *r, FILE *f)
{
    char labels[2 * COMPARE_METHODS_MAX][COMPARE_LABEL_MAX + 8];
    size_t n = 0;

    fputs("$data << EOD\n", f);
    for (unsigned m = 0; m < r->spec->n; m++)
        for (int d = COMPARE_PUT; d <= COMPARE_GET; d++)
            n = put_series(r, m, d, n, labels, f);
    fputs("EOD\n", f);
    put_axis(&r->spec->sweep, f);
    fputs(" noenhanced\nplot ", f);
    if (n == 0)
        fputs("1/0 notitle", f); /* nothing finished: axes alone */
    for (size_t i = 0; i < n; i++) {
        fprintf(f, "%s$data index %zu using 1:2 with linespoints lc %zu title ", i ? ", " : "", i,
                i + 1);
        put_quoted(labels[i], f);
        fprintf(f, ", $data index %zu using 1:3 with lines dt 2 lc %zu notitle", i, i + 1);
    }
    fputc('\n', f);
}

void compare_plot_script(const struct compare_result *r, const char *file, FILE *f)
{
    put_head(r, file, f);
    if (r->spec->sweep.n > 0)
        put_lines(r, f);
    else
        put_bars(r, f);
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

int compare_plot_run(const char *script, size_t n, char why[COMPARE_WHY_MAX])
{
    char *const argv[] = {"gnuplot", NULL};
    posix_spawn_file_actions_t actions;
    FILE *f = script_file(script, n);
    int err, status;
    pid_t pid;

    if (f == NULL)
        return failed(why, "script", errno);
    err = posix_spawn_file_actions_init(&actions);
    if (err == 0) {
        err = posix_spawn_file_actions_adddup2(&actions, fileno(f), STDIN_FILENO);
        /* Nothing of it may end up in a table. */
        if (err == 0)
            err = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
        if (err == 0)
            err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    fclose(f);
    if (err != 0)
        return failed(why, "cannot be started", err);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return failed(why, "wait", errno);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    snprintf(why, COMPARE_WHY_MAX, "gnuplot could not draw the plot");
    return -EIO;
}
