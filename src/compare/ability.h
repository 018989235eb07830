/* ability.h - what this machine can do for compare, told beforehand. */
#ifndef XFER_COMPARE_ABILITY_H
#define XFER_COMPARE_ABILITY_H

#include <stdbool.h>
#include <stdio.h>

/* Tries an emulated link, and looks for the rest. False where no link can be emulated. */
bool compare_ability(FILE *f);

#endif
