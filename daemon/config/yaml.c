/*
 * yaml.c - YAML text to a tree that knows where everything stands
 *
 * On libyaml's events rather than its documents: a document has already followed
 * the aliases and forgotten which key came twice.
 *
 * Two sorts of faults: those that spoil one node (an alias, a tag, a second key of
 * the same name) leave a TREE_FAULTY behind, and reading goes on; those after which
 * nothing can be trusted (syntax, limits) end it with -EINVAL.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "daemon/config/faults.h"
#include "daemon/config/yaml.h"
#include "lib/base/cleanup.h"
#include "lib/base/units.h"

struct reader {
	yaml_parser_t parser;
	const char *text;
	size_t len;
	struct faults *faults;
	int node_count;
};

static int read_value(
	struct reader *r, const yaml_event_t *e, struct yaml_tree *node, int depth);

/* libyaml counts from 0, people from 1. */
static int
line_of(yaml_mark_t mark)
{
	return (int)mark.line + 1;
}

static int
column_of(yaml_mark_t mark)
{
	return (int)mark.column + 1;
}

/* A fault after which reading ends: give_up(reader, mark, format, ...) is -EINVAL. */
#define give_up(r, at, ...)                                                              \
	(faults_add((r)->faults, line_of(at), column_of(at), __VA_ARGS__), -EINVAL)

/* Bytes that are no text at all: libyaml knows only their offset. */
static yaml_mark_t
mark_of_byte(const struct reader *r, size_t offset)
{
	const char *line = r->text, *at = line + (offset < r->len ? offset : r->len),
		   *end;
	yaml_mark_t mark = {0};

	while ((end = memchr(line, '\n', (size_t)(at - line)))) {
		mark.line++;
		line = end + 1;
	}
	mark.column = (size_t)(at - line);
	return mark;
}

static int
report_parser(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	yaml_mark_t at = p->problem_mark;

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (p->error == YAML_READER_ERROR)
		at = mark_of_byte(r, p->problem_offset);
	faults_add(r->faults, line_of(at), column_of(at), "expected valid YAML: %s",
		p->problem ? p->problem : "cannot be read");
	return -EINVAL;
}

static int
next_event(struct reader *r, yaml_event_t *e)
{
	return yaml_parser_parse(&r->parser, e) ? 0 : report_parser(r);
}

static struct yaml_tree *
new_node(struct yaml_tree *parent, yaml_mark_t at)
{
	struct yaml_tree *node = calloc(1, sizeof *node);

	if (!node)
		return NULL;
	node->line = line_of(at);
	node->column = column_of(at);
	node->parent = parent;
	if (!parent)
		return node;
	if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	parent->count++;
	return node;
}

static int
add_node(struct reader *r, struct yaml_tree *parent, yaml_mark_t at,
	struct yaml_tree **ret)
{
	if (++r->node_count > YAML_TREE_NODES_MAX)
		return give_up(r, at, "expected at most %d values, got more",
			YAML_TREE_NODES_MAX);
	*ret = new_node(parent, at);
	return *ret ? 0 : -ENOMEM;
}

/* Anchors are refused even where no alias follows: nobody writes one for its own sake. */
static void
refuse_extras(
	struct reader *r, struct yaml_tree *node, const void *anchor, const void *tag)
{
	if (anchor)
		faults_at(r->faults, node,
			"expected no anchors and aliases (& and *), got an anchor");
	if (tag)
		faults_at(
			r->faults, node, "expected no tags, got one (it begins with !)");
	if (anchor || tag)
		node->kind = TREE_FAULTY;
}

static bool
is_null(const yaml_event_t *e)
{
	const char *text = (const char *)e->data.scalar.value;

	return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (*text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static int
read_text(struct reader *r, const yaml_event_t *e, struct yaml_tree *node)
{
	const char *text = (const char *)e->data.scalar.value;
	size_t n = e->data.scalar.length;

	if (memchr(text, '\0', n)) {
		faults_at(r->faults, node, "expected text without NUL, got one");
		node->kind = TREE_FAULTY;
		return 0;
	}
	node->kind = is_null(e) ? TREE_NULL : TREE_TEXT;
	node->text = strdup(text);
	return node->text ? 0 : -ENOMEM;
}

/* The key of @node, which is the youngest child of its map. */
static int
set_key(struct reader *r, const yaml_event_t *e, struct yaml_tree *node)
{
	const char *key = (const char *)e->data.scalar.value;
	const struct yaml_tree *older = yaml_tree_find(node->parent, key);

	if (memchr(key, '\0', e->data.scalar.length))
		return give_up(r, e->start_mark, "expected a key without NUL, got one");
	node->key = strdup(key);
	if (!node->key)
		return -ENOMEM;
	if (older) {
		faults_at(r->faults, node,
			"expected each key once, got it again (first in line %d)",
			older->line);
		node->kind = TREE_FAULTY;
	}
	refuse_extras(r, node, e->data.scalar.anchor, e->data.scalar.tag);
	return 0;
}

/* A key, whose event is @e, and its value. */
static int
read_pair(struct reader *r, const yaml_event_t *e, struct yaml_tree *map, int depth)
{
	cleanup(yaml_event_delete) yaml_event_t value = {0};
	struct yaml_tree *node;
	bool is_faulty;
	int err;

	if (e->type != YAML_SCALAR_EVENT)
		return give_up(r, e->start_mark,
			"expected a plain key, got a list, a map or an alias");
	err = add_node(r, map, e->start_mark, &node);
	if (err == 0)
		err = set_key(r, e, node);
	if (err == 0)
		err = next_event(r, &value);
	if (err < 0)
		return err;
	is_faulty = node->kind == TREE_FAULTY;
	err = read_value(r, &value, node, depth);
	if (is_faulty)
		node->kind = TREE_FAULTY;
	return err;
}

static int
read_item(struct reader *r, const yaml_event_t *e, struct yaml_tree *list, int depth)
{
	struct yaml_tree *node;
	int err = add_node(r, list, e->start_mark, &node);

	return err < 0 ? err : read_value(r, e, node, depth);
}

static int
read_children(struct reader *r, struct yaml_tree *node, int depth)
{
	bool is_map = node->kind == TREE_MAP;
	int err = 0;

	while (err == 0) {
		cleanup(yaml_event_delete) yaml_event_t e = {0};

		err = next_event(r, &e);
		if (err < 0)
			return err;
		if (e.type == YAML_MAPPING_END_EVENT || e.type == YAML_SEQUENCE_END_EVENT)
			return 0;
		err = is_map ? read_pair(r, &e, node, depth)
			     : read_item(r, &e, node, depth);
	}
	return err;
}

/* A list or map whose opening was @e; its nodes are read even when it is faulty. */
static int
read_nested(struct reader *r, const yaml_event_t *e, struct yaml_tree *node, int depth)
{
	bool is_map = e->type == YAML_MAPPING_START_EVENT;
	int err;

	if (depth >= YAML_TREE_DEPTH_MAX)
		return give_up(r, e->start_mark,
			"expected at most %d levels of nesting, got more",
			YAML_TREE_DEPTH_MAX);
	node->kind = is_map ? TREE_MAP : TREE_LIST;
	err = read_children(r, node, depth + 1);
	if (err < 0)
		return err;
	if (is_map)
		refuse_extras(
			r, node, e->data.mapping_start.anchor, e->data.mapping_start.tag);
	else
		refuse_extras(r, node, e->data.sequence_start.anchor,
			e->data.sequence_start.tag);
	return 0;
}

static int
read_value(struct reader *r, const yaml_event_t *e, struct yaml_tree *node, int depth)
{
	int err;

	switch (e->type) {
	case YAML_ALIAS_EVENT:
		faults_at(r->faults, node,
			"expected no anchors and aliases (& and *), got an alias");
		node->kind = TREE_FAULTY;
		return 0;
	case YAML_SCALAR_EVENT:
		err = read_text(r, e, node);
		if (err == 0)
			refuse_extras(r, node, e->data.scalar.anchor, e->data.scalar.tag);
		return err;
	default: /* the grammar leaves nothing else */
		return read_nested(r, e, node, depth);
	}
}

/* The document whose start was just read, up to the end of the stream. */
static int
read_document(struct reader *r, struct yaml_tree *root)
{
	cleanup(yaml_event_delete) yaml_event_t value = {0};
	cleanup(yaml_event_delete) yaml_event_t end = {0};
	cleanup(yaml_event_delete) yaml_event_t after = {0};
	int err = next_event(r, &value);

	if (err == 0) {
		root->line = line_of(value.start_mark);
		root->column = column_of(value.start_mark);
		err = read_value(r, &value, root, 0);
	}
	if (err == 0)
		err = next_event(r, &end);
	if (err == 0)
		err = next_event(r, &after);
	if (err == 0 && after.type != YAML_STREAM_END_EVENT)
		err = give_up(r, after.start_mark, "expected one document, got a second");
	return err;
}

static int
read_stream(struct reader *r, struct yaml_tree *root)
{
	cleanup(yaml_event_delete) yaml_event_t start = {0};
	cleanup(yaml_event_delete) yaml_event_t first = {0};
	int err = next_event(r, &start);

	if (err == 0)
		err = next_event(r, &first);
	if (err < 0 || first.type == YAML_STREAM_END_EVENT)
		return err;
	return read_document(r, root);
}

int
yaml_tree_parse(const char *text, size_t n, struct faults *faults, struct yaml_tree **ret)
{
	struct reader r = {.text = text, .len = n, .faults = faults};
	cleanup(yaml_tree_freep) struct yaml_tree *root = NULL;
	char size[UNITS_TEXT_BYTES];
	int err;

	if (n > YAML_TREE_BYTES_MAX) {
		faults_add(faults, 0, 0, "expected a file of at most 1MiB, got %s",
			units_format_size((int64_t)n, size));
		return -EINVAL;
	}
	root = new_node(NULL, (yaml_mark_t){0});
	if (!root || !yaml_parser_initialize(&r.parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
	err = read_stream(&r, root);
	yaml_parser_delete(&r.parser);
	if (err < 0)
		return err;
	*ret = take_ptr(root);
	return 0;
}

const struct yaml_tree *
yaml_tree_find(const struct yaml_tree *map, const char *key)
{
	for (const struct yaml_tree *n = map->first; n; n = n->next)
		if (n->key && strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

/* A password may stand anywhere: as a value, as a key that lacks its colon. */
static void
free_text(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void
yaml_tree_free(struct yaml_tree *tree)
{
	struct yaml_tree *next;

	if (!tree)
		return;
	for (struct yaml_tree *n = tree->first; n; n = next) {
		next = n->next;
		yaml_tree_free(n);
	}
	free_text(tree->key);
	free_text(tree->text);
	free(tree);
}

void
yaml_tree_freep(struct yaml_tree **tree)
{
	yaml_tree_free(*tree);
}
