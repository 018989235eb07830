#include "config.h"

#include <math.h>

#include "compare/plan.h"
#include "compare/spec.h"
#include "compare/theory.h"

static unsigned directions(const struct compare_spec *s)
{
    return s->direction == COMPARE_BOTH ? 2 : 1;
}

/* Predicted seconds of one round: put, get or one after the other. */
static double round_seconds(const struct compare_spec *s, size_t i, const char *cc, uint64_t bytes)
{
    double sum = 0;

    for (int d = COMPARE_PUT; d <= COMPARE_GET; d++)
        if ((s->direction == COMPARE_BOTH || (int)s->direction == d) &&
            compare_spec_refusal(&s->methods[i], (enum compare_direction)d) == NULL)
            sum += theory_allow(&s->link, &s->methods[i], cc, (enum compare_direction)d, bytes);
    return isnan(sum) ? 0 : sum;
}

/* Methods over TCP whose first round is kept whole: a part would have more of slow start in it than
 * the file. Not where they would leave the others less than half of the time. Returns what they
 * take. */
static double keep_whole(const struct compare_spec *s, const struct compare_plan *plan, double time,
                         bool kept[COMPARE_METHODS_MAX])
{
    double sum = 0;

    for (size_t i = 0; i < s->n; i++) {
        kept[i] = s->methods[i].transport == COMPARE_TCP;
        sum += kept[i] ? plan->methods[i].seconds : 0;
    }
    for (size_t i = 0; i < s->n && sum > time / 2; i++)
        kept[i] = false;
    return sum > time / 2 ? 0 : sum;
}

/* The most that anybody gets of what all share who are not settled: who needs less leaves the rest
 * to the others. INFINITY: all get what they need. */
static double level(const double *need, bool *settled, size_t n, double left)
{
    bool changed = true;
    double share = 0;
    size_t open = 0;

    for (size_t i = 0; i < n; i++)
        open += !settled[i];
    while (changed && open > 0) {
        changed = false;
        share = left / (double)open;
        for (size_t i = 0; i < n; i++)
            if (!settled[i] && need[i] <= share) {
                settled[i] = changed = true;
                left -= need[i];
                open--;
            }
    }
    return open > 0 ? share : INFINITY;
}

/* The time of one round that nobody exceeds who is cut. */
static double longest_round(const struct compare_spec *s, const struct compare_plan *plan,
                            double time)
{
    double need[COMPARE_METHODS_MAX], left;
    bool kept[COMPARE_METHODS_MAX];

    left = time - keep_whole(s, plan, time, kept);
    for (size_t i = 0; i < s->n; i++)
        need[i] = plan->methods[i].seconds;
    return level(need, kept, s->n, left);
}

double compare_plan_share(const double *need, size_t n, double time)
{
    bool settled[COMPARE_SWEEP_MAX] = {false};
    double most = level(need, settled, n, time), spare = time;

    if (!isinf(most))
        return fmin(need[0], most);
    for (size_t i = 0; i < n; i++)
        spare -= need[i];
    return need[0] + spare / (double)n;
}

static uint64_t cut(const struct compare_spec *s, size_t i, const char *cc, double seconds)
{
    enum compare_direction d = s->direction == COMPARE_GET ? COMPARE_GET : COMPARE_PUT;
    uint64_t bytes = theory_fits(&s->link, &s->methods[i], cc, d, s->size, seconds / directions(s));

    return bytes < s->size ? bytes : s->size;
}

static void add_rounds(const struct compare_spec *s, double max_time, struct compare_plan *plan)
{
    for (unsigned number = 2; number <= s->rounds; number++)
        for (size_t i = 0; i < s->n; i++)
            if (plan->methods[i].rounds == number - 1 &&
                plan->seconds + plan->methods[i].seconds <= max_time) {
                plan->methods[i].rounds = number;
                plan->seconds += plan->methods[i].seconds;
            }
}

void compare_plan(const struct compare_spec *s, const char *congestion, double max_time,
                  struct compare_plan *plan)
{
    bool whole[COMPARE_METHODS_MAX];
    double longest;

    *plan = (struct compare_plan){0};
    for (size_t i = 0; i < s->n; i++) {
        plan->methods[i].bytes = s->size;
        plan->methods[i].rounds = 1;
        plan->methods[i].seconds = round_seconds(s, i, congestion, s->size);
    }
    keep_whole(s, plan, max_time, whole);
    longest = longest_round(s, plan, max_time);
    for (size_t i = 0; i < s->n; i++) {
        if (plan->methods[i].seconds > longest && !whole[i]) {
            plan->methods[i].bytes = cut(s, i, congestion, longest);
            plan->methods[i].seconds = round_seconds(s, i, congestion, plan->methods[i].bytes);
        }
        plan->seconds += plan->methods[i].seconds;
    }
    add_rounds(s, max_time, plan);
}

bool compare_plan_turn(const struct compare_spec *s, const struct compare_plan *plan, size_t k,
                       unsigned *method, unsigned *number, enum compare_direction *direction)
{
    unsigned d = directions(s);

    for (*number = 1; *number <= s->rounds; (*number)++)
        for (*method = 0; *method < s->n; (*method)++) {
            if (plan->methods[*method].rounds < *number)
                continue;
            if (k < d) {
                *direction = s->direction != COMPARE_BOTH ? s->direction
                             : k == 0                     ? COMPARE_PUT
                                                          : COMPARE_GET;
                return true;
            }
            k -= d;
        }
    return false;
}
