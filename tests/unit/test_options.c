#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/transfer.h"

static const struct cmd *const cmds[] = {&cmd_serve, &cmd_put, &cmd_get, &cmd_ls};

#define N_CMDS (sizeof cmds / sizeof *cmds)

/* Any command's struct fits in here. */
union dest {
    max_align_t align;
    unsigned char bytes[1024];
};

static enum opt_result parse1(const struct opt *const *tables, union dest *d, const char *word,
                              char why[OPT_WHY_MAX])
{
    static char program[] = "xfer", copy[256]; /* the struct points into it afterwards */
    char *argv[] = {program, copy, NULL};
    int first;

    snprintf(copy, sizeof copy, "%s", word);
    memset(d, 0, sizeof *d);
    return options_parse(tables, false, 2, argv, d, &first, why);
}

static const char *last_word(const struct opt *o)
{
    const char *bar = strrchr(o->arg, '|');

    return bar != NULL ? bar + 1 : o->arg;
}

static const char *sample(const struct opt *o)
{
    switch (o->kind) {
    case OPT_COUNT:
        return "9";
    case OPT_SECONDS:
        return "1.5";
    case OPT_RATE:
        return "2M";
    case OPT_CHOICE:
        return last_word(o);
    default:
        return "some text";
    }
}

static int words_in(const char *arg)
{
    int n = 1;

    for (; *arg != '\0'; arg++)
        n += *arg == '|';
    return n;
}

static void expect_set(const struct cmd *c, const struct opt *o, union dest *d)
{
    void *field = d->bytes + o->offset;

    switch (o->kind) {
    case OPT_FLAG:
        cr_expect(*(bool *)field, "%s --%s", c->name, o->name);
        break;
    case OPT_COUNT:
        cr_expect_eq(*(unsigned *)field, 9, "%s --%s", c->name, o->name);
        break;
    case OPT_SECONDS:
        cr_expect_eq(*(double *)field, 1.5, "%s --%s", c->name, o->name);
        break;
    case OPT_RATE:
        cr_expect_eq(*(uint64_t *)field, 2 << 20, "%s --%s", c->name, o->name);
        break;
    case OPT_TEXT:
        cr_expect_str_eq(*(const char **)field, "some text", "%s --%s", c->name, o->name);
        break;
    case OPT_TEXTS:
        cr_expect_eq(((struct text_list *)field)->n, 1);
        cr_expect_str_eq(((struct text_list *)field)->items[0], "some text");
        free(((struct text_list *)field)->items);
        break;
    case OPT_CHOICE:
        cr_expect_eq(*(int *)field, (int)o->min + words_in(o->arg) - 1, "%s --%s", c->name,
                     o->name);
        break;
    case OPT_INCLUDE:
    case OPT_EXCLUDE:
        cr_expect_eq(((struct filter_list *)field)->n, 1);
        cr_expect_eq(((struct filter_list *)field)->items[0].exclude, o->kind == OPT_EXCLUDE);
        free(((struct filter_list *)field)->items);
        break;
    case OPT_HELP:
    case OPT_END:
        break;
    }
}

static void try_long(const struct cmd *c, const struct opt *o)
{
    char word[256], why[OPT_WHY_MAX] = "";
    union dest d;
    enum opt_result r;

    snprintf(word, sizeof word, "--%s%s%s", o->name, o->arg != NULL ? "=" : "",
             o->arg != NULL ? sample(o) : "");
    r = parse1(c->tables, &d, word, why);
    cr_assert_eq(r, o->kind == OPT_HELP ? OPT_HELP_ASKED : OPT_OK, "%s %s: %s", c->name, word, why);
    expect_set(c, o, &d);
}

static void try_short(const struct cmd *c, const struct opt *o)
{
    char word[256], why[OPT_WHY_MAX] = "";
    union dest d;

    if (o->letter == 0)
        return;
    snprintf(word, sizeof word, "-%c%s", o->letter,
             o->arg != NULL && !o->arg_optional ? sample(o) : "");
    cr_assert_eq(parse1(c->tables, &d, word, why), OPT_OK, "%s %s: %s", c->name, word, why);
    if (o->arg_optional)
        cr_expect_eq(*(int *)(d.bytes + o->offset), (int)o->min, "%s %s", c->name, word);
    else
        expect_set(c, o, &d);
}

Test(options, every_row_is_reached_by_its_names)
{
    for (size_t i = 0; i < N_CMDS; i++)
        for (const struct opt *const *t = cmds[i]->tables; *t != NULL; t++)
            for (const struct opt *o = *t; o->kind != OPT_END; o++) {
                try_long(cmds[i], o);
                try_short(cmds[i], o);
            }
}

Test(options, no_two_rows_share_a_name)
{
    for (size_t i = 0; i < N_CMDS; i++) {
        const struct opt *seen[64];
        size_t n = 0;

        for (const struct opt *const *t = cmds[i]->tables; *t != NULL; t++)
            for (const struct opt *o = *t; o->kind != OPT_END; o++)
                seen[n++] = o;
        for (size_t a = 0; a < n; a++)
            for (size_t b = 0; b < a; b++) {
                cr_expect_str_neq(seen[a]->name, seen[b]->name);
                cr_expect(seen[a]->letter == 0 || seen[a]->letter != seen[b]->letter,
                          "%s: two of -%c", cmds[i]->name, seen[a]->letter);
            }
    }
}

Test(options, what_is_wrong_is_said)
{
    static const struct {
        const char *word, *why;
    } t[] = {
        {"--nope", "unknown option '--nope'"},
        {"--nope=3", "unknown option '--nope'"},
        {"--\033[31m", "unknown option '--\\x1b[31m'"},
        {"-Z", "unknown option '-Z'"},
        {"-\xff", "unknown option '-\\xff'"},
        {"--re", "option '--re' could be --recursive, --remember, --require-verified, "
         "--retries"},
        {"--json=yes", "option '--json' takes no value"},
        {"--retries", "option '--retries' needs a value: N"},
        {"-j", "option '-j' needs a value: N"},
        {"-j0", "--jobs: '0' is not a number from 1 to 64"},
        {"-j65", "--jobs: '65' is not a number from 1 to 64"},
        {"-j-1", "--jobs: '-1' is not a number from 1 to 64"},
        {"-j2x", "--jobs: '2x' is not a number from 1 to 64"},
        {"-j99999999999999999999", "--jobs: '99999999999999999999' is not a number from 1 to 64"},
        {"--timeout=0", "--timeout: '0' is not a time such as 30, 0.5, 200ms, 2m or 1h"},
        {"--timeout=-1", "--timeout: '-1' is not a time such as 30, 0.5, 200ms, 2m or 1h"},
        {"--timeout=nan", "--timeout: 'nan' is not a time such as 30, 0.5, 200ms, 2m or 1h"},
        {"--limit-rate=0",
         "--limit-rate: '0' is not a rate such as 500K, 2M (bytes a second) or 100mbit"},
        {"--sync=maybe", "--sync: 'maybe' is not one of none|file|batch"},
        {"--sync=none|file", "--sync: 'none|file' is not one of none|file|batch"},
        {"--sync=", "--sync: '' is not one of none|file|batch"},
        {"--update=", "--update: '' is not one of times|digest"},
        {"--bind=", "--bind: needs a value that is not empty"},
        {"--exclude=", "--exclude: needs a pattern that is not empty"},
    };

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char why[OPT_WHY_MAX] = "";
        union dest d;

        cr_expect_eq(parse1(cmd_get.tables, &d, t[i].word, why), OPT_WRONG, "%s", t[i].word);
        cr_expect_str_eq(why, t[i].why, "%s: %s", t[i].word, why);
    }
}

/* A command line of `get`, kept while its options are looked at. */
struct words {
    char text[256];
    char *argv[16];
    int argc, first;
};

/* Parses the words of a line, parted by spaces. Returns how many operands are left. */
static int parse_get(struct transfer_options *o, struct words *w, const char *line)
{
    char why[OPT_WHY_MAX] = "", *save = NULL;

    snprintf(w->text, sizeof w->text, "get %s", line);
    w->argc = 0;
    for (char *s = strtok_r(w->text, " ", &save); s != NULL; s = strtok_r(NULL, " ", &save))
        w->argv[w->argc++] = s;
    w->argv[w->argc] = NULL;
    cr_assert_eq(options_parse(cmd_get.tables, false, w->argc, w->argv, o, &w->first, why), OPT_OK,
                 "%s", why);
    return w->argc - w->first;
}

Test(options, stand_anywhere_and_end_at_two_dashes)
{
    struct transfer_options o = TRANSFER_OPTIONS_DEFAULTS;
    struct words w;

    cr_assert_eq(parse_get(&o, &w, "nas:/a -r - -- -v"), 3);
    cr_expect_str_eq(w.argv[w.first], "nas:/a");
    cr_expect_str_eq(w.argv[w.first + 1], "-");
    cr_expect_str_eq(w.argv[w.first + 2], "-v");
    cr_expect(o.recursive);
    cr_expect_not(o.client.verbose);
}

Test(options, short_update_takes_no_value)
{
    struct transfer_options o = TRANSFER_OPTIONS_DEFAULTS;
    struct words w;

    cr_assert_eq(parse_get(&o, &w, "-ur digest"), 1);
    cr_expect_eq(o.update, XFER_UPDATE_TIMES);
    cr_expect(o.recursive);
    cr_assert_eq(parse_get(&o, &w, "--update digest"), 1);
    cr_expect_eq(o.update, XFER_UPDATE_TIMES);
    cr_assert_eq(parse_get(&o, &w, "--upd=digest"), 0);
    cr_expect_eq(o.update, XFER_UPDATE_DIGEST);
}

Test(options, filters_keep_their_order)
{
    struct transfer_options o = TRANSFER_OPTIONS_DEFAULTS;
    struct words w;

    parse_get(&o, &w, "--include *.c --exclude=* --include=x");
    cr_assert_eq(o.filters.n, 3);
    cr_expect_str_eq(o.filters.items[0].glob, "*.c");
    cr_expect_not(o.filters.items[0].exclude);
    cr_expect_str_eq(o.filters.items[1].glob, "*");
    cr_expect(o.filters.items[1].exclude);
    cr_expect_str_eq(o.filters.items[2].glob, "x");
    transfer_options_free(&o);
}

Test(options, defaults_stay_when_nothing_is_given)
{
    struct transfer_options o = TRANSFER_OPTIONS_DEFAULTS;
    struct words w;

    parse_get(&o, &w, "nas:/a");
    cr_expect_eq(o.client.timeout, 30);
    cr_expect_eq(o.client.retries, 5);
    cr_expect_eq(o.client.max_time, 0);
    cr_expect_eq(o.jobs, 1);
    cr_expect_eq(o.update, XFER_UPDATE_ALL);
    cr_expect_eq(o.sync, XFER_SYNC_NONE);
}

static char *help_of(const struct cmd *c)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    cmd_help(c, f);
    fclose(f);
    return text;
}

Test(options, help_fits_80_columns_and_names_every_option)
{
    for (size_t i = 0; i < N_CMDS; i++) {
        char *text = help_of(cmds[i]), name[64];

        for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
            cr_expect(strcspn(line, "\n") <= 80, "%s: %.100s", cmds[i]->name, line);
        for (const struct opt *const *t = cmds[i]->tables; *t != NULL; t++)
            for (const struct opt *o = *t; o->kind != OPT_END; o++) {
                snprintf(name, sizeof name, "--%s", o->name);
                cr_expect(strstr(text, name) != NULL, "%s: %s", cmds[i]->name, name);
            }
        free(text);
    }
}
