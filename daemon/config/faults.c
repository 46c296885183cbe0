/*
 * faults.c - what is wrong with a configuration, gathered and then told in order
 *
 * A password may stand anywhere: in a URL under the wrong key, as a key because a
 * colon was forgotten. So a key is shown only when it is made of the letters that
 * keys are made of, and a text only when it has nothing of a URL.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/config/faults.h"

enum {
	CAP_FIRST = 8,
	TEXT_SHOWN_MAX = 40, /* bytes of a value: enough to recognise it */
	KEY_SHOWN_MAX = 64,  /* as long as a name may be */
};

#define LETTERS   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS    "0123456789"
#define KEY_BYTES LETTERS DIGITS "_.-"

/* Room for one more, or NULL and failed. */
static struct fault *
new_fault(struct faults *f)
{
	struct fault *items = f->items;
	size_t cap = f->cap;

	if (f->count == cap) {
		cap = cap ? 2 * cap : CAP_FIRST;
		items = reallocarray(items, cap, sizeof *items);
		if (!items) {
			f->failed = true;
			return NULL;
		}
		f->items = items;
		f->cap = cap;
	}
	return &items[f->count];
}

static void
add(struct faults *f, int line, int column, const char *path, const char *fmt, va_list ap)
{
	struct fault *fault = new_fault(f);
	char *what = NULL, *text = NULL;

	if (!fault)
		return;
	if (vasprintf(&what, fmt, ap) < 0 ||
		asprintf(&text, "%s%s%s", path, *path ? ": " : "", what) < 0) {
		f->failed = true;
		text = NULL;
	}
	free(what);
	if (!text)
		return;
	*fault = (struct fault){line, column, f->count++, text};
}

void
faults_add(struct faults *f, int line, int column, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(f, line, column, "", fmt, ap);
	va_end(ap);
}

static bool
is_shown_key(const char *key)
{
	size_t n = strlen(key);

	return n > 0 && n <= KEY_SHOWN_MAX && strspn(key, KEY_BYTES) == n;
}

/* "handlers.resize.timeout"; items of a list have no name of their own. */
static void
add_path(struct buf *b, const struct yaml_tree *node)
{
	if (node->parent)
		add_path(b, node->parent);
	if (!node->key)
		return;
	if (b->len > 0)
		buf_char(b, '.');
	buf_str(b, is_shown_key(node->key) ? node->key : "?");
}

void
faults_at(struct faults *f, const struct yaml_tree *node, const char *fmt, ...)
{
	struct buf path = {0};
	va_list ap;

	add_path(&path, node);
	va_start(ap, fmt);
	add(f, node->line, node->column, buf_cstr(&path), fmt, ap);
	va_end(ap);
	f->failed |= path.failed;
	buf_fini(&path);
}

/* How many bytes at @p would make a terminal or a log reader stumble: one for a C0
 * control or DEL, two for a C1 control in UTF-8, which libyaml has checked. */
static size_t
control_bytes(const char *p)
{
	unsigned char c = (unsigned char)p[0];

	if (c < 0x20 || c == 0x7f)
		return 1;
	return c == 0xc2 && (unsigned char)p[1] < 0xa0 ? 2 : 0;
}

/* @text in quotes; each of its bytes takes four at most. */
static void
quote(const char *text, char out[FAULTS_GOT_BYTES])
{
	size_t n = strlen(text), shown = n, used = 0, escaped = 0;

	_Static_assert(FAULTS_GOT_BYTES > 4 * TEXT_SHOWN_MAX + sizeof "\"...\"", "room");
	if (n > TEXT_SHOWN_MAX)
		for (shown = TEXT_SHOWN_MAX; (text[shown] & 0xc0) == 0x80;)
			shown--; /* not in the middle of a character */
	out[used++] = '"';
	for (size_t i = 0; i < shown; i++) {
		if (escaped == 0)
			escaped = control_bytes(text + i);
		if (escaped > 0) {
			used += (size_t)sprintf(
				out + used, "\\x%02x", (unsigned char)text[i]);
			escaped--;
			continue;
		}
		if (text[i] == '"' || text[i] == '\\')
			out[used++] = '\\';
		out[used++] = text[i];
	}
	snprintf(out + used, FAULTS_GOT_BYTES - used, n > shown ? "...\"" : "\"");
}

/* Numbers, also with units, stand bare: got 0, got 40d. */
static bool
is_number(const char *text)
{
	size_t n = strlen(text);

	return n <= TEXT_SHOWN_MAX && strspn(text, "+-." DIGITS) > 0 &&
	       strspn(text, "+-. " DIGITS LETTERS) == n;
}

const char *
faults_got(const struct yaml_tree *node, char out[FAULTS_GOT_BYTES])
{
	const char *text = node->text;

	switch (node->kind) {
	case TREE_MAP:
		return "a map";
	case TREE_LIST:
		return "a list";
	case TREE_NULL:
		return "nothing";
	case TREE_TEXT:
	case TREE_FAULTY:
		break;
	}
	if (!text)
		return "nothing";
	if (strstr(text, "://") || strchr(text, '@'))
		return "a text that is not shown, as it may hold a password";
	if (is_number(text))
		return text;
	quote(text, out);
	return out;
}

static int
compare(const void *a, const void *b)
{
	const struct fault *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

void
faults_print(struct faults *f, const char *file, struct buf *out)
{
	if (f->count == 0)
		return;
	qsort(f->items, f->count, sizeof *f->items, compare);
	for (size_t i = 0; i < f->count; i++) {
		const struct fault *fault = &f->items[i];

		buf_str(out, file);
		if (fault->line > 0)
			buf_fmt(out, ":%d:%d", fault->line, fault->column);
		buf_fmt(out, ": %s\n", fault->text);
	}
}

void
faults_fini(struct faults *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->items[i].text);
	free(f->items);
	*f = (struct faults){0};
}
