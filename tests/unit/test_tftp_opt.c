#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tftp/opt.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX64_OTHER "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* "name=value name=value" as a list of options. Values have no spaces. */
static struct tftp_text list_of(const char *words, char *mem)
{
    size_t n = 0;

    for (const char *p = words; *p; p++)
        mem[n++] = *p == '=' || *p == ' ' ? '\0' : *p;
    if (n > 0)
        mem[n++] = '\0';
    return (struct tftp_text){mem, n};
}

/* Back to words, by the encoder. */
static const char *words_of(const struct tftp_opts *o)
{
    static char out[1024];
    uint8_t packet[1024];
    size_t n = tftp_opts_put(o, packet, tftp_put_oack(packet, sizeof packet), sizeof packet), len;

    cr_assert(n >= 2);
    len = 0;
    for (size_t i = 2, nul = 0; i + 1 < n; i++)
        out[len++] = packet[i] != '\0' ? (char)packet[i] : nul++ % 2 == 0 ? '=' : ' ';
    out[len] = '\0';
    return out;
}

/* What a server makes of a request. The list lies in memory of its very size. */
static const char *requested(const char *words, bool write, bool netascii)
{
    struct tftp_opts o;
    size_t n = strlen(words) + 1;
    char *mem = malloc(n);

    cr_assert(mem);
    memset(&o, 0xa5, sizeof o);
    tftp_opts_request(list_of(words, mem), write, netascii, &o);
    free(mem);
    return words_of(&o);
}

Test(tftp_opt, read_requests)
{
    static const char *const t[][2] = {
        {"", ""},
        {"foo=1", ""},
        {"foo=1 blksize=600", "blksize=600"},
        {"BlkSize=1024", "blksize=1024"},
        {"blksize=8", "blksize=8"},
        {"blksize=65464", "blksize=65464"},
        {"blksize=65465", "blksize=65464"},
        {"blksize=70000", "blksize=65464"},
        {"blksize=4294967295", "blksize=65464"},
        {"blksize=4294967296", ""},
        {"blksize=0", ""},
        {"blksize=7", ""},
        {"blksize=-1", ""},
        {"blksize=+512", ""},
        {"blksize=abc", ""},
        {"blksize=512x", ""},
        {"blksize=0x200", ""},
        {"blksize=", ""},
        {"blksize=12345678901234567890", ""},
        {"blksize=99999999999999999999", ""},
        {"blksize=00512", "blksize=512"},
        {"blksize=512 blksize=1024", "blksize=512"},
        {"blksize=abc blksize=1024", ""},
        {"timeout=1", "timeout=1"},
        {"timeout=255", "timeout=255"},
        {"timeout=0", ""},
        {"timeout=256", ""},
        {"timeout=abc", ""},
        {"utimeout=1000 rollover=0 multicast=", ""},
        {"tsize=0", "tsize=0"},
        {"tsize=9223372036854775807", "tsize=9223372036854775807"},
        {"tsize=9223372036854775808", ""},
        {"tsize=-1", ""},
        {"windowsize=1", "windowsize=1"},
        {"windowsize=64", "windowsize=64"},
        {"windowsize=0", ""},
        {"windowsize=-1", ""},
        {"windowsize=65535", "windowsize=32767"},
        {"windowsize=65536", "windowsize=32767"},
        {"sha256=0", "sha256=0"},
        {"sha256=1-2-3", "sha256=1-2-3"},
        {"sha256=" HEX64, ""},
        {"sha256=later:1-2", ""},
        {"sha256=", ""},
        {"sha256=1234567890123456789012345678901234567890123456789012345678901234x", ""},
        {"discard=1", ""},
        {"tsize=0 windowsize=4 blksize=1428 timeout=3",
         "blksize=1428 timeout=3 tsize=0 windowsize=4"},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        const char *got = requested(t[i][0], false, false);

        cr_assert_str_eq(got, t[i][1], "%s: %s", t[i][0], got);
    }
}

Test(tftp_opt, write_requests_and_netascii)
{
    cr_assert_str_eq(requested("tsize=99999999999999", true, false), "tsize=99999999999999");
    cr_assert_str_eq(requested("sha256=" HEX64, true, false), "sha256=" HEX64);
    cr_assert_str_eq(requested("sha256=0", true, false), "");
    cr_assert_str_eq(requested("discard=1", true, false), "discard=1");
    cr_assert_str_eq(requested("discard=0", true, false), "");
    cr_assert_str_eq(requested("discard=", true, false), "");
    cr_assert_str_eq(requested("sha256=1-2-3", true, false), "");
    cr_assert_str_eq(requested("tsize=0 blksize=8", false, true), "blksize=8");
    cr_assert_str_eq(requested("tsize=7 blksize=8", true, true), "blksize=8 tsize=7");
}

Test(tftp_opt, what_was_not_asked_is_the_default)
{
    struct tftp_opts o;

    tftp_opts_request((struct tftp_text){NULL, 0}, false, false, &o);
    cr_assert(o.have == 0 && o.blksize == 512 && o.window == 1 && o.timeout == 0);
    cr_assert_str_eq(requested("blksize=70000x", false, false), "");
}

/* Bytes that are no letters at all. */
Test(tftp_opt, hostile_values)
{
    char list[] = "sha256\0\x01\x7f\0blksize\0\xff\xff\0windowsize\0"
                  "4\0";
    struct tftp_opts o;

    tftp_opts_request((struct tftp_text){list, sizeof list - 1}, false, false, &o);
    cr_assert_eq(o.have, TFTP_O_WINDOW);
    cr_assert_eq(o.window, 4);
}

static struct tftp_opts asked_for(const char *words, bool write)
{
    char mem[512];
    struct tftp_opts o;

    tftp_opts_request(list_of(words, mem), write, false, &o);
    return o;
}

Test(tftp_opt, answers)
{
    static const char asked[] = "blksize=1428 windowsize=16 timeout=3 tsize=0 sha256=0";
    static const struct {
        const char *answer, *taken; /* NULL: refused */
    } t[] = {
        {"blksize=1428", "blksize=1428"},
        {"BLKSIZE=512", "blksize=512"},
        {"blksize=8 windowsize=1", "blksize=8 windowsize=1"},
        {"tsize=123456789012", "tsize=123456789012"},
        {"timeout=3", "timeout=3"},
        {"sha256=" HEX64, "sha256=" HEX64},
        {"sha256=later:1-2-3", "sha256=later:1-2-3"},
        {"blksize=1428 timeout=3 tsize=9 windowsize=16 sha256=later:e",
         "blksize=1428 timeout=3 tsize=9 windowsize=16 sha256=later:e"},
        {"", NULL},
        {"blksize=1429", NULL},
        {"blksize=0", NULL},
        {"blksize=7", NULL},
        {"blksize=70000", NULL},
        {"blksize=", NULL},
        {"blksize=abc", NULL},
        {"blksize=512 blksize=512", NULL},
        {"windowsize=17", NULL},
        {"windowsize=0", NULL},
        {"windowsize=65536", NULL},
        {"timeout=2", NULL},
        {"timeout=4", NULL},
        {"timeout=256", NULL},
        {"tsize=abc", NULL},
        {"sha256=0", NULL},
        {"sha256=1-2-3", NULL},
        {"discard=1", NULL},
        {"foo=1", NULL},
        {"blksize=1428 foo=1", NULL},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct tftp_opts o = asked_for(asked, false), ret, kept;
        char mem[512];
        struct tftp_pkt oack = {.op = TFTP_OACK, .options = list_of(t[i].answer, mem)};
        const char *why = NULL;

        memset(&ret, 0x5a, sizeof ret);
        kept = ret;

        int err = tftp_opts_answer(&oack, &o, &ret, &why);

        cr_assert_eq(err, t[i].taken ? 0 : -1, "%s", t[i].answer);
        if (t[i].taken)
            cr_assert_str_eq(words_of(&ret), t[i].taken);
        else
            cr_assert(why && memcmp(&ret, &kept, sizeof ret) == 0, "%s", t[i].answer);
    }
}

Test(tftp_opt, an_answer_without_blksize_means_512)
{
    struct tftp_opts o = asked_for("blksize=1428 tsize=0", false), ret;
    char mem[64];
    struct tftp_pkt oack = {.op = TFTP_OACK, .options = list_of("tsize=5", mem)};
    const char *why;

    cr_assert_eq(tftp_opts_answer(&oack, &o, &ret, &why), 0);
    cr_assert(ret.blksize == 512 && ret.window == 1);
    oack.ragged = true;
    cr_assert_eq(tftp_opts_answer(&oack, &o, &ret, &why), -1, "one option has no value");
}

Test(tftp_opt, the_digest_of_a_write_comes_back_as_it_was)
{
    struct tftp_opts o = asked_for("sha256=" HEX64, true), ret;
    char mem[128];
    struct tftp_pkt oack = {.op = TFTP_OACK};
    const char *why;

    oack.options = list_of("sha256=" HEX64, mem);
    cr_assert_eq(tftp_opts_answer(&oack, &o, &ret, &why), 0);
    oack.options = list_of("sha256=" HEX64_OTHER, mem);
    cr_assert_eq(tftp_opts_answer(&oack, &o, &ret, &why), -1);
    oack.options = list_of("sha256=later:1", mem);
    cr_assert_eq(tftp_opts_answer(&oack, &o, &ret, &why), -1);
}

Test(tftp_opt, room)
{
    struct tftp_opts o = asked_for("blksize=1428 tsize=0 sha256=0", false);
    uint8_t out[128];
    size_t whole = tftp_opts_put(&o, out, 2, sizeof out);

    for (size_t cap = 2; cap < sizeof out; cap++) {
        memset(out, 0xee, sizeof out);
        cr_assert_eq(tftp_opts_put(&o, out, 2, cap), cap >= whole ? whole : 0);
        cr_assert_eq(out[cap], 0xee);
    }
    cr_assert_eq(tftp_opts_put(&o, out, 0, sizeof out), 0, "a request that did not fit");
}
