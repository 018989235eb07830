#include "config.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "cli/signals.h"

/* A handler is given nothing but the number: what it needs has to be at file scope. */
static struct xfer_stop *the_stop;
static enum signals_mode the_mode;
static volatile sig_atomic_t caught;

static void on_signal(int signo)
{
    int saved = errno;

    if (caught != 0 && (the_mode == SIGNALS_CLIENT || signo == SIGINT))
        _exit(128 + signo);
    if (caught == 0) {
        caught = signo;
        xfer_stop_raise(the_stop);
    }
    errno = saved;
}

void signals_install(struct xfer_stop *stop, enum signals_mode mode)
{
    struct sigaction stopping = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction ignoring = {.sa_handler = SIG_IGN};

    the_stop = stop;
    the_mode = mode;
    sigemptyset(&stopping.sa_mask);
    sigaddset(&stopping.sa_mask, SIGINT);
    sigaddset(&stopping.sa_mask, SIGTERM);
    sigaction(SIGPIPE, &ignoring, NULL);
    sigaction(SIGINT, &stopping, NULL);
    sigaction(SIGTERM, &stopping, NULL);
}

int signals_caught(void)
{
    return caught;
}
