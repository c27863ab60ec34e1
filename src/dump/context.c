/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * context.c - registers as they must be for another kernel to go on from them
 *
 * A task that was stopped in a system call shows -ERESTART… in its result.
 * Those that mean "make the same call again" can be carried as they are: the
 * restoring kernel does the rest, with a pending handler or without. Two can't:
 * -ERESTART_RESTARTBLOCK refers to memory of this kernel, and some calls give
 * -EINTR for any interruption. Both become -ERESTARTNOHAND: the call is made
 * again unless a handler runs first, and then it returns EINTR, as it would have.
 */
#include "dump/engine.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif

/* include/linux/errno.h: never seen by programs, but by tracers */
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516

static bool gives_up_on_any_stop(long nr)
{
	switch (nr) {
#ifdef SYS_epoll_wait
	case SYS_epoll_wait:
#endif
	case SYS_epoll_pwait:
	case 441:			/* epoll_pwait2 */
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_rt_sigtimedwait:
	case SYS_io_getevents:
	/* sockets with SO_RCVTIMEO or SO_SNDTIMEO: sock_intr_errno() */
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_accept:
	case SYS_accept4:
	case SYS_connect:
	case SYS_read:
	case SYS_readv:
	case SYS_write:
	case SYS_writev:
		return true;
	default:
		return false;
	}
}

/*
 * nanosleep(2) and clock_nanosleep(2) write the time left to *rem when they
 * are interrupted; the repeated call sleeps that long.
 */
static void sleep_for_the_rest(pid_t pid, struct cpt_syscall *s)
{
	unsigned req = s->nr == SYS_nanosleep ? 0 : 2;
	uint64_t rem = s->arg[req + 1];
	struct timespec left;
	struct iovec here = { &left, sizeof(left) }, there = { (void *)(uintptr_t)rem, sizeof(left) };

	if (!rem || (req == 2 && s->arg[1] & TIMER_ABSTIME) || process_vm_readv(pid, &here, 1, &there, 1, 0) != sizeof(left))
		return;
	if (left.tv_sec < 0 || left.tv_nsec < 0 || left.tv_nsec >= 1000000000)
		return;
	s->arg[req] = rem;
}

static bool sleeps(long nr)
{
	return nr == SYS_nanosleep || nr == SYS_clock_nanosleep;
}

/* include/uapi/linux/ptrace.h: struct ptrace_rseq_configuration */
struct rseq_config {
	uint64_t pointer;
	uint32_t size, signature, flags, pad;
};

/* include/uapi/linux/rseq.h: struct rseq_cs */
struct rseq_section {
	uint32_t version, flags;
	uint64_t start_ip, post_commit_offset, abort_ip;
};

/*
 * A thread stopped inside a restartable sequence would be sent to its abort
 * handler on the way back to it; the kernel forgets that when other code (a
 * batch) runs in between, so it is done here.
 */
static void abort_rseq(struct cpt_remote *r)
{
	struct rseq_config c = { 0 };
	struct rseq_section cs;
	uint64_t at = 0, pc = cpt_arch_pc(&r->regs);
	struct iovec here = { &at, sizeof(at) }, there = { NULL, sizeof(at) };

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, r->tid, sizeof(c), &c) < 0 || !c.pointer)
		return;
	there.iov_base = (void *)(uintptr_t)(c.pointer + 8);
	if (process_vm_readv(r->tid, &here, 1, &there, 1, 0) != sizeof(at) || !at)
		return;
	here = (struct iovec){ &cs, sizeof(cs) };
	there = (struct iovec){ (void *)(uintptr_t)at, sizeof(cs) };
	if (process_vm_readv(r->tid, &here, 1, &there, 1, 0) != sizeof(cs))
		return;
	if (pc - cs.start_ip < cs.post_commit_offset) {
		cpt_arch_set_pc(&r->regs, cs.abort_ip);
		r->as_stopped = false;
	}
}

void cpt_dump_hold_context(struct cpt_remote *r)
{
	struct cpt_syscall s;

	cpt_arch_syscall(&r->regs, &s);
	if (s.inside && s.ret == -EINTR && gives_up_on_any_stop(s.nr)) {
		cpt_arch_set_result(&r->regs, -ERESTARTNOHAND);
		r->as_stopped = false;
	}
	if (!s.inside)		/* no such sequence may hold a system call */
		abort_rseq(r);
}

int cpt_dump_context(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th,
		     struct cpt_regs *ret, struct cpt_err *err)
{
	struct cpt_remote *r = &th->remote;
	struct cpt_syscall s;

	cpt_arch_syscall(&r->regs, &s);
	*ret = r->regs;
	if (!s.inside || (s.ret != -ERESTART_RESTARTBLOCK && s.ret != -EINTR && s.ret != -ERESTARTNOHAND))
		return 0;
	if (sleeps(s.nr))
		sleep_for_the_rest(th->tid, &s);
	cpt_dump_time_left(d, th, &s);
	cpt_arch_set_args(ret, s.arg);
	if (s.ret == -ERESTART_RESTARTBLOCK)
		cpt_arch_set_result(ret, -ERESTARTNOHAND);
	return 0;
}
