/*
 * fault.c - first word of an error reply to what it asks for
 */
#include "daemon/queue/fault.h"

#include "lib/base/cleanup.h"

static const struct {
	const char *word;
	enum fault fault;
} faults[] = {
	{"NOSCRIPT", FAULT_NOSCRIPT},
	{"NOGROUP", FAULT_NOGROUP},
	/* a blocked read whose stream was deleted, or whose server was demoted: ask anew
	 */
	{"UNBLOCKED", FAULT_NOGROUP},
	{"LOADING", FAULT_WAIT},
	{"BUSY", FAULT_WAIT},
	{"MASTERDOWN", FAULT_WAIT},
	{"CLUSTERDOWN", FAULT_WAIT},
	{"TRYAGAIN", FAULT_WAIT},
	{"OOM", FAULT_REFUSED},
	{"MISCONF", FAULT_REFUSED},
	{"NOREPLICAS", FAULT_REFUSED},
	{"READONLY", FAULT_WRONG_SERVER},
	{"MOVED", FAULT_WRONG_SERVER},
	{"ASK", FAULT_WRONG_SERVER},
	{"NOAUTH", FAULT_SETUP},
	{"WRONGPASS", FAULT_SETUP},
	{"NOPERM", FAULT_SETUP},
	{"WRONGTYPE", FAULT_SETUP},
};

enum fault
fault_of(const struct redis_reply *r)
{
	if (r->type != REDIS_ERROR)
		return FAULT_NONE;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		if (redis_is_error(r, faults[i].word))
			return faults[i].fault;
	return FAULT_OTHER;
}
