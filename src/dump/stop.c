/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stop.c - bring the group to a stop and let it go again
 *
 * The freezer gives the one instant. Tasks are seized while frozen; when the
 * group is thawed each one traps before it runs a single user instruction.
 */
#include "dump/engine.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif

#define FIRST_PATIENCE_MS 100		/* how long a task may take to stop before it is looked at closer */
#define LATE_MS 100

static int deadline_ms(const struct cpt_dump *d)
{
	return d->opt->deadline_ms > 0 ? d->opt->deadline_ms : 10000;
}

/* Signals that a task ignores come and go unnoticed: one of these ends its batches. */
int cpt_dump_stop_signal(const struct cpt_status *s)
{
	static const int ignored_by_default[] = { SIGURG, SIGWINCH, SIGCHLD };
	uint64_t pending = s->sig_pending | s->shared_pending;

	for (size_t i = 0; i < CPT_COUNT(ignored_by_default); i++) {
		uint64_t bit = 1ULL << (ignored_by_default[i] - 1);

		if (!(s->sig_caught & bit) && !(pending & bit))
			return ignored_by_default[i];
	}
	for (int sig = 1; sig <= 64; sig++)
		if ((s->sig_ignored & ~pending) >> (sig - 1) & 1)
			return sig;
	return SIGURG;		/* handled, but the tracer swallows it as long as it lives */
}

unsigned long cpt_dump_seize_options(const struct cpt_status *s)
{
	return s->seccomp ? PTRACE_O_SUSPEND_SECCOMP : 0;
}

/*
 * The v1 freezer hides that a task is stopped (SIGSTOP), and a seize of it
 * would wait for the thaw: the place where it sleeps tells.
 */
static bool stopped_and_frozen(struct cpt_dump *d, const struct cpt_task *t, pid_t tid)
{
	struct cpt_err none;
	char path[48];

	if (d->group.freezer != CPT_FREEZER_V1)
		return false;
	snprintf(path, sizeof(path), "task/%d/wchan", tid);
	return !cpt_read_at(t->proc, path, &d->buf, &none) && strstr(d->buf.data, "signal_stop");
}

static int seize_task(struct cpt_dump *d, struct cpt_task *t, bool frozen, struct cpt_err *err)
{
	unsigned long options = cpt_dump_seize_options(&t->status);

	for (unsigned k = 0; k < t->nthreads; k++) {
		struct cpt_thread *th = &t->threads[k];

		if (th->remote.tid || (frozen && stopped_and_frozen(d, t, th->tid)))
			continue;
		if (cpt_remote_seize(th->tid, options, err))
			return cpt_within(err, "%s", t->comm);
		th->remote.tid = th->tid;
		th->remote.mm = &t->mm;
	}
	return 0;
}

/* @frozen: all that can be seized as they are; later: those that are stopped, too, which stand still all the same */
static int seize_all(struct cpt_dump *d, bool frozen, struct cpt_err *err)
{
	for (unsigned i = 0; i < d->ntasks; i++)
		if (seize_task(d, &d->tasks[i], frozen, err))
			return -1;
	return 0;
}

/* In an uninterruptible sleep, as a parent is in vfork(2); not just slow to get a processor. */
static bool can_t_stop(struct cpt_dump *d, const struct cpt_task *t, pid_t tid)
{
	struct cpt_err none;
	struct cpt_stat stat;
	char path[48];

	snprintf(path, sizeof(path), "task/%d/stat", tid);
	return !cpt_read_at(t->proc, path, &d->buf, &none) && !cpt_parse_stat(d->buf.data, &stat, &none) &&
	       stat.state == 'D';
}

static int wait_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, int patience_ms,
		       struct cpt_err *err)
{
	uint64_t end = d->stop_began + (uint64_t)deadline_ms(d) * 1000000;
	struct cpt_remote *r = &th->remote;
	int rc;

	do
		rc = cpt_remote_stopped(th->tid, patience_ms, r, err);
	while (rc < 0 && err->sys == ETIMEDOUT && !can_t_stop(d, t, th->tid) && cpt_now_ns() < end);
	if (rc < 0 && err->sys == ETIMEDOUT) {
		cpt_fail(err, CPT_SYSTEM, "task %d (%s) waits in the kernel, as in vfork(2) for its child, and can't be stopped; try again later",
			 th->tid, t->comm);
		err->sys = ETIMEDOUT;
	}
	if (rc > 0)
		return cpt_fail_errno(err, ESRCH, "task %d (%s) ended while the group was frozen", th->tid, t->comm);
	if (rc < 0)
		return -1;
	r->ns_tgid = t->status.ns_tgid;
	r->ns_tid = th->tid == t->pid ? t->status.ns_pid : th->tid;
	r->stop_signal = cpt_dump_stop_signal(&t->status);
	th->stopped = true;
	cpt_dump_hold_context(r);
	if (!cpt_arch_native(&r->regs))
		return cpt_fail(err, CPT_UNSUPPORTED,
				"task %d (%s) is a 32-bit program: only native ones can be dumped", th->tid, t->comm);
	return 0;
}

static int wait_all(struct cpt_dump *d, int patience_ms, struct cpt_err *err)
{
	for (unsigned i = 0; i < d->ntasks; i++)
		for (unsigned k = 0; k < d->tasks[i].nthreads; k++)
			if (wait_thread(d, &d->tasks[i], &d->tasks[i].threads[k], patience_ms, err))
				return -1;
	return 0;
}

/* ---- letting go ------------------------------------------------------ */

static void keep_first(struct cpt_err *first, const struct cpt_err *e)
{
	if (!first->fault)
		*first = *e;
}

/* The scratch mapping goes first, then registers and masks come back, the code goes last: see cpt_remote_close(). */
static void settle_task(struct cpt_task *t, struct cpt_err *first)
{
	struct cpt_err e;

	if (t->nthreads && t->threads[0].stopped && cpt_remote_unmap(&t->threads[0].remote, &e))
		keep_first(first, &e);
	for (unsigned k = 1; k < t->nthreads; k++)
		if (t->threads[k].stopped && cpt_remote_settle(&t->threads[k].remote, &e))
			keep_first(first, &e);
	if (t->nthreads && t->threads[0].stopped && cpt_remote_close(&t->threads[0].remote, &e))
		keep_first(first, &e);
}

/* One that was not waited for: it has stopped since, or it has not. Nothing was done to it. */
static void look_again(struct cpt_thread *th, int patience_ms)
{
	struct cpt_err e;

	if (th->stopped || !th->remote.tid || cpt_remote_stopped(th->tid, patience_ms, &th->remote, &e))
		return;
	cpt_dump_hold_context(&th->remote);
	th->stopped = !cpt_remote_settle(&th->remote, &e);
}

static void detach_stopped(struct cpt_task *t, int patience_ms, struct cpt_err *first)
{
	struct cpt_err e;

	for (unsigned k = 0; k < t->nthreads; k++) {
		struct cpt_thread *th = &t->threads[k];

		look_again(th, patience_ms);
		if (!th->stopped)
			continue;
		if (cpt_remote_detach(&th->remote, &e))
			keep_first(first, &e);
		th->stopped = false;
		th->remote.tid = 0;
	}
}

int cpt_dump_release(struct cpt_dump *d, struct cpt_err *err)
{
	struct cpt_err first = { 0 }, e;

	for (unsigned i = 0; i < d->ntasks; i++)
		settle_task(&d->tasks[i], &first);
	if (d->end_frozen && cpt_group_freeze_start(&d->group, &e))
		keep_first(&first, &e);
	if (cpt_dump_refreeze_subgroups(d, &e))
		keep_first(&first, &e);
	for (unsigned i = 0; i < d->ntasks; i++)
		detach_stopped(&d->tasks[i], 1, &first);
	/* what is left was waiting for somebody who runs again now */
	for (unsigned i = 0; i < d->ntasks; i++)
		detach_stopped(&d->tasks[i], LATE_MS, &first);
	if (first.fault)
		*err = first;
	return first.fault ? -1 : 0;
}

/* ---- stopping -------------------------------------------------------- */

static int attempt(struct cpt_dump *d, int patience_ms, struct cpt_err *err)
{
	uint64_t begin = cpt_now_ns();

	if (cpt_group_freeze_start(&d->group, err) ||
	    cpt_group_freeze_wait(&d->group, deadline_ms(d), err))
		return -1;
	d->stats.freeze_ns = cpt_now_ns() - begin;
	if (cpt_dump_list(d, err) || cpt_dump_check_room(d, err) || cpt_dump_thaw_subgroups(d, err) || seize_all(d, true, err))
		return -1;
	if (cpt_group_let_run(&d->group, err) || seize_all(d, false, err))
		return -1;
	return wait_all(d, patience_ms, err);
}

int cpt_dump_stop(struct cpt_dump *d, struct cpt_err *err)
{
	uint64_t end = cpt_now_ns() + (uint64_t)deadline_ms(d) * 1000000;
	int patience_ms = FIRST_PATIENCE_MS;

	for (;;) {
		struct cpt_err ignored;

		d->stop_began = cpt_now_ns();
		if (!attempt(d, patience_ms, err))
			return 0;
		if (err->fault != CPT_SYSTEM || (err->sys != ETIMEDOUT && err->sys != ESRCH) ||
		    cpt_now_ns() > end)
			return -1;
		/* Most likely a parent in vfork(2), which waits for a child that stands still now. */
		cpt_info("%s; letting the group run and trying again", err->text);
		if (cpt_dump_release(d, &ignored))
			cpt_info("%s", ignored.text);
		cpt_dump_forget(d);
		if (cpt_group_let_run(&d->group, err))
			return -1;
		cpt_sleep_us(2000);
		patience_ms *= 2;
	}
}

int cpt_dump_kill(struct cpt_dump *d, struct cpt_err *err)
{
	if (cpt_group_signal(&d->group, SIGKILL, deadline_ms(d), true, err))
		return -1;
	for (unsigned i = 0; i < d->ntasks; i++) {
		struct cpt_task *t = &d->tasks[i];

		/* the leader's death is reported when the other threads' have been seen */
		for (unsigned k = t->nthreads; k-- > 0;)
			while (t->threads[k].remote.tid && waitpid(t->threads[k].tid, NULL, __WALL) < 0 && errno == EINTR)
				;
		t->nthreads = 0;
	}
	return 0;
}
