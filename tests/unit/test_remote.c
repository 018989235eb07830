#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/remote.h"

Test(remote, good)
{
    static const struct {
        const char *in;
        enum remote_scheme scheme;
        const char *host;
        unsigned port;
        const char *path;
        bool v6, slash;
    } t[] = {
        {"nas:/a", REMOTE_XFER, "nas", 0, "a", false, false},
        {"nas:/", REMOTE_XFER, "nas", 0, "", false, true},
        {"nas:7070/a", REMOTE_XFER, "nas", 7070, "a", false, false},
        {"nas:1/a", REMOTE_XFER, "nas", 1, "a", false, false},
        {"nas:65535/", REMOTE_XFER, "nas", 65535, "", false, true},
        {"10.0.0.7:/d/", REMOTE_XFER, "10.0.0.7", 0, "d", false, true},
        {"my_host-1.lan:/a", REMOTE_XFER, "my_host-1.lan", 0, "a", false, false},
        {"b\xc3\xbc"
         "cher.example:/a",
         REMOTE_XFER,
         "b\xc3\xbc"
         "cher.example",
         0, "a", false, false},
        {"[::1]:7069/a", REMOTE_XFER, "::1", 7069, "a", true, false},
        {"[::1]:/a", REMOTE_XFER, "::1", 0, "a", true, false},
        {"[fe80::1%eth0]:/a", REMOTE_XFER, "fe80::1%eth0", 0, "a", true, false},
        {"[::ffff:10.0.0.7]:/a", REMOTE_XFER, "::ffff:10.0.0.7", 0, "a", true, false},
        {"nas://a//b", REMOTE_XFER, NULL, 0, NULL, false, false}, /* reads as a scheme */
        {"nas:/a%20b", REMOTE_XFER, "nas", 0, "a%20b", false, false},
        {"nas:/a b", REMOTE_XFER, "nas", 0, "a b", false, false},
        {"nas:/new\nline", REMOTE_XFER, "nas", 0, "new\nline", false, false},
        {"nas:/a:b@c", REMOTE_XFER, "nas", 0, "a:b@c", false, false},
        {"nas:/*.[ch]?", REMOTE_XFER, "nas", 0, "*.[ch]?", false, false},
        {"nas:/xfer://x", REMOTE_XFER, "nas", 0, "xfer:/x", false, false},
        {"xfer://nas", REMOTE_XFER, "nas", 0, "", false, false},
        {"xfer://nas/", REMOTE_XFER, "nas", 0, "", false, true},
        {"xfer://nas:7070", REMOTE_XFER, "nas", 7070, "", false, false},
        {"xfer://nas:/a", REMOTE_XFER, "nas", 0, "a", false, false},
        {"xfer://nas:7070/a%20b%2Fc", REMOTE_XFER, "nas", 7070, "a b/c", false, false},
        {"XFER://NAS/A", REMOTE_XFER, "NAS", 0, "A", false, false},
        {"xfers://nas/a@b", REMOTE_XFERS, "nas", 0, "a@b", false, false},
        {"Tftp://nas/a/", REMOTE_TFTP, "nas", 0, "a", false, true},
        {"xfer://[::1]:7070/a", REMOTE_XFER, "::1", 7070, "a", true, false},
        {"xfer://[::1]", REMOTE_XFER, "::1", 0, "", true, false},
        {"xfer://[fe80::1%25eth0]/a", REMOTE_XFER, "fe80::1%eth0", 0, "a", true, false},
        {"xfer://[fe80::1%eth0]/a", REMOTE_XFER, "fe80::1%eth0", 0, "a", true, false},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct remote r;
        char why[256] = "";
        int err = remote_parse(t[i].in, &r, why, sizeof why);

        if (!t[i].host) {
            cr_expect(err == -XFER_EUSAGE, "\"%s\"", t[i].in);
            continue;
        }
        cr_assert(err == 1, "\"%s\": %s", t[i].in, why);
        cr_expect(r.scheme == t[i].scheme, "scheme of \"%s\"", t[i].in);
        cr_expect_str_eq(r.host, t[i].host);
        cr_expect(r.port == t[i].port, "port of \"%s\"", t[i].in);
        cr_expect_str_eq(r.path.s, t[i].path);
        cr_expect(r.path.len == strlen(t[i].path));
        cr_expect(r.literal_v6 == t[i].v6 && r.dir_slash == t[i].slash, "flags of \"%s\"", t[i].in);
    }
}

Test(remote, local)
{
    static const char *const t[] = {"",      "-",       "a",        "./nas:a",
                                    "a/b:c", "/nas:/a", "../nas:a", "[abc]",
                                    "*.txt", "C\\x",    "[/:]",     "./xfer://h/a"};

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct remote r = {.port = 4711};
        char why[256] = "as it was";

        cr_expect(remote_parse(t[i], &r, why, sizeof why) == 0, "\"%s\"", t[i]);
        cr_expect(r.port == 4711);
        cr_expect_str_eq(why, "as it was");
    }
}

Test(remote, wrong_ones_are_told_what_to_write)
{
    static const struct {
        const char *in, *why;
    } t[] = {
        {"nas:a", "write nas:/a, or ./nas:a"},
        {"nas:", "write nas:/"},
        {"nas:7070", "write nas:7070/PATH"},
        {"nas:70x/a", "write nas:/70x/a"},
        {"nas:-1/a", "write nas:/-1/a"},
        {"[::1]:a", "write [::1]:/a"},
        {"nas:0/a", "1 to 65535"},
        {"nas:65536/a", "1 to 65535"},
        {"nas:99999999999999999999/a", "1 to 65535"},
        {"xfer://nas:x/a", "1 to 65535"},
        {"xfer://nas:0", "1 to 65535"},
        {":/a", "HOST:/PATH"},
        {":", "HOST:/PATH"},
        {"xfer://", "xfer://HOST/PATH"},
        {"xfer:///a", "xfer://HOST/PATH"},
        {"xfer://:7070/a", "xfer://HOST/PATH"},
        {"[::1", "without \"]\""},
        {"[::1:/a", "without \"]\""},
        {"[::1]/a", "[ADDRESS]:/PATH"},
        {"[::1]x:/a", "[ADDRESS]:/PATH"},
        {"xfer://[::1]x/a", "HOST:PORT"},
        {"[]:/a", "IPv6"},
        {"[nas]:/a", "IPv6"},
        {"[10.0.0.7]:/a", "IPv6"},
        {"[::g]:/a", "IPv6"},
        {"[::1%]:/a", "IPv6"},
        {"[fe80::1%e h]:/a", "zone"},
        {"ftp://x/y", "xfer://, xfers:// or tftp://"},
        {"http://x", "xfer://, xfers:// or tftp://"},
        {"user@host:/a", "no users: write host:/PATH"},
        {"user@[::1]:/a", "no users: write [::1]:/PATH"},
        {"u@v@host:/a", "no users: write host:/PATH"},
        {"xfer://u:secret@host/a", "no users: write xfer://host/PATH"},
        {"a b:/c", "./NAME"},
        {"a\n:/c", "\"a\\n\""},
        {"%68:/c", "bad host"},
        {"nas:/..", "\"..\""},
        {"nas:/a/../b", "\"..\""},
        {"xfer://nas/%2e%2e/a", "\"..\""},
        {"nas:/.xfer-0123456789abcdef0123456789abcdef.part", "temporary"},
        {"xfer://nas/%00", "percent-escape"},
        {"xfer://nas/%zz", "percent-escape"},
        {"xfer://nas/100%", "percent-escape"},
        {"nas:\033[2J", "\\x1b[2J"},
    };

    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct remote r = {.port = 4711};
        char why[256] = "";

        cr_expect(remote_parse(t[i].in, &r, why, sizeof why) == -XFER_EUSAGE, "\"%s\"", t[i].in);
        cr_expect(strstr(why, t[i].why), "\"%s\": %s", t[i].in, why);
        cr_expect(!strchr(why, '\n') && !strstr(why, "secret"));
        cr_expect(r.port == 4711, "untouched on failure");
    }
}

Test(remote, limits)
{
    char in[3 * PATH_CLEAN_MAX + 20], why[64];
    struct remote r;

    memset(in, 'h', 255);
    strcpy(in + 255, ":/a");
    cr_expect(remote_parse(in, &r, why, sizeof why) == 1);
    memset(in, 'h', 256);
    strcpy(in + 256, ":/a");
    cr_expect(remote_parse(in, &r, why, sizeof why) == -XFER_EUSAGE && strstr(why, "longer"));
    cr_expect(remote_parse("nas:averylongname", &r, why, 8) == -XFER_EUSAGE && strlen(why) == 7);
    for (int url = 0; url <= 1; url++) {
        size_t n = (size_t)sprintf(in, "%s", url ? "xfer://n" : "n:");

        memset(in + n, '/', sizeof in - n);
        in[sizeof in - 1] = '\0';
        for (size_t i = n + 1; i < sizeof in - 1; i += 2)
            in[i] = 'x';
        cr_expect(remote_parse(in, &r, why, sizeof why) == -XFER_EUSAGE && strstr(why, "too long"));
        in[n + PATH_CLEAN_MAX + 1] = '\0';
        cr_expect(remote_parse(in, &r, why, sizeof why) == 1 && r.path.len == PATH_CLEAN_MAX);
    }
}

Test(remote, shows)
{
    static const char *const same[] = {"nas:/a", "nas:7070/a/b", "[::1]:7069/a", "[fe80::1%e0]:/",
                                       "nas:/"};
    struct remote r;
    char why[64], out[128];

    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        cr_assert(remote_parse(same[i], &r, why, sizeof why) == 1);
        cr_expect(remote_show(&r, NULL, out, sizeof out) == out);
        cr_expect_str_eq(out, same[i]);
    }
    cr_expect_str_eq(remote_show(&r, "x/y", out, sizeof out), "nas:/x/y");
    cr_expect_str_eq(remote_show(&r, "/x", out, sizeof out), "nas:/x");
    cr_expect_str_eq(remote_show(&r, "x/y", out, 6), "nas:/");
}
