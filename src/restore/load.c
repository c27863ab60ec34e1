/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* load.c - the image's messages become tasks; whatever they refer to must be there */
#include "restore/engine.h"

#include "base/procfs.h"

#include <stdlib.h>

static int bad(struct cpt_err *err, const char *what, uint64_t id)
{
	return cpt_fail(err, CPT_BAD_IMAGE, "the image is not sane: %s %llu", what, (unsigned long long)id);
}

/* ---- mms and objects ------------------------------------------------- */

static int mm_by_id(const void *a, const void *b)
{
	uint32_t x = (*(Cpt__Mm *const *)a)->id, y = (*(Cpt__Mm *const *)b)->id;

	return (x > y) - (x < y);
}

static int load_mms(struct cpt_restore *r, struct cpt_err *err)
{
	r->nmms = (unsigned)cpt_img_count(r->img, CPT_REC_MM);
	r->mms = cpt_arena_array(&r->arena, Cpt__Mm *, r->nmms);
	for (unsigned i = 0; i < r->nmms; i++)
		if (cpt_img_get(r->img, CPT_REC_MM, i, &cpt__mm__descriptor, &r->arena, &r->mms[i], err))
			return -1;
	qsort(r->mms, r->nmms, sizeof(*r->mms), mm_by_id);
	for (unsigned i = 1; i < r->nmms; i++)
		if (r->mms[i]->id == r->mms[i - 1]->id)
			return bad(err, "two address spaces have the id", r->mms[i]->id);
	return 0;
}

static Cpt__Mm *find_mm(const struct cpt_restore *r, uint32_t id)
{
	Cpt__Mm key = { .id = id }, *k = &key;
	Cpt__Mm **m = bsearch(&k, r->mms, r->nmms, sizeof(*r->mms), mm_by_id);

	return m ? *m : NULL;
}

static int load_objects(struct cpt_restore *r, struct cpt_err *err)
{
	size_t n = cpt_img_count(r->img, CPT_REC_OBJECT);

	r->nobjects = (unsigned)n + 1;
	r->objects = cpt_arena_array(&r->arena, const Cpt__Object *, r->nobjects);
	r->object_fds = cpt_arena_array(&r->arena, int, r->nobjects);
	for (unsigned i = 0; i < r->nobjects; i++)
		r->object_fds[i] = -1;
	for (size_t i = 0; i < n; i++) {
		Cpt__Object *o;

		if (cpt_img_get(r->img, CPT_REC_OBJECT, i, &cpt__object__descriptor, &r->arena, &o, err))
			return -1;
		if (o->id < 1 || o->id >= r->nobjects || r->objects[o->id])
			return bad(err, "object id", o->id);
		r->objects[o->id] = o;
	}
	return 0;
}

static int load_cgroups(struct cpt_restore *r, struct cpt_err *err)
{
	r->ncgroups = (unsigned)cpt_img_count(r->img, CPT_REC_CGROUP);
	r->cgroups = cpt_arena_array(&r->arena, const Cpt__Cgroup *, r->ncgroups);
	r->cgroup_fds = cpt_arena_array(&r->arena, int, r->ncgroups);
	for (unsigned i = 0; i < r->ncgroups; i++) {
		Cpt__Cgroup *c;

		if (cpt_img_get(r->img, CPT_REC_CGROUP, i, &cpt__cgroup__descriptor, &r->arena, &c, err))
			return -1;
		if (c->id != i)
			return bad(err, "cgroup id", c->id);
		r->cgroups[i] = c;
		r->cgroup_fds[i] = -1;
	}
	return 0;
}

/* ---- tasks ----------------------------------------------------------- */

static int task_by_pid(const void *a, const void *b)
{
	pid_t x = (*(struct cpt_rtask *const *)a)->pid, y = (*(struct cpt_rtask *const *)b)->pid;

	return (x > y) - (x < y);
}

struct cpt_rtask *cpt_restore_find(const struct cpt_restore *r, pid_t pid)
{
	struct cpt_rtask key = { .pid = pid }, *k = &key;
	struct cpt_rtask **t = bsearch(&k, r->by_pid, r->ntasks, sizeof(*r->by_pid), task_by_pid);

	return t ? *t : NULL;
}

static int load_threads(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	if (t->img->state == CPT__TASK_STATE__ZOMBIE) {
		t->nthreads = 1;	/* it lives until the end of the restore */
		t->threads = cpt_arena_new(&r->arena, struct cpt_rthread);
		t->threads[0].tid = t->pid;
		return 0;
	}
	t->nthreads = (unsigned)t->img->n_threads;
	t->threads = cpt_arena_array(&r->arena, struct cpt_rthread, t->nthreads);
	for (unsigned i = 0; i < t->nthreads; i++) {
		t->threads[i].img = t->img->threads[i];
		t->threads[i].tid = (pid_t)t->img->threads[i]->tid;
		if (t->threads[i].tid <= 0)
			return bad(err, "thread id", t->img->threads[i]->tid);
	}
	if (!t->nthreads || t->threads[0].tid != t->pid)
		return bad(err, "no leading thread in task", t->img->pid);
	t->mm_img = find_mm(r, t->img->mm);
	return t->mm_img ? 0 : bad(err, "no address space with the id", t->img->mm);
}

static int load_task(struct cpt_restore *r, struct cpt_rtask *t, size_t n, struct cpt_err *err)
{
	Cpt__Task *img;

	if (cpt_img_get(r->img, CPT_REC_TASK, n, &cpt__task__descriptor, &r->arena, &img, err))
		return -1;
	t->img = img;
	t->pid = (pid_t)img->pid;
	if (t->pid <= 1)
		return bad(err, "pid", img->pid);
	if (img->cgroup >= r->ncgroups)
		return bad(err, "no cgroup with the id", img->cgroup);
	if (load_threads(r, t, err))
		return -1;
	cpt_printable(t->comm, img->comm ? img->comm :
		      img->n_threads && img->threads[0]->comm ? img->threads[0]->comm : "?");
	return 0;
}

static int adopt(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	struct cpt_rtask *p;

	if (!t->img->ppid)
		return 0;
	p = t->parent = cpt_restore_find(r, (pid_t)t->img->ppid);
	if (!p || p == t || p->img->state == CPT__TASK_STATE__ZOMBIE)
		return bad(err, "no parent for task", t->img->pid);
	p->children = cpt_realloc(p->children, p->nchildren + 1, sizeof(*p->children));
	p->children[p->nchildren++] = t;
	return 0;
}

/* Every task must hang on a root; what does not is its own ancestor. Breadth first, without recursion. */
static int put_in_order(struct cpt_restore *r, struct cpt_err *err)
{
	unsigned n = 0;

	r->order = cpt_arena_array(&r->arena, struct cpt_rtask *, r->ntasks);
	for (unsigned i = 0; i < r->ntasks; i++)
		if (!r->by_pid[i]->parent)
			r->order[n++] = r->by_pid[i];
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < r->order[i]->nchildren; k++)
			r->order[n++] = r->order[i]->children[k];
	return n == r->ntasks ? 0 : bad(err, "tasks that are their own ancestors:", r->ntasks - n);
}

static int load_tasks(struct cpt_restore *r, struct cpt_err *err)
{
	r->ntasks = (unsigned)cpt_img_count(r->img, CPT_REC_TASK);
	r->tasks = cpt_arena_array(&r->arena, struct cpt_rtask, r->ntasks);
	r->by_pid = cpt_arena_array(&r->arena, struct cpt_rtask *, r->ntasks);
	for (unsigned i = 0; i < r->ntasks; i++) {
		if (load_task(r, &r->tasks[i], i, err))
			return -1;
		r->by_pid[i] = &r->tasks[i];
	}
	qsort(r->by_pid, r->ntasks, sizeof(*r->by_pid), task_by_pid);
	for (unsigned i = 1; i < r->ntasks; i++)
		if (r->by_pid[i]->pid == r->by_pid[i - 1]->pid)
			return bad(err, "two tasks have the pid", r->by_pid[i]->img->pid);
	for (unsigned i = 0; i < r->ntasks; i++)
		if (adopt(r, r->by_pid[i], err))
			return -1;
	return put_in_order(r, err);
}

int cpt_restore_load(struct cpt_restore *r, struct cpt_err *err)
{
	Cpt__Header *h;

	if (cpt_img_get(r->img, CPT_REC_HEADER, 0, &cpt__header__descriptor, &r->arena, &h, err))
		return -1;
	r->header = h;
	if (load_mms(r, err) || load_objects(r, err) || load_cgroups(r, err))
		return -1;
	return load_tasks(r, err);
}
