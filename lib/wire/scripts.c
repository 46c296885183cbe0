/*
 * scripts.c - scripts/ *.lua as the build turned them into strings
 */
#include "lib/wire/scripts.h"

#include "scripts.inc"

#define TEXT(n)                                                                          \
	{                                                                                \
#n, script_##n, sizeof script_##n - 1                                    \
	}

const struct script_text script_texts[SCRIPT_ALL_COUNT] = {
	[SCRIPT_FINISH] = TEXT(finish),
	[SCRIPT_RELEASE] = TEXT(release),
	[SCRIPT_ASIDE] = TEXT(aside),
	[SCRIPT_TAKE_ASIDE] = TEXT(take_aside),
	[SCRIPT_LEAVE] = TEXT(leave),
	[SCRIPT_RETRY] = TEXT(retry),
	[SCRIPT_REPORT] = TEXT(report),
	[SCRIPT_ADMIT] = TEXT(admit),
	[SCRIPT_DUE] = TEXT(due),
	[SCRIPT_PROMOTE] = TEXT(promote),
	[SCRIPT_RENEW] = TEXT(renew),
	[SCRIPT_RECLAIM] = TEXT(reclaim),
	[SCRIPT_TAKEOVER] = TEXT(takeover),
	[SCRIPT_PULL] = TEXT(pull),
	[SCRIPT_HASTEN] = TEXT(hasten),
	[SCRIPT_TIDY] = TEXT(tidy),
	[SCRIPT_LETTER_RETRY] = TEXT(letter_retry),
	[SCRIPT_LETTER_DROP] = TEXT(letter_drop),
	[SCRIPT_LETTER_LIST] = TEXT(letter_list),
	[SCRIPT_JOB_STATE] = TEXT(job_state),
};
