/*
 * value.c - one value of the tree, checked by its row of the table
 *
 * ${NAME} is replaced here, after the YAML is parsed and never twice, so that no
 * variable can add a key or a further ${...}. Faults show what the file says, not
 * what came out of the environment: that may be a secret.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/config/load.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/units.h"
#include "lib/wire/keys.h"

enum {
	/* The longest argument and the longest variable that execve(2) takes
	 * (MAX_ARG_STRLEN); it also ends the multiplication of "${A}${A}${A}...". */
	EXPANDED_MAX_BYTES = 128 << 10,
	/* More than any URL has: what is read never moves, see buf_wipe(). */
	EXPANDED_USUAL_BYTES = 4 << 10,
	EXPECTED_BYTES = 128,
	VARIABLE_MAX = 128,
};

/* Append the variable named behind @p, which stands on "${"; the place behind its "}",
 * or NULL after a fault. */
static const char *
add_variable(
	struct loader *l, const struct yaml_tree *node, const char *p, struct buf *out)
{
	size_t n = strspn(p + 2, VARIABLE_BYTES);
	char name[VARIABLE_MAX + 1];
	const char *value;

	if (n == 0 || n > VARIABLE_MAX || p[2 + n] != '}' || isdigit(p[2])) {
		faults_at(&l->faults, node,
			"expected ${NAME} with a name of A-Za-z0-9_ (and $$ for a $)");
		return NULL;
	}
	snprintf(name, sizeof name, "%.*s", (int)n, p + 2);
	value = getenv(name);
	if (!value) {
		faults_at(&l->faults, node,
			"expected ${%s} to be set in the environment, got nothing", name);
		return NULL;
	}
	buf_str(out, value);
	return p + 2 + n + 1;
}

/* A lone $ is left alone: shell snippets are full of them. */
static bool
expand(struct loader *l, const struct yaml_tree *node, struct buf *out)
{
	const char *p = node->text;

	while (*p) {
		size_t plain = strcspn(p, "$");

		buf_add(out, p, plain);
		p += plain;
		if (p[0] == '$' && p[1] == '{') {
			p = add_variable(l, node, p, out);
			if (!p)
				return false;
		} else if (p[0] == '$') {
			buf_char(out, '$');
			p += p[1] == '$' ? 2 : 1;
		}
		if (out->len > EXPANDED_MAX_BYTES) {
			faults_at(&l->faults, node,
				"expected a text of at most 128KiB, got more");
			return false;
		}
	}
	buf_char(out, '\0');
	return true;
}

char *
value_text(struct loader *l, const struct yaml_tree *node, const char *what)
{
	cleanup(buf_wipe) struct buf out = {0};
	char got[FAULTS_GOT_BYTES], *text;

	if (node->kind == TREE_FAULTY)
		return NULL;
	if (node->kind != TREE_TEXT) {
		faults_at(&l->faults, node, "expected %s, got %s", what,
			faults_got(node, got));
		return NULL;
	}
	buf_room(&out, EXPANDED_USUAL_BYTES);
	if (!expand(l, node, &out))
		return NULL;
	/* a copy: the room is more than is needed, and what is left of it is wiped */
	text = out.failed ? NULL : strdup(out.data);
	l->failed |= !text;
	return text;
}

void *
value_field(const struct loader *l, const struct schema_key *row)
{
	bool is_handlers = row->flags & KEY_OF_HANDLER;
	char *base = is_handlers ? (char *)l->handler : (char *)l->config;

	return base + row->offset;
}

/* The row's minimum, maximum or the user's text as a number. */
static int
parse_number(enum schema_type type, const char *text, int64_t *ret)
{
	size_t n = strlen(text);

	if (type == KEY_SPAN)
		return units_parse_span(text, n, ret);
	if (type == KEY_SIZE)
		return units_parse_size(text, n, ret);
	return units_parse_int(text, n, 0, INT_MAX, ret);
}

/* "1..4096 or auto"; for what cannot be read at all, "a time span such as ...". */
static void
say_expected(const struct schema_key *row, enum schema_type type, bool is_readable,
	char out[EXPECTED_BYTES])
{
	const char * or = row->words ? " or " : "", *word = row->words ? row->words : "";

	if (type == KEY_SPAN && !is_readable)
		snprintf(
			out, EXPECTED_BYTES, "a time span such as \"30s\"%s%s", or, word);
	else if (type == KEY_SIZE && !is_readable)
		snprintf(out, EXPECTED_BYTES, "a size such as \"1MiB\"%s%s", or, word);
	else
		snprintf(out, EXPECTED_BYTES, "%s..%s%s%s", row->min, row->max, or, word);
}

static bool
is_in_range(const struct schema_key *row, enum schema_type type, int64_t v)
{
	int64_t min = 0, max = 0;

	return parse_number(type, row->min, &min) == 0 &&
	       parse_number(type, row->max, &max) == 0 && v >= min && v <= max;
}

bool
value_number(struct loader *l, const struct schema_key *row, enum schema_type type,
	const struct yaml_tree *node, int64_t *ret)
{
	cleanup(freep) char *text = NULL;
	char expected[EXPECTED_BYTES], got[FAULTS_GOT_BYTES];
	int64_t v = 0;
	int r;

	say_expected(row, type, false, expected);
	text = value_text(l, node, expected);
	if (!text)
		return false;
	*ret = 0;
	if (row->words && strcmp(text, row->words) == 0)
		return true;
	r = parse_number(type, text, &v);
	if (r == 0 && is_in_range(row, type, v)) {
		*ret = v;
		return true;
	}
	say_expected(row, type, r != -EINVAL, expected);
	faults_at(
		&l->faults, node, "expected %s, got %s", expected, faults_got(node, got));
	return false;
}

static void
load_number(struct loader *l, const struct schema_key *row, const struct yaml_tree *node)
{
	void *field = value_field(l, row);
	int64_t v;

	if (!value_number(l, row, row->type, node, &v))
		return;
	if (row->type == KEY_COUNT)
		*(int *)field = (int)v;
	else
		*(int64_t *)field = v;
}

/* The place of @text among "a|b|c", or -1. */
static int
find_word(const char *words, const char *text)
{
	size_t n = strlen(text);

	for (int i = 0;; i++) {
		size_t word_len = strcspn(words, "|");

		if (word_len == n && memcmp(words, text, n) == 0)
			return i;
		words += word_len;
		if (!*words++)
			return -1;
	}
}

static void
load_choice(struct loader *l, const struct schema_key *row, const struct yaml_tree *node)
{
	cleanup(freep) char *text = value_text(l, node, row->words);
	char got[FAULTS_GOT_BYTES];
	int i;

	if (!text)
		return;
	i = find_word(row->words, text);
	if (i < 0)
		faults_at(&l->faults, node, "expected %s, got %s", row->words,
			faults_got(node, got));
	else
		*(unsigned *)value_field(l, row) = (unsigned)i; /* as gcc keeps enums */
}

static bool
is_absolute(const char *s, size_t n)
{
	return n > 0 && s[0] == '/';
}

static bool
is_not_empty(const char *s, size_t n)
{
	(void)s;
	return n > 0;
}

/* A string that @is_good likes. */
static void
load_string(struct loader *l, const struct schema_key *row, const struct yaml_tree *node,
	bool (*is_good)(const char *, size_t), const char *what)
{
	cleanup(freep) char *text = value_text(l, node, what);
	char **field = value_field(l, row), got[FAULTS_GOT_BYTES];

	if (!text)
		return;
	if (!is_good(text, strlen(text))) {
		faults_at(&l->faults, node, "expected %s, got %s", what,
			faults_got(node, got));
		return;
	}
	free(*field);
	*field = take_ptr(text);
}

/* The value is not shown, nor is what the parser quotes of it. */
static void
load_url(struct loader *l, const struct schema_key *row, const struct yaml_tree *node)
{
	cleanup(freep) char *text = NULL;
	struct redis_url *field = value_field(l, row), url;
	struct stint_err err = {0};
	const char *quoted;
	int r;

	text = value_text(l, node, "a text such as redis://localhost:6379/0");
	if (!text)
		return;
	r = redis_url_parse(text, &url, &err);
	explicit_bzero(text, strlen(text));
	if (r == 0) {
		redis_url_fini(field);
		*field = url;
	} else if (r == -ENOMEM) {
		l->failed = true;
	} else {
		quoted = strstr(err.msg, ", got ");
		faults_at(&l->faults, node, "%.*s",
			(int)(quoted ? quoted - err.msg : INT_MAX), err.msg);
	}
}

void
value_load(struct loader *l, const struct schema_key *row, const struct yaml_tree *node)
{
	switch (row->type) {
	case KEY_COUNT:
	case KEY_SPAN:
	case KEY_SIZE:
		load_number(l, row, node);
		break;
	case KEY_CHOICE:
		load_choice(l, row, node);
		break;
	case KEY_NAME:
		load_string(l, row, node, keys_is_queue_name, "1..64 of A-Za-z0-9_.-");
		break;
	case KEY_FOLDER:
		load_string(l, row, node, is_absolute, "an absolute path");
		break;
	case KEY_ACCOUNT:
		load_string(l, row, node, is_not_empty, "a name or a number");
		break;
	case KEY_PLUGIN:
		value_load_plugin(l, row, node);
		break;
	case KEY_PASSWORD_FILE:
		load_string(l, row, node, is_not_empty, "the name of a file");
		l->password_file = node;
		break;
	case KEY_URL:
		load_url(l, row, node);
		break;
	case KEY_QUEUES:
		value_load_queues(l, row, node);
		break;
	case KEY_ARGV:
		value_load_argv(l, row, node);
		break;
	case KEY_ENVIRONMENT:
		value_load_environment(l, row, node);
		break;
	case KEY_SECTION:
	case KEY_HANDLERS: /* load.c walks them */
		break;
	}
}
