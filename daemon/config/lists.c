/*
 * lists.c - the values that are lists or maps: queues, a command, an environment
 */
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/config/load.h"
#include "lib/base/cleanup.h"
#include "lib/wire/keys.h"

enum {
	QUEUES_MAX = 64, /* each costs the daemon a stream in every blocking read */
};

/* An item of the list, or a key of the map. */
static char *
queue_name(struct loader *l, const struct yaml_tree *node)
{
	char *name = node->key ? strdup(node->key)
			       : value_text(l, node, "the name of a queue");

	l->failed |= node->key && !name;
	return name;
}

static bool
is_free_name(struct loader *l, const struct yaml_tree *node, const char *name)
{
	const struct config *c = l->config;

	if (!keys_is_queue_name(name, strlen(name))) {
		faults_at(&l->faults, node,
			"expected 1..64 of A-Za-z0-9_.-, got another name");
		return false;
	}
	for (size_t i = 0; i < c->queue_count; i++)
		if (strcmp(c->queues[i].name, name) == 0) {
			faults_at(&l->faults, node,
				"expected each queue once, got \"%s\" again", name);
			return false;
		}
	return true;
}

static void
add_queue(struct loader *l, const struct schema_key *row, const struct yaml_tree *node)
{
	struct config *c = l->config;
	cleanup(freep) char *name = NULL;
	int64_t weight = 0;

	if (node->kind == TREE_FAULTY)
		return;
	name = queue_name(l, node);
	if (!name || !is_free_name(l, node, name))
		return;
	if (node->key && !value_number(l, row, KEY_COUNT, node, &weight))
		return;
	c->queues[c->queue_count++] =
		(struct queue_conf){take_ptr(name), (unsigned)weight};
}

void
value_load_queues(
	struct loader *l, const struct schema_key *row, const struct yaml_tree *node)
{
	struct config *c = l->config;
	bool is_list = node->kind == TREE_LIST, is_map = node->kind == TREE_MAP;
	char got[FAULTS_GOT_BYTES];

	if (!is_list && !is_map) {
		faults_at(&l->faults, node,
			"expected a list of names, or a map from names to weights, got "
			"%s",
			faults_got(node, got));
		return;
	}
	if (node->count == 0 || node->count > QUEUES_MAX) {
		faults_at(&l->faults, node, "expected 1..%d names, got %zu", QUEUES_MAX,
			node->count);
		return;
	}
	config_free_queues(c);
	assert(c->queue_count == 0);
	c->queues = calloc(node->count, sizeof *c->queues);
	if (!c->queues) {
		l->failed = true;
		return;
	}
	c->is_weighted = is_map;
	for (const struct yaml_tree *n = node->first; n; n = n->next)
		add_queue(l, row, n);
}

/* Room for the node's children and a NULL in the row's field, in place of what it
 * held; NULL without memory. */
static char **
new_strings(struct loader *l, const struct schema_key *row, const struct yaml_tree *node)
{
	char ***field = value_field(l, row);

	config_free_strings(*field);
	*field = calloc(node->count + 1, sizeof **field);
	l->failed |= !*field;
	return *field;
}

void
value_load_argv(
	struct loader *l, const struct schema_key *row, const struct yaml_tree *node)
{
	char **argv, got[FAULTS_GOT_BYTES];

	if (node->kind != TREE_LIST || node->count == 0) {
		faults_at(&l->faults, node,
			"expected a list, the program and its arguments, got %s",
			node->kind == TREE_LIST ? "an empty one" : faults_got(node, got));
		return;
	}
	argv = new_strings(l, row, node);
	if (!argv)
		return;
	for (const struct yaml_tree *n = node->first; n; n = n->next) {
		*argv = value_text(l, n, "a text");
		if (!*argv)
			continue; /* nothing is left out: the fault ends the loading */
		if (n == node->first && !**argv)
			faults_at(&l->faults, n,
				"expected a program first, got an empty text");
		argv++;
	}
}

static char *
assignment(struct loader *l, const struct yaml_tree *node)
{
	cleanup(freep) char *value = NULL;
	const char *name = node->key;
	char *text;

	if (!*name || name[strspn(name, VARIABLE_BYTES)] || isdigit(*name)) {
		faults_at(&l->faults, node,
			"expected a name of A-Za-z0-9_, not beginning with a digit, "
			"got another");
		return NULL;
	}
	value = value_text(l, node, "a text");
	if (!value)
		return NULL;
	if (asprintf(&text, "%s=%s", name, value) < 0) {
		l->failed = true;
		return NULL;
	}
	return text;
}

void
value_load_environment(
	struct loader *l, const struct schema_key *row, const struct yaml_tree *node)
{
	char **strings;

	if (node->kind != TREE_MAP && node->kind != TREE_NULL) {
		faults_at(&l->faults, node, "expected a map from names to texts, got %s",
			node->kind == TREE_LIST ? "a list" : "a text");
		return;
	}
	strings = new_strings(l, row, node);
	if (!strings)
		return;
	for (const struct yaml_tree *n = node->first; n; n = n->next) {
		*strings = assignment(l, n);
		if (*strings)
			strings++;
	}
}
