#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/escape.h"
#include "base/units.h"
#include "cli/compare_job.h"
#include "cli/out.h"
#include "cli/output.h"
#include "cli/records.h"
#include "cli/signals.h"
#include "compare/csv.h"
#include "compare/json.h"
#include "compare/ladder.h"
#include "compare/method.h"
#include "compare/table.h"

void compare_on_point(void *user, const struct compare_result *r, unsigned point)
{
    struct job *job = user;
    bool table = !job->o->json && !job->o->csv && r->spec->sweep.n == 0;

    if (!table && job->o->quiet)
        return;
    progress_clear(&job->progress);
    compare_table_head(r, point, table ? stdout : stderr);
    if (table)
        out_flush();
}

static void print_record(struct job *job, json_t *record)
{
    char *line = record_line(record);

    if (line == NULL)
        job->output_status = cmd_no_memory();
    else
        out_write(line, strlen(line));
    free(line);
}

void compare_on_round(void *user, const struct compare_result *r, const struct compare_round *round)
{
    struct job *job = user;
    char name[COMPARE_LABEL_MAX];

    progress_clear(&job->progress);
    if (job->o->json) {
        print_record(job, compare_json_round(r, round));
        out_flush();
    }
    if (!job->o->verbose)
        return;
    compare_method_label(&r->spec->methods[round->method], round->congestion, name);
    fprintf(stderr, "%s, %s, round %u: %.3f s%s%s\n", name,
            round->direction == COMPARE_PUT ? "put" : "get", round->number, round->seconds,
            round->why[0] ? ": " : "", round->why);
}

/* A reader who has seen enough ends the whole, as a signal does. */
void compare_on_tick(void *user, const struct compare_run *run)
{
    struct job *job = user;
    double left = run->ready_at - process_now();
    char line[sizeof run->doing + 64], time[32];

    if (out_is_closed())
        xfer_stop_raise(run->stop);
    if (run->ready_at > 0 && left >= 1)
        snprintf(line, sizeof line, "%s, about %s left", run->doing,
                 units_time(left, time, sizeof time));
    else
        snprintf(line, sizeof line, "%s", run->doing);
    progress_say(&job->progress, line);
}

/* ---- files ---- */

static int not_a_file(const char *name, int err)
{
    char shown[256];

    fprintf(stderr, "xfer: %s: %s\n", escape_show(name, strlen(name), shown, sizeof shown),
            strerror(-err));
    return EXIT_LOCAL;
}

static bool is_file(const struct outfile *o, const char *file)
{
    struct stat a, b;

    return o->name != NULL && file != NULL && !o->in_place && stat(o->path, &a) == 0 &&
           stat(file, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int check_files(const struct cmd *c, const struct job *job)
{
    const struct compare_pictures *p = &job->pictures;
    const struct outfile *all[3 + COMPARE_METHODS_MAX] = {&job->pcap, &p->plot, &p->report};
    size_t n = 3;

    for (size_t i = 0; i < p->n_ladders; i++)
        all[n++] = &p->ladders[i].file;
    for (size_t i = 0; i < n; i++) {
        if (is_file(all[i], job->file))
            return cmd_wrong(c, "the file to move would be replaced by its own comparison");
        for (size_t k = 0; k < i; k++)
            if (outfile_same(all[i], all[k]))
                return cmd_wrong(c, "--pcap, --plot%s and --report need files of their own",
                                 p->n_ladders > 0 ? ", its ladders (-trace-1.svg, ...)" : "");
    }
    return -1;
}

int compare_open_files(const struct cmd *c, struct job *job)
{
    char why[COMPARE_WHY_MAX];
    int status, err = outfile_open(&job->pcap, job->o->pcap);

    if (err < 0)
        return not_a_file(job->o->pcap, err);
    if (!compare_pictures_open(&job->pictures, job->o->plot, job->o->report,
                               job->o->trace ? job->spec.n : 0, why)) {
        fprintf(stderr, "xfer: %s\n", why);
        outfile_drop(&job->pcap);
        return EXIT_LOCAL;
    }
    status = check_files(c, job);
    if (status >= 0)
        compare_drop_files(job);
    return status;
}

void compare_drop_files(struct job *job)
{
    outfile_drop(&job->pcap);
    compare_pictures_drop(&job->pictures);
}

/* ---- afterwards ---- */

static void show_text(const struct job *job, const struct compare_run *run, FILE *f)
{
    const struct compare_result *r = &run->result;

    if (job->o->csv)
        compare_csv(r, f);
    else
        compare_table(r, output_is_utf8(), f);
    if (!job->o->csv && job->o->verbose)
        compare_table_counts(r, f);
    for (size_t i = 0; i < run->n_ladders && job->o->trace; i++) {
        fputc('\n', f);
        compare_ladder_text(&run->ladders[i], output_is_utf8(), f);
    }
}

static void show(struct job *job, const struct compare_run *run)
{
    const struct compare_result *r = &run->result;
    char *text = NULL;
    size_t n = 0;
    FILE *f;

    if (job->o->json) {
        for (size_t i = 0; i < r->n_rows; i++)
            print_record(job, compare_json_summary(r, &r->rows[i]));
        return;
    }
    f = open_memstream(&text, &n);
    if (f != NULL)
        show_text(job, run, f);
    if (f == NULL || fclose(f) != 0)
        job->output_status = cmd_no_memory();
    else
        out_write(text, n);
    free(text);
}

int compare_tell_theory(const struct job *job)
{
    struct compare_spec s = job->spec;
    struct compare_result r = {.spec = &s};

    /* What a run would use: theory differs from one to the other. */
    for (size_t i = 0; i < s.n; i++)
        if (s.methods[i].transport == COMPARE_TCP && s.methods[i].congestion[0] == '\0')
            compare_default_congestion(s.methods[i].congestion);
    compare_table_predicted(&r, stdout);
    return 0;
}

/* What is beside the table. False, told, where it could not be made. */
static bool draw(struct job *job, const struct compare_run *run)
{
    struct watch watch = {.stop = run->stop};
    char why[COMPARE_WHY_MAX];
    int err = run->capture_err < 0 ? run->capture_err : outfile_commit(&job->pcap);
    bool ok = compare_pictures_draw(&job->pictures, &run->result, run->ladders, run->n_ladders,
                                    &watch, why);

    if (err < 0)
        not_a_file(job->o->pcap, err);
    if (!ok)
        fprintf(stderr, "xfer: %s\n", why);
    return ok && err == 0;
}

/* Nothing was done for want of time alone. */
static bool was_too_short(const struct compare_result *r)
{
    bool short_of = r->n_rows > 0;

    for (size_t i = 0; i < r->n_rows; i++)
        short_of = short_of && r->rows[i].state == COMPARE_UNFINISHED;
    return short_of && !signals_caught();
}

static void complain(const struct compare_run *run)
{
    if (was_too_short(&run->result))
        fprintf(stderr,
                "xfer: no transfer was done within --max-time %g: give it more, or ask --predict\n",
                run->spec->max_time);
    if (run->why[0] != '\0')
        fprintf(stderr, "xfer: %s%s%s\n", run->why, run->remedy[0] ? "\nxfer: " : "", run->remedy);
    if (run->no_link)
        fputs("xfer: without an emulated link: --link loopback, or --predict\n", stderr);
    if (run->doubt[0] != '\0')
        fprintf(stderr, "xfer: warning: %s\n", run->doubt);
    if (signals_caught() && run->result.n_rows > 0)
        fputs("xfer: interrupted: what was measured until then is above\n", stderr);
    else if (signals_caught())
        fputs("xfer: interrupted before anything was measured\n", stderr);
}

int compare_tell(struct job *job, struct compare_run *run)
{
    progress_clear(&job->progress);
    if (out_is_closed())
        return EXIT_CLOSED_PIPE;
    if (run->result.n_rows > 0) {
        show(job, run);
        out_flush();
        if ((!draw(job, run) || job->output_status != 0) && run->status == 0)
            run->status = EXIT_LOCAL;
    }
    complain(run);
    return signals_caught() ? 128 + signals_caught() : run->status;
}
