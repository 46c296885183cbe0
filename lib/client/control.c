/*
 * control.c - the operator's orders: cancel a job, pause and resume a queue
 *
 * They are messages in the queue's control stream, which every daemon reads.
 */
#include "lib/client/admin.h"

#include <errno.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/client/link.h"

/* Messages read at once to find the last pause or resume. Cancels are small. */
#define MESSAGES_COUNT "100"

static int
tell(struct client *c, const char *queue, const char *command, struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	const struct buf *key = link_key(c, queue, "control");

	return link_command(
		c, &reply, err, "XADD %b * command %s", key->data, key->len, command);
}

int
client_pause(struct client *c, const char *queue, bool is_paused, struct stint_err *err)
{
	return tell(c, queue, is_paused ? "pause" : "resume", err);
}

/* Look through one page, newest first. Return: 1 found; 0 go on before @end; -ENOENT
 * there is no more. */
static int
find_pause(const redisReply *page, bool *ret, char end[ENTRY_ID_BYTES + 1])
{
	const redisReply *entry, *id, *command;

	if (!link_item(page, 0))
		return -ENOENT;
	for (size_t i = 0; (entry = link_item(page, i)); i++) {
		id = link_item(entry, 0);
		command = link_member(link_item(entry, 1), "command");
		if (!link_is_string(id))
			return -ENOENT;
		snprintf(end, ENTRY_ID_BYTES + 1, "(%s", id->str);
		if (!link_is_string(command))
			continue;
		*ret = strcmp(command->str, "pause") == 0;
		if (*ret || strcmp(command->str, "resume") == 0)
			return 1;
	}
	return 0;
}

int
client_is_paused(struct client *c, const char *queue, bool *ret, struct stint_err *err)
{
	char end[ENTRY_ID_BYTES + 1] = "+";
	int r;

	*ret = false;
	do {
		cleanup(link_reply_freep) redisReply *page = NULL;
		const struct buf *key = link_key(c, queue, "control");

		r = link_command(c, &page, err, "XREVRANGE %b %s - COUNT " MESSAGES_COUNT,
			key->data, key->len, end);
		if (r == 0)
			r = find_pause(page, ret, end);
		else
			return r;
	} while (r == 0);
	return 0;
}

static const char *const state_names[] = {
	[CLIENT_JOB_UNKNOWN] = "unknown",
	[CLIENT_JOB_WAITING] = "waiting",
	[CLIENT_JOB_RUNNING] = "running",
	[CLIENT_JOB_DELAYED] = "delayed",
	[CLIENT_JOB_RETRYING] = "retrying",
	[CLIENT_JOB_FINISHED] = "finished",
};

const char *
client_job_state_name(enum client_job_state state)
{
	return state_names[state];
}

int
client_job_state(struct client *c, const char *queue, const char *id,
	enum client_job_state *ret, struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	cleanup(buf_fini) struct buf command = {0};
	int r;

	link_eval(&command, SCRIPT_JOB_STATE, 5, 2);
	link_add_key(&command, link_key(c, queue, "jobs"));
	link_add_key(&command, link_key(c, queue, "ids"));
	link_add_key(&command, link_key(c, queue, "delayed"));
	link_add_key(&command, link_key_named(c, queue, "state", id));
	link_add_key(&command, link_key_named(c, queue, "result", id));
	resp_str(&command, KEYS_GROUP);
	resp_str(&command, id);
	r = link_exchange(c, &reply, &command, err);
	*ret = CLIENT_JOB_UNKNOWN;
	for (size_t i = 0; link_is_string(reply) && i < ARRAY_LEN(state_names); i++) {
		if (strcmp(reply->str, state_names[i]) == 0)
			*ret = (enum client_job_state)i;
	}
	return r;
}

int
client_cancel(struct client *c, const char *queue, const char *id,
	enum client_job_state *ret, struct stint_err *err)
{
	cleanup(link_reply_freep) redisReply *reply = NULL;
	const struct buf *key;
	int r;

	r = client_job_state(c, queue, id, ret, err);
	if (r < 0 || *ret == CLIENT_JOB_FINISHED)
		return r;
	key = link_key(c, queue, "control");
	return link_command(c, &reply, err, "XADD %b * command cancel id %s", key->data,
		key->len, id);
}
