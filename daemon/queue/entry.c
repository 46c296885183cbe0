/*
 * entry.c - stream entries in a reply, as jobs
 */
#include "daemon/queue/entry.h"

#include <errno.h>

int
entry_job(const struct redis_reply *entry, struct job **ret_job)
{
	struct bytes fields[2 * JOB_FIELDS_MAX];
	const struct redis_reply *id, *list;

	*ret_job = NULL;
	if (entry->type != REDIS_ARRAY || entry->count != 2)
		return -EPROTO;
	id = &entry->items[0];
	list = &entry->items[1];
	if (list->type == REDIS_NIL)
		return 0;
	if (id->type != REDIS_STRING || !id->str || list->type != REDIS_ARRAY)
		return -EPROTO;
	for (size_t i = 0; i < list->count && i < 2 * JOB_FIELDS_MAX; i++)
		fields[i] = (struct bytes){list->items[i].str, list->items[i].len};
	*ret_job = job_new(id->str, fields, list->count);
	return *ret_job ? 0 : -ENOMEM;
}
