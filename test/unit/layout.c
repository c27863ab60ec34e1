/* SPDX-License-Identifier: GPL-2.0-or-later */
/* layout.c - where pages stand after moves and cuts, against a table that holds each of them */
#include "unit.h"

#include "restore/lazy.h"

#include <stdlib.h>

#define PAGES 200
#define NONE UINT64_MAX

static uint64_t model[PAGES];

static void agree(const struct cpt_layout *l)
{
	for (uint64_t p = 0; p < PAGES; p++) {
		const struct cpt_area *a = cpt_layout_at(l, p);

		assert_int_equal(a ? a->number + (p - a->page) : NONE, model[p]);
		if (model[p] == NONE)
			continue;
		a = cpt_layout_of(l, model[p]);
		assert_non_null(a);
		assert_int_equal(a->page + (model[p] - a->number), p);
	}
}

static void begin(struct cpt_layout *l)
{
	*l = (struct cpt_layout){ 0 };
	for (uint64_t p = 0; p < PAGES; p++)
		model[p] = p < 40 ? p : p >= 100 && p < 150 ? p - 60 : NONE;
	cpt_layout_add(l, 0, 40, 0);
	cpt_layout_add(l, 100, 50, 40);
	cpt_layout_add(l, 60, 0, 7);		/* nothing at all */
	agree(l);
}

static void cut(struct cpt_layout *l, uint64_t from, uint64_t count)
{
	cpt_layout_cut(l, from, count);
	for (uint64_t p = from; p < from + count; p++)
		model[p] = NONE;
}

static void move(struct cpt_layout *l, uint64_t from, uint64_t to, uint64_t count)
{
	uint64_t held[PAGES];

	cpt_layout_move(l, from, to, count);
	for (uint64_t i = 0; i < count; i++) {
		held[i] = model[from + i];
		model[from + i] = NONE;
	}
	for (uint64_t i = 0; i < count; i++)
		model[to + i] = held[i];
}

static void moves_and_cuts(void **state)
{
	struct cpt_layout l, copy;

	begin(&l);
	move(&l, 10, 60, 10);		/* out of the middle */
	agree(&l);
	move(&l, 55, 120, 20);		/* with holes on both sides, over another */
	agree(&l);
	cut(&l, 0, PAGES / 2);
	agree(&l);
	cpt_layout_copy(&copy, &l);
	cpt_layout_cut(&l, 0, PAGES);
	assert_null(cpt_layout_at(&l, 130));
	agree(&copy);
	free(l.v);
	free(copy.v);
}

static void anything(void **state)
{
	struct cpt_layout l;

	srandom(1);
	for (int round = 0; round < 50; round++) {
		begin(&l);
		for (int step = 0; step < 100; step++) {
			uint64_t from = (uint64_t)random() % PAGES, to = (uint64_t)random() % PAGES;
			uint64_t count = (uint64_t)random() % (PAGES - CPT_MAX(from, to)) + 1;

			/* the kernel refuses to move onto what overlaps */
			if (step % 4 && (from + count <= to || to + count <= from))
				move(&l, from, to, count);
			else if (step % 4 == 0)
				cut(&l, from, CPT_MIN(count, (uint64_t)3));
			agree(&l);
		}
		free(l.v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_and_cuts),
		cmocka_unit_test(anything),
	};

	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
