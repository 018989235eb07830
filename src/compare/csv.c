#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "compare/csv.h"
#include "compare/method.h"

static void put_field(const char *s, FILE *f)
{
    if (s[strcspn(s, "\",\r\n")] == '\0') {
        fprintf(f, "%s,", s);
        return;
    }
    fputc('"', f);
    for (; *s != '\0'; s++) {
        if (*s == '"')
            fputc('"', f);
        fputc(*s, f);
    }
    fputs("\",", f);
}

/* Words of a peer may look like a formula, which a spreadsheet would work out. */
static void put_words(const char *s, FILE *f)
{
    char text[COMPARE_WHY_MAX + 1];

    snprintf(text, sizeof text, "%s%s", *s != '\0' && strchr("=+-@", *s) != NULL ? "'" : "", s);
    put_field(text, f);
}

static void put_real(double v, bool known, FILE *f)
{
    if (known && isfinite(v))
        fprintf(f, "%.9g", v);
    fputc(',', f);
}

static void put_count(uint64_t v, bool known, FILE *f)
{
    if (known)
        fprintf(f, "%" PRIu64, v);
    fputc(',', f);
}

static void put_row(const struct compare_result *r, const struct compare_row *row, FILE *f)
{
    static const char *const outcomes[] = {"done", "failed", "refused", "unfinished"};
    const struct compare_sweep *sweep = &r->spec->sweep;
    bool done = row->state == COMPARE_DONE;
    char name[COMPARE_LABEL_MAX];

    compare_method_name(&r->spec->methods[row->method], name);
    put_field(name, f);
    put_field(row->label, f);
    put_field(row->direction == COMPARE_PUT ? "put" : "get", f);
    put_field(sweep->key, f);
    put_field(sweep->n > 0 ? sweep->values[row->point] : "", f);
    put_field(outcomes[row->state], f);
    put_words(row->why, f);
    put_count(row->rounds, true, f);
    put_count(row->failed, true, f);
    put_count(row->doubtful, true, f);
    put_count(row->bytes, true, f);
    put_count(row->size, true, f);
    put_real(row->median, done, f);
    put_real(row->min, done, f);
    put_real(row->max, done, f);
    put_real(row->theory, true, f);
    put_real(row->bits_per_second, done, f);
    put_real(row->share, done && row->share > 0, f);
    put_real(row->ratio, done, f);
    put_real(row->cpu_seconds, !row->untold, f);
    put_count(row->packets, row->counted, f);
    put_count(row->wire_bytes, row->counted, f);
    put_count(row->dropped_loss, row->counted, f);
    put_count(row->dropped_queue, row->counted, f);
    put_count(row->timeouts, !row->untold, f);
    if (!row->untold && !row->resent_unknown)
        fprintf(f, "%" PRIu64, row->retransmits);
    fputs("\r\n", f);
}

void compare_csv(const struct compare_result *r, FILE *f)
{
    fputs("method,label,direction,sweep_key,sweep_value,outcome,message,rounds,rounds_failed,"
          "rounds_doubtful,bytes,size_bytes,median_seconds,min_seconds,max_seconds,theory_seconds,"
          "bits_per_second,"
          "link_share,ratio,cpu_seconds,packets,wire_bytes,dropped_loss,dropped_queue,timeouts,"
          "retransmits\r\n",
          f);
    for (size_t i = 0; i < r->n_rows; i++)
        put_row(r, &r->rows[i], f);
}
