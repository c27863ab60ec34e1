/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* families.c - do all processes together make sense: numbers once, parents that live and end somewhere */
#include "image/kinds.h"
#include "image/read.h"

#include <stdlib.h>

struct families {
	const Cpt__Task **tasks;	/* ascending by pid */
	size_t n;
	size_t *up;			/* place of the parent; NOBODY: outside the group */
};
#define NOBODY SIZE_MAX

static int by_pid(const void *a, const void *b)
{
	uint32_t x = (*(const Cpt__Task *const *)a)->pid, y = (*(const Cpt__Task *const *)b)->pid;

	return x < y ? -1 : x > y;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static size_t place(const struct families *f, uint32_t pid)
{
	Cpt__Task key = { .pid = pid };
	const Cpt__Task *k = &key;
	const Cpt__Task **at = bsearch(&k, f->tasks, f->n, sizeof(*f->tasks), by_pid);

	return at ? (size_t)(at - f->tasks) : NOBODY;
}

/* threads share one space of numbers with processes */
static int check_numbers(const struct cpt_img *img, const struct families *f, struct cpt_err *err)
{
	CPT_AUTO(mem) uint32_t *ids = NULL;
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += CPT_MAX(f->tasks[i]->n_threads, (size_t)1);
	ids = cpt_calloc(n, sizeof(*ids));
	n = 0;
	for (size_t i = 0; i < f->n; i++) {
		ids[n++] = f->tasks[i]->pid;
		for (size_t k = 1; k < f->tasks[i]->n_threads; k++)
			ids[n++] = f->tasks[i]->threads[k]->tid;
	}
	qsort(ids, n, sizeof(*ids), by_number);
	for (size_t i = 1; i < n; i++)
		if (ids[i] == ids[i - 1])
			return cpt_fail(err, CPT_BAD_IMAGE, "%s: process or thread %u is there twice",
					img->name, ids[i]);
	return 0;
}

static int find_parents(const struct cpt_img *img, struct families *f, struct cpt_err *err)
{
	for (size_t i = 0; i < f->n; i++) {
		uint32_t ppid = f->tasks[i]->ppid;

		f->up[i] = ppid ? place(f, ppid) : NOBODY;
		if (ppid && f->up[i] == NOBODY)
			return cpt_fail(err, CPT_BAD_IMAGE, "%s: ppid: there is no process %u",
					img->name, ppid);
		if (ppid && f->tasks[f->up[i]]->state == CPT__TASK_STATE__ZOMBIE)
			return cpt_fail(err, CPT_BAD_IMAGE, "%s: process %u is a zombie and has children",
					img->name, ppid);
	}
	return 0;
}

/* from child to parent one always comes to an end; each process is passed once */
static int check_ancestors(const struct cpt_img *img, const struct families *f, struct cpt_err *err)
{
	CPT_AUTO(mem) size_t *walk = cpt_calloc(f->n, sizeof(*walk));	/* the one that passed it */

	for (size_t i = 0; i < f->n; i++)
		for (size_t at = i; at != NOBODY && !walk[at]; at = f->up[at]) {
			walk[at] = i + 1;
			if (f->up[at] != NOBODY && walk[f->up[at]] == i + 1)
				return cpt_fail(err, CPT_BAD_IMAGE,
						"%s: process %u is its own ancestor",
						img->name, f->tasks[at]->pid);
		}
	return 0;
}

int cpt_check_families(const struct cpt_img *img, struct cpt_err *err)
{
	const struct cpt_found_list *list = &img->by_type[CPT_REC_TASK];
	CPT_AUTO(mem) const Cpt__Task **tasks = cpt_calloc(list->n, sizeof(*tasks));
	CPT_AUTO(mem) size_t *up = cpt_calloc(list->n, sizeof(*up));
	struct families f = { tasks, list->n, up };

	for (size_t i = 0; i < list->n; i++)
		tasks[i] = (const Cpt__Task *)img->records[list->at[i]].message;
	qsort(tasks, list->n, sizeof(*tasks), by_pid);
	return check_numbers(img, &f, err) || find_parents(img, &f, err) ||
	       check_ancestors(img, &f, err) ? -1 : 0;
}
