/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* registers.c - a thread's registers, the addresses the kernel keeps for it; letting go */
#include "restore/engine.h"

#include <elf.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#define XSTATE_MAX (64 * 1024)

int cpt_restore_thread_addresses(struct cpt_restore *r, struct cpt_rthread *th, struct cpt_batch *b)
{
	const Cpt__Thread *img = th->img;

	if (img->clear_child_tid)
		CPT_CALL(b, set_tid_address, CPT_NUM(img->clear_child_tid));
	if (img->robust_list)
		CPT_CALL(b, set_robust_list, CPT_NUM(img->robust_list), CPT_NUM(img->robust_list_len));
	if (img->rseq)
		CPT_CALL(b, rseq, CPT_NUM(img->rseq), CPT_NUM(img->rseq_len), CPT_NUM(0), CPT_NUM(img->rseq_signature));
	return 0;
}

/* The kernel takes this set only in its full size; what was cut off was in its initial state. */
static int set_xstate(struct cpt_rthread *th, struct cpt_err *err)
{
	static unsigned char now[XSTATE_MAX];
	struct iovec v = { now, sizeof(now) };
	const ProtobufCBinaryData *x = &th->img->xstate;

	if (ptrace(PTRACE_GETREGSET, th->tid, NT_X86_XSTATE, &v))
		return cpt_fail_sys(err, "thread %d: read the extended registers", th->tid);
	if (x->len > v.iov_len)
		return cpt_fail(err, CPT_UNSUPPORTED, "thread %d: uses registers that this processor has not", th->tid);
	memset(now, 0, v.iov_len);
	memcpy(now, x->data, x->len);
	if (ptrace(PTRACE_SETREGSET, th->tid, NT_X86_XSTATE, &v))
		return cpt_fail_sys(err, "thread %d: set the extended registers", th->tid);
	return 0;
}

/*
 * A call that waits for the rest of its time reads it from below the thread's
 * stack, where nothing is in use; once, when it begins.
 */
static int place_timeout(struct cpt_rthread *th, struct cpt_err *err)
{
	const Cpt__Thread *img = th->img;
	struct timespec t = { (time_t)(img->timeout_ns / 1000000000), (long)(img->timeout_ns % 1000000000) };
	uint64_t at = (cpt_arch_sp(&th->remote.regs) - 1024) & ~15ULL;
	struct cpt_syscall s;

	if (!img->has_timeout_ns)
		return 0;
	if (img->timeout_arg > 5)
		return cpt_fail(err, CPT_BAD_IMAGE, "thread %d has a time limit in argument %u", th->tid, img->timeout_arg);
	if (ptrace(PTRACE_POKEDATA, th->tid, at, t.tv_sec) || ptrace(PTRACE_POKEDATA, th->tid, at + 8, t.tv_nsec))
		return 0;		/* no stack there: it waits for the whole time again */
	cpt_arch_syscall(&th->remote.regs, &s);
	s.arg[img->timeout_arg] = at;
	cpt_arch_set_args(&th->remote.regs, s.arg);
	return 0;
}

int cpt_restore_registers(struct cpt_restore *r, struct cpt_rthread *th, struct cpt_err *err)
{
	const Cpt__Thread *img = th->img;

	if (img->gp_regs.len != sizeof(th->remote.regs.gp))
		return cpt_fail(err, CPT_BAD_IMAGE, "thread %d has no registers", th->tid);
	memcpy(&th->remote.regs.gp, img->gp_regs.data, sizeof(th->remote.regs.gp));
	if (!cpt_arch_native(&th->remote.regs))
		return cpt_fail(err, CPT_BAD_IMAGE, "thread %d has registers of another width", th->tid);
	th->remote.sigmask = img->sigmask;
	return place_timeout(th, err) ? -1 : set_xstate(th, err);
}

/* ---- letting go ------------------------------------------------------ */

static uint64_t own_vdso_text(const struct cpt_rtask *t)
{
	for (size_t i = 0; i < t->mm_img->n_vmas; i++) {
		const Cpt__Vma *v = t->mm_img->vmas[i];

		if (v->kind == CPT__VMA_KIND__VMA_SPECIAL && v->name && strcmp(v->name, "[vdso]") == 0)
			return v->start;
	}
	return 0;
}

/* The last call is made at the vdso's own system call instruction: the code it could come back to goes away. */
static int unmap_scratch(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	const uint64_t arg[6] = { r->scratch, r->scratch_size };
	long insn = cpt_arch_find_syscall((const unsigned char *)(uintptr_t)r->vdso.text,
					  r->vdso.text_end - r->vdso.text);
	struct cpt_regs regs = t->threads[0].remote.regs;
	struct iovec v = { &regs.gp, sizeof(regs.gp) };
	struct cpt_syscall result;
	int status;

	if (insn < 0 || !own_vdso_text(t))
		return cpt_fail(err, CPT_UNSUPPORTED, "the vdso has no system call");
	cpt_arch_step_syscall(&regs, own_vdso_text(t) + (uint64_t)insn, SYS_munmap, arg);
	if (ptrace(PTRACE_SETREGSET, t->pid, NT_PRSTATUS, &v) || ptrace(PTRACE_SINGLESTEP, t->pid, 0, 0))
		return cpt_fail_sys(err, "task %d (%s): step", t->pid, t->comm);
	while (waitpid(t->pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return cpt_fail_sys(err, "task %d (%s): wait", t->pid, t->comm);
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP || ptrace(PTRACE_GETREGSET, t->pid, NT_PRSTATUS, &v))
		return cpt_fail(err, CPT_SYSTEM, "task %d (%s): ended in its last step (status %#x)", t->pid, t->comm, (unsigned)status);
	cpt_arch_syscall(&regs, &result);
	return result.ret ? cpt_fail_errno(err, (int)-result.ret, "task %d (%s): unmap scratch memory", t->pid, t->comm) : 0;
}

int cpt_restore_leave(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	for (unsigned i = 0; i < t->nthreads; i++)
		if (cpt_restore_registers(r, &t->threads[i], err))
			return -1;
	if (unmap_scratch(r, t, err))
		return -1;
	for (unsigned i = 0; i < t->nthreads; i++) {
		t->threads[i].remote.masked = true;
		if (cpt_remote_settle(&t->threads[i].remote, err))
			return -1;
	}
	return 0;
}

int cpt_restore_detach(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_err *err)
{
	for (unsigned i = 0; i < t->nthreads; i++)
		if (ptrace(PTRACE_DETACH, t->threads[i].tid, 0, 0))
			return cpt_fail_sys(err, "task %d (%s): let go", t->threads[i].tid, t->comm);
	return 0;
}
