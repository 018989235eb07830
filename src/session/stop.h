/* stop.h - the inside of struct xfer_stop: a descriptor that is readable once it was raised. */
#ifndef XFER_SESSION_STOP_H
#define XFER_SESSION_STOP_H

#include <stdbool.h>

#include "xfer.h"

/* -1 for NULL. */
int stop_fd(const struct xfer_stop *stop);
/* Sleeps; -XFER_ECANCELED when stop was raised before or meanwhile, else 0. */
int stop_sleep(const struct xfer_stop *stop, int64_t ns);

#endif
