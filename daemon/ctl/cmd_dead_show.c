/*
 * cmd_dead_show.c - stintctl dead show
 */
#include <string.h>
#include "daemon/ctl/dead.h"
#include "daemon/ctl/out.h"
#include "daemon/ctl/where.h"
#include "lib/base/cleanup.h"
#include "lib/base/json.h"
#include "lib/client/letters.h"

/* The letter as text, being made. */
struct shown {
	struct buf text;
	struct buf result; /* JSON, when it is */
};

static void
shown_fini(struct shown *s)
{
	buf_fini(&s->text);
	buf_fini(&s->result);
}

/* The name of a field as the key of an object: anybody may have given it. */
static json_t *
key_of(struct bytes name)
{
	return out_harmless((struct bytes){name.p, strnlen(name.p, name.n)});
}

static bool
is_json(struct bytes text)
{
	cleanup(json_decrefp) json_t *parsed =
		json_loadb(text.p, text.n, JSON_ALLOW_NUL, NULL);

	return parsed != NULL;
}

static int
add_member(void *arg, struct bytes name, struct bytes value)
{
	struct shown *s = arg;
	cleanup(json_decrefp) json_t *key = key_of(name);

	if (!key) {
		s->text.failed = true;
		return 0;
	}
	if (strcmp(json_string_value(key), "stint-result") == 0 && is_json(value)) {
		buf_reset(&s->result, SIZE_MAX);
		buf_add(&s->result, value.p, value.n);
	} else {
		json_bytes(&s->text, json_string_value(key), value.p, value.n);
	}
	return 0;
}

/* One line per field. What would break the line, or work on a terminal, is written as
 * JSON does. */
static int
add_line(void *arg, struct bytes name, struct bytes value)
{
	struct shown *s = arg;
	cleanup(json_decrefp) json_t *key = key_of(name);

	s->text.failed |= !key;
	buf_fmt(&s->text, "\n%s: ", key ? json_string_value(key) : "");
	if (!json_is_utf8(value.p, value.n)) {
		buf_fmt(&s->text, "(%zu bytes that are no text; see --json)", value.n);
		return 0;
	}
	for (size_t i = 0; i < value.n; i++) {
		const char ch = value.p[i];

		if (ch == '\n')
			buf_str(&s->text, "\\n");
		else if ((unsigned char)ch < ' ' || ch == 0x7f)
			buf_fmt(&s->text, "\\u%04x", (unsigned)ch);
		else
			buf_char(&s->text, ch);
	}
	return 0;
}

static int
show_text(struct shown *s, struct client *c, const char *queue, const char *letter_id)
{
	struct stint_err err = {0};
	char died[DEAD_TIME_BYTES];
	int r;

	buf_fmt(&s->text, "letter: %s\ndied: %s", letter_id, dead_time(letter_id, died));
	r = client_letter_read(c, queue, letter_id, add_line, s, &err);
	return r < 0 ? dead_fail(&err) : out_text(&s->text);
}

static int
show_json(struct shown *s, struct client *c, const char *queue, const char *letter_id)
{
	struct stint_err err = {0};
	char died[DEAD_TIME_BYTES];
	int r;

	json_open(&s->text);
	json_cstr(&s->text, "letter", letter_id);
	json_cstr(&s->text, "died", dead_time(letter_id, died));
	json_key(&s->text, "fields");
	json_open(&s->text);
	r = client_letter_read(c, queue, letter_id, add_member, s, &err);
	json_close(&s->text);
	json_key(&s->text, "result");
	buf_str(&s->text, s->result.len > 0 ? buf_cstr(&s->result) : "null");
	s->text.failed |= s->result.failed;
	json_close(&s->text);
	return r < 0 ? dead_fail(&err) : out_text(&s->text);
}

static int
run(const struct ctl_opts *o, char **args, int count)
{
	cleanup(client_freep) struct client *c = NULL;
	cleanup(shown_fini) struct shown s = {0};
	struct client_letter_name name;
	struct stint_err err = {0};
	int code;

	(void)count;
	code = ctl_check_id(args[0]);
	if (code == 0)
		code = where_connect(o, &c);
	if (code != 0)
		return code;
	if (client_letter_find(c, o->queue, args[0], &name, &err) < 0)
		return dead_fail(&err);
	return (o->is_json ? show_json : show_text)(&s, c, o->queue, name.letter_id);
}

static const char help[] =
	"Usage: stintctl dead show [OPTION]... ID\n"
	"\n"
	"Print all fields of a dead letter, with the result of the job (stint-result).\n"
	"ID is the letter's id, or the job's: then of its newest letter. With --json,\n"
	"fields that are not text are in base64, under their name and _base64.\n"
	"\n"
	"  -q, --queue QUEUE  of which queue; default if left out\n";

const struct ctl_command cmd_dead_show = {
	.name = "dead show",
	.takes = "q",
	.min_args = 1,
	.max_args = 1,
	.help = help,
	.run = run,
};
