/* Datagrams through the decoder, their options through both readers, and back by the encoders. */
#include "config.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tftp/opt.h"
#include "tftp/pkt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void within(const uint8_t *data, size_t size, const void *p, size_t n)
{
    check(n == 0 || ((const uint8_t *)p >= data && (const uint8_t *)p + n <= data + size));
}

static void same_text(struct tftp_text a, struct tftp_text b)
{
    check(a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0));
}

/* What a server takes, it takes again when it is said in our words. */
static void options(const struct tftp_pkt *p, bool write, bool netascii)
{
    static uint8_t out[1024];
    struct tftp_opts once, twice, answer;
    struct tftp_pkt back, oack;
    const char *why = NULL;

    tftp_opts_request(p->options, write, netascii, &once);

    size_t n = tftp_opts_put(&once, out, tftp_put_oack(out, sizeof out), sizeof out);

    check(n >= 2 && tftp_decode(out, n, &back) == 0 && !back.ragged);
    tftp_opts_request(back.options, write, netascii, &twice);
    check(memcmp(&once, &twice, offsetof(struct tftp_opts, etag)) == 0 &&
          strcmp(once.etag, twice.etag) == 0);
    /* And the peer's own list as an answer to what was asked. */
    oack = *p;
    if (tftp_opts_answer(&oack, &once, &answer, &why) < 0)
        check(why != NULL);
    else
        check((answer.have & ~once.have) == 0 && answer.have != 0 &&
              answer.blksize <= TFTP_BLKSIZE_MAX && answer.window >= 1 &&
              (!(once.have & TFTP_O_BLKSIZE) || !(answer.have & TFTP_O_BLKSIZE) ||
               answer.blksize <= once.blksize));
}

static void request_back(const struct tftp_pkt *p)
{
    static uint8_t out[70000];
    size_t n = tftp_put_request(out, sizeof out, p->op, p->file.p, p->mode);
    struct tftp_pkt back;

    check(n > 0 && tftp_decode(out, n, &back) == 0);
    check(back.op == p->op && back.mode == p->mode && back.options.n == 0);
    same_text(back.file, p->file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tftp_pkt p;
    struct tftp_text list, name, value;

    if (size > 65535 || tftp_decode(data, size, &p) < 0)
        return 0;
    within(data, size, p.file.p, p.file.n);
    within(data, size, p.options.p, p.options.n);
    within(data, size, p.data, p.len);
    within(data, size, p.text.p, p.text.n);
    list = p.options;
    while (tftp_next_option(&list, &name, &value)) {
        within(data, size, name.p, name.n + 1);
        within(data, size, value.p, value.n + 1);
    }
    check(list.n == 0); /* what is left out is behind .options */
    for (unsigned i = 0; i < 4; i++)
        options(&p, i & 1, i & 2);
    if ((p.op == TFTP_RRQ || p.op == TFTP_WRQ) && p.mode_known)
        request_back(&p);
    return 0;
}
