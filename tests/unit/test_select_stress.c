/*
 * test_select_stress.c - select under load: with others who select, and with those who
 * send and receive plainly
 */
#include "tests/unit/conc_util.h"

static struct stint_case
case_of(struct stint_chan *ch, enum stint_case_op op, void *item)
{
	return (struct stint_case){.op = op, .ch = ch, .item = item, .result = 1};
}

struct user {
	struct stint_chan **ch;
	uint64_t seed;
	int ops;
	int64_t balance; /* sum sent minus sum received */
	int sent, received;
};

enum { STRESS_CHANS = 4 };

/* Send or receive on any of the channels by a select that could do both. */
static void
mixed_ops(void *arg)
{
	struct user *u = arg;

	for (int i = 0; i < u->ops; i++) {
		struct stint_case cases[2 * STRESS_CHANS];
		int out = (int)(random_next(&u->seed) % 1000), in = 0, chosen;

		for (int c = 0; c < STRESS_CHANS; c++) {
			cases[c] = case_of(u->ch[c], STINT_SEND, &out);
			cases[STRESS_CHANS + c] = case_of(u->ch[c], STINT_RECV, &in);
		}
		chosen = stint_select(BACKGROUND, cases, 2 * STRESS_CHANS);
		if (chosen < 0 || cases[chosen].result != 0)
			abort();
		if (chosen < STRESS_CHANS) {
			u->balance += out;
			u->sent++;
		} else {
			u->balance -= in;
			u->received++;
		}
	}
}

static void
selects_that_share_channels_lose_and_double_nothing(void **state)
{
	enum { USERS = 4, OPS = 8000 };
	struct stint_chan *ch[STRESS_CHANS];
	struct user user[USERS];
	struct task task[USERS];
	int64_t balance = 0;
	int sent = 0, received = 0, item;

	(void)state;
	for (size_t i = 0; i < STRESS_CHANS; i++)
		ch[i] = new_chan(sizeof(int), i); /* with a ring nobody can get stuck */
	for (int i = 0; i < USERS; i++) {
		user[i] = (struct user){.ch = ch, .seed = (uint32_t)i + 1, .ops = OPS};
		task_start(&task[i], mixed_ops, &user[i]);
	}
	for (int i = 0; i < USERS; i++) {
		task_join(&task[i]);
		balance += user[i].balance;
		sent += user[i].sent;
		received += user[i].received;
	}
	for (int i = 0; i < STRESS_CHANS; i++) {
		while (stint_chan_try_recv(ch[i], &item) == 0) {
			balance -= item;
			received++;
		}
		stint_chan_free(ch[i]);
	}
	assert_int_equal(sent, received);
	assert_true(balance == 0);
}

/* ---- those who select and those who do not ---- */

struct plain {
	struct stint_chan *ch;
	int count;
	int64_t sum; /* of what was received */
};

static void
send_numbers(void *arg)
{
	struct plain *p = arg;

	for (int i = 1; i <= p->count; i++)
		if (stint_chan_send(BACKGROUND, p->ch, &i) < 0)
			abort();
}

static void
recv_numbers(void *arg)
{
	struct plain *p = arg;
	int item;

	for (int i = 0; i < p->count; i++) {
		if (stint_chan_recv(BACKGROUND, p->ch, &item) < 0)
			abort();
		p->sum += item;
	}
}

/* `count` times on each channel, whichever is ready; a channel that is done with is out
 * of it. */
static int64_t
select_numbers(struct stint_chan **ch, enum stint_case_op op, int count)
{
	struct stint_case cases[STRESS_CHANS];
	int item[STRESS_CHANS], left[STRESS_CHANS];
	int64_t sum = 0;

	for (int c = 0; c < STRESS_CHANS; c++) {
		cases[c] = case_of(ch[c], op, &item[c]);
		item[c] = left[c] = count;
	}
	for (int i = 0; i < STRESS_CHANS * count; i++) {
		int c = stint_select(BACKGROUND, cases, STRESS_CHANS);

		if (c < 0 || cases[c].result < 0 || left[c] == 0)
			abort();
		sum += item[c];
		if (--left[c] == 0)
			cases[c].ch = NULL;
		else if (op == STINT_SEND)
			item[c] = left[c];
	}
	return sum;
}

struct selector {
	struct stint_chan **ch;
	int count;
};

static void
send_by_select(void *arg)
{
	struct selector *s = arg;

	(void)select_numbers(s->ch, STINT_SEND, s->count);
}

static void
plain_and_selecting_users_share_channels(void **state)
{
	enum { EACH = 2000, PER_CHAN = 2 };
	static const size_t caps[STRESS_CHANS] = {0, 0, 2, 3};
	int count = test_rounds(EACH);
	int64_t sum, sum_of_one = (int64_t)count * (count + 1) / 2;
	struct plain plain[STRESS_CHANS * PER_CHAN];
	struct task task[STRESS_CHANS * PER_CHAN], selecting;
	struct stint_chan *ch[STRESS_CHANS];
	struct selector selector = {ch, count};

	(void)state;
	for (int c = 0; c < STRESS_CHANS; c++)
		ch[c] = new_chan(sizeof(int), caps[c]);
	for (int i = 0; i < STRESS_CHANS * PER_CHAN; i++) {
		plain[i] = (struct plain){ch[i / PER_CHAN], count, 0};
		task_start(
			&task[i], i % PER_CHAN ? recv_numbers : send_numbers, &plain[i]);
	}
	task_start(&selecting, send_by_select, &selector);
	sum = select_numbers(ch, STINT_RECV, count);
	task_join(&selecting);
	for (int i = 0; i < STRESS_CHANS * PER_CHAN; i++) {
		task_join(&task[i]);
		sum += plain[i].sum;
	}
	assert_true(sum == 2 * STRESS_CHANS * sum_of_one);
	for (int c = 0; c < STRESS_CHANS; c++) {
		assert_int_equal(stint_chan_len(ch[c]), 0);
		stint_chan_free(ch[c]);
	}
}

/* ---- what goes with an item ---- */

enum { PAYLOAD = 16 };

static void
send_payloads(void *arg)
{
	struct op *op = arg;

	for (int i = 0; i < op->item; i++) {
		int *payload = calloc(PAYLOAD, sizeof(int));
		struct stint_case one = case_of(op->ch, STINT_SEND, &payload);

		if (!payload)
			abort();
		for (int j = 0; j < PAYLOAD; j++)
			payload[j] = i + j;
		if (stint_select(BACKGROUND, &one, 1) < 0 || one.result < 0)
			abort();
	}
}

static void
what_was_written_before_a_selected_send_is_seen_behind_it(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 3; cap++) {
		struct op op = {.ch = new_chan(sizeof(int *), cap)};
		struct task task;

		op.item = test_rounds(2000);
		task_start(&task, send_payloads, &op);
		for (int i = 0; i < op.item; i++) {
			int *payload;
			struct stint_case one = case_of(op.ch, STINT_RECV, &payload);

			if (i % 2)
				assert_int_equal(stint_select(BACKGROUND, &one, 1), 0);
			else
				one.result = stint_chan_recv(BACKGROUND, op.ch, &payload);
			assert_int_equal(one.result, 0);
			for (int j = 0; j < PAYLOAD; j++)
				assert_true(payload[j] == i + j);
			free(payload);
		}
		task_join(&task);
		stint_chan_free(op.ch);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(selects_that_share_channels_lose_and_double_nothing),
		cmocka_unit_test(plain_and_selecting_users_share_channels),
		cmocka_unit_test(
			what_was_written_before_a_selected_send_is_seen_behind_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
