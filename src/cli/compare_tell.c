#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "cli/compare_job.h"
#include "cli/out.h"
#include "cli/output.h"
#include "cli/records.h"
#include "cli/signals.h"
#include "compare/csv.h"
#include "compare/json.h"
#include "compare/ladder.h"
#include "compare/method.h"
#include "compare/pictures.h"
#include "compare/table.h"

void compare_on_point(void *user, const struct compare_result *r, unsigned point)
{
    const struct job *job = user;
    bool table = !job->o->json && !job->o->csv && r->spec->sweep.n == 0;

    if (!table && job->o->quiet)
        return;
    compare_table_head(r, point, table ? stdout : stderr);
    if (table)
        out_flush();
}

static void print_record(json_t *record)
{
    char *line = record_line(record);

    if (line != NULL)
        out_write(line, strlen(line));
    free(line);
}

void compare_on_round(void *user, const struct compare_result *r, const struct compare_round *round)
{
    const struct job *job = user;
    char name[COMPARE_LABEL_MAX];

    if (job->o->json) {
        print_record(compare_json_round(r, round));
        out_flush();
    }
    if (!job->o->verbose)
        return;
    compare_method_label(&r->spec->methods[round->method], round->congestion, name);
    fprintf(stderr, "%s, %s, round %u: %.3f s%s%s\n", name,
            round->direction == COMPARE_PUT ? "put" : "get", round->number, round->seconds,
            round->why[0] ? ": " : "", round->why);
}

static void show(const struct job *job, const struct compare_run *run)
{
    const struct compare_result *r = &run->result;
    char *text = NULL;
    size_t n = 0;
    FILE *f;

    if (job->o->json) {
        for (size_t i = 0; i < r->n_rows; i++)
            print_record(compare_json_summary(r, &r->rows[i]));
        return;
    }
    f = open_memstream(&text, &n);
    if (f == NULL)
        return;
    if (job->o->csv)
        compare_csv(r, f);
    else
        compare_table(r, output_is_utf8(), f);
    if (job->o->trace)
        for (size_t i = 0; i < run->n_ladders; i++) {
            fputc('\n', f);
            compare_ladder_text(&run->ladders[i], output_is_utf8(), f);
        }
    if (fclose(f) == 0)
        out_write(text, n);
    free(text);
}

int compare_tell_theory(const struct job *job)
{
    struct compare_result r = {.spec = &job->spec};

    compare_table_predicted(&r, stdout);
    return 0;
}

/* What is beside the table. False, told, where it could not be made. */
static bool draw(const struct job *job, const struct compare_run *run)
{
    const struct compare_pictures p = {.plot = job->o->plot,
                                       .report = job->o->report,
                                       .trace = job->o->trace,
                                       .ladders = run->ladders,
                                       .n = run->n_ladders};
    char why[COMPARE_WHY_MAX];
    bool ok = compare_pictures_draw(&p, &run->result, why);

    if (!ok)
        fprintf(stderr, "xfer: %s\n", why);
    return ok;
}

int compare_tell(const struct job *job, struct compare_run *run)
{
    if (run->result.n_rows > 0) {
        show(job, run);
        if (!draw(job, run) && run->status == 0)
            run->status = EXIT_LOCAL;
    }
    out_flush();
    if (run->why[0] != '\0')
        fprintf(stderr, "xfer: %s%s%s\n", run->why, run->remedy[0] ? "\nxfer: " : "", run->remedy);
    if (run->doubt[0] != '\0')
        fprintf(stderr, "xfer: warning: %s\n", run->doubt);
    if (signals_caught()) {
        fputs("xfer: interrupted: what was measured until then is above\n", stderr);
        return 128 + signals_caught();
    }
    return run->status;
}
