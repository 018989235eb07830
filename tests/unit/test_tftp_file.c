#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "session/tftp_file.h"

static int file_of(const void *p, size_t n)
{
    int fd = memfd_create("source", MFD_CLOEXEC);

    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, p, n), (ssize_t)n);
    return fd;
}

struct bytes {
    uint8_t *p;
    size_t n;
    int fail_after; /* writes that succeed; -1: all */
};

static int take(void *arg, const void *p, size_t n)
{
    struct bytes *b = arg;

    if (b->fail_after == 0)
        return -ENOSPC;
    b->fail_after -= b->fail_after > 0;
    b->p = realloc(b->p, b->n + n + 1);
    memcpy(b->p + b->n, p, n);
    b->n += n;
    return 0;
}

/* All that is sent, block by block. */
static struct bytes sent(int fd, uint64_t limit, bool netascii, size_t blksize, struct digest *d)
{
    struct bytes out = {.p = malloc(1), .fail_after = -1};
    uint8_t *block = malloc(blksize);
    struct tftp_source s;
    long n;

    cr_assert_eq(tftp_source_init(&s, fd, limit, netascii, d), 0);
    do {
        n = tftp_source_read(&s, block, blksize);
        cr_assert(n >= 0 && n <= (long)blksize, "%ld", n);
        take(&out, block, (size_t)n);
        tftp_source_idle(&s);
    } while (n == (long)blksize);
    tftp_source_finish(&s);
    tftp_source_free(&s);
    free(block);
    return out;
}

static struct bytes received(const uint8_t *p, size_t n, bool netascii, size_t blksize,
                             struct digest *d)
{
    struct bytes out = {.p = malloc(1), .fail_after = -1};
    struct tftp_sink s;

    cr_assert_eq(tftp_sink_init(&s, take, &out, netascii, d), 0);
    for (size_t off = 0; off < n; off += blksize) {
        cr_assert_eq(tftp_sink_write(&s, p + off, n - off < blksize ? n - off : blksize), 0);
        tftp_sink_idle(&s);
    }
    cr_assert_eq(tftp_sink_finish(&s), 0);
    cr_expect_eq(s.bytes, out.n);
    tftp_sink_free(&s);
    return out;
}

static const struct {
    const char *file;
    size_t n;
    const char *wire;
    size_t wire_n;
} netascii[] = {
    {"", 0, "", 0},
    {"a", 1, "a", 1},
    {"\n", 1, "\r\n", 2},
    {"\r", 1, "\r\0", 2},
    {"a\nb\rc\r\n", 8, "a\r\nb\r\0c\r\0\r\n", 12},
    {"\r\r\n\n", 4, "\r\0\r\0\r\n\r\n", 8},
    {"\0\xff\x80", 3, "\0\xff\x80", 3},
};

Test(tftp_file, netascii_there_and_back_at_every_block_size)
{
    struct digest *d = digest_new();

    for (size_t i = 0; i < sizeof netascii / sizeof *netascii; i++) {
        int fd = file_of(netascii[i].file, netascii[i].n);
        for (size_t blksize = 1; blksize < 16; blksize++) {
            uint8_t want[DIGEST_LEN], got[DIGEST_LEN];
            digest_of(netascii[i].file, netascii[i].n, want);
            digest_reset(d);
            struct bytes out = sent(fd, UINT64_MAX, true, blksize, d);
            cr_expect(out.n == netascii[i].wire_n && memcmp(out.p, netascii[i].wire, out.n) == 0,
                      "case %zu in blocks of %zu", i, blksize);
            cr_expect(digest_peek(d, got) && memcmp(got, want, DIGEST_LEN) == 0);
            digest_reset(d);
            struct bytes back = received(out.p, out.n, true, blksize, d);
            cr_expect(back.n == netascii[i].n && memcmp(back.p, netascii[i].file, back.n) == 0,
                      "case %zu back in blocks of %zu", i, blksize);
            cr_expect(digest_peek(d, got) && memcmp(got, want, DIGEST_LEN) == 0);
            free(out.p);
            free(back.p);
        }
        close(fd);
    }
    digest_free(d);
}

/* What no sender that keeps to the rules sends. */
Test(tftp_file, netascii_that_is_none)
{
    static const struct {
        const char *wire;
        size_t n;
        const char *file;
        size_t file_n;
    } t[] = {
        {"a\nb", 3, "a\nb", 3},       {"\r", 1, "\r", 1},         {"a\rb", 3, "a\rb", 3},
        {"\r\r\n", 3, "\r\n", 2},     {"\r\r\r", 3, "\r\r\r", 3}, {"\r\0\0", 3, "\r\0", 2},
        {"\0\r\n\0", 4, "\0\n\0", 3},
    };
    struct digest *d = digest_new();

    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        for (size_t blksize = 1; blksize < 5; blksize++) {
            struct bytes out = received((const uint8_t *)t[i].wire, t[i].n, true, blksize, d);
            cr_expect(out.n == t[i].file_n && memcmp(out.p, t[i].file, out.n) == 0,
                      "case %zu in blocks of %zu", i, blksize);
            free(out.p);
        }
    }
    digest_free(d);
}

Test(tftp_file, octets_across_chunks)
{
    static const size_t sizes[] = {0, 1, 131071, 131072, 131073, 400000};
    static const size_t blocks[] = {8, 511, 512, 65464};
    uint8_t *mem = malloc(400000), want[DIGEST_LEN], got[DIGEST_LEN];
    struct digest *d = digest_new();

    for (size_t i = 0; i < 400000; i++)
        mem[i] = (uint8_t)(i * 2654435761u >> 24);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int fd = file_of(mem, sizes[i]);
        digest_of(mem, sizes[i], want);
        for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
            digest_reset(d);
            struct bytes out = sent(fd, UINT64_MAX, false, blocks[b], d);
            cr_expect(out.n == sizes[i] && memcmp(out.p, mem, out.n) == 0);
            cr_expect(digest_peek(d, got) && memcmp(got, want, DIGEST_LEN) == 0);
            free(out.p);
            digest_reset(d);
            out = received(mem, sizes[i], false, blocks[b], d);
            cr_expect(out.n == sizes[i] && memcmp(out.p, mem, out.n) == 0);
            cr_expect(digest_peek(d, got) && memcmp(got, want, DIGEST_LEN) == 0);
            free(out.p);
        }
        close(fd);
    }
    digest_free(d);
    free(mem);
}

/* A file that grows is sent as long as it was. */
Test(tftp_file, no_more_than_the_limit)
{
    int fd = file_of("0123456789", 10);
    struct digest *d = digest_new();
    struct bytes out = sent(fd, 7, false, 4, d);

    cr_expect(out.n == 7 && memcmp(out.p, "0123456", 7) == 0);
    free(out.p);
    digest_free(d);
    close(fd);
}

Test(tftp_file, errors_stay)
{
    struct tftp_source s;
    struct tftp_sink k;
    struct bytes full = {.fail_after = 0};
    struct digest *d = digest_new();
    uint8_t block[512] = {0};
    int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    cr_assert_eq(tftp_source_init(&s, fd, UINT64_MAX, false, NULL), 0);
    cr_expect_eq(tftp_source_read(&s, block, 512), -EISDIR);
    tftp_source_idle(&s);
    cr_expect_eq(tftp_source_read(&s, block, 512), -EISDIR);
    tftp_source_free(&s);
    close(fd);

    cr_assert_eq(tftp_sink_init(&k, take, &full, false, d), 0);
    cr_expect_eq(tftp_sink_write(&k, block, 512), 0);
    cr_expect_eq(tftp_sink_finish(&k), -ENOSPC);
    cr_expect_eq(tftp_sink_write(&k, block, 512), -ENOSPC);
    cr_expect_eq(tftp_sink_finish(&k), -ENOSPC);
    tftp_sink_free(&k);
    digest_free(d);
}
