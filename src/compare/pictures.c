#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "compare/html.h"
#include "compare/pictures.h"
#include "compare/plot.h"

#define PLOT_TIME 30.0 /* s; gnuplot takes less than one */

static bool failed(const char *file, int err, char why[COMPARE_WHY_MAX])
{
    char shown[160];

    snprintf(why, COMPARE_WHY_MAX, "%s: %s", escape_show(file, strlen(file), shown, sizeof shown),
             strerror(-err));
    return false;
}

static bool open_one(struct outfile *o, const char *name, char why[COMPARE_WHY_MAX])
{
    int err = outfile_open(o, name);

    return err == 0 || failed(name, err, why);
}

static bool open_ladders(struct compare_pictures *p, const char *plot, size_t n,
                         char why[COMPARE_WHY_MAX])
{
    const char *dot = plot != NULL ? strrchr(plot, '.') : NULL;

    if (n == 0 || dot == NULL || strcmp(dot, ".svg") != 0)
        return true;
    p->ladders = calloc(n, sizeof *p->ladders);
    if (p->ladders == NULL)
        return failed(plot, -ENOMEM, why);
    for (; p->n_ladders < n; p->n_ladders++) {
        struct ladder_file *l = &p->ladders[p->n_ladders];

        if (snprintf(l->name, sizeof l->name, "%.*s-trace-%zu.svg", (int)(dot - plot), plot,
                     p->n_ladders + 1) >= (int)sizeof l->name)
            return failed(plot, -ENAMETOOLONG, why);
        if (!open_one(&l->file, l->name, why))
            return false;
    }
    return true;
}

bool compare_pictures_open(struct compare_pictures *p, const char *plot, const char *report,
                           size_t n_ladders, char why[COMPARE_WHY_MAX])
{
    *p = (struct compare_pictures){.plot.fd = -1, .report.fd = -1};
    if (plot != NULL && !compare_plot_possible(why))
        return false;
    if (open_one(&p->plot, plot, why) && open_one(&p->report, report, why) &&
        open_ladders(p, plot, n_ladders, why))
        return true;
    compare_pictures_drop(p);
    return false;
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

static bool draw_plot(struct outfile *o, const struct compare_result *r, const struct watch *w,
                      char why[COMPARE_WHY_MAX])
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
    ok = ok && compare_plot_run(script, n, o->fd, PLOT_TIME, w, why) == 0;
    free(script);
    err = ok ? outfile_commit(o) : 0;
    return err == 0 ? ok : failed(o->name, err, why);
}

static bool draw_ladder(struct outfile *o, const struct compare_ladder *l,
                        char why[COMPARE_WHY_MAX])
{
    FILE *f = outfile_stream(o);

    if (f == NULL)
        return failed(o->name, -errno, why);
    compare_ladder_svg(l, f);
    return finish(o, f, true, why);
}

bool compare_pictures_draw(struct compare_pictures *p, const struct compare_result *r,
                           const struct compare_ladder *ladders, size_t n, const struct watch *w,
                           char why[COMPARE_WHY_MAX])
{
    if (p->report.name != NULL && !write_report(&p->report, r, ladders, n, why))
        return false;
    if (p->plot.name != NULL && !draw_plot(&p->plot, r, w, why))
        return false;
    for (size_t i = 0; i < n && i < p->n_ladders; i++)
        if (!draw_ladder(&p->ladders[i].file, &ladders[i], why))
            return false;
    return true;
}

void compare_pictures_drop(struct compare_pictures *p)
{
    outfile_drop(&p->plot);
    outfile_drop(&p->report);
    for (size_t i = 0; i < p->n_ladders; i++)
        outfile_drop(&p->ladders[i].file);
    free(p->ladders);
    p->ladders = NULL;
    p->n_ladders = 0;
}
