/* signals.h - what SIGINT and SIGTERM do: the first one raises the stop object. */
#ifndef XFER_CLI_SIGNALS_H
#define XFER_CLI_SIGNALS_H

#include "xfer.h"

enum signals_mode {
    SIGNALS_CLIENT, /* a second signal of either kind ends the program at once */
    SIGNALS_SERVER  /* only SIGINT does: a server that drains may be sent SIGTERM again */
};

/* SIGPIPE is ignored from here on. stop must live until the program ends. */
void signals_install(struct xfer_stop *stop, enum signals_mode mode);

/* The first signal that came, 0: none. */
int signals_caught(void);

#endif
