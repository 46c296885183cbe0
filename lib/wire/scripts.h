/*
 * scripts.h - the steps that must be atomic inside Redis
 *
 * Each is one file in scripts/, which says what it takes and answers; common.lua is in
 * front of each. All keys are declared, and all are in one queue's slot.
 */
#ifndef WIRE_SCRIPTS_H
#define WIRE_SCRIPTS_H

#include <stddef.h>

enum script {
	SCRIPT_FINISH,
	SCRIPT_RELEASE,
	SCRIPT_ASIDE,
	SCRIPT_TAKE_ASIDE,
	SCRIPT_LEAVE,
	SCRIPT_RETRY,
	SCRIPT_REPORT,
	SCRIPT_ADMIT,
	SCRIPT_DUE,
	SCRIPT_PROMOTE,
	SCRIPT_RENEW,
	SCRIPT_RECLAIM,
	SCRIPT_TAKEOVER,
	SCRIPT_PULL,
	SCRIPT_HASTEN,
	SCRIPT_TIDY,
	SCRIPT_COUNT, /* of those that a daemon loads; what follows is for operators */

	SCRIPT_LETTER_RETRY = SCRIPT_COUNT,
	SCRIPT_LETTER_DROP,
	SCRIPT_LETTER_LIST,
	SCRIPT_JOB_STATE,
	SCRIPT_ALL_COUNT,
};

struct script_text {
	const char *name;
	const char *text;
	size_t len;
};

extern const struct script_text script_texts[SCRIPT_ALL_COUNT];

#endif
