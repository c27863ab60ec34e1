/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* runs.c - runs of pages that stand in slots in a row */
#include "dump/precopy.h"

#include <stdlib.h>

void cpt_runs_add(struct cpt_runs *r, uint64_t start, uint64_t end, uint64_t slot)
{
	struct cpt_run_of *last = r->n ? &r->v[r->n - 1] : NULL;

	if (start >= end)
		return;
	if (last && last->end == start && last->slot + (start - last->start) / CPT_PAGE == slot) {
		last->end = end;
		return;
	}
	CPT_GROW(r->v, r->n, r->cap);
	r->v[r->n++] = (struct cpt_run_of){ start, end, slot };
}

/* that part of @o which lies in [from, to) */
static void add_part(struct cpt_runs *r, const struct cpt_run_of *o, uint64_t from, uint64_t to)
{
	from = CPT_MAX(from, o->start);
	cpt_runs_add(r, from, CPT_MIN(to, o->end), o->slot + (from - o->start) / CPT_PAGE);
}

static void replace(struct cpt_runs *r, const struct cpt_runs *with)
{
	free(r->v);
	*r = *with;
}

void cpt_runs_drop(struct cpt_runs *r, const struct cpt_runs *holes)
{
	struct cpt_runs left = { NULL, 0, 0 };
	size_t k = 0;

	if (!holes->n || !r->n)
		return;
	for (size_t i = 0; i < r->n; i++) {
		uint64_t at = r->v[i].start;

		while (k < holes->n && holes->v[k].end <= at)
			k++;
		for (size_t j = k; j < holes->n && holes->v[j].start < r->v[i].end; j++) {
			add_part(&left, &r->v[i], at, holes->v[j].start);
			at = CPT_MAX(at, holes->v[j].end);
		}
		add_part(&left, &r->v[i], at, r->v[i].end);
	}
	replace(r, &left);
}

void cpt_runs_lay_over(struct cpt_runs *r, struct cpt_runs *over)
{
	struct cpt_runs both = { NULL, 0, 0 };
	size_t i = 0, k = 0;

	if (!over->n)
		return;
	cpt_runs_drop(r, over);
	while (i < r->n || k < over->n) {
		bool old = k == over->n || (i < r->n && r->v[i].start < over->v[k].start);
		const struct cpt_run_of *o = old ? &r->v[i++] : &over->v[k++];

		cpt_runs_add(&both, o->start, o->end, o->slot);
	}
	replace(r, &both);
	over->n = 0;
}

size_t cpt_runs_find(const struct cpt_runs *r, size_t from, uint64_t at)
{
	size_t low = from, high = r->n;

	/* mostly one of the next */
	for (int i = 0; i < 4 && low < high && r->v[low].end <= at; i++)
		low++;
	if (low < high && r->v[low].end > at)
		high = low;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->v[mid].end <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}
