#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "compare/html.h"
#include "compare/pictures.h"
#include "compare/plot.h"

static bool failed(const char *file, int err, char why[COMPARE_WHY_MAX])
{
    char shown[160];

    snprintf(why, COMPARE_WHY_MAX, "%s: %s", escape_show(file, strlen(file), shown, sizeof shown),
             strerror(-err));
    return false;
}

bool compare_pictures_open(struct compare_pictures *p, const char *plot, const char *report,
                           char why[COMPARE_WHY_MAX])
{
    int err;

    *p = (struct compare_pictures){.plot.fd = -1, .report.fd = -1};
    if (plot != NULL && !compare_plot_possible(why))
        return false;
    err = outfile_open(&p->plot, plot);
    if (err < 0)
        return failed(plot, err, why);
    err = outfile_open(&p->report, report);
    if (err == 0)
        return true;
    outfile_drop(&p->plot);
    return failed(report, err, why);
}

/* Closes the stream, and names what it wrote if that is whole. */
static bool finish(struct outfile *o, FILE *f, bool ok, char why[COMPARE_WHY_MAX])
{
    int err = ferror(f) || !ok ? -EIO : 0;

    errno = 0;
    if (fclose(f) != 0)
        err = errno != 0 ? -errno : -EIO;
    if (err == 0)
        err = outfile_commit(o);
    outfile_drop(o);
    return err == 0 || failed(o->name, err, why);
}

static bool write_report(struct outfile *o, const struct compare_result *r,
                         const struct compare_ladder *ladders, size_t n, char why[COMPARE_WHY_MAX])
{
    FILE *f = outfile_stream(o);

    if (f == NULL)
        return failed(o->name, -errno, why);
    return finish(o, f, compare_html(r, ladders, n, f), why);
}

static bool draw_plot(struct outfile *o, const struct compare_result *r, char why[COMPARE_WHY_MAX])
{
    char *script = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&script, &n);
    bool ok;
    int err;

    if (f == NULL)
        return failed(o->name, -errno, why);
    compare_plot_script(r, o->name, f);
    ok = fclose(f) == 0 || failed(o->name, -ENOMEM, why);
    ok = ok && compare_plot_run(script, n, o->fd, why) == 0;
    free(script);
    err = ok ? outfile_commit(o) : 0;
    return err == 0 ? ok : failed(o->name, err, why);
}

/* "chart.svg": "chart-trace-1.svg", one for each method. */
static bool draw_ladders(const char *plot, const struct compare_ladder *ladders, size_t n,
                         char why[COMPARE_WHY_MAX])
{
    size_t stem = strlen(plot) - strlen(".svg");
    char file[PATH_MAX];

    for (size_t i = 0; i < n; i++) {
        struct outfile o;
        int err;
        FILE *f;

        snprintf(file, sizeof file, "%.*s-trace-%zu.svg", (int)stem, plot, i + 1);
        err = outfile_open(&o, file);
        f = err == 0 ? outfile_stream(&o) : NULL;
        if (f == NULL)
            return failed(file, err < 0 ? err : -errno, why);
        compare_ladder_svg(&ladders[i], f);
        if (!finish(&o, f, true, why))
            return false;
    }
    return true;
}

bool compare_pictures_draw(struct compare_pictures *p, const struct compare_result *r,
                           const struct compare_ladder *ladders, size_t n, bool trace,
                           char why[COMPARE_WHY_MAX])
{
    const char *dot = p->plot.name != NULL ? strrchr(p->plot.name, '.') : NULL;

    if (p->report.name != NULL && !write_report(&p->report, r, ladders, n, why))
        return false;
    if (p->plot.name != NULL && !draw_plot(&p->plot, r, why))
        return false;
    return dot == NULL || !trace || strcmp(dot, ".svg") != 0 ||
           draw_ladders(p->plot.name, ladders, n, why);
}

void compare_pictures_drop(struct compare_pictures *p)
{
    outfile_drop(&p->plot);
    outfile_drop(&p->report);
}
