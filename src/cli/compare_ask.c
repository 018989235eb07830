#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/remote.h"
#include "cli/client.h"
#include "cli/compare_job.h"
#include "cli/signals.h"
#include "compare/link.h"
#include "compare/plot.h"
#include "compare/spec.h"

/* ---- what is asked for ---- */

static bool set_link(const struct compare_options *o, struct compare_link *l, char *why)
{
    const struct {
        const char *key, *value;
    } t[] = {{"rtt", o->rtt},         {"rate", o->rate},           {"loss", o->loss},
             {"jitter", o->jitter},   {"reorder", o->reorder},     {"queue", o->queue},
             {"corrupt", o->corrupt}, {"duplicate", o->duplicate}, {"mtu", o->mtu},
             {"seed", o->seed}};

    if (o->link != NULL && !compare_link_parse(o->link, l, why))
        return false;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        if (t[i].value != NULL && !compare_link_set(l, t[i].key, t[i].value, NULL, why))
            return false;
    l->fix_checksums = o->fix_checksums;
    if (o->fix_checksums && l->way[0].corrupt + l->way[1].corrupt == 0)
        snprintf(why, COMPARE_WHY_MAX, "--fix-checksums goes with --corrupt");
    return !o->fix_checksums || l->way[0].corrupt + l->way[1].corrupt > 0;
}

static bool is_about_link(const struct compare_options *o)
{
    return o->link != NULL || o->rtt != NULL || o->rate != NULL || o->loss != NULL ||
           o->jitter != NULL || o->reorder != NULL || o->duplicate != NULL || o->corrupt != NULL ||
           o->queue != NULL || o->mtu != NULL || o->fix_checksums;
}

static bool set_spec(const struct compare_options *o, struct compare_spec *s, char *why)
{
    compare_spec_default(s);
    if (o->rounds != 0)
        s->rounds = o->rounds;
    s->max_time = o->max_time;
    for (size_t i = 0; i < o->methods.n; i++)
        if (!compare_spec_method(s, o->methods.items[i], why))
            return false;
    s->direction =
        o->direction != 0 ? (enum compare_direction)(o->direction - 1) : compare_spec_direction(s);
    return set_link(o, &s->link, why) && (o->size == NULL || compare_spec_size(s, o->size, why)) &&
           (o->sweeps.n == 0 || compare_spec_sweep(s, o->sweeps.items[0], why));
}

/* ---- operands ---- */

static int take_file(const struct cmd *c, struct job *job, const char *name)
{
    char shown[256];
    struct stat sb;

    escape_show(name, strlen(name), shown, sizeof shown);
    if (job->o->size != NULL || strcmp(job->spec.sweep.key, "size") == 0)
        return cmd_wrong(c, "%s has the size that it has: --size goes without FILE", shown);
    if (stat(name, &sb) < 0 || access(name, R_OK) < 0) {
        fprintf(stderr, "xfer: %s: %s\n", shown, xfer_strerror(-errno));
        return EXIT_LOCAL;
    }
    if (!S_ISREG(sb.st_mode) || sb.st_size == 0) {
        fprintf(stderr, "xfer: %s: %s\n", shown,
                S_ISREG(sb.st_mode) ? "is empty: there is nothing to compare"
                                    : xfer_strerror(S_ISDIR(sb.st_mode) ? -EISDIR : -XFER_ENOTREG));
        return EXIT_LOCAL;
    }
    job->file = name;
    job->spec.size = (uint64_t)sb.st_size;
    return -1;
}

static int take_remote(const struct cmd *c, struct job *job, const char *text)
{
    bool to_directory = text[strlen(text) - 1] == '/', tftp;
    struct compare_spec *s = &job->spec;
    int status, rc = client_is_remote(c, text, &tftp, &status);

    if (rc < 0)
        return status;
    if (tftp)
        return cmd_wrong(c, "compare talks TCP and UDP to an xfer server: HOST:/PATH");
    if (is_about_link(job->o) || job->o->pcap != NULL || job->o->trace ||
        (s->sweep.n > 0 && compare_link_is_key(s->sweep.key)))
        return cmd_wrong(c, "options of the emulated link go without a remote");
    if (job->o->predict)
        return cmd_wrong(c, "--predict goes without a remote: its rate and loss are not known");
    if (job->o->direction == COMPARE_BOTH + 1)
        return cmd_wrong(c, "a remote is a directory to put to, or a file to get: not both");
    if (!to_directory && (job->o->size != NULL || strcmp(s->sweep.key, "size") == 0))
        return cmd_wrong(c, "a file over there has the size that it has: --size goes without it");
    if (to_directory && job->o->direction != 0 && s->direction != COMPARE_PUT)
        return cmd_wrong(c, "to get, name a file over there: %s needs no slash at its end", text);
    if (!to_directory && (job->file != NULL || job->o->direction == COMPARE_PUT + 1))
        return cmd_wrong(c, "to put, name a directory over there: end the remote with a slash");
    s->direction = to_directory ? COMPARE_PUT : COMPARE_GET;
    s->link = (struct compare_link){.mtu = COMPARE_MTU, .seed = s->link.seed};
    job->remote = text;
    return -1;
}

static int take_operands(const struct cmd *c, struct job *job, const struct operands *ops)
{
    for (size_t i = 0; i < ops->n; i++) {
        bool tftp;
        int status, rc = client_is_remote(c, ops->items[i], &tftp, &status);

        if (rc < 0)
            return status;
        if (i > 1 || (rc == 0 && i > 0) || (rc == 1 && job->remote != NULL))
            return cmd_wrong(c, "takes one FILE and one REMOTE such as nas:/dir/");
        status = rc == 0 ? take_file(c, job, ops->items[i]) : take_remote(c, job, ops->items[i]);
        if (status >= 0)
            return status;
    }
    return -1;
}

static bool asks_for_picture(const struct compare_options *o)
{
    return o->pcap != NULL || o->plot != NULL || o->report != NULL || o->trace;
}

/* What --pcap, --plot and --report name. */
static int check_names(const struct cmd *c, const struct compare_options *o)
{
    char why[COMPARE_WHY_MAX];

    if ((o->pcap != NULL && strcmp(o->pcap, "-") == 0) ||
        (o->report != NULL && strcmp(o->report, "-") == 0))
        return cmd_wrong(c, "standard output has the table: ./- is a file of that name, and "
                            "/dev/stdout mixes both");
    if (o->plot != NULL && !compare_plot_named(o->plot, why))
        return cmd_wrong(c, "%s", why);
    return -1;
}

static int check_output(const struct cmd *c, const struct compare_options *o)
{
    if (o->sweeps.n > 1)
        return cmd_wrong(c, "one sweep at a time");
    if (o->json && o->csv)
        return cmd_wrong(c, "--json and --csv cannot share standard output");
    if (o->predict && (o->json || o->csv || o->check || asks_for_picture(o)))
        return cmd_wrong(c, "--predict goes alone");
    if (o->check && (o->json || o->csv || asks_for_picture(o)))
        return cmd_wrong(c, "--check goes alone");
    if (o->trace && (o->json || o->csv))
        return cmd_wrong(c, "--trace and --%s cannot share standard output",
                         o->json ? "json" : "csv");
    return check_names(c, o);
}

/* All that can be known to be wrong, before anything runs. -1 to go on, else the exit status. */
static int check_link_settings(const struct cmd *c, const struct job *job)
{
    struct compare_spec point;
    struct link_settings settings;
    struct link_problem p;
    char why[COMPARE_WHY_MAX];

    for (size_t i = 0; i < compare_spec_points(&job->spec); i++) {
        if (!compare_spec_point(&job->spec, i, &point, why))
            return cmd_wrong(c, "%s", why);
        place_settings(&point.link, 0, &settings);
        if (link_settings_check(&settings, &p) < 0)
            return cmd_wrong(c, "%s", p.why);
    }
    return -1;
}

/* To put alone there is nothing that such a method could do; of both, its row of put says why. */
static bool can_put(const struct compare_spec *s, char why[COMPARE_WHY_MAX])
{
    for (size_t i = 0; i < s->n && s->direction == COMPARE_PUT; i++) {
        const char *refusal = compare_spec_refusal(&s->methods[i], COMPARE_PUT);

        if (refusal != NULL) {
            snprintf(why, COMPARE_WHY_MAX, "%s", refusal);
            return false;
        }
    }
    return true;
}

static int check(const struct cmd *c, struct job *job)
{
    char why[COMPARE_WHY_MAX];

    if (job->o->ipv4 && job->o->ipv6)
        return cmd_wrong(c, "-4 and -6 exclude each other");
    if (job->o->bind_addr != NULL && job->remote == NULL)
        return cmd_wrong(c, "--bind goes with a remote");
    if (job->o->pcap != NULL && !job->spec.link.emulated)
        return cmd_wrong(c, "--pcap is of the emulated link");
    if (job->o->trace && !job->spec.link.emulated)
        return cmd_wrong(c, "--trace is of the emulated link");
    if (!compare_spec_check(&job->spec, why) || !can_put(&job->spec, why))
        return cmd_wrong(c, "%s", why);
    return job->spec.link.emulated ? check_link_settings(c, job) : -1;
}

struct found {
    const char *remote; /* asked for */
    bool is_named;      /* listed by that name: neither a directory's nor a wildcard's */
    uint64_t size;
};

static void on_entry(void *user, const struct xfer_event *ev)
{
    struct found *found = user;
    struct remote asked, got;
    char why[256];

    if (ev->type != XFER_EV_ENTRY)
        return;
    found->is_named = remote_parse(ev->remote, &got, why, sizeof why) == 1 &&
                      remote_parse(found->remote, &asked, why, sizeof why) == 1 &&
                      strcmp(got.path.s, asked.path.s) == 0;
    if (ev->entry.type == 'f')
        found->size = ev->entry.size;
}

static bool uses(const struct compare_spec *s, enum compare_transport transport)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->methods[i].transport == transport)
            return true;
    return false;
}

/* Over TCP, or over UDP where no method is TCP, or nobody listens there. */
static int ask_size(const struct job *job, struct xfer_list_opts *l)
{
    int rc;

    l->udp = !uses(&job->spec, COMPARE_TCP);
    rc = xfer_list(l, job->remote, NULL);
    if (rc != -ECONNREFUSED || l->udp || !uses(&job->spec, COMPARE_UDP))
        return rc;
    l->udp = true;
    return xfer_list(l, job->remote, NULL);
}

static int no_size(const struct job *job, const struct found *found, int rc, bool udp)
{
    char shown[256];

    fprintf(stderr, "xfer: %s: %s\n",
            escape_show(job->remote, strlen(job->remote), shown, sizeof shown),
            rc == -XFER_EUNKNOWN && udp ? "the server tells no size over UDP, as of an empty file"
            : rc != 0                   ? xfer_strerror(rc)
            : found->is_named           ? "has no bytes to compare with"
                              : "names no single file (a directory to put to ends in a slash)");
    return rc != 0 ? xfer_exit_status(rc) : EXIT_LOCAL;
}

int compare_ask_size(struct job *job, struct xfer_stop *stop)
{
    const struct compare_options *o = job->o;
    struct found found = {.remote = job->remote};
    struct xfer_list_opts l = {.net = {.family = o->ipv4   ? 4
                                                 : o->ipv6 ? 6
                                                           : 0,
                                       .bind_addr = o->bind_addr,
                                       .timeout = 30,
                                       .max_time = o->max_time,
                                       .stop = stop,
                                       .on_event = on_entry,
                                       .user = &found}};
    int rc;

    if (job->remote == NULL || job->spec.direction != COMPARE_GET)
        return -1;
    rc = ask_size(job, &l);
    if (rc == 0 && found.is_named && found.size > 0) {
        job->spec.size = found.size;
        return -1;
    }
    return signals_caught() ? 128 + signals_caught() : no_size(job, &found, rc, l.udp);
}

int compare_ask(const struct cmd *c, const struct operands *ops, struct job *job)
{
    char why[COMPARE_WHY_MAX];
    int status = check_output(c, job->o);

    if (status >= 0)
        return status;
    if (!set_spec(job->o, &job->spec, why))
        return cmd_wrong(c, "%s", why);
    status = take_operands(c, job, ops);
    return status < 0 ? check(c, job) : status;
}
