/*
 * load.c - a file, the table of keys and the environment make a struct config
 *
 * The order: every default of the table goes through the same code as the user's
 * values; then the file, but for its handlers; then the handlers, each a copy of
 * what `defaults` and `results` came to; last the password, which has the final
 * word over the URL's. No fault ends the work, so that all are told at once.
 */
#define HASH_NONFATAL_OOM 1
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/config/file.h"
#include "daemon/config/load.h"
#include "lib/base/cleanup.h"
#include "lib/base/units.h"
#include "lib/wire/keys.h"

/* Sections nest two deep, and their paths are those of the table. */
static void load_section(
	struct loader *l, const char *section, const struct yaml_tree *node);

/* A section that is left empty is one without keys. Its text is not shown: it may
 * be a URL that stands one level too high. */
static bool
is_section(struct loader *l, const struct yaml_tree *node)
{
	if (node->kind == TREE_MAP || node->kind == TREE_NULL)
		return true;
	if (node->kind != TREE_FAULTY)
		faults_at(&l->faults, node, "expected a map of keys, got %s",
			node->kind == TREE_LIST ? "a list" : "a text");
	return false;
}

static void
report_unknown(struct loader *l, const char *section, const struct yaml_tree *node)
{
	const char *nearest = schema_nearest(section, node->key);

	faults_at(&l->faults, node, "expected a known key, got an unknown one%s%s%s",
		nearest ? "; did you mean \"" : "", nearest ? nearest : "",
		nearest ? "\"?" : "");
}

static void
load_key(struct loader *l, const char *section, const struct yaml_tree *node)
{
	const struct schema_key *row = schema_find(section, node->key);
	bool is_for_clients = row && (row->flags & KEY_FOR_CLIENTS);

	if (l->is_for_clients && !is_for_clients && !*section)
		return;
	if (!row)
		report_unknown(l, section, node);
	else if (node->kind == TREE_FAULTY)
		return;
	else if (row->type == KEY_SECTION)
		load_section(l, row->path, node);
	else if (row->type == KEY_HANDLERS)
		l->handlers = node;
	else
		value_load(l, row, node);
}

static void
load_section(struct loader *l, const char *section, const struct yaml_tree *node)
{
	if (!is_section(l, node))
		return;
	for (const struct yaml_tree *n = node->first; n; n = n->next)
		load_key(l, section, n);
}

/* Told where the file says the one or the other; where it says neither, it is so by
 * `defaults`, and was told there. */
static void
check_retries(struct loader *l, const struct yaml_tree *section)
{
	const struct handler_conf *h = l->handler;
	const struct yaml_tree *node = yaml_tree_find(section, "retries");

	if (h->retries <= h->max_retries)
		return;
	if (node)
		faults_at(&l->faults, node, "expected at most max_retries (%d), got %d",
			h->max_retries, h->retries);
	else if ((node = yaml_tree_find(section, "max_retries")))
		faults_at(&l->faults, node, "expected at least retries (%d), got %d",
			h->retries, h->max_retries);
}

static struct handler_conf *
new_handler(const struct handler_conf *preset, const char *name)
{
	struct handler_conf *h = malloc(sizeof *h);

	if (!h)
		return NULL;
	*h = *preset;
	h->name = strdup(name);
	h->environment = calloc(1, sizeof *h->environment);
	if (h->name && h->environment)
		return h;
	config_free_handler(h);
	return NULL;
}

static void
load_handler(struct loader *l, const struct yaml_tree *node)
{
	struct handler_conf *h;

	if (node->kind == TREE_FAULTY)
		return;
	if (!keys_is_queue_name(node->key, strlen(node->key)))
		faults_at(&l->faults, node,
			"expected a name of 1..64 of A-Za-z0-9_.-, got another");
	h = new_handler(&l->preset, node->key);
	if (!h) {
		l->failed = true;
		return;
	}
	l->handler = h;
	load_section(l, "handlers.*", node);
	kind_check(l, node);
	check_retries(l, node);
	account_resolve(l, node);
	l->handler = &l->preset;
	HASH_ADD_KEYPTR(hh, l->config->handlers, h->name, strlen(h->name), h);
	if (!h->hh.tbl) {
		l->failed = true;
		config_free_handler(h);
	}
}

/* All defaults of the table, each read like a line of the file. */
static void
load_presets(struct loader *l)
{
	for (size_t i = 0; i < schema_key_count; i++) {
		const struct schema_key *row = &schema_keys[i];
		cleanup(yaml_tree_freep) struct yaml_tree *tree = NULL;

		if (!row->preset)
			continue;
		if (yaml_tree_parse(row->preset, strlen(row->preset), &l->faults, &tree) <
			0)
			l->failed = true;
		else
			value_load(l, row, tree);
	}
}

/* One worker per processor that the daemon may run on. */
static int
processor_count(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

	return n > 0 ? n : 1;
}

static void
load_tree(struct loader *l, const struct yaml_tree *root)
{
	struct config *c = l->config;

	load_section(l, "", root);
	if (yaml_tree_find(root, "defaults"))
		check_retries(l, yaml_tree_find(root, "defaults"));
	if (l->handlers && is_section(l, l->handlers))
		for (const struct yaml_tree *n = l->handlers->first; n; n = n->next)
			load_handler(l, n);
	if (c->password_file)
		password_load(l);
	if (c->concurrency == 0)
		c->concurrency = processor_count();
	c->default_result_ttl_ms = l->preset.result_ttl_ms;
	c->default_store = l->preset.store;
	c->default_payload_limit_bytes = l->preset.payload_limit_bytes;
}

static int
read_file(struct loader *l, struct buf *content)
{
	char size[UNITS_TEXT_BYTES];
	int64_t bytes = 0;
	int r = file_read(l->path, YAML_TREE_BYTES_MAX, content, &bytes);

	if (r == -EFBIG)
		faults_add(&l->faults, 0, 0, "expected a file of at most 1MiB, got %s",
			bytes > 0 ? units_format_size(bytes, size) : "more");
	else if (r < 0 && r != -ENOMEM)
		faults_add(&l->faults, 0, 0, "expected a file that can be read: %s",
			strerror(-r));
	return r == 0 || r == -ENOMEM ? r : -EINVAL;
}

static int
load_text(struct loader *l, const char *text, size_t n)
{
	cleanup(yaml_tree_freep) struct yaml_tree *root = NULL;
	int r = yaml_tree_parse(text, n, &l->faults, &root);

	if (r == 0)
		load_tree(l, root);
	return r;
}

static int
load(struct loader *l, const char *text)
{
	cleanup(buf_wipe) struct buf content = {0};
	int r;

	l->handler = &l->preset;
	l->config = calloc(1, sizeof *l->config);
	if (!l->config)
		return -ENOMEM;
	l->config->refs = 1;
	l->config->path = l->path ? strdup(l->path) : NULL;
	if (l->path && !l->config->path)
		return -ENOMEM;
	load_presets(l);
	if (text)
		return load_text(l, text, strlen(text));
	r = read_file(l, &content);
	return r < 0 ? r : load_text(l, content.data, content.len);
}

/* The answer, once all is told. */
static int
finish(struct loader *l, int r, struct buf *faults)
{
	if (r == -ENOMEM || l->failed || l->faults.failed)
		return -ENOMEM;
	faults_print(&l->faults, l->path ? l->path : "built-in configuration", faults);
	if (faults->failed)
		return -ENOMEM;
	return l->faults.count > 0 ? -EINVAL : 0;
}

static void
loader_fini(struct loader *l)
{
	config_free(l->config);
	faults_fini(&l->faults);
}

int
config_load(const char *path, const char *text, struct config **ret, struct buf *faults)
{
	cleanup(loader_fini) struct loader l = {.path = path};
	int r = finish(&l, load(&l, text), faults);

	if (r == 0)
		*ret = take_ptr(l.config);
	return r;
}

int
config_load_redis(const char *path, struct config_redis *ret, struct buf *faults)
{
	cleanup(loader_fini) struct loader l = {.path = path, .is_for_clients = true};
	int r = finish(&l, load(&l, NULL), faults);

	if (r < 0)
		return r;
	*ret = (struct config_redis){l.config->redis, take_ptr(l.config->prefix)};
	l.config->redis = (struct redis_url){0};
	return 0;
}
