#include "config.h"

#include <string.h>

#include "compare/ladder.h"
#include "compare/markup.h"

#define RAILS 62 /* columns between the two rails of the text */
#define WORDS_MAX 192
#define LEFT 190 /* of the drawing, in its own units */
#define RIGHT 610
#define DRAWN 800
#define ROW 22 /* between two rungs, at least */

static void repeat(char c, int n, FILE *f)
{
    for (int i = 0; i < n; i++)
        fputc(c, f);
}

/* Cut between words where it is longer than the room, and says so. */
static void shorten(char *text, size_t room)
{
    size_t n = strlen(text);

    if (n <= room)
        return;
    for (n = room - 3; n > 0 && text[n] != ' '; n--)
        ;
    strcpy(text + (n > 0 ? n : room - 3), n > 0 ? " .." : "..");
}

static const char *fate_text(enum compare_fate fate)
{
    return fate == COMPARE_LOST ? " lost" : fate == COMPARE_OVERFLOW ? " queue full" : "";
}

/* "|--- DATA 1, 1428 bytes ----->|"; one that is lost stops at an X halfway. */
static void put_arrow(const struct compare_packet *k, FILE *f)
{
    const char *fate = fate_text(k->fate);
    bool lost = k->fate != COMPARE_ARRIVES;
    int after = (int)strlen(fate), words;
    char text[WORDS_MAX];

    shorten(compare_packet_text(k, text, sizeof text), (size_t)(RAILS - 7 - after));
    words = (int)strlen(text) + 2;

    int line = RAILS - words - 4 - (lost ? after : 0);
    int drawn = lost && line > 6 ? line / 2 : line, blank = line - drawn;

    if (k->way == 0) {
        fprintf(f, "|--- %s ", text);
        repeat('-', drawn, f);
        fputc(lost ? 'X' : '>', f);
        if (lost)
            fputs(fate, f);
        repeat(' ', blank, f);
    } else {
        fputc('|', f);
        repeat(' ', blank, f);
        if (lost)
            fprintf(f, "%-*s", after, fate + 1);
        fputc(lost ? 'X' : '<', f);
        repeat('-', drawn, f);
        fprintf(f, " %s ---", text);
    }
    fputs("|\n", f);
}

static void put_timeout(const struct compare_packet *k, FILE *f)
{
    static const char words[] = "timeout: sends again";

    if (k->way == 0)
        fprintf(f, "|  %-*s|\n", RAILS - 2, words);
    else
        fprintf(f, "|%*s  |\n", RAILS - 2, words);
}

void compare_ladder_text(const struct compare_ladder *l, bool utf8, FILE *f)
{
    fprintf(f, "%s\n%9s  client%*s\n", l->label, "ms", RAILS - 4, "server");
    for (size_t i = 0; i < l->n; i++) {
        const struct compare_packet *k = &l->packets[i];

        fprintf(f, "%9.1f  ", 1e3 * (k->seconds - l->packets[0].seconds));
        if (k->kind == COMPARE_TIMEOUT)
            put_timeout(k, f);
        else
            put_arrow(k, f);
    }
    if (l->more)
        fprintf(f, "%9s\n", utf8 ? "…" : "...");
}

/* Where a rung begins and ends. Ten pixels a millisecond would be true to scale and mostly blank:
 * what stands between two rungs is kept between one row and three. */
struct rung {
    double from, to;
};

static double step_of(double seconds, double scale)
{
    double y = seconds * scale;

    return y < ROW ? ROW : y > 3 * ROW ? 3 * ROW : y;
}

static double flight_of(const struct compare_packet *k, double scale)
{
    double y = k->arrives > k->seconds ? (k->arrives - k->seconds) * scale : ROW;

    return y < 6 ? 6 : y > ROW ? ROW : y;
}

/* So many units a second that the fastest packet is one row on its way. */
static double scale_of(const struct compare_ladder *l)
{
    double least = 0;

    for (size_t i = 0; i < l->n; i++) {
        double d = l->packets[i].arrives - l->packets[i].seconds;

        if (l->packets[i].fate == COMPARE_ARRIVES && d > 0 && (least == 0 || d < least))
            least = d;
    }
    return least > 0 ? ROW / least : 1000;
}

static void put_rung(const struct compare_packet *k, const char *text, struct rung r, double ms,
                     FILE *f)
{
    bool lost = k->fate != COMPARE_ARRIVES;
    double x1 = k->way == 0 ? LEFT : RIGHT, x2 = k->way == 0 ? RIGHT : LEFT;
    double part = lost ? 0.6 : 1;

    x2 = x1 + (x2 - x1) * part;
    r.to = r.from + (r.to - r.from) * part;
    fprintf(f, "<text class=\"t\" x=\"%d\" y=\"%.1f\">%.1f ms</text>", LEFT - 90, r.from + 4, ms);
    if (k->kind == COMPARE_TIMEOUT) {
        fprintf(f, "<text class=\"%s\" x=\"%d\" y=\"%.1f\">timeout</text>\n",
                k->way == 0 ? "x" : "x r", k->way == 0 ? LEFT - 10 : RIGHT + 10, r.from + 4);
        return;
    }
    fprintf(f, "<line class=\"%s\" x1=\"%.0f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"%s/>",
            lost ? "a l" : "a", x1, r.from, x2, r.to, lost ? "" : " marker-end=\"url(#head)\"");
    if (lost)
        fprintf(f,
                "<text class=\"x\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">\xc3\x97%s</text>",
                x2, r.to + 5, fate_text(k->fate));
    /* Near its sender: what comes the other way at the same time has its words elsewhere. */
    fprintf(f, "<text class=\"m\" x=\"%d\" y=\"%.1f\">",
            k->way == 0 ? LEFT + (RIGHT - LEFT) / 4 : RIGHT - (RIGHT - LEFT) / 4, r.from + 1);
    markup_text(text, f);
    fputs("</text>\n", f);
}

static double height_of(const struct compare_ladder *l, double scale)
{
    double y = 70;

    for (size_t i = 1; i < l->n; i++)
        y += step_of(l->packets[i].seconds - l->packets[i - 1].seconds, scale);
    return y + 2 * ROW;
}

static void put_frame(const struct compare_ladder *l, double height, FILE *f)
{
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" role=\"img\">\n"
            "<style>.t{font:12px sans-serif;fill:#666;text-anchor:end}"
            ".m{font:12px monospace;text-anchor:middle;fill:#111}"
            ".h{font:bold 14px sans-serif;text-anchor:middle;fill:#111}"
            ".x{font:bold 12px sans-serif;fill:#b00020;text-anchor:end}.r{text-anchor:start}"
            ".a{stroke:#1f5fa8;stroke-width:1.5}.l{stroke:#b00020;stroke-dasharray:5 3}"
            ".v{stroke:#888;stroke-width:2}</style>\n"
            "<defs><marker id=\"head\" viewBox=\"0 0 10 10\" refX=\"10\" refY=\"5\" "
            "markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">"
            "<path d=\"M0 0L10 5L0 10z\" fill=\"#1f5fa8\"/></marker></defs>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/><title>",
            DRAWN, height);
    markup_text(l->label, f);
    fprintf(f, "</title><text class=\"h\" x=\"%d\" y=\"20\">", (LEFT + RIGHT) / 2);
    markup_text(l->label, f);
    fprintf(f,
            "</text><text class=\"h\" x=\"%d\" y=\"44\">client</text>"
            "<text class=\"h\" x=\"%d\" y=\"44\">server</text>\n",
            LEFT, RIGHT);
    for (int i = 0; i < 2; i++)
        fprintf(f, "<line class=\"v\" x1=\"%d\" y1=\"52\" x2=\"%d\" y2=\"%.0f\"/>\n",
                i ? RIGHT : LEFT, i ? RIGHT : LEFT, height - 10);
}

void compare_ladder_svg(const struct compare_ladder *l, FILE *f)
{
    double scale = scale_of(l), y = 70;
    char text[WORDS_MAX];

    put_frame(l, height_of(l, scale), f);
    for (size_t i = 0; i < l->n; i++) {
        const struct compare_packet *k = &l->packets[i];

        if (i > 0)
            y += step_of(k->seconds - l->packets[i - 1].seconds, scale);
        put_rung(k, compare_packet_text(k, text, sizeof text),
                 (struct rung){y, y + flight_of(k, scale)},
                 1e3 * (k->seconds - l->packets[0].seconds), f);
    }
    fputs("</svg>\n", f);
}
