/* options.h - command-line options as data: tables of rows, handed to getopt_long.
 *
 * To add an option: a field in the command's struct and a row in its table; --help follows, and
 * docs/xfer.1 must (a test holds the two together).
 */
#ifndef XFER_CLI_OPTIONS_H
#define XFER_CLI_OPTIONS_H

#include <stdio.h>

#include "xfer.h"

enum opt_kind {
    OPT_END,     /* closes a table */
    OPT_FLAG,    /* bool */
    OPT_COUNT,   /* unsigned, from min to max */
    OPT_SECONDS, /* double, more than 0 */
    OPT_RATE,    /* uint64_t, bytes a second */
    OPT_TEXT,    /* const char *, not empty */
    OPT_TEXTS,   /* struct text_list: may be given again */
    OPT_CHOICE,  /* int: which word of arg, "a|b|c", counted from min */
    OPT_INCLUDE, /* struct filter_list: may be given again, order counts */
    OPT_EXCLUDE,
    OPT_HELP
};

struct opt {
    const char *name;  /* long form */
    char letter;       /* short form, 0: none */
    const char *arg;   /* name of the argument, NULL: takes none */
    bool arg_optional; /* as in --write[=new]; the short form then takes none. OPT_CHOICE only: the
                          first word where it is left out */
    enum opt_kind kind;
    size_t offset; /* of the field in the command's struct */
    unsigned min, max;
    const char *help;
};

struct text_list {
    const char **items;
    size_t n;
};

struct filter_list {
    struct xfer_filter *items;
    size_t n;
};

/* What options_parse found. */
enum opt_result {
    OPT_OK,
    OPT_HELP_ASKED,
    OPT_WRONG, /* `why` says what, in one line */
    OPT_NOMEM
};

#define OPT_WHY_MAX 512

/* Parses argv[1..argc) by the rows of `tables` (NULL-terminated) into the struct at dest, moving
 * the operands to the end as getopt does (with in_order: up to the first operand only). *first is
 * the index of the first operand. Lists in dest are the caller's to free. Not thread-safe: getopt
 * is not. */
enum opt_result options_parse(const struct opt *const *tables, bool in_order, int argc, char **argv,
                              void *dest, int *first, char why[OPT_WHY_MAX]);

/* The rows as help text, no line over 80 columns. */
void options_help(const struct opt *const *tables, FILE *f);

#endif
