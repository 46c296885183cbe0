/*
 * budget.c - how many entries one read asks for, so that its reply stays small
 */
#include "daemon/queue/budget.h"

enum {
	/* More in one read gains nothing (Redis is at its best from 64 on). */
	READ_ENTRIES_MAX = 256,
	/* What one reply may weigh, by the average of what came before. */
	READ_BUDGET_BYTES = 8 << 20,
	/* The guess before anything came: 128 entries in the first read. */
	FIRST_ENTRY_BYTES = 64 << 10,
};

void
budget_init(struct queue *q)
{
	if (q->entry_bytes == 0)
		q->entry_bytes = FIRST_ENTRY_BYTES;
}

void
budget_count_entry(struct queue *q, const struct redis_reply *entry)
{
	int64_t bytes = 0;

	for (size_t i = 0; entry->count == 2 && i < entry->items[1].count; i++)
		bytes += (int64_t)entry->items[1].items[i].len;
	/* quick to believe in large ones, slow to forget them */
	if (bytes > q->entry_bytes)
		q->entry_bytes = bytes;
	else
		q->entry_bytes -= (q->entry_bytes - bytes) / 16;
}

size_t
budget_entries(struct queue *const *queues, size_t count, size_t credit)
{
	/* COUNT counts for each stream */
	size_t n = credit / count;

	for (size_t i = 0; i < count; i++) {
		const size_t fit =
			(size_t)(READ_BUDGET_BYTES / (queues[i]->entry_bytes + 1));

		n = n > fit ? fit : n;
	}
	n = n > READ_ENTRIES_MAX ? READ_ENTRIES_MAX : n;
	return n > 0 ? n : 1;
}
