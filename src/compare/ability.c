#include "config.h"

#include <string.h>

#include "compare/ability.h"
#include "compare/plot.h"
#include "link/link.h"

bool compare_ability(FILE *f)
{
    struct link_ability a;
    char why[COMPARE_WHY_MAX];

    link_check(&a);
    if (a.way == LINK_NO_WAY)
        fprintf(f,
                "emulated link: no: %s\n  remedy: %s\n"
                "  without it: --link loopback, --predict, or a server elsewhere\n",
                a.problem.why, a.problem.remedy);
    else
        fprintf(f, "emulated link: yes, %s\n",
                a.way == LINK_BY_ROOT ? "as root" : "by a user namespace");
    fprintf(f, "congestion controls: %s\n",
            a.congestion_controls[0] ? a.congestion_controls : "not known");
    if (strstr(a.congestion_controls, "bbr") == NULL)
        fputs("  bbr: not loaded (try: sudo modprobe tcp_bbr)\n", f);
    fprintf(f, "plots: %s\n", compare_plot_possible(why) ? "yes, by gnuplot" : why);
    fprintf(f, "captures and ladders: %s\n",
            a.way != LINK_NO_WAY ? "yes, of the emulated link"
                                 : "no, they are of the emulated link");
    return a.way != LINK_NO_WAY;
}
