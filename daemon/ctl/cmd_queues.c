/*
 * cmd_queues.c - stintctl queues
 */
#include <errno.h>
#include <string.h>
#include "daemon/config/config.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/out.h"
#include "daemon/ctl/where.h"
#include "lib/base/cleanup.h"

static const char *const columns[] = {"queue", "waiting", "running", "dead", "consumers"};

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

static int
find_queues(struct client *c, const char *config, struct client_names *queues,
	struct stint_err *err)
{
	const int r = config ? add_configured(config, queues) : 0;

	if (r < 0)
		return stint_err_set(err, r, "out of memory");
	return client_find_queues(c, queues, err);
}

static int
add_row(struct client *c, json_t *rows, const char *queue, struct stint_err *err)
{
	struct client_queue_stats s;
	const int r = client_queue_stats(c, queue, &s, err);

	if (r < 0)
		return r;
	if (json_array_append_new(
		    rows, json_pack("{s:s, s:I, s:I, s:I, s:I}", columns[0], queue,
				  columns[1], (json_int_t)s.waiting_count, columns[2],
				  (json_int_t)s.running_count, columns[3],
				  (json_int_t)s.dead_count, columns[4],
				  (json_int_t)s.consumer_count)) < 0)
		return stint_err_set(err, -ENOMEM, "out of memory");
	return 0;
}

static int
run(const struct ctl_opts *o, char **args, int count)
{
	cleanup(client_freep) struct client *c = NULL;
	cleanup(client_names_fini) struct client_names queues = {0};
	cleanup(json_decrefp) json_t *rows = json_array();
	struct stint_err err = {0};
	int code, r;

	(void)args, (void)count;
	code = where_connect(o, &c);
	if (code != 0)
		return code;
	r = find_queues(c, where_config(o), &queues, &err);
	for (size_t i = 0; r == 0 && i < queues.count; i++)
		r = add_row(c, rows, queues.names[i], &err);
	if (r < 0)
		return ctl_fail(&err);
	if (o->is_json)
		return out_json(rows);
	out_table(rows, columns, ARRAY_LEN(columns));
	return EXIT_OK;
}

static const char help[] =
	"Usage: stintctl queues [OPTION]...\n"
	"\n"
	"List the queues of the configuration, if one is used, and those that have had\n"
	"jobs: how many jobs wait, run and are dead letters, and how many consumers\n"
	"(daemons) have read from the queue.\n";

const struct ctl_command cmd_queues = {
	.name = "queues",
	.takes = "",
	.min_args = 0,
	.max_args = 0,
	.help = help,
	.run = run,
};
