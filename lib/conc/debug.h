/*
 * debug.h - what STINT_DEBUG in the environment asks for: words with commas between
 */
#ifndef CONC_DEBUG_H
#define CONC_DEBUG_H

#include <stdbool.h>

#define DEBUG_LEAKS    "leaks"
#define DEBUG_DEADLOCK "deadlock"

/* Is @word, one of those above, in the list? Not for a program with more rights than its
 * caller. */
bool debug_has(const char *word);

#endif
