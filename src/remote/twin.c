/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * twin.c - a copy-on-write copy of a stopped process's address space
 *
 * The task makes a child that shares its memory (the middle), which makes the
 * twin and ends; the task has waited for the middle before it goes on. So the
 * twin is no child of the task: it comes to the next subreaper or to init, and
 * nothing of it is ever seen in a wait(2) of the task, nor by a signal. Both are
 * traced from birth and stopped before their first instruction; what they would
 * run without a tracer is the way to their end (arch/<arch>/code.S). The twin is
 * killed when its tracer dies.
 */
#include "remote/inside.h"

#include <signal.h>
#include <sys/wait.h>

#define STOPPED_AT_BIRTH(status) (WIFSTOPPED(status) && (status) >> 16 == PTRACE_EVENT_STOP)
#define HAS_CLONED(status) (WIFSTOPPED(status) && (status) >> 16 == PTRACE_EVENT_CLONE)

static int new_child(pid_t tid, pid_t *ret, struct cpt_err *err)
{
	unsigned long pid;
	int status;

	if (ptrace(PTRACE_GETEVENTMSG, tid, 0, &pid))
		return cpt_fail_sys(err, "task %d: which child", tid);
	if (cpt_remote_wait((pid_t)pid, 0, &status, err))
		return -1;
	if (!STOPPED_AT_BIRTH(status))
		return cpt_fail_errno(err, ESRCH, "task %d: its copy has ended", tid);
	*ret = (pid_t)pid;
	return 0;
}

/* Let the middle go on, past signals on their way, until it has cloned (1) or ended (0). */
static int step_middle(pid_t middle, int *status, struct cpt_err *err)
{
	do {
		cpt_kill_here();
		if (ptrace(PTRACE_CONT, middle, 0, 0) && errno != ESRCH)
			return cpt_fail_sys(err, "task %d: continue", middle);
		if (cpt_remote_wait(middle, 0, status, err))
			return -1;
	} while (WIFSTOPPED(*status) && !HAS_CLONED(*status));
	return HAS_CLONED(*status);
}

/* The middle is stopped before its first instruction. It is gone afterwards, also when this fails. */
static int through_middle(pid_t middle, pid_t *twin, struct cpt_err *err)
{
	struct cpt_err ignored;
	int status, rc = step_middle(middle, &status, err);

	if (rc == 0)
		return WIFEXITED(status) ?
			cpt_fail_errno(err, WEXITSTATUS(status), "copy the address space") :
			cpt_fail_errno(err, ESRCH, "the copy of the address space was killed");
	if (rc > 0) {
		rc = new_child(middle, twin, err);
		cpt_kill_here();
		if (!rc && ptrace(PTRACE_SETOPTIONS, *twin, 0, PTRACE_O_EXITKILL))
			rc = cpt_fail_sys(err, "task %d: set options", *twin);
	}
	if (rc)
		kill(middle, SIGKILL);
	while (step_middle(middle, &status, &ignored) > 0)
		;
	return rc;
}

static int run_twin(struct cpt_remote *r, pid_t *twin, struct cpt_err *err)
{
	struct cpt_regs regs = r->regs;
	struct cpt_err end = { 0 };
	struct cpt_arch_entry e;
	pid_t middle;
	int rc;

	if (cpt_remote_arm(r, r->mm->scratch, r->mm->size, err))
		return -1;
	e = cpt_remote_entry(r);
	cpt_arch_enter_twin(&regs, &e);
	if (cpt_remote_let_run(r, &regs, err))
		return -1;
	rc = cpt_remote_wait_end(r, &regs, err);
	if (!rc)
		return cpt_fail_errno(err, (int)-cpt_arch_single_ret(&regs), "clone");
	if (rc < 0)
		return -1;
	rc = new_child(r->tid, &middle, err);
	cpt_kill_here();
	if (ptrace(PTRACE_CONT, r->tid, 0, 0) && !rc)
		rc = cpt_fail_sys(err, "task %d: continue", r->tid);
	if (!rc)
		rc = through_middle(middle, twin, err);
	if (cpt_remote_wait_end(r, &regs, &end)) {
		*err = end;
		rc = -1;
	}
	return rc;
}

int cpt_remote_twin(struct cpt_remote *r, unsigned long options, pid_t *ret, struct cpt_err *err)
{
	pid_t twin = 0;
	int rc;

	if (cpt_fault_here())
		return cpt_fail_errno(err, ENOMEM, "task %d: twin (asked to fail)", r->tid);
	if (ptrace(PTRACE_SETOPTIONS, r->tid, 0, options | PTRACE_O_TRACECLONE))
		return cpt_fail_sys(err, "task %d: set options", r->tid);
	rc = run_twin(r, &twin, err);
	if (ptrace(PTRACE_SETOPTIONS, r->tid, 0, options) && !rc)
		rc = cpt_fail_sys(err, "task %d: set options", r->tid);
	if (rc && twin)
		cpt_remote_twin_end(twin);
	*ret = rc ? 0 : twin;
	return rc;
}

bool cpt_remote_twin_lives(pid_t twin)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, (id_t)twin, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) && !info.si_pid;
}

void cpt_remote_twin_end(pid_t twin)
{
	kill(twin, SIGKILL);
	while (waitpid(twin, NULL, __WALL) < 0 && errno == EINTR)
		;
}
