/* compare_ability.h - what this machine can do for compare, told beforehand. */
#ifndef XFER_CLI_COMPARE_ABILITY_H
#define XFER_CLI_COMPARE_ABILITY_H

#include <stdio.h>

/* Tries an emulated link, and looks for the rest. Returns the exit status: 0 where a link can be
 * emulated. */
int compare_ability(FILE *f);

#endif
