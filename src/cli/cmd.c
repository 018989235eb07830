#include "config.h"

#include <stdarg.h>

#include "cli/cmd.h"

int cmd_wrong(const struct cmd *c, const char *fmt, ...)
{
    char why[2 * OPT_WHY_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    fprintf(stderr, "xfer %s: %s (see 'xfer %s --help')\n", c->name, why, c->name);
    return EXIT_USAGE;
}

int cmd_no_memory(void)
{
    fputs("xfer: out of memory\n", stderr);
    return EXIT_LOCAL;
}

void cmd_help(const struct cmd *c, FILE *f)
{
    fprintf(f, "Usage: xfer %s [OPTION]... %s\n%s\n\n", c->name, c->operands, c->summary);
    options_help(c->tables, f);
    if (c->more != NULL)
        fputc('\n', f);
    for (const char *const *line = c->more; line != NULL && *line != NULL; line++)
        fprintf(f, "%s\n", *line);
}

int cmd_parse(const struct cmd *c, int argc, char **argv, void *dest, struct operands *operands)
{
    char why[OPT_WHY_MAX];
    int first;

    switch (options_parse(c->tables, false, argc, argv, dest, &first, why)) {
    case OPT_OK:
        break;
    case OPT_HELP_ASKED:
        cmd_help(c, stdout);
        return 0;
    case OPT_WRONG:
        return cmd_wrong(c, "%s", why);
    case OPT_NOMEM:
        return cmd_no_memory();
    }
    operands->items = (const char *const *)argv + first;
    operands->n = (size_t)(argc - first);
    for (size_t i = 0; i < operands->n; i++)
        if (operands->items[i][0] == '\0')
            return cmd_wrong(c, "a name is empty");
    return -1;
}
