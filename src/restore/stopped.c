/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stopped.c - processes that are stopped (SIGSTOP, SIGTSTP, …)
 *
 * They stop while they are traced, and before pending signals come, so that
 * none of those acts first. Calls can still be made in them then. Parents that
 * had been told of the stop are told now and here.
 */
#include "restore/kinds.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static bool is_stopped(const struct cpt_rtask *t)
{
	return t->img->state == CPT__TASK_STATE__STOPPED;
}

static int wait_stop(pid_t tid, struct cpt_err *err)
{
	int status;

	for (;;) {
		if (waitpid(tid, &status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return cpt_fail_sys(err, "task %d: wait for its stop", tid);
		}
		if (!WIFSTOPPED(status))
			return cpt_fail_errno(err, ESRCH, "task %d ended instead of stopping", tid);
		if (status >> 16 == PTRACE_EVENT_STOP)
			return 0;
		if (ptrace(PTRACE_CONT, tid, 0, 0))
			return cpt_fail_sys(err, "task %d: continue", tid);
	}
}

/* Every thread stands where a signal was about to be delivered (the end of a batch): let it be this one. */
static int stop(struct cpt_rtask *t, struct cpt_err *err)
{
	for (unsigned k = 0; k < t->nthreads; k++)
		if (ptrace(PTRACE_CONT, t->threads[k].tid, 0, SIGSTOP))
			return cpt_fail_sys(err, "task %d (%s): stop", t->threads[k].tid, t->comm);
	for (unsigned k = 0; k < t->nthreads; k++)
		if (wait_stop(t->threads[k].tid, err))
			return -1;
	return 0;
}

static int tell_parent(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	const uint64_t chld = 1ULL << (SIGCHLD - 1);
	const struct timespec now = { 0 };
	struct cpt_batch *b = &r->batch;

	cpt_batch_reset(b);
	if (t->img->stop_told)
		CPT_CALL(b, waitid, CPT_NUM(P_PID), CPT_NUM(t->pid), CPT_NUM(0), CPT_NUM(WSTOPPED | WNOHANG), CPT_NUM(0));
	/* its SIGCHLD came before the dump; one that was still pending comes back with the others */
	CPT_TRY(b, rt_sigtimedwait, CPT_DATA(cpt_batch_data(b, &chld, sizeof(chld))), CPT_NUM(0),
		CPT_DATA(cpt_batch_data(b, &now, sizeof(now))), CPT_NUM(8));
	return cpt_batch_run(&t->parent->threads[0].remote, b, err);
}

static int late(struct cpt_restore *r, struct cpt_err *err)
{
	for (unsigned i = 0; i < r->ntasks; i++)
		if (is_stopped(&r->tasks[i]) && stop(&r->tasks[i], err))
			return -1;
	for (unsigned i = 0; i < r->ntasks; i++)
		if (is_stopped(&r->tasks[i]) && r->tasks[i].parent && tell_parent(r, &r->tasks[i], err))
			return cpt_within(err, "task %d (%s): its parent", r->tasks[i].pid, r->tasks[i].comm);
	return 0;
}

const struct cpt_restore_kind cpt_restore_stopped = {
	.name = "stopped",
	.late = late,
};
