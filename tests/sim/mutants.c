/*
 * mutants.c - deliberate faults: the schedules must find each of them
 *
 * Those of tests/torture/mutants.py, and the one whose schedule needs long outages.
 *
 *	fence     every daemon believes that it holds every entry
 *	renewal   leases are never renewed, though the daemon is told that they were
 *	back-off  the wait before a lost connection is tried again grows to 5 s, whatever
 *	          the lease
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/sim/sim.h"

enum { BACK_OFF_MS = 5000 };

const char *const mutants[] = {"fence", "renewal", "back-off", NULL};

static const char *mutant; /* NULL: none */

static bool
is(const char *name)
{
	return mutant && !strcmp(mutant, name);
}

void
mutant_set(const char *name)
{
	mutant = name;
}

bool
mutant_is_set(void)
{
	return mutant != NULL;
}

int64_t
mutant_retry_max_ms(int64_t retry_max_ms)
{
	return is("back-off") ? BACK_OFF_MS : retry_max_ms;
}

/* All in front of the function's first line, a line in its place, and the rest. */
static char *
without_fence(const char *text)
{
	static const char begin[] = "local function is_mine(entry)\n";
	const char *at = strstr(text, begin);
	char *ret;

	if (!at || asprintf(&ret, "%.*s%sdo return true end\n%s", (int)(at - text), text,
			   begin, at + strlen(begin)) < 0)
		abort();
	return ret;
}

char *
mutant_script(const char *name, const char *text)
{
	char *ret = is("renewal") && !strcmp(name, "renew") ? strdup("return {}\n")
		    : is("fence")                           ? without_fence(text)
							    : strdup(text);

	if (!ret)
		abort();
	return ret;
}
