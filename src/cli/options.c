#include "config.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/escape.h"
#include "base/units.h"
#include "cli/options.h"

/* What getopt returns for long options starts here, above every short one. */
#define LONG_BASE 256
#define HELP_COLUMNS 80
#define HELP_INDENT 28

__attribute__((format(printf, 2, 3))) static enum opt_result wrong(char *why, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, OPT_WHY_MAX, fmt, ap);
    va_end(ap);
    return OPT_WRONG;
}

/* ---- tables ---- */

static const struct opt *row_at(const struct opt *const *tables, size_t index)
{
    for (; *tables != NULL; tables++)
        for (const struct opt *o = *tables; o->kind != OPT_END; o++)
            if (index-- == 0)
                return o;
    return NULL;
}

static const struct opt *row_of_letter(const struct opt *const *tables, int letter)
{
    const struct opt *o;

    for (size_t i = 0; (o = row_at(tables, i)) != NULL; i++)
        if (o->letter != 0 && o->letter == letter)
            return o;
    return NULL;
}

static size_t count_rows(const struct opt *const *tables)
{
    size_t n = 0;

    while (row_at(tables, n) != NULL)
        n++;
    return n;
}

/* The arrays that getopt_long wants. Caller frees both. */
static bool build(const struct opt *const *tables, bool in_order, struct option **longs,
                  char **shorts)
{
    size_t n = count_rows(tables);
    char *s;

    *longs = calloc(n + 1, sizeof **longs);
    *shorts = s = malloc(2 * n + 3);
    if (*longs == NULL || s == NULL)
        return false;
    if (in_order)
        *s++ = '+';
    *s++ = ':';
    for (size_t i = 0; i < n; i++) {
        const struct opt *o = row_at(tables, i);
        int has_arg = o->arg_optional  ? optional_argument
                      : o->arg != NULL ? required_argument
                                       : no_argument;

        (*longs)[i] = (struct option){o->name, has_arg, NULL, LONG_BASE + (int)i};
        if (o->letter != 0)
            *s++ = o->letter;
        if (o->letter != 0 && has_arg == required_argument)
            *s++ = ':';
    }
    *s = '\0';
    return true;
}

/* ---- values ---- */

static void *field(void *dest, const struct opt *o)
{
    return (char *)dest + o->offset;
}

static enum opt_result bad_value(const struct opt *o, const char *value, const char *wanted,
                                 char *why)
{
    char shown[128];

    return wrong(why, "--%s: '%s' is not %s", o->name,
                 escape_show(value, strlen(value), shown, sizeof shown), wanted);
}

static enum opt_result set_count(const struct opt *o, const char *value, void *dest, char *why)
{
    char wanted[64];
    uint64_t v;

    if (!parse_u64(value, strlen(value), o->max, &v) || v < o->min) {
        snprintf(wanted, sizeof wanted, "a number from %u to %u", o->min, o->max);
        return bad_value(o, value, wanted, why);
    }
    *(unsigned *)field(dest, o) = (unsigned)v;
    return OPT_OK;
}

static enum opt_result set_seconds(const struct opt *o, const char *value, void *dest, char *why)
{
    double v;

    if (!units_parse_seconds(value, &v) || !(v > 0))
        return bad_value(o, value, "a time such as 30, 0.5, 200ms, 2m or 1h", why);
    *(double *)field(dest, o) = v;
    return OPT_OK;
}

static enum opt_result set_rate(const struct opt *o, const char *value, void *dest, char *why)
{
    uint64_t v;

    if (!units_parse_rate(value, &v))
        return bad_value(o, value, "a rate such as 500K, 2M (bytes a second) or 100mbit", why);
    *(uint64_t *)field(dest, o) = v;
    return OPT_OK;
}

static enum opt_result set_text(const struct opt *o, const char *value, void *dest, char *why)
{
    if (value[0] == '\0')
        return wrong(why, "--%s: needs a value that is not empty", o->name);
    *(const char **)field(dest, o) = value;
    return OPT_OK;
}

static enum opt_result set_choice(const struct opt *o, const char *value, void *dest, char *why)
{
    size_t n = value != NULL ? strlen(value) : strcspn(o->arg, "|");
    struct rbuf words = rbuf_init(o->arg, strlen(o->arg));
    const char *word, *wanted = value != NULL ? value : o->arg;
    size_t word_len;
    char list[64];

    for (int i = (int)o->min; rbuf_token(&words, '|', &word, &word_len); i++)
        if (word_len == n && memcmp(word, wanted, n) == 0) {
            *(int *)field(dest, o) = i;
            return OPT_OK;
        }
    snprintf(list, sizeof list, "one of %s", o->arg);
    return bad_value(o, wanted, list, why);
}

static enum opt_result add_text(const struct opt *o, const char *value, void *dest, char *why)
{
    struct text_list *l = field(dest, o);
    const char **grown;

    if (value[0] == '\0')
        return wrong(why, "--%s: needs a value that is not empty", o->name);
    grown = realloc(l->items, (l->n + 1) * sizeof *grown);
    if (grown == NULL)
        return OPT_NOMEM;
    grown[l->n++] = value;
    l->items = grown;
    return OPT_OK;
}

static enum opt_result add_filter(const struct opt *o, const char *value, void *dest, char *why)
{
    struct filter_list *l = field(dest, o);
    struct xfer_filter *grown;

    if (value[0] == '\0')
        return wrong(why, "--%s: needs a pattern that is not empty", o->name);
    grown = realloc(l->items, (l->n + 1) * sizeof *grown);
    if (grown == NULL)
        return OPT_NOMEM;
    grown[l->n++] = (struct xfer_filter){.exclude = o->kind == OPT_EXCLUDE, .glob = value};
    l->items = grown;
    return OPT_OK;
}

static enum opt_result set(const struct opt *o, const char *value, void *dest, char *why)
{
    switch (o->kind) {
    case OPT_FLAG:
        *(bool *)field(dest, o) = true;
        return OPT_OK;
    case OPT_COUNT:
        return set_count(o, value, dest, why);
    case OPT_SECONDS:
        return set_seconds(o, value, dest, why);
    case OPT_RATE:
        return set_rate(o, value, dest, why);
    case OPT_TEXT:
        return set_text(o, value, dest, why);
    case OPT_TEXTS:
        return add_text(o, value, dest, why);
    case OPT_CHOICE:
        return set_choice(o, value, dest, why);
    case OPT_INCLUDE:
    case OPT_EXCLUDE:
        return add_filter(o, value, dest, why);
    case OPT_HELP:
    case OPT_END:
        break;
    }
    return OPT_HELP_ASKED;
}

/* ---- what getopt rejects ---- */

/* Appends every long name that begins with the n bytes at s: ", --a, --b". Returns how many. */
static unsigned candidates(const struct opt *const *tables, const char *s, size_t n,
                           struct wbuf *list)
{
    const struct opt *o;
    unsigned found = 0;

    for (size_t i = 0; (o = row_at(tables, i)) != NULL; i++) {
        if (strncmp(o->name, s, n) != 0)
            continue;
        wbuf_str(list, found++ > 0 ? ", --" : "--");
        wbuf_str(list, o->name);
    }
    return found;
}

static enum opt_result unknown(const struct opt *const *tables, const char *word, char *why)
{
    char list[256] = "", shown[128];
    struct wbuf w = wbuf_init(list, sizeof list - 1);
    const struct opt *o = optopt >= LONG_BASE ? row_at(tables, (size_t)(optopt - LONG_BASE)) : NULL;
    size_t n = strcspn(word, "=");

    if (o != NULL)
        return wrong(why, "option '--%s' takes no value", o->name);
    if (optopt != 0) {
        char letter = (char)optopt;

        return wrong(why, "unknown option '-%s'", escape_show(&letter, 1, shown, sizeof shown));
    }
    escape_show(word, n, shown, sizeof shown);
    if (n > 2 && candidates(tables, word + 2, n - 2, &w) > 1)
        return wrong(why, "option '%s' could be %.*s", shown, (int)w.len, list);
    return wrong(why, "unknown option '%s'", shown);
}

static enum opt_result missing(const struct opt *const *tables, char *why)
{
    const struct opt *o = optopt >= LONG_BASE ? row_at(tables, (size_t)(optopt - LONG_BASE))
                                              : row_of_letter(tables, optopt);

    if (optopt >= LONG_BASE)
        return wrong(why, "option '--%s' needs a value: %s", o->name, o->arg);
    return wrong(why, "option '-%c' needs a value: %s", optopt, o->arg);
}

enum opt_result options_parse(const struct opt *const *tables, bool in_order, int argc, char **argv,
                              void *dest, int *first, char why[OPT_WHY_MAX])
{
    enum opt_result r = OPT_OK;
    struct option *longs = NULL;
    char *shorts = NULL;
    int c;

    if (!build(tables, in_order, &longs, &shorts))
        r = OPT_NOMEM;
    opterr = 0;
    optind = 0; /* GNU: begin anew, forgetting an earlier parse */
    while (r == OPT_OK && (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct opt *o =
            c >= LONG_BASE ? row_at(tables, (size_t)(c - LONG_BASE)) : row_of_letter(tables, c);

        if (c == '?')
            r = unknown(tables, argv[optind - 1], why);
        else if (c == ':')
            r = missing(tables, why);
        else
            r = set(o, optarg, dest, why);
    }
    *first = optind;
    free(longs);
    free(shorts);
    return r;
}

/* ---- help ---- */

/* Prints text from column `at` on, broken between words, further lines indented. */
static void print_wrapped(const char *text, size_t at, FILE *f)
{
    size_t column = at;

    while (*text != '\0') {
        size_t n = strcspn(text, " ");

        if (column > HELP_INDENT && column + 1 + n > HELP_COLUMNS) {
            fprintf(f, "\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        } else if (column > HELP_INDENT) {
            fputc(' ', f);
            column++;
        }
        fwrite(text, 1, n, f);
        column += n;
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', f);
}

static void print_row(const struct opt *o, FILE *f)
{
    char left[80];
    int n = o->letter != 0 ? snprintf(left, sizeof left, "  -%c, --%s", o->letter, o->name)
                           : snprintf(left, sizeof left, "      --%s", o->name);

    if (o->arg != NULL)
        n += snprintf(left + n, sizeof left - (size_t)n, o->arg_optional ? "[=%s]" : " %s", o->arg);
    fputs(left, f);
    if (n > HELP_INDENT - 2)
        fprintf(f, "\n%*s", HELP_INDENT, "");
    else
        fprintf(f, "%*s", HELP_INDENT - n, "");
    print_wrapped(o->help, HELP_INDENT, f);
}

void options_help(const struct opt *const *tables, FILE *f)
{
    const struct opt *o;

    for (size_t i = 0; (o = row_at(tables, i)) != NULL; i++)
        print_row(o, f);
}
