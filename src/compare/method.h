/* method.h - the methods of compare by name. Pure. */
#ifndef XFER_COMPARE_METHOD_H
#define XFER_COMPARE_METHOD_H

#include "compare/compare.h"

/* "tcp", "tcp:bbr", "tcp*4", "tcp:cubic*4", "udp", "udp:blksize=512,window=16". False with a
 * reason in why. */
bool compare_method_parse(const char *s, struct compare_method *m, char why[COMPARE_WHY_MAX]);

/* As it is parsed: "udp:blksize=512,window=16". */
void compare_method_name(const struct compare_method *m, char out[COMPARE_LABEL_MAX]);

/* As people read it: "tcp (cubic)", "tcp (bbr) x 4", "udp stop-and-wait", "udp 512 window 16".
 * congestion is what was read back, may be empty. */
void compare_method_label(const struct compare_method *m, const char *congestion,
                          char out[COMPARE_LABEL_MAX]);

#endif
