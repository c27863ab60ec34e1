/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table.h - a table from hashes to pointers, which only grows
 */
#ifndef CPT_DUMP_TABLE_H
#define CPT_DUMP_TABLE_H

#include "base/base.h"

#include <stdlib.h>

struct cpt_table {
	struct cpt_table_slot {
		uint64_t key;
		void *value;	/* NULL: empty */
	} *slots;
	size_t n, cap;		/* a power of two */
};

static inline uint64_t cpt_table_mix(uint64_t a, uint64_t b)
{
	uint64_t x = (a ^ (b << 32 | b >> 32)) * 0x9e3779b97f4a7c15u;

	return (x ^ x >> 29 ^ b) * 0xbf58476d1ce4e5b9u ^ x >> 32;
}

/* addresses end in zeros; no two become the same key */
static inline uint64_t cpt_table_address(uint64_t a)
{
	return a >> 6 | a << 58;
}

static inline struct cpt_table_slot *cpt_table_slot(struct cpt_table_slot *slots, size_t cap, uint64_t key)
{
	size_t i = (key ^ key >> 31) & (cap - 1);

	while (slots[i].value && slots[i].key != key)
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

static inline void cpt_table_grow(struct cpt_table *t)
{
	size_t cap = t->cap ? 2 * t->cap : 256;
	struct cpt_table_slot *slots = cpt_calloc(cap, sizeof(*slots));

	for (size_t i = 0; i < t->cap; i++)
		if (t->slots[i].value)
			*cpt_table_slot(slots, cap, t->slots[i].key) = t->slots[i];
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
}

static inline void *cpt_table_get(const struct cpt_table *t, uint64_t key)
{
	return t->cap ? cpt_table_slot(t->slots, t->cap, key)->value : NULL;
}

/** cpt_table_put - @value is not NULL; takes the place of what was there */
static inline void cpt_table_put(struct cpt_table *t, uint64_t key, void *value)
{
	struct cpt_table_slot *s;

	if (2 * t->n >= t->cap)
		cpt_table_grow(t);
	s = cpt_table_slot(t->slots, t->cap, key);
	t->n += !s->value;
	s->key = key;
	s->value = value;
}

#endif
