#include "config.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "cli/cmd.h"
#include "cli/out.h"

static const struct cmd *const cmds[] = {&cmd_serve, &cmd_put, &cmd_get, &cmd_ls, &cmd_compare};

#define N_CMDS (sizeof cmds / sizeof *cmds)

struct main_options {
    bool version;
};

static const struct opt main_rows[] = {
    {.name = "help", .kind = OPT_HELP, .help = "print this help and exit"},
    {.name = "version",
     .kind = OPT_FLAG,
     .offset = offsetof(struct main_options, version),
     .help = "print the version and exit"},
    {.kind = OPT_END}};

static const struct opt *const main_tables[] = {main_rows, NULL};

static const struct cmd *find_cmd(const char *name)
{
    for (size_t i = 0; i < N_CMDS; i++)
        if (strcmp(cmds[i]->name, name) == 0)
            return cmds[i];
    return NULL;
}

static int print_help(void)
{
    puts("Usage: xfer COMMAND [OPTION]...\n"
         "Moves files between machines and proves that they arrived, by SHA-256.\n"
         "\nCommands:");
    for (size_t i = 0; i < N_CMDS; i++)
        printf("  %-10s%s\n", cmds[i]->name, cmds[i]->summary);
    puts("  help      Tell about a command: xfer help COMMAND\n\nOptions:");
    options_help(main_tables, stdout);
    puts("\nA remote is HOST:[PORT]/PATH, as in nas:/a, 10.0.0.7:7070/d/ or [::1]:/a;\n"
         "all else is a local path, and - is standard input or output.\n"
         "'xfer COMMAND --help' lists a command's options; xfer(1) is the manual.");
    return 0;
}

static int wrong(const char *what, const char *word)
{
    char shown[128];

    fprintf(stderr, "xfer: %s '%s' (see 'xfer --help')\n", what,
            escape_show(word, strlen(word), shown, sizeof shown));
    return EXIT_USAGE;
}

static int help(int argc, char **argv)
{
    const struct cmd *c;

    if (argc < 2 || strcmp(argv[1], "--help") == 0)
        return print_help();
    c = find_cmd(argv[1]);
    if (c == NULL)
        return wrong("unknown command", argv[1]);
    cmd_help(c, stdout);
    return 0;
}

static int dispatch(int argc, char **argv)
{
    struct main_options o = {0};
    char why[OPT_WHY_MAX];
    const struct cmd *c;
    int first = 1;

    switch (options_parse(main_tables, true, argc, argv, &o, &first, why)) {
    case OPT_OK:
        break;
    case OPT_HELP_ASKED:
        return print_help();
    case OPT_WRONG:
        fprintf(stderr, "xfer: %s (see 'xfer --help')\n", why);
        return EXIT_USAGE;
    case OPT_NOMEM:
        return cmd_no_memory();
    }
    if (o.version) {
        printf("xfer %s\n", xfer_version());
        return 0;
    }
    if (first == argc) {
        fputs("xfer: no command given (see 'xfer --help')\n", stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[first], "help") == 0)
        return help(argc - first, argv + first);
    c = find_cmd(argv[first]);
    return c != NULL ? c->run(c, argc - first, argv + first)
                     : wrong("unknown command", argv[first]);
}

/* A socket or file must never get the number of a standard stream that the caller closed. Each is
 * opened the wrong way round, so that using it fails as it would have. */
static bool keep_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    if (!keep_standard_streams())
        return EXIT_LOCAL;
    signal(SIGPIPE, SIG_IGN);
    setlocale(LC_CTYPE, "");
    return out_close(dispatch(argc, argv));
}
