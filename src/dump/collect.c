/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * collect.c - look at one process after the other
 *
 * What a task does itself (map its scratch, run its batch) takes as long as
 * looking at one from outside. So while one is looked at, the one after it
 * maps its scratch, and the one before it runs its batch.
 */
#include "dump/view.h"

#define STATES 64			/* more than there are kinds */

/* one batch: what all kinds ask of a thread; the leader's has the process's questions too */
struct asked {
	struct cpt_task *t;		/* NULL: nothing to be told */
	unsigned i;			/* which thread */
	bool running;
	struct cpt_batch batch;
	void *process[STATES], *thread[STATES];
};

struct pipeline {
	struct asked slot[2];
	unsigned now;			/* the slot for the next batch */
	struct cpt_task *opening;	/* maps its scratch */
};

static const struct cpt_dump_kind *kind(unsigned k)
{
	return k < STATES ? cpt_dump_kind(k) : NULL;
}

static int within_kind(const struct cpt_task *t, unsigned k, struct cpt_err *err)
{
	return cpt_within(err, "task %d (%s): %s", t->pid, t->comm, kind(k)->name);
}

/* ---- from outside ---------------------------------------------------- */

static int look(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	for (unsigned k = 0; kind(k); k++) {
		if (kind(k)->look && kind(k)->look(d, t, err))
			return within_kind(t, k, err);
		for (unsigned i = 0; kind(k)->look_thread && i < t->nthreads; i++)
			if (kind(k)->look_thread(d, t, &t->threads[i], err))
				return within_kind(t, k, err);
	}
	return 0;
}

/* ---- batches --------------------------------------------------------- */

static int build(struct cpt_dump *d, struct asked *a, struct cpt_err *err)
{
	struct cpt_thread *th = &a->t->threads[a->i];

	cpt_batch_reset(&a->batch);
	memset(a->process, 0, sizeof(a->process));
	memset(a->thread, 0, sizeof(a->thread));
	for (unsigned k = 0; kind(k); k++)
		if ((!a->i && kind(k)->ask && kind(k)->ask(d, a->t, &a->batch, &a->process[k], err)) ||
		    (kind(k)->ask_thread && kind(k)->ask_thread(d, a->t, th, &a->batch, &a->thread[k], err)))
			return within_kind(a->t, k, err);
	return 0;
}

static int finish(struct asked *a, struct cpt_err *err)
{
	if (!a->running)
		return 0;
	a->running = false;
	return cpt_batch_finish(&a->t->threads[a->i].remote, &a->batch, err);
}

static int tell(struct cpt_dump *d, struct asked *a, struct cpt_err *err)
{
	struct cpt_task *t = a->t;
	struct cpt_thread *th;

	if (!t)
		return 0;
	if (finish(a, err))
		return -1;
	a->t = NULL;
	th = &t->threads[a->i];
	for (unsigned k = 0; kind(k); k++)
		if ((!a->i && kind(k)->tell && kind(k)->tell(d, t, &a->batch, a->process[k], err)) ||
		    (kind(k)->tell_thread && kind(k)->tell_thread(d, t, th, &a->batch, a->thread[k], err)))
			return within_kind(t, k, err);
	return 0;
}

static int ask(struct cpt_dump *d, struct pipeline *p, struct cpt_task *t, unsigned i, struct cpt_err *err)
{
	struct asked *a = &p->slot[p->now], *before = &p->slot[!p->now];

	a->t = t;
	a->i = i;
	if (build(d, a, err))
		return -1;
	/* the scratch of a process serves one thread at a time */
	if (before->t == t && finish(before, err))
		return -1;
	if (cpt_batch_start(&t->threads[i].remote, &a->batch, err))
		return -1;
	a->running = true;
	p->now = !p->now;
	return tell(d, before, err);
}

/* ---- processes ------------------------------------------------------- */

static int open_next(struct cpt_dump *d, struct pipeline *p, struct cpt_task *t, struct cpt_err *err)
{
	if (cpt_dump_describe(d, t, err))
		return -1;
	if (t->zombie)
		return 0;
	if (cpt_dump_mm(d, t, err))
		return cpt_within(err, "task %d (%s)", t->pid, t->comm);
	if (!t->vdso_end)
		return cpt_fail(err, CPT_UNSUPPORTED, "task %d (%s) has no vdso", t->pid, t->comm);
	if (cpt_remote_open_start(&t->threads[0].remote, t->vdso_end, err))
		return cpt_within(err, "task %d (%s)", t->pid, t->comm);
	p->opening = t;
	return 0;
}

static int opened(struct pipeline *p, struct cpt_err *err)
{
	struct cpt_task *t = p->opening;

	p->opening = NULL;
	if (t && cpt_remote_open_finish(&t->threads[0].remote, err))
		return cpt_within(err, "task %d (%s)", t->pid, t->comm);
	return 0;
}

static int one_process(struct cpt_dump *d, struct pipeline *p, struct cpt_task *t, struct cpt_err *err)
{
	if (look(d, t, err))
		return -1;
	for (unsigned i = 0; i < t->nthreads; i++)
		if (!t->threads[i].model && ask(d, p, t, i, err))
			return -1;
	return 0;
}

static int like(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	for (unsigned i = 1; i < t->nthreads; i++)
		for (unsigned k = 0; t->threads[i].model && kind(k); k++)
			if (kind(k)->like_thread && kind(k)->like_thread(d, t, &t->threads[i], err))
				return within_kind(t, k, err);
	return 0;
}

static int all_processes(struct cpt_dump *d, struct pipeline *p, struct cpt_err *err)
{
	for (unsigned i = 0; i < d->ntasks; i++) {
		if (!i && open_next(d, p, &d->tasks[0], err))
			return -1;
		if (opened(p, err) || (i + 1 < d->ntasks && open_next(d, p, &d->tasks[i + 1], err)))
			return -1;
		if (!d->tasks[i].zombie && one_process(d, p, &d->tasks[i], err))
			return -1;
	}
	if (tell(d, &p->slot[!p->now], err))
		return -1;
	for (unsigned i = 0; i < d->ntasks; i++)
		if (like(d, &d->tasks[i], err))
			return -1;
	return 0;
}

/* Whatever failed: who is in a batch must come out of it, to be let go as it was. */
static void drain(struct pipeline *p)
{
	struct cpt_err ignored;

	if (opened(p, &ignored))
		cpt_debug("%s", ignored.text);
	for (unsigned i = 0; i < 2; i++)
		if (finish(&p->slot[i], &ignored))
			cpt_debug("%s", ignored.text);
}

int cpt_dump_collect(struct cpt_dump *d, struct cpt_err *err)
{
	struct pipeline p = { .now = 0 };
	int rc;

	cpt_view_begin(d);
	if (cpt_dump_relatives(d, err) || cpt_dump_memory_begin(d, err))
		return -1;
	cpt_dump_ahead(d);
	rc = all_processes(d, &p, err);
	drain(&p);
	cpt_batch_free(&p.slot[0].batch);
	cpt_batch_free(&p.slot[1].batch);
	cpt_dump_ahead_end(d);
	for (unsigned k = 0; !rc && kind(k); k++)
		if (kind(k)->group && kind(k)->group(d, err))
			rc = cpt_within(err, "%s", kind(k)->name);
	return rc;
}
