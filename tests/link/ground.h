/* ground.h - what programs of tests/link/ share: another user than root, and TAP. */
#ifndef XFER_TESTS_LINK_GROUND_H
#define XFER_TESTS_LINK_GROUND_H

#include <stdbool.h>

/* As root: becomes nobody, so that it is user namespaces that are tested. */
void become_ordinary(void);

void tap_check(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void tap_skip_all(const char *why);
int tap_end(void); /* prints the plan; the exit status */

#endif
