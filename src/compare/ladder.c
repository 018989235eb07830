#include "config.h"

#include <math.h>
#include <string.h>

#include "compare/ladder.h"
#include "compare/markup.h"

#define RAILS 62 /* columns between the two rails of the text */
#define WORDS_MAX 192
#define LEFT 70 /* of the drawing, in its own units */
#define RIGHT 600
#define DRAWN 640
#define TOP 72
#define ROW 22         /* between two rungs, at least */
#define LETTER 7.3     /* wide */
#define DRAWN_WORDS 62 /* letters that have room on an arrow */

static const char timeout_words[] = "timeout: sends again";

static void repeat(char c, int n, FILE *f)
{
    for (int i = 0; i < n; i++)
        fputc(c, f);
}

/* Cut between words where it is longer than the room, and says so; but not in the remark at the
 * end: "WRQ data blksize=1428 .. (again)". */
static void shorten(char *text, size_t room)
{
    size_t n = strlen(text);
    const char *open = n > 0 && text[n - 1] == ')' ? strrchr(text, '(') : NULL;
    char remark[WORDS_MAX] = "";

    if (n <= room)
        return;
    if (open != NULL && open > text)
        snprintf(remark, sizeof remark, "%s", open - 1);
    room -= strlen(remark) + strlen(" ..");
    for (n = room; n > 0 && text[n] != ' '; n--)
        ;
    sprintf(text + (n > 0 ? n : room), " ..%s", remark);
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
    if (k->way == 0)
        fprintf(f, "|  %-*s|\n", RAILS - 2, timeout_words);
    else
        fprintf(f, "|%*s  |\n", RAILS - 2, timeout_words);
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

/* ---- drawn ---- */

/* Ten pixels a millisecond would be true to scale and mostly blank: what stands between two rungs
 * is kept between one row and three. */
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

/* Once for all that begins at one time. */
static void draw_time(const struct compare_ladder *l, size_t i, double y, FILE *f)
{
    char text[2][32] = {"", ""};

    for (size_t k = 0; k < 2 && k <= i; k++)
        snprintf(text[k], sizeof text[k], "%.1f",
                 1e3 * (l->packets[i - k].seconds - l->packets[0].seconds));
    if (strcmp(text[0], text[1]) != 0)
        fprintf(f, "<text class=\"lad-time\" x=\"%d\" y=\"%.1f\">%s</text>\n", LEFT - 12, y + 4,
                text[0]);
}

static void draw_timeout(const struct compare_packet *k, double y, FILE *f)
{
    fprintf(f, "<text class=\"lad-fate\" text-anchor=\"%s\" x=\"%d\" y=\"%.1f\">%s</text>\n",
            k->way == 0 ? "start" : "end", k->way == 0 ? LEFT + 10 : RIGHT - 10, y + 4,
            timeout_words);
}

/* In a system of its own: from the sender along the arrow, words above it. */
static void draw_arrow(const struct compare_packet *k, double y, double flight, FILE *f)
{
    bool lost = k->fate != COMPARE_ARRIVES;
    int dir = k->way == 0 ? 1 : -1;
    double length = hypot(RIGHT - LEFT, flight), end = lost ? 0.62 * length : length, half;
    char text[WORDS_MAX];

    shorten(compare_packet_text(k, text, sizeof text), DRAWN_WORDS);
    half = LETTER * (double)strlen(text) / 2 + 14;
    fprintf(f, "<g class=\"%s\" transform=\"translate(%d %.1f) rotate(%.2f)\">",
            lost       ? "lad-lost"
            : k->again ? "lad-again"
                       : "lad-sent",
            k->way == 0 ? LEFT : RIGHT, y, dir * atan2(flight, RIGHT - LEFT) * 180 / M_PI);
    fprintf(f, "<line x2=\"%.1f\" y2=\"0\"/>", dir * (lost ? end : end - 4));
    if (lost)
        fprintf(f,
                "<text class=\"lad-fate\" text-anchor=\"%s\" x=\"%.1f\" y=\"4\">\xc3\x97%s</text>",
                dir > 0 ? "start" : "end", dir * (end - 4), fate_text(k->fate));
    else
        fprintf(f, "<path d=\"M%.1f 0l%d -4v8z\"/>", dir * end, -10 * dir);
    /* Long words begin near their sender, where the next arrow is farther away. */
    fprintf(f, "<text class=\"lad-text\" x=\"%.1f\" y=\"-4\">",
            dir * (half > 0.36 * length || half > end / 2 ? half : end / 2));
    markup_text(text, f);
    fputs("</text></g>\n", f);
}

static double height_of(const struct compare_ladder *l, double scale)
{
    double y = TOP;

    for (size_t i = 1; i < l->n; i++)
        y += step_of(l->packets[i].seconds - l->packets[i - 1].seconds, scale);
    return y + 2.5 * ROW;
}

static void draw_frame(const struct compare_ladder *l, double height, FILE *f)
{
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" role=\"img\">\n"
            "<style>.lad-paper{fill:#fff}"
            ".lad-time{font:12px sans-serif;fill:#5a5f66;text-anchor:end}"
            ".lad-text{font:12px monospace;text-anchor:middle;fill:#1b1b1b}"
            ".lad-text,.lad-fate{stroke:#fff;stroke-width:3px;paint-order:stroke}"
            ".lad-fate{font:bold 12px sans-serif;fill:#b00020}"
            ".lad-head{font:bold 14px sans-serif;text-anchor:middle;fill:#1b1b1b}"
            ".lad-sent line{stroke:#0072b2;stroke-width:1.5}.lad-sent path{fill:#0072b2}"
            ".lad-again line{stroke:#d55e00;stroke-width:2}.lad-again path{fill:#d55e00}"
            ".lad-lost line{stroke:#b00020;stroke-width:1.5;stroke-dasharray:6 4}"
            ".lad-rail{stroke:#8a8f96;stroke-width:2}</style>\n"
            "<rect class=\"lad-paper\" width=\"100%%\" height=\"100%%\"/><title>",
            DRAWN, height);
    markup_text(l->label, f);
    fprintf(f, "</title><text class=\"lad-head\" x=\"%d\" y=\"22\">", (LEFT + RIGHT) / 2);
    markup_text(l->label, f);
    fprintf(f,
            "</text><text class=\"lad-time\" x=\"%d\" y=\"44\">ms</text>"
            "<text class=\"lad-head\" x=\"%d\" y=\"44\">client</text>"
            "<text class=\"lad-head\" x=\"%d\" y=\"44\">server</text>\n",
            LEFT - 30, LEFT, RIGHT);
    for (int i = 0; i < 2; i++)
        fprintf(f, "<line class=\"lad-rail\" x1=\"%d\" y1=\"52\" x2=\"%d\" y2=\"%.0f\"/>\n",
                i ? RIGHT : LEFT, i ? RIGHT : LEFT, height - 10);
}

void compare_ladder_svg(const struct compare_ladder *l, FILE *f)
{
    double scale = scale_of(l), y = TOP, height = height_of(l, scale);

    draw_frame(l, height, f);
    for (size_t i = 0; i < l->n; i++) {
        const struct compare_packet *k = &l->packets[i];

        if (i > 0)
            y += step_of(k->seconds - l->packets[i - 1].seconds, scale);
        draw_time(l, i, y, f);
        if (k->kind == COMPARE_TIMEOUT)
            draw_timeout(k, y, f);
        else
            draw_arrow(k, y, flight_of(k, scale), f);
    }
    if (l->more)
        fprintf(f, "<text class=\"lad-time\" x=\"%d\" y=\"%.0f\">\xe2\x80\xa6</text>\n", LEFT - 12,
                height - 10);
    fputs("</svg>\n", f);
}
