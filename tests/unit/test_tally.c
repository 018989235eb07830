#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "net/clock.h"
#include "session/tally.h"

/* What the caller was told. */
struct told {
    unsigned n, inside;
    struct xfer_event last;
    char text[1200], name[64];
};

static void on_event(void *user, const struct xfer_event *ev)
{
    struct told *t = user;

    cr_assert_eq(t->inside++, 0, "two at once");
    t->n++;
    t->last = *ev;
    strncpy(t->text, ev->text ? ev->text : "", sizeof t->text - 1);
    strncpy(t->name, ev->name ? ev->name : "", sizeof t->name - 1);
    t->inside--;
}

static struct told told;
static struct xfer_net_opts opts;
static struct tally t;

static void set_up(void)
{
    told = (struct told){0};
    opts = (struct xfer_net_opts){.on_event = on_event, .user = &told};
    tally_init(&t, &opts);
}

TestSuite(tally, .init = set_up);

static void file(enum xfer_outcome outcome, int err, uint64_t bytes)
{
    struct xfer_event ev = {.outcome = outcome, .err = err, .bytes = bytes, .name = "f"};

    tally_file(&t, &ev);
    cr_expect(told.last.type == XFER_EV_FILE && told.last.outcome == outcome);
}

Test(tally, counts_by_outcome)
{
    struct xfer_totals sum;

    file(XFER_DONE, 0, 10);
    file(XFER_DONE, 0, 20);
    file(XFER_UNCHANGED, 0, 5);
    file(XFER_WOULD, 0, 7);
    file(XFER_SKIPPED, 0, 0);
    tally_dir(&t);
    tally_retry(&t);
    cr_expect_eq(tally_finish(&t, &sum), 0);
    cr_expect(sum.files_done == 2 && sum.bytes == 30 && sum.files_unchanged == 1);
    cr_expect(sum.files_would == 1 && sum.files_skipped == 1 && sum.files_failed == 0);
    cr_expect(sum.dirs == 1 && sum.retries == 1 && sum.seconds >= 0);
    cr_expect_eq(told.n, 5);
}

Test(tally, a_failure_is_the_error_of_the_whole)
{
    struct xfer_totals sum;

    file(XFER_FAILED, -XFER_ENOTFOUND, 0);
    file(XFER_DONE, 0, 1);
    file(XFER_FAILED, -XFER_ENOTFOUND, 0);
    cr_expect_eq(tally_finish(&t, &sum), -XFER_ENOTFOUND);
    cr_expect_eq(sum.files_failed, 2);
}

Test(tally, failures_of_different_kinds_are_several)
{
    file(XFER_FAILED, -XFER_ENOTFOUND, 0);
    file(XFER_FAILED, -ENOSPC, 0);
    cr_expect_eq(tally_finish(&t, NULL), -XFER_ESOME);
}

Test(tally, a_wrong_digest_outweighs_all)
{
    file(XFER_FAILED, -XFER_ENOTFOUND, 0);
    file(XFER_FAILED, -XFER_EINTEGRITY, 0);
    file(XFER_FAILED, -ENOSPC, 0);
    cr_expect_eq(tally_finish(&t, NULL), -XFER_EINTEGRITY);
}

Test(tally, special_files_count_in_the_end)
{
    file(XFER_SKIPPED, -XFER_ENOTREG, 0);
    file(XFER_SKIPPED, -XFER_EPERM, 0);
    cr_expect_eq(tally_finish(&t, NULL), -XFER_ESPECIAL);
}

Test(tally, an_error_of_no_file_is_a_warning)
{
    tally_fail(&t, "what", -ECONNREFUSED, "why");
    cr_expect(told.last.type == XFER_EV_WARNING && told.last.err == -ECONNREFUSED);
    cr_expect_str_eq(told.name, "what");
    cr_expect_str_eq(told.text, "why");
    cr_expect_eq(tally_finish(&t, NULL), -ECONNREFUSED);
}

Test(tally, who_stopped_us_is_not_told)
{
    tally_fail(&t, NULL, -XFER_ECANCELED, NULL);
    cr_expect_eq(told.n, 0);
    cr_expect_eq(tally_finish(&t, NULL), -XFER_ECANCELED);
}

Test(tally, notes_and_warnings_are_no_errors)
{
    tally_note(&t, "%s %d", "note", 1);
    cr_expect(told.last.type == XFER_EV_NOTE);
    cr_expect_str_eq(told.text, "note 1");
    tally_warn(&t, -XFER_ECHANGED, "%s", "warning");
    cr_expect(told.last.type == XFER_EV_WARNING && told.last.err == -XFER_ECHANGED);
    cr_expect_str_eq(told.text, "warning");
    cr_expect_eq(tally_finish(&t, NULL), 0);
}

Test(tally, entries_are_passed_on)
{
    struct xfer_event ev = {.type = XFER_EV_ENTRY, .name = "e"};
    struct xfer_totals sum;

    tally_entry(&t, &ev);
    cr_expect(told.last.type == XFER_EV_ENTRY);
    ev.entry.err = -XFER_EPERM;
    tally_entry(&t, &ev);
    cr_expect_eq(tally_finish(&t, &sum), -XFER_EPERM);
}

Test(tally, progress_is_told_now_and_then)
{
    tally_expect(&t, 2, 100);
    tally_moved(&t, 10, true); /* the first is shown at once */
    cr_assert_eq(told.n, 1);
    cr_expect(told.last.type == XFER_EV_PROGRESS && told.last.bytes_done == 10);
    cr_expect(told.last.bytes_total == 100 && told.last.files_total == 2);
    tally_moved(&t, 10, true);
    cr_expect_eq(told.n, 1, "not again within a moment");
    t.shown_at -= CLOCK_SEC;
    tally_moved(&t, 20, false);
    cr_expect(told.n == 2 && told.last.bytes_done == 40);
}

Test(tally, only_what_crossed_counts_for_the_wire)
{
    struct xfer_totals sum;

    tally_moved(&t, 10, true);
    tally_moved(&t, 100, false);
    tally_unmoved(&t, 10);
    tally_moved(&t, 10, true);
    cr_expect_eq(t.bytes_done, 110);
    tally_unmoved(&t, 1000);
    cr_expect_eq(t.bytes_done, 0, "never below");
    tally_finish(&t, &sum);
    cr_expect_eq(sum.bytes_wire, 20, "what was sent again crossed twice");
}

Test(tally, without_an_event_function_it_still_counts)
{
    struct xfer_totals sum;

    opts.on_event = NULL;
    struct xfer_event ev = {.outcome = XFER_DONE, .bytes = 3};
    tally_file(&t, &ev);
    tally_note(&t, "nobody");
    tally_moved(&t, 3, true);
    tally_finish(&t, &sum);
    cr_expect(sum.files_done == 1 && sum.bytes_wire == 3);
}

#define THREADS 8
#define EACH 2000

static void *count(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < EACH; i++) {
        struct xfer_event ev = {.outcome = XFER_DONE, .bytes = 1};
        tally_file(&t, &ev); /* on_event checks that it is never run twice at once */
        tally_moved(&t, 2, true);
        tally_expect(&t, 1, 3);
    }
    return NULL;
}

Test(tally, many_threads_lose_nothing, .timeout = 60)
{
    pthread_t thread[THREADS];
    struct xfer_totals sum;

    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, count, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    cr_expect(t.files_total == THREADS * EACH && t.bytes_total == 3 * THREADS * EACH);
    tally_finish(&t, &sum);
    cr_expect(sum.files_done == THREADS * EACH && sum.bytes == THREADS * EACH);
    cr_expect_eq(sum.bytes_wire, 2 * THREADS * EACH);
}
