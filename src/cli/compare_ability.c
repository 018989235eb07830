#include "config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/compare_ability.h"
#include "link/link.h"

static bool is_in_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[4096];

    while (path != NULL && *path != '\0') {
        size_t n = strcspn(path, ":");

        snprintf(file, sizeof file, "%.*s/%s", (int)n, path, program);
        if (access(file, X_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

int compare_ability(FILE *f)
{
    struct link_ability a;
    bool gnuplot = is_in_path("gnuplot");

    link_check(&a);
    if (a.way == LINK_NO_WAY)
        fprintf(f, "emulated link: no: %s\n  remedy: %s\n", a.problem.why, a.problem.remedy);
    else
        fprintf(f, "emulated link: yes, %s\n",
                a.way == LINK_BY_ROOT ? "as root" : "by a user namespace");
    fprintf(f, "congestion controls: %s\n",
            a.congestion_controls[0] ? a.congestion_controls : "not known");
    if (strstr(a.congestion_controls, "bbr") == NULL)
        fputs("  bbr: not loaded (try: sudo modprobe tcp_bbr)\n", f);
    fprintf(f, "plots: %s\n", gnuplot ? "yes, by gnuplot" : "no: gnuplot is not installed");
    return a.way == LINK_NO_WAY ? EXIT_LOCAL : 0;
}
