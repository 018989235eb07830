#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare/html.h"
#include "compare/pictures.h"
#include "compare/plot.h"

static bool failed(const char *file, char why[COMPARE_WHY_MAX])
{
    snprintf(why, COMPARE_WHY_MAX, "%.160s: %s", file, strerror(errno));
    return false;
}

/* What is there already stays as it is until there is something to put in its place. */
static bool is_writable(const char *file, char why[COMPARE_WHY_MAX])
{
    bool there = access(file, F_OK) == 0;
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

    if (fd < 0)
        return failed(file, why);
    close(fd);
    if (!there)
        unlink(file);
    return true;
}

bool compare_pictures_check(const char *plot, const char *report, char why[COMPARE_WHY_MAX])
{
    if (plot != NULL && (!compare_plot_check(plot, why) || !is_writable(plot, why)))
        return false;
    return report == NULL || is_writable(report, why);
}

static bool close_file(FILE *f, const char *file, bool ok, char why[COMPARE_WHY_MAX])
{
    ok = !ferror(f) && ok;
    return (fclose(f) == 0 && ok) || failed(file, why);
}

static bool write_report(const struct compare_pictures *p, const struct compare_result *r,
                         char why[COMPARE_WHY_MAX])
{
    FILE *f = fopen(p->report, "we");

    if (f == NULL)
        return failed(p->report, why);
    return close_file(f, p->report, compare_html(r, p->ladders, p->n, f), why);
}

static bool draw_plot(const struct compare_pictures *p, const struct compare_result *r,
                      char why[COMPARE_WHY_MAX])
{
    char *script = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&script, &n);
    bool ok;

    if (f == NULL)
        return failed(p->plot, why);
    compare_plot_script(r, p->plot, f);
    ok = close_file(f, p->plot, true, why) && compare_plot_run(script, n, why) == 0;
    free(script);
    return ok;
}

/* "chart.svg": "chart-trace-1.svg", one for each method. */
static bool draw_ladders(const struct compare_pictures *p, char why[COMPARE_WHY_MAX])
{
    size_t stem = strlen(p->plot) - strlen(".svg");
    char file[4096];

    for (size_t i = 0; i < p->n; i++) {
        FILE *f;

        snprintf(file, sizeof file, "%.*s-trace-%zu.svg", (int)stem, p->plot, i + 1);
        f = fopen(file, "we");
        if (f == NULL)
            return failed(file, why);
        compare_ladder_svg(&p->ladders[i], f);
        if (!close_file(f, file, true, why))
            return false;
    }
    return true;
}

bool compare_pictures_draw(const struct compare_pictures *p, const struct compare_result *r,
                           char why[COMPARE_WHY_MAX])
{
    const char *dot = p->plot != NULL ? strrchr(p->plot, '.') : NULL;

    if (p->report != NULL && !write_report(p, r, why))
        return false;
    if (p->plot != NULL && !draw_plot(p, r, why))
        return false;
    return dot == NULL || !p->trace || strcmp(dot, ".svg") != 0 || draw_ladders(p, why);
}
