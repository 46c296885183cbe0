/*
 * cmd_dead.c - stintctl dead: what is said without one of its commands
 */
#include <limits.h>
#include "daemon/ctl/ctl.h"

static int
run(const struct ctl_opts *o, char **args, int count)
{
	(void)o, (void)count;
	return ctl_say(EX_USAGE, "unknown command \"dead %s\"; see stintctl dead --help",
		args[0]);
}

static const char help[] =
	"Usage: stintctl dead list [OPTION]...\n"
	"       stintctl dead show [OPTION]... ID\n"
	"       stintctl dead retry [OPTION]... ID... | --all\n"
	"       stintctl dead drop [OPTION]... ID... | --all\n"
	"\n"
	"Dead letters are jobs that failed for good or were rejected, with all their\n"
	"fields and their result. Each of these commands has its --help.\n";

const struct ctl_command cmd_dead = {
	.name = "dead",
	.takes = "qal",
	.min_args = 1,
	.max_args = INT_MAX,
	.help = help,
	.run = run,
};
