#include "config.h"

#include "base/remote.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/escape.h"

#define PORT_MAX 65535
#define SHOWN 160 /* bytes of a name that a complaint repeats */

/* A word being taken apart, and where the complaint goes. */
struct parse {
    const char *s; /* what is left of it */
    bool url;      /* percent-escapes count */
    char *why;
    size_t why_cap;
};

__attribute__((format(printf, 2, 3))) static int wrong(const struct parse *p, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(p->why, p->why_cap, fmt, ap);
    va_end(ap);
    return -XFER_EUSAGE;
}

/* The name of a scheme before "://" at the beginning of s, or 0. */
static size_t scheme_length(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

    return strncmp(s + n, "://", 3) == 0 ? n : 0;
}

static bool same_word(const char *s, size_t n, const char *lower)
{
    if (n != strlen(lower))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((s[i] >= 'A' && s[i] <= 'Z' ? s[i] | 0x20 : s[i]) != lower[i])
            return false;
    return true;
}

static int parse_scheme(struct parse *p, size_t n, struct remote *r)
{
    static const char *const names[] = {
        [REMOTE_XFER] = "xfer", [REMOTE_XFERS] = "xfers", [REMOTE_TFTP] = "tftp"};
    char shown[SHOWN];

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (same_word(p->s, n, names[i])) {
            r->scheme = (enum remote_scheme)i;
            p->s += n + strlen("://");
            p->url = true;
            return 0;
        }
    return wrong(p, "unknown scheme \"%s\": write xfer://, xfers:// or tftp://",
                 escape_show(p->s, n, shown, sizeof shown));
}

static bool is_host_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || (unsigned char)c >= 0x80;
}

static int copy_host(struct parse *p, const char *s, size_t n, struct remote *r)
{
    if (n >= sizeof r->host)
        return wrong(p, "host name longer than %zu bytes", sizeof r->host - 1);
    memcpy(r->host, s, n);
    r->host[n] = '\0';
    p->s = s + n;
    return 0;
}

/* An IPv6 address and perhaps its zone. In a URL the '%' before the zone is "%25" (RFC 6874). */
static int parse_bracketed(struct parse *p, struct remote *r)
{
    const char *s = p->s + 1;
    size_t n = strcspn(s, "]/");
    size_t address = strspn(s, "0123456789abcdefABCDEF:.");

    if (s[n] != ']')
        return wrong(p, "\"[\" without \"]\": write [ADDRESS]:/PATH");
    if (!memchr(s, ':', n) || (address < n && (s[address] != '%' || address + 1 == n)))
        return wrong(p, "brackets are for IPv6 addresses: write [::1]:/PATH");
    for (size_t i = address + 1; i < n; i++)
        if (!is_host_byte(s[i]))
            return wrong(p, "bad zone of an IPv6 address: write [fe80::1%%eth0]:/PATH");

    int err = copy_host(p, s, n, r);

    if (err)
        return err;
    if (p->url && n > address + 3 && memcmp(s + address, "%25", 3) == 0)
        memmove(r->host + address + 1, r->host + address + 3, n - address - 3 + 1);
    r->literal_v6 = true;
    p->s = s + n + 1;
    return 0;
}

/* Only the host is repeated: what stands before it may be a password. */
static int wrong_user(const struct parse *p, const char *host)
{
    size_t n = *host == '[' ? strcspn(host, "]/") + 1 : strcspn(host, ":/");
    char shown[SHOWN];

    escape_show(host, strnlen(host, n), shown, sizeof shown);
    return wrong(p, "xfer has no users: write %s%s%s", p->url ? "xfer://" : "", shown,
                 p->url ? "/PATH" : ":/PATH");
}

static int parse_plain_host(struct parse *p, struct remote *r)
{
    size_t n = strcspn(p->s, p->url ? ":/" : ":");
    const char *at = memrchr(p->s, '@', p->url ? strcspn(p->s, "/") : n);
    char shown[SHOWN];

    if (at)
        return wrong_user(p, at + 1);
    if (n == 0)
        return wrong(p, "no host: write %s", p->url ? "xfer://HOST/PATH" : "HOST:/PATH");
    for (size_t i = 0; i < n; i++)
        if (!is_host_byte(p->s[i]))
            return wrong(p, "bad host name \"%s\": write HOST:/PATH, or ./NAME for a local file",
                         escape_show(p->s, n, shown, sizeof shown));
    return copy_host(p, p->s, n, r);
}

/* Digits at p->s, all of them. */
static int parse_port(struct parse *p, size_t n, struct remote *r)
{
    uint64_t port;

    if (!parse_u64(p->s, n, PORT_MAX, &port) || port == 0)
        return wrong(p, "bad port: write a number from 1 to %d", PORT_MAX);
    r->port = (unsigned)port;
    p->s += n;
    return 0;
}

/* "nas:a" and "nas:": a slash is missing, or it is a local file after all. */
static int wrong_form(const struct parse *p, const char *word)
{
    const char *rest = p->s;
    size_t head = (size_t)(rest - word);
    char host[SHOWN], path[SHOWN], all[SHOWN];

    escape_show(word, head, host, sizeof host);
    escape_show(rest, strlen(rest), path, sizeof path);
    escape_show(word, strlen(word), all, sizeof all);
    if (*rest == '\0')
        return wrong(p, "no path: write %s/", host);
    return wrong(p, "write %s/%s, or ./%s for a local file", host, path, all);
}

/* What follows the host in HOST:[PORT]/PATH. */
static int parse_rest(struct parse *p, const char *word, struct remote *r)
{
    if (*p->s != ':')
        return wrong(p, "no \":\" after \"]\": write [ADDRESS]:/PATH, or ./NAME for a local file");
    p->s++;

    size_t digits = strspn(p->s, "0123456789");

    if (digits > 0 && p->s[digits] == '/')
        return parse_port(p, digits, r);
    if (digits > 0 && p->s[digits] == '\0') {
        char shown[SHOWN];

        escape_show(word, strlen(word), shown, sizeof shown);
        return wrong(p, "no path: write %s/PATH", shown);
    }
    return *p->s == '/' ? 0 : wrong_form(p, word);
}

/* What follows the host in a URL: port and path may both be missing. */
static int parse_url_rest(struct parse *p, struct remote *r)
{
    if (*p->s == ':') {
        p->s++;

        size_t n = strcspn(p->s, "/");
        int err = n > 0 ? parse_port(p, n, r) : 0;

        if (err)
            return err;
    }
    if (*p->s != '\0' && *p->s != '/')
        return wrong(p, "bad address: write xfer://HOST:PORT/PATH");
    return 0;
}

static int wrong_path(const struct parse *p, int err)
{
    if (err == -XFER_ETOOLONG)
        return wrong(p, "path too long: at most %d bytes a name, %d in all", PATH_NAME_MAX,
                     PATH_CLEAN_MAX);
    return wrong(p, "a remote path has no \"..\" and no name of xfer's own temporary files");
}

/* ";mode=netascii" or ";mode=octet" at the end of a tftp URL (RFC 3617, 3). *n becomes the length
 * without it. */
static int parse_mode(const struct parse *p, size_t *n, struct remote *r)
{
    static const char word[] = ";mode=";
    const size_t len = sizeof word - 1;
    const char *at = NULL;

    for (const char *s = strstr(p->s, word); s; s = strstr(s + 1, word))
        at = s;
    if (!at)
        return 0;
    r->netascii = same_word(at + len, strlen(at + len), "netascii");
    if (!r->netascii && !same_word(at + len, strlen(at + len), "octet"))
        return wrong(p, "bad mode: write ;mode=netascii or ;mode=octet, or %%3B for \";\"");
    *n = (size_t)(at - p->s);
    return 0;
}

static int parse_path(const struct parse *p, struct remote *r)
{
    char plain[3 * PATH_CLEAN_MAX];
    const char *s = p->s;
    size_t n = strlen(s);

    if (r->scheme == REMOTE_TFTP) {
        int err = parse_mode(p, &n, r);
        if (err)
            return err;
        r->absolute = n > 1 && s[0] == '/' && s[1] == '/';
    }
    if (n > sizeof plain)
        return wrong_path(p, -XFER_ETOOLONG);
    if (p->url) {
        long len = escape_unpercent(s, n, plain, sizeof plain);

        if (len < 0)
            return wrong(p, "bad percent-escape: write %%25 for \"%%\" in a URL");
        s = plain;
        n = (size_t)len;
    }

    int err = path_clean(s, n, &r->path, &r->dir_slash);

    return err ? wrong_path(p, err) : 0;
}

int remote_parse(const char *s, struct remote *ret, char *why, size_t why_cap)
{
    struct parse p = {.s = s, .why = why, .why_cap = why_cap};
    size_t scheme = scheme_length(s);
    size_t colon = strcspn(s, ":/");
    struct remote r;

    if (s[colon] != ':')
        return 0;
    memset(&r, 0, offsetof(struct remote, path));

    int err = scheme > 0 ? parse_scheme(&p, scheme, &r) : 0;

    if (!err)
        err = *p.s == '[' ? parse_bracketed(&p, &r) : parse_plain_host(&p, &r);
    if (!err)
        err = p.url ? parse_url_rest(&p, &r) : parse_rest(&p, s, &r);
    if (!err)
        err = parse_path(&p, &r);
    if (err)
        return err;
    *ret = r;
    return 1;
}

char *remote_show(const struct remote *r, const char *path, char *out, size_t cap)
{
    const char *p = path ? path : r->path.s;
    char port[16] = "";

    if (r->port > 0)
        snprintf(port, sizeof port, "%u", r->port);
    if (r->scheme == REMOTE_TFTP) {
        snprintf(out, cap, "tftp://%s%s%s%s%s%s%s%s", r->literal_v6 ? "[" : "", r->host,
                 r->literal_v6 ? "]" : "", r->port > 0 ? ":" : "", port, r->absolute ? "/" : "",
                 *p == '/' ? "" : "/", p);
        return out;
    }
    snprintf(out, cap, "%s%s%s:%s%s%s", r->literal_v6 ? "[" : "", r->host, r->literal_v6 ? "]" : "",
             port, *p == '/' ? "" : "/", p);
    return out;
}
