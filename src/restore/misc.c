/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* misc.c - single settings of processes and threads */
#include "restore/kinds.h"
#include "image/state.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

/* ---- can it be done here? --------------------------------------------- */

static int put(pid_t pid, const char *file, long number, struct cpt_err *err)
{
	char path[48], value[16];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	snprintf(value, sizeof(value), "%ld", number);
	return cpt_write_at(AT_FDCWD, path, value, err);
}

/* How low one may go the kernel does not tell: cptool tries it with itself, for a moment. */
static int look_at_oom(struct cpt_restore *r, struct cpt_err *err)
{
	const Cpt__Task *lowest = NULL;
	struct cpt_err none;

	for (unsigned i = 0; i < r->ntasks; i++) {
		const Cpt__Task *t = r->tasks[i].img;

		if (t->misc && t->misc->has_oom_score_adj && t->misc->oom_score_adj < r->self->oom_score_adj &&
		    (!lowest || t->misc->oom_score_adj < lowest->misc->oom_score_adj))
			lowest = t;
	}
	if (!lowest)
		return 0;
	if (!put(getpid(), "oom_score_adj", lowest->misc->oom_score_adj, &none))
		return put(getpid(), "oom_score_adj", r->self->oom_score_adj, err);
	cpt_missing(r, "task %u: its oom_score_adj, %d, is below cptool's own, %ld, and cptool has no CAP_SYS_RESOURCE to lower it; start cptool with a lower one (choom -n %d)",
		    lowest->pid, lowest->misc->oom_score_adj, r->self->oom_score_adj, lowest->misc->oom_score_adj);
	return 0;
}

static int look(struct cpt_restore *r, struct cpt_err *err)
{
	if (cpt_restore_self(r, err) || look_at_oom(r, err))
		return -1;
	for (unsigned i = 0; i < r->ntasks && !cpt_self_may(r->self, CAP_SYS_RESOURCE); i++) {
		const Cpt__Misc *m = r->tasks[i].img->misc;

		if (m && (m->memory_merge || m->io_flusher))
			cpt_missing(r, "task %u: %s needs CAP_SYS_RESOURCE, which cptool lacks here", r->tasks[i].img->pid,
				    m->memory_merge ? "PR_SET_MEMORY_MERGE" : "PR_SET_IO_FLUSHER");
	}
	return 0;
}

/* ---- the process ------------------------------------------------------ */

static void set(struct cpt_batch *b, int option, uint64_t value)
{
	const struct cpt_arg zero = CPT_NUM(0);

	CPT_CALL(b, prctl, CPT_NUM(option), CPT_NUM(value), zero, zero, zero);
}

/* membarrier(2) tells registrations as the commands that made them. */
static void register_membarriers(uint32_t registered, struct cpt_batch *b)
{
	const struct cpt_arg zero = CPT_NUM(0);

	for (unsigned bit = 0; bit < 32; bit++)
		if (registered >> bit & 1)
			CPT_CALL(b, membarrier, CPT_NUM(1u << bit), zero, zero);
}

static int build(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err)
{
	const Cpt__Misc *m = t->img->misc;

	if (!m)
		return 0;
	if (m->thp_disable) {	/* the flags, Linux 6.18, are the second argument */
		const struct cpt_arg zero = CPT_NUM(0);

		CPT_CALL(b, prctl, CPT_NUM(PR_SET_THP_DISABLE), CPT_NUM(1), CPT_NUM(m->thp_disable & ~1u), zero, zero);
	}
	if (m->subreaper)
		set(b, PR_SET_CHILD_SUBREAPER, 1);
	if (m->memory_merge)
		set(b, PR_SET_MEMORY_MERGE, 1);
	if (m->io_flusher)
		set(b, PR_SET_IO_FLUSHER, 1);
	register_membarriers(m->membarrier, b);
	return 0;
}

static int outside(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	const Cpt__Misc *m = t->img->misc;

	if (!m)
		return 0;
	if (m->has_oom_score_adj && m->oom_score_adj != r->self->oom_score_adj &&
	    put(t->pid, "oom_score_adj", m->oom_score_adj, err))
		return -1;
	if (m->has_coredump_filter && m->coredump_filter != r->self->coredump_filter)
		return put(t->pid, "coredump_filter", m->coredump_filter, err);
	return 0;
}

/* What a change of credentials or an early protection would disturb. */
static void last(const struct cpt_restore *r, const Cpt__Misc *m, struct cpt_batch *b)
{
	if (m->has_dumpable)		/* 2 can't be asked for; it is 0 but for core dumps */
		set(b, PR_SET_DUMPABLE, m->dumpable == 1);
	if (m->has_personality && m->personality != r->self->personality)
		CPT_CALL(b, personality, CPT_NUM(m->personality));
	if (m->mdwe)
		set(b, PR_SET_MDWE, m->mdwe);
}

/* ---- a thread --------------------------------------------------------- */

/* The parent of one that came from outside is cptool now, and cptool ends soon. */
static uint32_t pdeath_signal(const struct cpt_rtask *t, const Cpt__ThreadMisc *m)
{
	if (!m || !m->pdeath_signal)
		return 0;
	if (t->parent)
		return m->pdeath_signal;
	cpt_warn("task %d (%s): asked for signal %u when its parent ends (PR_SET_PDEATHSIG); that parent is not in the group, so it gets none",
		 t->pid, t->comm, m->pdeath_signal);
	return 0;
}

static int thread(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_rthread *th, struct cpt_batch *b, struct cpt_err *err)
{
	const Cpt__ThreadMisc *m = th->img->misc;
	const struct cpt_arg zero = CPT_NUM(0);

	if (th == t->threads && t->img->misc)
		last(r, t->img->misc, b);
	if (th->img->comm)
		CPT_CALL(b, prctl, CPT_NUM(PR_SET_NAME), CPT_DATA(cpt_batch_string(b, th->img->comm)));
	set(b, PR_SET_PDEATHSIG, pdeath_signal(t, m));	/* one of cptool's own may stand there */
	if (!m)
		return 0;
	if (m->has_mce_kill)
		CPT_CALL(b, prctl, CPT_NUM(PR_MCE_KILL), CPT_NUM(PR_MCE_KILL_SET), CPT_NUM(m->mce_kill), zero, zero);
	if (m->tsc_forbidden)
		set(b, PR_SET_TSC, PR_TSC_SIGSEGV);
	for (size_t i = 0; i < m->n_speculation; i++)
		CPT_CALL(b, prctl, CPT_NUM(PR_SET_SPECULATION_CTRL), CPT_NUM(m->speculation[i]->feature),
			 CPT_NUM(m->speculation[i]->control), zero, zero);
	return 0;
}

const struct cpt_restore_kind cpt_restore_misc = {
	.name = "misc",
	.look = look,
	.build = build,
	.outside = outside,
	.thread = thread,
};
