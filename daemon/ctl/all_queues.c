/*
 * all_queues.c - see all_queues.h
 */
#include "daemon/ctl/all_queues.h"

#include <errno.h>
#include <string.h>
#include "daemon/config/config.h"
#include "daemon/ctl/where.h"
#include "lib/base/cleanup.h"

/* The queues of the configuration, which may have had no job yet. A file that only the
 * daemon can load in full, for its environment or its secrets, costs no more than a
 * remark. */
static int
add_configured(const char *path, struct client_names *queues)
{
	cleanup(buf_fini) struct buf faults = {0};
	struct config *conf;
	int r;

	r = config_load(path, NULL, &conf, &faults);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		ctl_say(EX_CONFIG,
			"%s: its queues cannot be read from here and are left out", path);
		return 0;
	}
	for (size_t i = 0; r == 0 && i < conf->queue_count; i++)
		r = client_names_add(
			queues, conf->queues[i].name, strlen(conf->queues[i].name));
	config_unref(conf);
	return r;
}

int
all_queues(const struct ctl_opts *o, struct client *c, struct client_names *ret)
{
	const char *config = where_config(o);
	struct stint_err err = {0};

	if (config && add_configured(config, ret) < 0)
		return ctl_say(EX_OSERR, "out of memory");
	return client_find_queues(c, ret, &err) < 0 ? ctl_fail(&err) : 0;
}
