#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/escape.h"
#include "cli/records.h"

static json_t *record_new(const char *type)
{
    return json_pack("{s:i, s:s}", "schema", RECORDS_SCHEMA, "type", type);
}

/* The setters of jansson take the reference and fail on NULL: a record without memory for one key
 * lacks that key and no more. */
static void set_count(json_t *o, const char *key, uint64_t v)
{
    json_object_set_new(o, key, json_integer((json_int_t)v));
}

static void set_real(json_t *o, const char *key, double v)
{
    json_object_set_new(o, key, json_real(isfinite(v) ? v : 0));
}

static void set_escaped(json_t *o, const char *key, const char *bytes)
{
    size_t cap = 4 * strlen(bytes) + 8;
    char *shown = malloc(cap), escaped_key[32];

    snprintf(escaped_key, sizeof escaped_key, "%s_escaped", key);
    if (shown != NULL)
        json_object_set_new(o, escaped_key,
                            json_string(escape_show(bytes, strlen(bytes), shown, cap)));
    free(shown);
}

static void set_bytes(json_t *o, const char *key, const char *bytes)
{
    if (bytes == NULL)
        return;
    if (escape_is_utf8(bytes, strlen(bytes)))
        json_object_set_new(o, key, json_string(bytes));
    else
        set_escaped(o, key, bytes);
}

static void set_sha256(json_t *o, const uint8_t sha256[XFER_SHA256_LEN])
{
    char hex[DIGEST_HEX + 1];

    digest_hex(sha256, hex);
    json_object_set_new(o, "sha256", json_string(hex));
}

static void set_rate(json_t *o, uint64_t bytes, double seconds)
{
    double bits = seconds > 0 ? 8 * (double)bytes / seconds : 0;

    set_count(o, "bits_per_second", bits < 9e18 ? (uint64_t)bits : 0);
}

/* Stable token of an error: its name on the wire, or "unreachable" or "local" for what the system
 * said. */
static const char *error_token(int err)
{
    if (abs(err) >= XFER_EUSAGE)
        return err_row(err)->name;
    return xfer_exit_status(err) == 3 ? "unreachable" : "local";
}

static void set_error(json_t *o, const char *token, int err, const char *text)
{
    if (err == 0)
        return;
    json_object_set_new(o, "error", json_string(token));
    set_bytes(o, "message", text != NULL && text[0] != '\0' ? text : xfer_strerror(err));
}

static const char *outcome_name(enum xfer_outcome outcome)
{
    switch (outcome) {
    case XFER_DONE:
        return "done";
    case XFER_UNCHANGED:
        return "unchanged";
    case XFER_WOULD:
        return "would";
    case XFER_SKIPPED:
        return "skipped";
    case XFER_FAILED:
        break;
    }
    return "failed";
}

static void set_udp(json_t *o, const struct xfer_udp_facts *f)
{
    set_bytes(o, "server", f->server);
    set_count(o, "block_size_bytes", f->blksize);
    set_count(o, "window", f->window);
    set_count(o, "packets_sent", f->packets_sent);
    set_count(o, "packets_received", f->packets_received);
    set_count(o, "retransmits", f->retransmits);
    set_count(o, "timeouts", f->timeouts);
    set_real(o, "rtt_seconds", f->rtt);
}

json_t *record_file(const struct xfer_event *ev)
{
    json_t *o = record_new("file");

    set_bytes(o, "name", ev->name);
    set_bytes(o, "remote", ev->remote);
    set_bytes(o, "local", ev->local);
    json_object_set_new(o, "outcome", json_string(outcome_name(ev->outcome)));
    if (ev->outcome != XFER_FAILED && ev->outcome != XFER_SKIPPED)
        set_count(o, "bytes", ev->bytes);
    if (ev->entry.has_sha256)
        set_sha256(o, ev->entry.sha256);
    if (ev->outcome == XFER_DONE) {
        set_count(o, "resumed_at_bytes", ev->resumed_at);
        set_real(o, "seconds", ev->seconds);
        set_rate(o, ev->bytes - (ev->resumed_at < ev->bytes ? ev->resumed_at : 0), ev->seconds);
        json_object_set_new(o, "verified", json_boolean(ev->verified));
        if (ev->udp != NULL)
            set_udp(o, ev->udp);
    }
    set_error(o, error_token(ev->err), ev->err, ev->text);
    return o;
}

static const char *kind_name(char type)
{
    return type == 'f' ? "file" : type == 'd' ? "directory" : type == 'l' ? "symlink" : "other";
}

static void set_mtime(json_t *o, const struct timespec *t)
{
    char date[64], text[96];
    struct tm tm;

    if (gmtime_r(&t->tv_sec, &tm) == NULL ||
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        return;
    snprintf(text, sizeof text, "%s.%09ldZ", date, t->tv_nsec);
    json_object_set_new(o, "mtime", json_string(text));
}

json_t *record_entry(const struct xfer_event *ev)
{
    const struct xfer_entry *e = &ev->entry;
    json_t *o = record_new("entry");
    char mode[8];

    set_bytes(o, "name", ev->name);
    set_bytes(o, "remote", ev->remote);
    if (e->err != 0) {
        set_error(o, error_token(e->err), e->err, ev->text);
        return o;
    }
    json_object_set_new(o, "kind", json_string(kind_name(e->type)));
    if (e->type == 'f')
        set_count(o, "bytes", e->size);
    set_mtime(o, &e->mtime);
    snprintf(mode, sizeof mode, "%04o", e->mode & 07777);
    json_object_set_new(o, "mode", json_string(mode));
    if (e->has_sha256)
        set_sha256(o, e->sha256);
    return o;
}

json_t *record_error(int err, const char *name, const char *text)
{
    json_t *o = record_new(err != 0 ? "error" : "warning");

    set_bytes(o, "name", name);
    set_error(o, error_token(err), err, text);
    if (err == 0)
        set_bytes(o, "message", text);
    return o;
}

json_t *record_copy_summary(const struct xfer_totals *t, int exit_status)
{
    json_t *o = record_new("summary");

    set_count(o, "files_done", t->files_done);
    set_count(o, "files_unchanged", t->files_unchanged);
    set_count(o, "files_would", t->files_would);
    set_count(o, "files_skipped", t->files_skipped);
    set_count(o, "files_failed", t->files_failed);
    set_count(o, "directories", t->dirs);
    set_count(o, "bytes", t->bytes);
    set_count(o, "wire_bytes", t->bytes_wire);
    set_count(o, "retries", t->retries);
    set_count(o, "segments", t->segments);
    set_count(o, "packets_sent", t->packets_sent);
    set_count(o, "packets_received", t->packets_received);
    set_count(o, "retransmits", t->retransmits);
    set_count(o, "timeouts", t->timeouts);
    set_real(o, "rtt_seconds", t->rtt);
    set_real(o, "seconds", t->seconds);
    set_rate(o, t->bytes, t->seconds);
    set_count(o, "exit_status", (uint64_t)exit_status);
    return o;
}

json_t *record_list_summary(uint64_t entries, uint64_t bytes, double seconds, int exit_status)
{
    json_t *o = record_new("summary");

    set_count(o, "entries", entries);
    set_count(o, "bytes", bytes);
    set_real(o, "seconds", seconds);
    set_count(o, "exit_status", (uint64_t)exit_status);
    return o;
}

json_t *record_request(const struct xfer_request *r, const char *time)
{
    json_t *o = record_new("request");

    json_object_set_new(o, "time", json_string(time));
    set_bytes(o, "peer", r->peer);
    set_bytes(o, "transport", r->transport);
    set_bytes(o, "verb", r->verb);
    set_bytes(o, "path", r->path);
    if (r->options != NULL)
        set_bytes(o, "options", r->options);
    set_count(o, "offset_bytes", r->offset);
    set_count(o, "bytes", r->bytes);
    set_count(o, "resent_segments", r->resent);
    if (r->transport != NULL && strcmp(r->transport, "udp") == 0)
        set_count(o, "timeouts", r->timeouts);
    set_count(o, "size_bytes", r->size);
    set_real(o, "seconds", r->seconds);
    json_object_set_new(o, "outcome", json_string(r->err == 0 ? "ok" : "failed"));
    set_error(o, err_row(r->err)->name, r->err, r->text);
    return o;
}

char *record_line(json_t *record)
{
    char *text = json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(9)), *line = NULL;
    size_t n;

    json_decref(record);
    if (text == NULL)
        return NULL;
    n = strlen(text);
    line = realloc(text, n + 2);
    if (line == NULL)
        free(text);
    else
        memcpy(line + n, "\n", 2);
    return line;
}
