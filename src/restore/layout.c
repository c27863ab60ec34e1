/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* layout.c - where the pages of lazy ranges stand, after all that the program did with its mappings */
#include "restore/lazy.h"

#include <stdlib.h>

void cpt_layout_add(struct cpt_layout *l, uint64_t page, uint64_t count, uint64_t number)
{
	if (!count)
		return;
	CPT_GROW(l->v, l->n, l->cap);
	l->v[l->n++] = (struct cpt_area){ page, count, number };
}

const struct cpt_area *cpt_layout_at(const struct cpt_layout *l, uint64_t page)
{
	for (size_t i = 0; i < l->n; i++)
		if (page >= l->v[i].page && page - l->v[i].page < l->v[i].count)
			return &l->v[i];
	return NULL;
}

const struct cpt_area *cpt_layout_of(const struct cpt_layout *l, uint64_t number)
{
	for (size_t i = 0; i < l->n; i++)
		if (number >= l->v[i].number && number - l->v[i].number < l->v[i].count)
			return &l->v[i];
	return NULL;
}

/* takes [from, end) out; what it held goes to @out, if that is given */
static void take(struct cpt_layout *l, uint64_t from, uint64_t end, struct cpt_layout *out)
{
	for (size_t i = 0; i < l->n;) {
		struct cpt_area a = l->v[i];
		uint64_t last = a.page + a.count, at = CPT_MAX(a.page, from), to = CPT_MIN(last, end);

		if (at >= to) {
			i++;
			continue;
		}
		l->v[i] = l->v[--l->n];
		if (out)
			cpt_layout_add(out, at, to - at, a.number + (at - a.page));
		/* what stays is put behind all others, and does not overlap */
		cpt_layout_add(l, a.page, at - a.page, a.number);
		cpt_layout_add(l, to, last - to, a.number + (to - a.page));
	}
}

void cpt_layout_cut(struct cpt_layout *l, uint64_t from, uint64_t count)
{
	take(l, from, from + count, NULL);
}

void cpt_layout_move(struct cpt_layout *l, uint64_t from, uint64_t to, uint64_t count)
{
	struct cpt_layout moved = { 0 };

	take(l, from, from + count, &moved);
	cpt_layout_cut(l, to, count);
	for (size_t i = 0; i < moved.n; i++)
		cpt_layout_add(l, moved.v[i].page - from + to, moved.v[i].count, moved.v[i].number);
	free(moved.v);
}

void cpt_layout_copy(struct cpt_layout *to, const struct cpt_layout *from)
{
	*to = (struct cpt_layout){ .n = 0 };
	for (size_t i = 0; i < from->n; i++)
		cpt_layout_add(to, from->v[i].page, from->v[i].count, from->v[i].number);
}
