/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Intrusive doubly linked list. A link that is in no list points at itself (LINK_INIT). */
#include <stdbool.h>
#include <stddef.h>

struct link {
	struct link *next, *prev;
};

#define LINK_INIT(l)       \
	{                  \
		&(l), &(l) \
	}
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline void link_init(struct link *l)
{
	l->next = l->prev = l;
}
static inline bool link_is_linked(const struct link *l)
{
	return l->next && l->next != l;
}
static inline bool list_is_empty(const struct link *head)
{
	return !link_is_linked(head);
}
static inline void link_insert_(struct link *l, struct link *before)
{
	l->prev = before->prev;
	l->next = before;
	before->prev->next = l;
	before->prev = l;
}
static inline void list_push_back(struct link *head, struct link *l)
{
	link_insert_(l, head);
}
static inline void list_push_front(struct link *head, struct link *l)
{
	link_insert_(l, head->next);
}
/* Safe on a zeroed or unlinked one. */
static inline void link_remove(struct link *l)
{
	if (l->next) {
		l->next->prev = l->prev;
		l->prev->next = l->next;
	}
	link_init(l);
}
static inline struct link *list_first(const struct link *head)
{
	return list_is_empty(head) ? NULL : head->next;
}
static inline struct link *list_pop_front(struct link *head)
{
	struct link *l = list_first(head);
	if (l)
		link_remove(l);
	return l;
}
#define LIST_EACH(it, head) for (struct link *it = (head)->next; it != (head); it = it->next)
/* The body may remove and free the current one. */
#define LIST_EACH_SAFE(it, head)                                                   \
	for (struct link *it = (head)->next, *it##_next_ = it->next; it != (head); \
	     it = it##_next_, it##_next_ = it->next)
