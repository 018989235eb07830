/* cmd.h - a command: one file exporting one const entry.
 *
 * To add one: cmd_x.c with its table of options and its `cmd_x`, a row in cmds[] (main.c), a line
 * in local.mk, a section in docs/xfer.1.
 */
#ifndef XFER_CLI_CMD_H
#define XFER_CLI_CMD_H

#include "cli/options.h"

#define EXIT_USAGE 2
#define EXIT_LOCAL 6

struct cmd {
    const char *name;
    const char *operands;    /* as the usage line has them */
    const char *summary;     /* one line for the list of commands */
    const char *const *more; /* further lines for its own help, NULL-terminated */
    const struct opt *const *tables;
    int (*run)(const struct cmd *self, int argc, char **argv); /* returns the exit status */
};

extern const struct cmd cmd_serve, cmd_put, cmd_get, cmd_ls, cmd_compare;

struct operands {
    const char *const *items;
    size_t n;
};

/* Parses a command's arguments into its struct. Returns -1 to go on, else the exit status: after
 * --help (printed) 0, after wrong usage (told) 2. */
int cmd_parse(const struct cmd *c, int argc, char **argv, void *dest, struct operands *operands);

/* "xfer NAME: ... (see 'xfer NAME --help')" on standard error; returns EXIT_USAGE. */
int cmd_wrong(const struct cmd *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "xfer: no memory"; returns EXIT_LOCAL. */
int cmd_no_memory(void);

void cmd_help(const struct cmd *c, FILE *f);

#endif
