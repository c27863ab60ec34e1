/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tree.c - processes, each made by its own parent
 *
 * The first ones are made by cptool. Each then runs one batch that puts its
 * memory in place and makes its children, with the pids they had.
 */
#include "restore/engine.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif
#ifndef PTRACE_SETSIGMASK
#define PTRACE_SETSIGMASK 0x420b
#endif
#define STOP_MS 10000
#define MUCH 1024			/* pages worth being read beside another process */

/* include/uapi/linux/sched.h: the part of struct clone_args used here, at offsets */
struct clone_with {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	uint64_t set_tid, set_tid_size, cgroup;
};

static int within(const struct cpt_rtask *t, struct cpt_err *err)
{
	return cpt_within(err, "task %d (%s)", t->pid, t->comm);
}

/* ---- born ------------------------------------------------------------ */

/* In the new process, until cptool stops it: nothing but plain system calls. */
static _Noreturn void wait_for_cptool(pid_t cptool)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} dfl = { NULL, 0, NULL, 0 };

	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (syscall(SYS_getppid) != cptool)
		syscall(SYS_exit_group, 1);
	for (int sig = 1; sig <= 64; sig++)	/* what cptool ignores, the clone ignores too */
		syscall(SYS_rt_sigaction, sig, &dfl, NULL, 8);
	for (;;)
		syscall(SYS_pause);
}

static void take_up(struct cpt_restore *r, struct cpt_rthread *th, struct cpt_rtask *t)
{
	t->mm = (struct cpt_remote_mm){
		.mem = -1, .code = r->scratch, .scratch = r->scratch + CPT_PAGE,
		.size = r->scratch_size - CPT_PAGE, .shared = true,
	};
	th->remote.mm = &t->mm;
	th->remote.ns_tgid = t->pid;
	th->remote.ns_tid = th->tid;
	th->remote.stop_signal = cpt_restore_stop_signal(t->img);
	th->remote.exitkill = true;
}

/* 1 if it has ended already; it is reaped then */
static int first_stop(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	struct cpt_rthread *th = &t->threads[0];
	int rc;

	take_up(r, th, t);
	rc = cpt_remote_stopped(t->pid, STOP_MS, &th->remote, err);
	if (rc > 0)
		cpt_fail_errno(err, ESRCH, "task %d (%s) ended while it was made", t->pid, t->comm);
	t->made = !rc;
	return rc < 0 ? within(t, err) : rc;
}

static int born(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	return first_stop(r, t, err) ? -1 : 0;
}

/* A clone of cptool, seized and stopped; 1 if it was killed at birth. */
static int clone_self(struct cpt_restore *r, struct cpt_rtask *t, bool into, struct cpt_err *err)
{
	pid_t cptool = getpid(), pid = t->pid, got;
	struct clone_with a = {
		.flags = CLONE_CLEAR_SIGHAND | (into ? CLONE_INTO_CGROUP : 0),
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&pid, .set_tid_size = 1,
		.cgroup = into ? (uint64_t)r->cgroup_fds[t->img->cgroup] : 0,
	};
	int status = 0;

	got = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
	if (got == 0)
		wait_for_cptool(cptool);
	if (got < 0)
		return cpt_fail_sys(err, "make task %d (%s)", t->pid, t->comm);
	if (!cpt_remote_seize(t->pid, PTRACE_O_EXITKILL, err))
		return first_stop(r, t, err);
	kill(t->pid, SIGKILL);
	while ((got = waitpid(t->pid, &status, __WALL)) < 0 && errno == EINTR)
		;
	return got == t->pid && into ? 1 : within(t, err);
}

/*
 * CLONE_INTO_CGROUP is the quick way, but a group in which cgroup.kill was
 * ever used kills what is born into it from outside (seen on Linux 6.18: the
 * count of kills is compared with that of the parent's group). Then the task
 * is moved in.
 */
static int make_first(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	bool into = r->group.freezer == CPT_FREEZER_V2 && !r->born_outside;
	int rc = clone_self(r, t, into, err);

	if (rc > 0) {
		r->born_outside = true;
		into = false;
		rc = clone_self(r, t, into, err);
	}
	if (rc)
		return -1;
	if (!into && cpt_restore_cgroup_attach(r, t->img->cgroup, t->pid, err))
		return within(t, err);
	if (r->charged_at_birth)
		cpt_restore_memory_group(r, t);
	return 0;
}

/* ---- making children ------------------------------------------------- */

static void clone_child(struct cpt_batch *b, const struct cpt_rtask *c, uint64_t flags)
{
	int32_t pid = c->pid;
	struct clone_with a = {
		.flags = flags | CLONE_PTRACE,
		.exit_signal = flags & CLONE_PARENT ? 0 : c->img->exit_signal,
		.set_tid_size = 1,
	};
	size_t at = cpt_batch_data(b, &a, sizeof(a));

	cpt_batch_pointer(b, at + offsetof(struct clone_with, set_tid), cpt_batch_data(b, &pid, sizeof(pid)));
	CPT_CALL(b, clone3, CPT_DATA(at), CPT_NUM(sizeof(a)));
}

/* Children of the session the parent was born in come before setsid, all others after it. */
static void clone_children(struct cpt_rtask *t, struct cpt_batch *b, bool early)
{
	bool leads = (pid_t)t->img->sid == t->pid;

	for (unsigned i = 0; i < t->nchildren; i++) {
		struct cpt_rtask *c = t->children[i];
		bool before = leads && c->birth_session && c->birth_session != t->pid;

		if (before == early) {
			clone_child(b, c, 0);
			c->base = t->birth_mm;
		}
	}
}

/* Tasks whose parent is outside but whose session is led by @t. */
static void clone_strangers(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b)
{
	for (unsigned i = 0; i < r->ntasks && !r->order[i]->parent; i++) {
		struct cpt_rtask *c = r->order[i];

		if (c != t && c->birth_session == t->pid) {
			clone_child(b, c, CLONE_PARENT);
			c->base = t->birth_mm;
		}
	}
}

/* What the process has inherited from cptool and must not keep. */
static int strip(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err)
{
	struct { uint64_t pointer; uint32_t size, signature, flags, pad; } rseq = { 0 };
	struct { uint64_t sp; int32_t flags, pad; uint64_t size; } no_stack = { 0, SS_DISABLE, 0, 0 };
	int keep[3] = { -1, CPT_MIN(r->self_fd, r->image_fd), CPT_MAX(r->self_fd, r->image_fd) };

	ptrace(PTRACE_GET_RSEQ_CONFIGURATION, t->pid, sizeof(rseq), &rseq);
	if (rseq.pointer)
		CPT_CALL(b, rseq, CPT_NUM(rseq.pointer), CPT_NUM(rseq.size), CPT_NUM(1), CPT_NUM(rseq.signature));
	CPT_CALL(b, prctl, CPT_NUM(PR_SET_PDEATHSIG), CPT_NUM(0));
	CPT_CALL(b, sigaltstack, CPT_DATA(cpt_batch_data(b, &no_stack, sizeof(no_stack))), CPT_NUM(0));
	for (int i = 0; i < 3; i++) {
		unsigned from = (unsigned)keep[i] + 1, to = i < 2 ? (unsigned)keep[i + 1] : UINT32_MAX;

		if (from < to)
			CPT_CALL(b, close_range, CPT_NUM(from), CPT_NUM(i < 2 ? to - 1 : to), CPT_NUM(0));
	}
	return cpt_restore_mm_fresh(r, t, b, err);
}

/* One batch: own memory, early children, own session and group, the other children. */
static int fill_batch(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err)
{
	cpt_batch_reset(b);
	t->birth_mm = cpt_restore_birth_mm(r, t);
	if (!t->base && strip(r, t, b, err))
		return -1;
	if (t->img->state != CPT__TASK_STATE__ZOMBIE && cpt_restore_mm(r, t, b, err))
		return -1;
	clone_children(t, b, true);
	if ((pid_t)t->img->sid == t->pid)
		CPT_CALL0(b, setsid);
	else if ((pid_t)t->img->pgid == t->pid)
		CPT_CALL(b, setpgid, CPT_NUM(0), CPT_NUM(0));
	clone_children(t, b, false);
	if ((pid_t)t->img->sid == t->pid)
		clone_strangers(r, t, b);
	if (t->birth_mm && t->birth_mm != t->mm_img)
		cpt_restore_mm_grown(r, t, b);
	return 0;
}

/* ---- two at once ------------------------------------------------------ */

/*
 * A process that makes no others can read its memory while the next one is
 * made: its batch stands in the upper half of the scratch mapping.
 */
static int finish_beside(struct cpt_restore *r, struct cpt_err *err)
{
	struct cpt_rtask *t = CPT_TAKE(r->beside.task, NULL);

	if (!t)
		return 0;
	if (cpt_batch_finish(&t->threads[0].remote, &r->beside.batch, err) || cpt_restore_mm_check(&r->beside.batch, err))
		return within(t, err);
	t->mm.scratch = r->scratch + CPT_PAGE;
	t->mm.size = r->scratch_size - CPT_PAGE;
	return 0;
}

static bool bears_nobody(const struct cpt_restore *r, const struct cpt_rtask *t)
{
	if (t->nchildren)
		return false;
	for (unsigned i = 0; i < r->ntasks && !r->order[i]->parent; i++)
		if (r->order[i] != t && r->order[i]->birth_session == t->pid)
			return false;
	return true;
}

static bool has_much(const struct cpt_rtask *t)
{
	const Cpt__Pages *p = t->mm_img ? t->mm_img->pages : NULL;
	uint64_t n = 0;

	for (size_t i = 0; p && i < p->n_count && n < MUCH; i++)
		n += p->count[i];
	return n >= MUCH;
}

static int start_beside(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	struct cpt_batch *b = &r->beside.batch;

	if (fill_batch(r, t, b, err))
		return -1;
	if (cpt_batch_bytes(b) > r->scratch_size / 2)
		return cpt_batch_run(&t->threads[0].remote, b, err) || cpt_restore_mm_check(b, err) ? within(t, err) : 0;
	t->mm.scratch = r->scratch + r->scratch_size / 2;
	t->mm.size = r->scratch_size / 2;
	if (cpt_batch_start(&t->threads[0].remote, b, err))
		return within(t, err);
	r->beside.task = t;
	return 0;
}

static int grow(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	struct cpt_batch *b = &r->batch;
	bool apart = has_much(t) && bears_nobody(r, t);

	if (apart && !r->beside.task)
		return start_beside(r, t, err);
	if (fill_batch(r, t, b, err))
		return -1;
	if (cpt_batch_bytes(b) > r->scratch_size / 2 - CPT_PAGE && finish_beside(r, err))
		return -1;
	if (cpt_batch_run(&t->threads[0].remote, b, err) || cpt_restore_mm_check(b, err))
		return within(t, err);
	return apart ? finish_beside(r, err) : 0;
}

static int meet(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_rtask *by, struct cpt_err *err)
{
	if (born(r, t, err))
		return -1;
	if (t->img->cgroup != by->img->cgroup && cpt_restore_cgroup_attach(r, t->img->cgroup, t->pid, err))
		return within(t, err);
	return 0;
}

static int meet_strangers(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	for (unsigned i = 0; i < r->ntasks && !r->order[i]->parent; i++)
		if (r->order[i] != t && r->order[i]->birth_session == t->pid && meet(r, r->order[i], t, err))
			return -1;
	return 0;
}

static int grow_family(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	if (grow(r, t, err))
		return -1;
	for (unsigned i = 0; i < t->nchildren; i++)
		if (meet(r, t->children[i], t, err))
			return -1;
	return (pid_t)t->img->sid == t->pid ? meet_strangers(r, t, err) : 0;
}

/* ---- sessions without a leader --------------------------------------- */

/*
 * A helper with the pid of the leader that is gone: makes the session, bears
 * its members as siblings of its own, and ends.
 */
static int bear_orphans(struct cpt_restore *r, pid_t sid, struct cpt_err *err)
{
	struct cpt_rthread leader = { .tid = sid };
	Cpt__Task nobody = CPT__TASK__INIT;
	struct cpt_rtask h = { .pid = sid, .comm = "session leader", .img = &nobody,
			       .threads = &leader, .nthreads = 1 };
	struct cpt_batch *b = &r->batch;
	unsigned n = 0;

	if (make_first(r, &h, err))
		return -1;
	cpt_batch_reset(b);
	h.base = NULL;
	if (strip(r, &h, b, err))
		return -1;
	CPT_CALL0(b, setsid);
	for (unsigned i = 0; i < r->ntasks && !r->order[i]->parent; i++)
		if (r->order[i]->birth_session == sid) {
			clone_child(b, r->order[i], CLONE_PARENT);
			r->order[i]->base = NULL;
			n++;
		}
	if (cpt_batch_run(&leader.remote, b, err))
		return within(&h, err);
	for (unsigned i = 0; n && i < r->ntasks && !r->order[i]->parent; i++)
		if (r->order[i]->birth_session == sid && meet(r, r->order[i], &h, err))
			return -1;
	kill(sid, SIGKILL);
	while (waitpid(sid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return 0;
}

/* A task whose parent is outside: by cptool, or, in a foreign session, by a member of that. */
static int make_root(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	const struct cpt_rtask *leader = cpt_restore_find(r, t->birth_session);

	if (t->made)
		return 0;
	if (!t->birth_session)
		return make_first(r, t, err);
	if (!leader)
		return bear_orphans(r, t->birth_session, err);
	return 0;			/* comes with its leader */
}

int cpt_restore_tree(struct cpt_restore *r, struct cpt_err *err)
{
	unsigned left = r->ntasks;

	for (unsigned i = 0; i < r->ntasks && !r->order[i]->parent; i++)
		if (make_root(r, r->order[i], err))
			return -1;
	/* a stranger may stand before the leader that bears it: go round until nobody is left */
	for (unsigned before = left + 1; left && left < before;) {
		before = left;
		for (unsigned i = 0; i < r->ntasks; i++) {
			struct cpt_rtask *t = r->order[i];

			if (!t->made || t->grown)
				continue;
			if (grow_family(r, t, err))
				return -1;
			t->grown = true;
			left--;
		}
	}
	if (finish_beside(r, err))
		return -1;
	return left ? cpt_fail(err, CPT_BAD_IMAGE, "%u tasks can't be made: their sessions wait for each other", left) : 0;
}

int cpt_restore_child(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_rtask *child, struct cpt_err *err)
{
	cpt_batch_reset(&r->batch);
	clone_child(&r->batch, child, 0);
	if (cpt_batch_run(&t->threads[0].remote, &r->batch, err))
		return within(child, err);
	return born(r, child, err);
}

/* ---- threads --------------------------------------------------------- */

int cpt_restore_threads(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	struct cpt_batch *b = &r->batch;

	if (t->nthreads < 2)
		return 0;
	cpt_batch_reset(b);
	for (unsigned i = 1; i < t->nthreads; i++) {
		int32_t tid = t->threads[i].tid;
		struct clone_with a = {
			.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				 CLONE_SYSVSEM | CLONE_PTRACE,
			.set_tid_size = 1,
		};
		size_t at = cpt_batch_data(b, &a, sizeof(a));

		cpt_batch_pointer(b, at + offsetof(struct clone_with, set_tid),
				  cpt_batch_data(b, &tid, sizeof(tid)));
		CPT_CALL(b, clone3, CPT_DATA(at), CPT_NUM(sizeof(a)));
	}
	if (cpt_batch_run(&t->threads[0].remote, b, err))
		return within(t, err);
	for (unsigned i = 1; i < t->nthreads; i++) {
		struct cpt_rthread *th = &t->threads[i];
		int rc;

		take_up(r, th, t);
		rc = cpt_remote_stopped(th->tid, STOP_MS, &th->remote, err);
		if (rc)
			return rc < 0 ? within(t, err) : cpt_fail_errno(err, ESRCH, "thread %d of task %d (%s) ended while it was made",
									th->tid, t->pid, t->comm);
	}
	return 0;
}

/* ---- zombies --------------------------------------------------------- */

static int end_one(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	struct cpt_batch *b = &r->batch;
	uint32_t status = t->img->exit_status;
	int sig = (int)(status & 0x7f), got;
	struct rlimit no_core = { 0, 0 };
	uint64_t no_mask = 0;

	cpt_batch_reset(b);
	if (t->img->comm)
		CPT_CALL(b, prctl, CPT_NUM(PR_SET_NAME), CPT_DATA(cpt_batch_string(b, t->img->comm)));
	CPT_CALL(b, close_range, CPT_NUM(0), CPT_NUM(UINT32_MAX), CPT_NUM(0));
	if (!sig) {
		CPT_CALL(b, exit_group, CPT_NUM(status >> 8 & 0xff));
		if (cpt_batch_start(&t->threads[0].remote, b, err))
			return within(t, err);
	} else {
		/* of the signal itself, which must not be held back then; without a core file */
		CPT_CALL(b, prlimit64, CPT_NUM(0), CPT_NUM(RLIMIT_CORE),
			 CPT_DATA(cpt_batch_data(b, &no_core, sizeof(no_core))), CPT_NUM(0));
		if (cpt_batch_run(&t->threads[0].remote, b, err))
			return within(t, err);
		if (ptrace(PTRACE_SETSIGMASK, t->pid, 8, &no_mask) || ptrace(PTRACE_CONT, t->pid, 0, sig))
			return cpt_fail_sys(err, "end task %d (%s)", t->pid, t->comm);
	}
	while ((got = waitpid(t->pid, NULL, __WALL)) < 0 && errno == EINTR)
		;
	return got == t->pid ? 0 : cpt_fail_sys(err, "wait for the end of task %d (%s)", t->pid, t->comm);
}

/* The end of a child was told to the parent already, before the dump: once is enough. */
static int forget_sigchld(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	uint64_t set = 1ULL << (SIGCHLD - 1);
	struct timespec now = { 0, 0 };
	struct cpt_batch *b = &r->batch;

	cpt_batch_reset(b);
	CPT_TRY(b, rt_sigtimedwait, CPT_DATA(cpt_batch_data(b, &set, sizeof(set))), CPT_NUM(0),
		CPT_DATA(cpt_batch_data(b, &now, sizeof(now))), CPT_NUM(8));
	return cpt_batch_run(&t->threads[0].remote, b, err) ? within(t, err) : 0;
}

int cpt_restore_zombies(struct cpt_restore *r, struct cpt_err *err)
{
	for (unsigned i = 0; i < r->ntasks; i++) {
		struct cpt_rtask *t = r->order[i];

		if (t->img->state != CPT__TASK_STATE__ZOMBIE)
			continue;
		if (end_one(r, t, err))
			return -1;
		if (t->parent && forget_sigchld(r, t->parent, err))
			return -1;
	}
	return 0;
}
