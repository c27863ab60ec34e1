/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tasks.c - are processes and threads sane? */
#include "image/kinds.h"
#include "image/state.h"

#define PID_LIMIT (1U << 22)		/* PID_MAX_LIMIT of the kernel */
#define COMM_MAX 64			/* TASK_COMM_LEN, and that of kernel threads */

static bool is_pid(uint32_t pid)
{
	return pid > 1 && pid < PID_LIMIT;
}

static int check_living(const Cpt__Task *m, struct cpt_err *err)
{
	if (!m->n_threads || m->threads[0]->tid != m->pid)
		return cpt_fail(err, CPT_BAD_IMAGE, "process %u has no leading thread", m->pid);
	if (!m->has_mm)
		return cpt_fail(err, CPT_BAD_IMAGE, "process %u has no address space", m->pid);
	return 0;
}

int cpt_check_task(const Cpt__Task *m, struct cpt_err *err)
{
	if (!is_pid(m->pid) || m->ppid >= PID_LIMIT || m->pgid >= PID_LIMIT || m->sid >= PID_LIMIT)
		return cpt_fail(err, CPT_BAD_IMAGE, "process %u, child of %u, group %u, session %u",
				m->pid, m->ppid, m->pgid, m->sid);
	if (m->exit_signal > CPT_NSIG || m->stop_signal > CPT_NSIG)
		return cpt_fail(err, CPT_BAD_IMAGE, "process %u has signals %u and %u", m->pid,
				m->exit_signal, m->stop_signal);
	switch (m->state) {
	case CPT__TASK_STATE__ALIVE:
	case CPT__TASK_STATE__STOPPED:
		return check_living(m, err);
	case CPT__TASK_STATE__ZOMBIE:
		if (m->n_threads || m->has_mm || m->files)
			return cpt_fail(err, CPT_BAD_IMAGE, "zombie %u has more than a zombie has", m->pid);
		return 0;
	case _CPT__TASK_STATE_IS_INT_SIZE:
	default:
		return cpt_fail(err, CPT_BAD_IMAGE, "process %u is in state %d", m->pid, (int)m->state);
	}
}

int cpt_check_thread(const Cpt__Thread *m, struct cpt_err *err)
{
	if (!is_pid(m->tid))
		return cpt_fail(err, CPT_BAD_IMAGE, "thread %u", m->tid);
	if (!m->gp_regs.len || m->gp_regs.len % 8)
		return cpt_fail(err, CPT_BAD_IMAGE, "thread %u has registers of %zu bytes", m->tid,
				m->gp_regs.len);
	if (m->timeout_arg > 5)
		return cpt_fail(err, CPT_BAD_IMAGE, "thread %u has a time limit in argument %u", m->tid,
				m->timeout_arg);
	if (m->comm && strlen(m->comm) >= COMM_MAX)
		return cpt_fail(err, CPT_BAD_IMAGE, "thread %u has a name of %zu bytes", m->tid,
				strlen(m->comm));
	return 0;
}
