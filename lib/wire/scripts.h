/*
 * scripts.h - the steps that must be atomic inside Redis
 *
 * Each is one file in scripts/, which says what it takes and answers. All keys are
 * declared, and all are in one queue's slot.
 */
#ifndef WIRE_SCRIPTS_H
#define WIRE_SCRIPTS_H

#include <stddef.h>

enum script { SCRIPT_FINISH, SCRIPT_RELEASE, SCRIPT_LEAVE, SCRIPT_COUNT };

struct script_text {
	const char *name;
	const char *text;
	size_t len;
};

extern const struct script_text script_texts[SCRIPT_COUNT];

#endif
