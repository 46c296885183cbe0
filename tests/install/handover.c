/*
 * handover.c - a number that two threads change: by turns, through a channel, or at once
 *
 *	handover channel	it goes there and back: no race
 *	handover race		each takes it when it likes
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <stint/stint.h>

enum { TURNS = 1000 };

static struct {
	struct stint_chan *there, *back; /* of int *; NULL: nobody waits for anybody */
	int number;
} shared;

static int
take_turns(struct stint_ctx *ctx, struct stint_chan *from, struct stint_chan *to)
{
	int *number = &shared.number, r = 0;

	for (int i = 0; i < TURNS && r == 0; i++) {
		if (from)
			r = stint_chan_recv(ctx, from, (void *)&number);
		(*number)++;
		if (to && r == 0)
			r = stint_chan_send(ctx, to, (const void *)&number);
	}
	return r;
}

static int
other(struct stint_ctx *ctx, void *arg, struct stint_err *err)
{
	(void)arg;
	(void)err;
	return take_turns(ctx, shared.there, shared.back);
}

int
main(int argc, char **argv)
{
	bool is_race = argc > 1 && strcmp(argv[1], "race") == 0;
	struct stint_ctx *ctx = stint_ctx_background();
	struct stint_task *task;
	struct stint_err result;
	int *number = &shared.number, r = 0;

	if (!is_race) {
		r = stint_chan_new(sizeof(int *), 1, &shared.there);
		if (r == 0)
			r = stint_chan_new(sizeof(int *), 1, &shared.back);
		if (r == 0)
			r = stint_chan_send(ctx, shared.back, (const void *)&number);
	}
	if (r == 0)
		r = stint_task_start(ctx, "other", other, NULL, &task);
	if (r < 0)
		return 1;
	r = take_turns(ctx, shared.back, shared.there);
	if (stint_task_join(ctx, task, &result) < 0 || result.code < 0 || r < 0)
		return 1;
	stint_chan_free(shared.there);
	stint_chan_free(shared.back);
	printf("%d\n", shared.number);
	return 0;
}
