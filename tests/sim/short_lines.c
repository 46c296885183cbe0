/*
 * short_lines.c - daemon/core/lanes.c with lines so short that few jobs fill them
 */
#define LANES_LINE_MAX 2

#include "daemon/core/lanes.c" /* NOLINT(bugprone-suspicious-include) */
