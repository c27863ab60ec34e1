/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sessions.c - in which session a task must be born
 *
 * setsid(2) makes a session of one's own; any other is inherited at birth and
 * never changed. So a task of a foreign session is born by a member of it; a
 * session whose leader is gone gets a leader again for a moment (a helper).
 */
#include "restore/engine.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct cpt_helper {
	struct cpt_rtask *task, *parent;
};

/*
 * A leader leaves the session it was born in. If it has children that are
 * still there, they were born before: it must have been born there too.
 */
static pid_t inherited_from(const struct cpt_rtask *t)
{
	pid_t pid = t->pid;

	for (unsigned i = 0; i < t->nchildren; i++) {
		pid_t s = t->children[i]->birth_session;

		if (s && s != pid)
			return s;
	}
	return 0;
}

static bool outside(const struct cpt_restore *r, pid_t sid)
{
	return sid == 0 || (!cpt_restore_find(r, sid) && (r->opt->permit & CPT_PERMIT_SHELL_JOB));
}

/* children before parents: what they need decides what the parent needs */
int cpt_restore_sessions(struct cpt_restore *r, struct cpt_err *err)
{
	for (unsigned i = r->ntasks; i-- > 0;) {
		struct cpt_rtask *t = r->order[i];
		pid_t sid = (pid_t)t->img->sid;

		t->birth_session = sid == t->pid ? inherited_from(t) : outside(r, sid) ? 0 : sid;
	}
	for (unsigned i = 0; i < r->ntasks; i++) {
		const struct cpt_rtask *t = r->order[i], *p = t->parent;

		if (p && t->birth_session && t->birth_session != (pid_t)p->img->sid &&
		    t->birth_session != p->birth_session)
			return cpt_fail(err, CPT_UNSUPPORTED,
					"task %d (%s): its session %d is neither its parent's nor its parent's earlier one",
					t->pid, t->comm, t->birth_session);
	}
	return 0;
}

/* ---- process groups -------------------------------------------------- */

/* A process group whose leader is gone needs one while members join; a child of the first member stands in. */
static int stand_in(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	pid_t pgid = (pid_t)t->img->pgid;
	struct cpt_rthread *th = cpt_arena_new(&r->arena, struct cpt_rthread);
	struct cpt_rtask *h = cpt_arena_new(&r->arena, struct cpt_rtask);
	Cpt__Task *nobody = cpt_arena_new(&r->arena, Cpt__Task);

	cpt__task__init(nobody);
	th->tid = pgid;
	*h = (struct cpt_rtask){ .pid = pgid, .comm = "group leader", .img = nobody, .threads = th,
				 .nthreads = 1, .parent = t };
	if (cpt_restore_child(r, t, h, err))
		return -1;
	cpt_batch_reset(&r->batch);
	CPT_CALL(&r->batch, setpgid, CPT_NUM(0), CPT_NUM(0));
	if (cpt_batch_run(&th->remote, &r->batch, err))
		return cpt_within(err, "leader of process group %d", pgid);
	r->helpers = cpt_realloc(r->helpers, r->nhelpers + 1, sizeof(*r->helpers));
	r->helpers[r->nhelpers++] = (struct cpt_helper){ h, t };
	return 0;
}

static bool has_stand_in(const struct cpt_restore *r, pid_t pgid)
{
	for (unsigned i = 0; i < r->nhelpers; i++)
		if (r->helpers[i].task->pid == pgid)
			return true;
	return false;
}

static int dismiss(struct cpt_restore *r, struct cpt_helper *h, struct cpt_err *err)
{
	kill(h->task->pid, SIGKILL);
	while (waitpid(h->task->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	cpt_batch_reset(&r->batch);
	CPT_CALL(&r->batch, wait4, CPT_NUM(h->task->pid), CPT_NUM(0), CPT_NUM(__WALL), CPT_NUM(0));
	return cpt_batch_run(&h->parent->threads[0].remote, &r->batch, err);
}

static int join(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	cpt_batch_reset(&r->batch);
	CPT_CALL(&r->batch, setpgid, CPT_NUM(0), CPT_NUM(t->img->pgid));
	if (cpt_batch_run(&t->threads[0].remote, &r->batch, err))
		return cpt_within(err, "task %d (%s): join process group %u", t->pid, t->comm, t->img->pgid);
	return 0;
}

/* What it has inherited: the parent's group at the time, unless it has made its own. */
static bool in_place(const struct cpt_restore *r, const struct cpt_rtask *t)
{
	pid_t pgid = (pid_t)t->img->pgid;

	return pgid == t->pid || getpgid(t->pid) == pgid || (!cpt_restore_find(r, pgid) && !t->birth_session);
}

int cpt_restore_pgids(struct cpt_restore *r, struct cpt_err *err)
{
	for (unsigned i = 0; i < r->ntasks; i++) {
		struct cpt_rtask *t = r->order[i];

		if (in_place(r, t))
			continue;
		if (!cpt_restore_find(r, (pid_t)t->img->pgid) && !has_stand_in(r, (pid_t)t->img->pgid) &&
		    stand_in(r, t, err))
			return -1;
		if (join(r, t, err))
			return -1;
	}
	for (unsigned i = 0; i < r->nhelpers; i++)
		if (dismiss(r, &r->helpers[i], err))
			return -1;
	return 0;
}
