/* out.h - standard output, and the first thing that went wrong with it. */
#ifndef XFER_CLI_OUT_H
#define XFER_CLI_OUT_H

#include <stdbool.h>
#include <stddef.h>

/* The reader went away: what a shell reports of a program that SIGPIPE killed. */
#define EXIT_CLOSED_PIPE 141

/* Buffered. False once a write failed. */
bool out_write(const void *p, size_t n);
bool out_flush(void);

/* Whether its reader has gone, before anything more is written. */
bool out_is_closed(void);

/* Flushes and closes; returns the exit status of the program, which had `status` so far. A failure
 * is told on standard error, except that a reader who has seen enough is nothing to talk about. */
int out_close(int status);

#endif
