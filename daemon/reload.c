/*
 * reload.c - the configuration: loaded at the start, and again at SIGHUP
 */
#include "daemon/daemon_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "daemon/handler/plugins.h"
#include "daemon/obs/log.h"
#include "daemon/obs/log_ids.h"
#include "daemon/obs/notify.h"
#include "lib/base/cleanup.h"

int
daemon_use_redis(const char *url, struct config *config)
{
	struct redis_url parsed;
	int r = redis_url_parse(url, &parsed, NULL);

	if (r < 0)
		return r;
	redis_url_fini(&config->redis);
	config->redis = parsed;
	return 0;
}

int
daemon_load(const struct daemon_opts *opts, struct config **ret, struct buf *faults)
{
	struct config *config;
	int r;

	r = config_load(opts->config_path, opts->config_text, &config, faults);
	if (r < 0)
		return r;
	if (opts->redis_url)
		r = daemon_use_redis(opts->redis_url, config);
	if (r < 0)
		config_unref(config);
	else
		*ret = config;
	return r;
}

int
daemon_apply_queues(struct daemon *d)
{
	struct queue *queues[FETCH_QUEUES_MAX];
	const struct config *c = d->config;

	for (size_t i = 0; i < c->queue_count; i++) {
		queues[i] = queue_get(&d->queues, c->prefix, c->queues[i].name);
		if (!queues[i])
			return -ENOMEM;
	}
	/* all or none: the old queues need their old weights */
	if (control_set_queues(d->control, queues, c->queue_count) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < c->queue_count; i++) {
		queues[i]->rank = (unsigned)i;
		queues[i]->weight = c->queues[i].weight;
	}
	delayed_set_queues(d->delayed, queues, c->queue_count);
	claim_set_queues(d->claim, queues, c->queue_count);
	fetch_set_queues(d->fetch, queues, c->queue_count, c->is_weighted);
	return 0;
}

static void
log_lines(struct buf *lines)
{
	char *rest = NULL;

	for (char *s = strtok_r(lines->data, "\n", &rest); s;
		s = strtok_r(NULL, "\n", &rest))
		log_error("configuration fault", F_STR("fault", s));
}

static void
apply(struct daemon *d, struct config *config)
{
	cleanup(buf_fini) struct buf names = {0};
	struct stint_err err = {0};
	char *prefix = config->prefix;

	config_needs_restart(d->config, config, &names);
	if (names.len > 0)
		log_warn("these keys take effect only after a restart",
			F_STR("keys", buf_cstr(&names)));
	/* what needs a restart stays as it is, in the new snapshot, too */
	config->lease_ms = d->config->lease_ms;
	config->prefix = d->config->prefix;
	d->config->prefix = prefix;
	const struct redis_url url = config->redis;
	config->redis = d->config->redis;
	d->config->redis = url;
	config_unref(d->config);
	d->config = config;
	log_setup(config->log_level, config->log_format);
	intake_set_config(d->intake, config);
	if (dispatch_set_config(d->dispatch, config) < 0)
		log_error("no memory for the limits of handlers, some have none");
	aside_look(d->aside);
	for (enum link_role role = 0; role < LINK_COUNT; role++)
		redis_conn_set_string_limit(
			d->links[role].conn, daemon_string_limit(config));
	if (daemon_apply_queues(d) < 0)
		log_error("no memory for the queues, reading the old ones");
	daemon_check_files(config->concurrency);
	if (workers_resize(d->workers, (size_t)config->concurrency, &err) < 0)
		log_error("cannot have that many workers", F_STR("why", err.msg));
	dispatch_flush(d->dispatch); /* what has waited for a higher limit */
	daemon_unblock(d);           /* so that the next read sees the new queues */
}

/* A pipe is empty by now, and an empty file has no faults and no handlers; or the daemon
 * would stand still until somebody writes to it. */
static int
check_can_be_read_again(const char *path, struct buf *faults)
{
	struct stat st;

	if (!path || stat(path, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return 0;
	buf_fmt(faults, "%s: expected a regular file, this one cannot be read again\n",
		path);
	return -EINVAL;
}

static int
load(struct daemon *d, struct config **ret, struct buf *faults)
{
	struct config *config;
	int r = check_can_be_read_again(d->opts->config_path, faults);

	if (r == 0)
		r = check_can_be_read_again(d->config->password_file, faults);
	if (r == 0)
		r = daemon_load(d->opts, &config, faults);
	if (r < 0)
		return r;
	r = plugins_load(config, faults);
	if (r < 0)
		config_unref(config);
	else
		*ret = config;
	return r;
}

bool
daemon_reload(struct daemon *d)
{
	cleanup(buf_fini) struct buf faults = {0};
	struct config *config;

	if (d->drain.state != DRAIN_RUNNING)
		return false;
	notify_reloading();
	d->is_file_faulty = load(d, &config, &faults) < 0;
	if (d->is_file_faulty) {
		buf_cstr(&faults);
		log_lines(&faults);
		log_error("configuration not reloaded, the old one stays",
			F_MESSAGE_ID(LOG_ID_RELOAD_REFUSED));
	} else {
		apply(d, config);
		log_info("configuration reloaded", F_MESSAGE_ID(LOG_ID_RELOADED),
			F_INT("workers", config->concurrency),
			F_INT("queues", config->queue_count));
	}
	if (d->is_ready)
		daemon_set_status(d, notify_ready);
	daemon_poke(d);
	return !d->is_file_faulty;
}
