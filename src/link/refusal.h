/* refusal.h - why a link cannot be, in words, and what helps. Each returns err, which is -errno. */
#ifndef XFER_LINK_REFUSAL_H
#define XFER_LINK_REFUSAL_H

#include "link/link.h"

int refusal_of_userns(struct link_problem *p, int err); /* unshare(CLONE_NEWUSER) */
/* Anything else, called `what`. */
int refusal_of(struct link_problem *p, int err, const char *what);

#endif
