/* Parts: what is kept of an interrupted write, who may go on with it, and nobody else's file. */
#include "config.h"

#include "store_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static struct room room;
static const uint8_t id[16] = {1, 2, 3};
static const struct store_write_opts resume = {.resume_id = id};
static const struct store_commit_opts plain = {0};
static char part[48]; /* name of the part of "f" */

static void open_room(void)
{
    room_open(&room);
    store_part_name(id, "f", part);
}

static void close_room(void)
{
    room_close(&room);
}

TestSuite(store_part, .init = open_room, .fini = close_room);

static int open_part(struct store_writer *w)
{
    return store_write_open(&room.st, "f", &resume, w);
}

static void commit(struct store_writer *w)
{
    cr_assert_eq(store_write_finish(w, &plain), 0);
    cr_assert_eq(store_write_publish(w, false), 0);
    store_write_abort(w, false);
}

static void keep(const char *text)
{
    struct store_writer w;

    cr_assert_eq(open_part(&w), 0);
    cr_assert(w.part);
    cr_assert_eq(store_write(&w, text, strlen(text)), 0);
    store_write_abort(&w, true);
}

Test(store_part, names)
{
    uint8_t other[16] = {1, 2, 4};
    char longest[256], a[48], b[48];

    memset(longest, 'n', 255);
    longest[255] = '\0';
    store_part_name(id, longest, a);
    cr_expect_eq(strlen(a), 43);
    cr_expect(path_is_hidden(a, strlen(a)));
    cr_expect_str_eq(a + 38, ".part");
    store_part_name(id, "f", b);
    cr_expect_str_neq(a, b);
    store_part_name(other, longest, b);
    cr_expect_str_neq(a, b);
    store_part_name(id, longest, b);
    cr_expect_str_eq(a, b);
}

Test(store_part, name_is_the_digest_of_id_and_base_name)
{
    static const uint8_t zero[16];

    store_part_name(zero, "a", part); /* echo 16 zero bytes and "a" | sha256sum */
    cr_expect_str_eq(part, ".xfer-9c6bd5cc05acbe7cb4ab71165168ff3d.part");
}

Test(store_part, is_kept_and_continued)
{
    struct store_writer w;

    keep("hello ");
    cr_expect_eq(stat_of(&room, part).st_size, 6);
    cr_expect_eq(faccessat(room.fd, "f", F_OK, 0), -1);
    cr_assert_eq(open_part(&w), 0);
    cr_expect(w.part);
    cr_expect_eq(w.offset, 6);
    cr_expect(holds(&room, part, "hello "));
    cr_assert_eq(store_write(&w, "world", 5), 0);
    commit(&w);
    cr_expect(holds(&room, "f", "hello world"));
    cr_expect_eq(stat_of(&room, "f").st_mode & 0777, 0666 & ~room.st.umask);
    cr_expect_eq(leftovers(&room, "."), 0);
}

Test(store_part, restart_forgets_it)
{
    struct store_writer w;

    keep("something long");
    cr_assert_eq(open_part(&w), 0);
    cr_assert_eq(store_write_restart(&w), 0);
    cr_expect_eq(w.offset, 0);
    cr_expect(holds(&room, part, ""));
    cr_assert_eq(store_write(&w, "short", 5), 0);
    commit(&w);
    cr_expect(holds(&room, "f", "short"));
}

Test(store_part, is_removed_unless_kept)
{
    struct store_writer w;

    keep("bytes");
    cr_assert_eq(open_part(&w), 0);
    store_write_abort(&w, false);
    cr_expect_eq(leftovers(&room, "."), 0);
    cr_assert_eq(open_part(&w), 0);
    store_write_abort(&w, true); /* not one byte to keep */
    cr_expect_eq(leftovers(&room, "."), 0);
}

Test(store_part, belongs_to_one_id_and_one_target)
{
    static const uint8_t other[16] = {9};
    struct store_write_opts o = {.resume_id = other};
    struct store_writer w;

    keep("bytes");
    cr_assert_eq(store_write_open(&room.st, "f", &o, &w), 0);
    cr_expect_eq(w.offset, 0);
    store_write_abort(&w, true);
    cr_assert_eq(store_write_open(&room.st, "g", &resume, &w), 0);
    cr_expect_eq(w.offset, 0);
    store_write_abort(&w, true);
    cr_assert_eq(open_part(&w), 0);
    cr_expect_eq(w.offset, 5);
    store_write_abort(&w, false);
}

Test(store_part, zeros_at_its_end_are_kept)
{
    static const char zeros[3 * 4096];
    struct store_writer w;
    size_t n;
    char *is;

    cr_assert_eq(open_part(&w), 0);
    cr_assert_eq(store_write(&w, "x", 1), 0);
    cr_assert_eq(store_write(&w, zeros, sizeof(zeros)), 0);
    store_write_abort(&w, true);
    cr_assert_eq(open_part(&w), 0);
    cr_expect_eq(w.offset, 1 + sizeof(zeros));
    cr_assert_eq(store_write(&w, "y", 1), 0);
    commit(&w);
    is = slurp(&room, "f", &n);
    cr_expect_eq(n, 2 + sizeof(zeros));
    cr_expect_eq(is[n - 1], 'y');
    free(is);
}

static int die_while_writing(struct room *r)
{
    static const char zeros[3 * 4096];
    struct store_writer w;

    NEED(store_write_open(&r->st, "f", &resume, &w) == 0);
    NEED(store_write(&w, "abc", 3) == 0);
    NEED(store_write(&w, zeros, sizeof(zeros)) == 0);
    return 0; /* as a kill would end it: no abort */
}

Test(store_part, of_a_writer_that_died_is_a_prefix)
{
    struct store_writer w;

    cr_assert_eq(in_child(die_while_writing, &room), 0);
    cr_assert_eq(open_part(&w), 0);
    cr_expect_eq(w.offset, 3);
    cr_expect(holds(&room, part, "abc"));
    store_write_abort(&w, false);
}

Test(store_part, kept_after_finish_can_be_opened_again)
{
    struct store_commit_opts k = {.set_mode = true};
    struct store_writer w;

    cr_assert_eq(open_part(&w), 0);
    cr_assert_eq(store_write(&w, "abc", 3), 0);
    cr_assert_eq(store_write_finish(&w, &k), 0);
    store_write_abort(&w, true);
    cr_expect_eq(stat_of(&room, part).st_mode & 0777, 0600);
    cr_assert_eq(open_part(&w), 0);
    cr_expect_eq(w.offset, 3);
    store_write_abort(&w, false);
}

/* ---- who holds it ---- */

Test(store_part, held_by_another_is_busy)
{
    struct store_writer a, b;

    cr_assert_eq(open_part(&a), 0);
    cr_assert_eq(store_write(&a, "abc", 3), 0);
    cr_expect_eq(open_part(&b), -XFER_EBUSY);
    store_write_abort(&b, false); /* must not take the holder's file away */
    cr_expect_eq(stat_of(&room, part).st_size, 3);
    cr_assert_eq(store_write_finish(&a, &plain), 0);
    cr_expect_eq(open_part(&b), -XFER_EBUSY);
    cr_assert_eq(store_write_publish(&a, false), 0);
    cr_assert_eq(open_part(&b), 0); /* published: the name is free again */
    cr_expect_eq(b.offset, 0);
    store_write_abort(&b, false);
    store_write_abort(&a, false);
    cr_expect(holds(&room, "f", "abc"));
}

static int open_held(struct room *r)
{
    struct store_writer w;

    return store_write_open(&r->st, "f", &resume, &w) == -XFER_EBUSY ? 0 : 1;
}

Test(store_part, held_by_another_process_is_busy)
{
    struct store_writer w;

    cr_assert_eq(open_part(&w), 0);
    cr_expect_eq(in_child(open_held, &room), 0);
    store_write_abort(&w, false);
}

/* Whoever gets hold of the part, what was published stays whole: a lock given up before the rename
 * would leave another writer with the published file in its hands. */
struct contender {
    char letter;
    unsigned published;
    const char *fault;
};

enum { CONTENTS = 2000, ROUNDS = 3000 };

static const char *write_once(struct contender *c, const char *text)
{
    struct store_writer w;
    int r = open_part(&w);

    if (r == -XFER_EBUSY)
        return NULL;
    if (r < 0)
        return "open";
    if (!w.part)
        return "no part";
    if (store_write_restart(&w) < 0 || store_write(&w, text, CONTENTS) < 0 ||
        store_write_finish(&w, &plain) < 0)
        return "write";
    r = store_write_publish(&w, false);
    store_write_abort(&w, false);
    if (r < 0)
        return "publish";
    c->published++;
    return NULL;
}

static const char *check_whole(void)
{
    char got[CONTENTS + 1];
    ssize_t n;
    int fd = openat(room.fd, "f", O_RDONLY);

    if (fd < 0)
        return NULL;
    n = read(fd, got, sizeof(got));
    close(fd);
    if (n != CONTENTS)
        return "length";
    return memcmp(got, got + 1, CONTENTS - 1) == 0 ? NULL : "mixed";
}

static void *contend(void *arg)
{
    struct contender *c = arg;
    char text[CONTENTS];

    memset(text, c->letter, CONTENTS);
    for (unsigned i = 0; !c->fault && c->published < ROUNDS && i < 1000 * ROUNDS; i++) {
        c->fault = write_once(c, text);
        if (!c->fault)
            c->fault = check_whole();
    }
    return NULL;
}

Test(store_part, contended_for_leaves_every_published_file_whole)
{
    struct contender c[3] = {{.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}};
    pthread_t t[3];

    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&t[i], NULL, contend, &c[i]), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
        cr_expect_null(c[i].fault, "%s", c[i].fault);
        cr_expect_eq(c[i].published, ROUNDS);
    }
    cr_expect_eq(leftovers(&room, "."), 0);
}

/* ---- things under a part's name ---- */

/* Writes "new" as f, which must not follow or reuse what lies under the part's name. */
static void expect_fresh(void)
{
    struct store_writer w;

    cr_assert_eq(open_part(&w), 0);
    cr_expect_eq(w.offset, 0);
    cr_assert_eq(store_write(&w, "new", 3), 0);
    commit(&w);
    cr_expect(holds(&room, "f", "new"));
}

Test(store_part, planted_symlink_is_not_followed)
{
    make_file(&room, "victim", "old");
    make_link(&room, "victim", part);
    expect_fresh();
    cr_expect(holds(&room, "victim", "old"));
    make_link(&room, "created", part);
    expect_fresh();
    cr_expect_eq(faccessat(room.fd, "created", F_OK, 0), -1);
    cr_expect_eq(leftovers(&room, "."), 0);
}

Test(store_part, planted_hard_link_is_not_written_to)
{
    make_file(&room, "victim", "old");
    cr_assert_eq(linkat(room.fd, "victim", room.fd, part, 0), 0);
    expect_fresh();
    cr_expect(holds(&room, "victim", "old"));
    cr_expect_eq(leftovers(&room, "."), 0);
}

Test(store_part, planted_fifo_and_socket_do_not_block)
{
    alarm(20); /* an open that blocks would last for ever */
    cr_assert_eq(mkfifoat(room.fd, part, 0666), 0);
    expect_fresh();
    cr_assert_eq(mknodat(room.fd, part, S_IFSOCK | 0666, 0), 0);
    expect_fresh();
    cr_expect_eq(leftovers(&room, "."), 0);
}

Test(store_part, planted_directory_costs_only_the_resume)
{
    make_dir(&room, part);
    expect_fresh();
    cr_expect_eq(leftovers(&room, "."), 1);
}

Test(store_part, of_another_user_is_not_taken_over)
{
    if (geteuid() != 0)
        cr_skip_test("only root can give files away");
    make_file(&room, part, "theirs");
    cr_assert_eq(fchownat(room.fd, part, 12345, 12345, 0), 0);
    expect_fresh();
    cr_expect_eq(stat_of(&room, "f").st_uid, 0);
    cr_expect_eq(leftovers(&room, "."), 0);
}

Test(store_part, held_by_something_that_is_no_part_does_not_make_us_wait)
{
    int fd;

    make_file(&room, "victim", "old");
    cr_assert_eq(linkat(room.fd, "victim", room.fd, part, 0), 0);
    fd = openat(room.fd, "victim", O_RDWR);
    cr_assert_eq(flock(fd, LOCK_EX), 0);
    expect_fresh();
    close(fd);
    cr_expect(holds(&room, "victim", "old"));
}

static int resume_unreadable(struct room *r)
{
    struct store_writer w;

    NEED(put(r, "f", "x", 1, NULL, NULL) == 0);
    NEED(renameat(r->fd, "f", r->fd, part) == 0);
    NEED(fchmodat(r->fd, part, 0, 0) == 0);
    NEED(store_write_open(&r->st, "f", &resume, &w) == 0);
    NEED(w.offset == 0 && w.part);
    store_write_abort(&w, false);
    return 0;
}

Test(store_part, that_cannot_be_opened_is_replaced)
{
    cr_assert_eq(as_ordinary_user(resume_unreadable, &room), 0);
}

Test(store_part, unlinked_under_the_lock_does_not_matter)
{
    struct store_writer w;
    int fd;

    keep("abc");
    fd = openat(room.fd, part, O_RDWR);
    cr_assert_eq(unlinkat(room.fd, part, 0), 0);
    cr_assert_eq(flock(fd, LOCK_EX), 0);
    cr_assert_eq(open_part(&w), 0);
    cr_expect_eq(w.offset, 0);
    store_write_abort(&w, false);
    close(fd);
}
