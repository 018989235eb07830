#include "config.h"

#include "compare/markup.h"

void markup_text(const char *s, FILE *f)
{
    for (; *s != '\0'; s++)
        switch (*s) {
        case '<':
            fputs("&lt;", f);
            break;
        case '>':
            fputs("&gt;", f);
            break;
        case '&':
            fputs("&amp;", f);
            break;
        case '"':
            fputs("&quot;", f);
            break;
        default:
            fputc(*s, f);
        }
}

void markup_json(const char *json, FILE *f)
{
    for (; *json != '\0'; json++)
        if (*json == '<') /* stands in strings alone */
            fputs("\\u003c", f);
        else
            fputc(*json, f);
}
