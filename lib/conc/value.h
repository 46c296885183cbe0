/*
 * value.h - the values that a context carries: a list that never changes
 *
 * A list is its newest value with the older ones behind it. To put one in front makes
 * a new list and leaves the old one as it is, so any number of contexts share what
 * they have in common, and reading takes no lock.
 */
#ifndef CONC_VALUE_H
#define CONC_VALUE_H

struct value;

/* A new list: @value for @key, in front of @list, which stays its owner's. NULL: out of
 * memory. Give it back with value_drop(). */
struct value *value_put(struct value *list, const void *key, void *value);

/* One owner more, or less; the last one's drop frees. Both take NULL, the empty list. */
struct value *value_share(struct value *list);
void value_drop(struct value *list);

/* The newest for @key, or NULL. */
void *value_get(const struct value *list, const void *key);

#endif
