/*
 * letters.h - dead letters: list, read, submit again, drop
 *
 *	static int
 *	show(void *arg, const struct client_letter *l, struct stint_err *err)
 *	{
 *		printf("%s %.*s\n", l->letter_id, (int)l->error.n, l->error.p);
 *		return 0;
 *	}
 *
 *	struct client_letters all = {.queue = "default", .max_count = 100};
 *	r = client_letters_each(c, &all, show, NULL, &err);
 *
 * However many letters there are and however large, only what is asked for is read,
 * and little of that at a time. A letter may have been written by anybody: its fields
 * are any bytes. Thread, blocking and errors as in client.h.
 */
#ifndef CLIENT_LETTERS_H
#define CLIENT_LETTERS_H

#include <stdbool.h>
#include "lib/client/client.h"

/* What a letter is about; each is empty when it does not say. Terminated, too. */
struct client_letter {
	const char *letter_id;
	struct bytes job_id;
	struct bytes handler;
	struct bytes attempt; /* a number */
	struct bytes status;
	struct bytes error;
};

struct client_letters {
	const char *queue;
	bool is_newest_first;
	int64_t max_count;
	const char *from;   /* id of the first letter in that order; NULL: any */
	const char *to;     /* of the last, itself included; NULL: any */
	const char *job_id; /* only letters of this job; NULL: of all */
};

/* @l is good until the function returns. 0 goes on, all else ends the walk. */
typedef int (*client_letter_fn)(
	void *arg, const struct client_letter *l, struct stint_err *err);

/**
 * client_letters_each() - call @fn with one letter after the other
 *
 * @fn may use the client, and may retry and drop letters.
 * Return: 0, or what @fn returned.
 */
int client_letters_each(struct client *c, const struct client_letters *which,
	client_letter_fn fn, void *arg, struct stint_err *err);

struct client_letter_name {
	char letter_id[ENTRY_ID_BYTES];
	char job_id[JOB_ID_MAX + 1]; /* "" when the letter has no valid one */
};

void client_letter_name_of(const struct client_letter *l, struct client_letter_name *ret);

/**
 * client_letter_find() - which letter people mean
 * @id: a letter's id, or a job's: then the newest letter of that job
 *
 * Return: 0; -ENOENT: there is none; -EINVAL: it is the id of one letter, but another
 * one is of the job with this id.
 */
int client_letter_find(struct client *c, const char *queue, const char *id,
	struct client_letter_name *ret, struct stint_err *err);

/* 0 goes on, all else ends the walk. Both are terminated, too. */
typedef int (*client_field_fn)(void *arg, struct bytes name, struct bytes value);

/* All fields of a letter, in their order. 0; what @fn returned; -ENOENT. */
int client_letter_read(struct client *c, const char *queue, const char *letter_id,
	client_field_fn fn, void *arg, struct stint_err *err);

/**
 * client_letter_retry() - submit the job of a letter again, in place of the letter
 *
 * Return: 0; -ENOENT: there is no such letter, or it does not say of which job it is.
 */
int client_letter_retry(struct client *c, const char *queue,
	const struct client_letter_name *letter, struct stint_err *err);

/* Delete a letter. 0; -ENOENT. */
int client_letter_drop(struct client *c, const char *queue, const char *letter_id,
	struct stint_err *err);

#endif
