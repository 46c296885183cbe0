/*
 * scripts.c - scripts/ *.lua as the build turned them into strings
 */
#include "lib/wire/scripts.h"

#include "scripts.inc"

#define TEXT(n)                                                                          \
	{                                                                                \
#n, script_##n, sizeof script_##n - 1                                    \
	}

const struct script_text script_texts[SCRIPT_COUNT] = {
	[SCRIPT_FINISH] = TEXT(finish),
	[SCRIPT_RELEASE] = TEXT(release),
	[SCRIPT_LEAVE] = TEXT(leave),
};
