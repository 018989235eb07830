/* patience.h - a long system call in a thread of its own, so that the peer hears from us meanwhile.
 */
#ifndef XFER_SESSION_PATIENCE_H
#define XFER_SESSION_PATIENCE_H

/* Runs fn(arg) to its end, and calls alive(alive_arg) every few seconds until then, in the calling
 * thread. After ten minutes it calls no more: a disk that hangs is not to be vouched for. */
void patience_run(void (*fn)(void *arg), void *arg, void (*alive)(void *arg), void *alive_arg);

#endif
