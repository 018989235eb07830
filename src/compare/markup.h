/* markup.h - text put into HTML and SVG. */
#ifndef XFER_COMPARE_MARKUP_H
#define XFER_COMPARE_MARKUP_H

#include <stdio.h>

/* For the inside of an element or of an attribute in double quotes. */
void markup_text(const char *s, FILE *f);

/* JSON for the inside of a <script>: no '<' in it can end the element. */
void markup_json(const char *json, FILE *f);

#endif
