/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* remote.c - seize a task, run batches in it, let it go as it was */
#include "remote/inside.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define SCRATCH_MIN (64 * 1024)

#ifndef PTRACE_GETSIGMASK
#define PTRACE_GETSIGMASK 0x420a
#define PTRACE_SETSIGMASK 0x420b
#endif

static int get_regs(pid_t tid, struct cpt_regs *r, struct cpt_err *err)
{
	struct iovec v = { &r->gp, sizeof(r->gp) };

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &v))
		return cpt_fail_sys(err, "task %d: read registers", tid);
	return 0;
}

static int set_regs(pid_t tid, const struct cpt_regs *r, struct cpt_err *err)
{
	struct cpt_regs copy = *r;
	struct iovec v = { &copy.gp, sizeof(copy.gp) };

	cpt_kill_here();
	if (ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &v))
		return cpt_fail_sys(err, "task %d: set registers", tid);
	return 0;
}

static int set_mask(pid_t tid, uint64_t mask, struct cpt_err *err)
{
	cpt_kill_here();
	if (ptrace(PTRACE_SETSIGMASK, tid, 8, &mask))
		return cpt_fail_sys(err, "task %d: set signal mask", tid);
	return 0;
}

/* ---- seize and release ----------------------------------------------- */

int cpt_remote_seize(pid_t tid, unsigned long options, struct cpt_err *err)
{
	if (cpt_fault_here() || ptrace(PTRACE_SEIZE, tid, 0, options)) {
		int why = errno;

		/* ours already: it could not be let go of when it did not stop */
		if (why == EPERM && !ptrace(PTRACE_INTERRUPT, tid, 0, 0))
			return 0;
		errno = why;
		if (why == EPERM)
			return cpt_fail(err, CPT_UNSUPPORTED,
					"task %d: can't be traced: a debugger or strace is attached, or the right to trace it is missing; detach it or run as root",
					tid);
		return cpt_fail_sys(err, "task %d: seize", tid);
	}
	if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) && errno != ESRCH)
		return cpt_fail_sys(err, "task %d: interrupt", tid);
	return 0;
}

/* waits for a change of state of a tracee; polls only when there is a deadline and nothing yet */
int cpt_remote_wait(pid_t tid, int deadline_ms, int *status, struct cpt_err *err)
{
	uint64_t end = cpt_now_ns() + (uint64_t)deadline_ms * 1000000;
	unsigned pause_us = 20;

	for (;;) {
		pid_t got = waitpid(tid, status, __WALL | (deadline_ms ? WNOHANG : 0));

		if (got == tid)
			return 0;
		if (got < 0 && errno != EINTR)
			return cpt_fail_sys(err, "task %d: wait", tid);
		if (got == 0) {
			if (cpt_now_ns() > end)
				return cpt_fail_errno(err, ETIMEDOUT, "task %d does not stop", tid);
			cpt_sleep_us(pause_us);
			pause_us = CPT_MIN(2 * pause_us, 1000u);
		}
	}
}

int cpt_remote_stopped(pid_t tid, int deadline_ms, struct cpt_remote *r, struct cpt_err *err)
{
	int status, sig;

	for (;;) {
		if (cpt_remote_wait(tid, deadline_ms, &status, err))
			return err->sys == ECHILD ? 1 : -1;
		if (!WIFSTOPPED(status))
			return 1;
		if (status >> 16 == PTRACE_EVENT_STOP)
			break;
		/* A signal on its way, or another event: hand it on, the interrupt is still to come. */
		sig = status >> 16 ? 0 : WSTOPSIG(status);
		if (ptrace(PTRACE_CONT, tid, 0, sig) && errno != ESRCH)
			return cpt_fail_sys(err, "task %d: continue", tid);
	}
	r->tid = tid;
	r->group_stopped = WSTOPSIG(status) != SIGTRAP;
	r->group_stop_signal = r->group_stopped ? WSTOPSIG(status) : 0;
	if (get_regs(tid, &r->regs, err))
		return -1;
	if (ptrace(PTRACE_GETSIGMASK, tid, 8, &r->sigmask))
		return cpt_fail_sys(err, "task %d: read signal mask", tid);
	r->as_stopped = true;
	return 0;
}

int cpt_remote_settle(struct cpt_remote *r, struct cpt_err *err)
{
	if (r->as_stopped && !r->exitkill)
		return 0;
	if (r->masked && set_mask(r->tid, r->sigmask, err) && err->sys != ESRCH)
		return -1;
	if (set_regs(r->tid, &r->regs, err) && err->sys != ESRCH)
		return -1;
	r->masked = false;
	if (r->mm && r->mm->inside == r)
		r->mm->inside = NULL;
	return 0;
}

int cpt_remote_detach(struct cpt_remote *r, struct cpt_err *err)
{
	cpt_kill_here();
	if (ptrace(PTRACE_DETACH, r->tid, 0, 0) && errno != ESRCH)
		return cpt_fail_sys(err, "task %d: detach", r->tid);
	if (r->owes_stop)
		syscall(SYS_tgkill, r->ns_tgid, r->tid, SIGSTOP);
	return 0;
}

/* ---- running code in the task ---------------------------------------- */

/* Hold back every signal but the one that ends batches; the own mask comes back at release. */
static int hold_signals(struct cpt_remote *r, struct cpt_err *err)
{
	if (r->masked)
		return 0;
	if (set_mask(r->tid, ~(1ULL << (r->stop_signal - 1)), err))
		return -1;
	r->masked = true;
	return 0;
}

static off_t tail(const struct cpt_remote_mm *mm)
{
	return (off_t)mm->code + (cpt_arch_code_end - cpt_arch_code);
}

struct cpt_arch_entry cpt_remote_entry(const struct cpt_remote *r)
{
	return (struct cpt_arch_entry){ r->mm->code, r->ns_tgid, r->ns_tid, r->stop_signal, r->way };
}

/* from here on the task would find back by itself, if it were let go */
static int step_inside(struct cpt_remote *r, const struct cpt_remote *other, struct cpt_err *err)
{
	struct cpt_regs regs = r->regs;
	struct cpt_arch_entry e;
	struct cpt_arch_way way;

	r->way = other && !other->way;
	e = cpt_remote_entry(r);
	cpt_arch_way_back(&r->regs, r->sigmask, &way);
	cpt_arch_enter_resume(&regs, &e);
	r->as_stopped = false;
	cpt_kill_here();
	if (cpt_pwrite_all(r->mm->mem, &way, sizeof(way),
			   tail(r->mm) + (off_t)offsetof(struct cpt_arch_tail, way[e.way])))
		return cpt_fail_sys(err, "task %d: write the way back", r->tid);
	return set_regs(r->tid, &regs, err);
}

/* one write, so at no time nobody takes the mapping along, or two do */
static int own_scratch(struct cpt_remote *r, uint64_t scratch, uint64_t size, struct cpt_err *err)
{
	struct cpt_arch_owner o = { (uint32_t)r->ns_tid, scratch, size, 0 };

	if (!memcmp(&o, &r->mm->owner, sizeof(o)))
		return 0;
	cpt_kill_here();
	if (cpt_pwrite_all(r->mm->mem, &o, sizeof(o), tail(r->mm) + (off_t)offsetof(struct cpt_arch_tail, owner)))
		return cpt_fail_sys(err, "task %d: write the owner of the scratch memory", r->tid);
	r->mm->owner = o;
	return 0;
}

/*
 * The way back must stand before the task is let run; it also takes away the
 * scratch mapping at @scratch of @size bytes. Another thread's stands until then.
 */
int cpt_remote_arm(struct cpt_remote *r, uint64_t scratch, uint64_t size, struct cpt_err *err)
{
	struct cpt_remote *other = r->mm->inside;

	if (r->exitkill)
		return 0;
	if (other != r && step_inside(r, other, err))
		return -1;
	r->mm->inside = r;
	if (own_scratch(r, scratch, size, err))
		return -1;
	return other && other != r ? cpt_remote_settle(other, err) : 0;
}

/*
 * The mask comes after the registers: a task let go in between finds its way
 * back, and its mask, through the code. The other way round it would go on
 * with all signals held back.
 */
int cpt_remote_let_run(struct cpt_remote *r, const struct cpt_regs *regs, struct cpt_err *err)
{
	if (set_regs(r->tid, regs, err) || hold_signals(r, err))
		return -1;
	cpt_kill_here();
	if (ptrace(PTRACE_CONT, r->tid, 0, 0))
		return cpt_fail_sys(err, "task %d: continue", r->tid);
	return 0;
}

int cpt_remote_wait_end(struct cpt_remote *r, struct cpt_regs *regs, struct cpt_err *err)
{
	uint64_t end = r->mm->code + (uint64_t)(cpt_arch_code_stopped - cpt_arch_code);
	int status;

	for (;;) {
		if (cpt_remote_wait(r->tid, 0, &status, err))
			return -1;
		if (!WIFSTOPPED(status))
			return cpt_fail_errno(err, ESRCH, "task %d ended in the middle of a batch", r->tid);
		if (get_regs(r->tid, regs, err))
			return -1;
		if (WSTOPSIG(status) == r->stop_signal && !(status >> 16) && cpt_arch_pc(regs) == end)
			return 0;
		if (status >> 16 == PTRACE_EVENT_CLONE)
			return 1;
		if (WSTOPSIG(status) == SIGSTOP && !(status >> 16))
			r->owes_stop = true;
		else if (WSTOPSIG(status) == SIGSEGV || WSTOPSIG(status) == SIGBUS ||
			 WSTOPSIG(status) == SIGILL || WSTOPSIG(status) == SIGSYS)
			return cpt_fail(err, CPT_SYSTEM, "task %d: signal %d in a batch, at %#llx",
					r->tid, WSTOPSIG(status), (unsigned long long)cpt_arch_pc(regs));
		if (ptrace(PTRACE_CONT, r->tid, 0, 0))
			return cpt_fail_sys(err, "task %d: continue", r->tid);
	}
}

static int single_start(struct cpt_remote *r, uint32_t nr, const uint64_t arg[6], struct cpt_err *err)
{
	struct cpt_regs regs = r->regs;
	bool maps = nr == SYS_mmap;
	struct cpt_arch_entry e;

	if (cpt_remote_arm(r, maps ? CPT_ARCH_SCRATCH_RETURNED : r->mm->scratch, maps ? arg[1] : r->mm->size, err))
		return -1;
	e = cpt_remote_entry(r);
	cpt_arch_enter_single(&regs, &e, nr, arg);
	return cpt_remote_let_run(r, &regs, err);
}

static int single_finish(struct cpt_remote *r, int64_t *ret, struct cpt_err *err)
{
	struct cpt_regs regs;

	if (cpt_remote_wait_end(r, &regs, err))
		return -1;
	*ret = cpt_arch_single_ret(&regs);
	return 0;
}

static int single(struct cpt_remote *r, uint32_t nr, const uint64_t arg[6], int64_t *ret, struct cpt_err *err)
{
	return single_start(r, nr, arg, err) || single_finish(r, ret, err) ? -1 : 0;
}

/* ---- code and scratch in an address space ---------------------------- */

static size_t code_bytes(void)
{
	return (size_t)(cpt_arch_code_end - cpt_arch_code) + sizeof(struct cpt_arch_tail);
}

/* The last bytes of the vdso's last page are executable and unused: zeros, looked at before they are trusted. */
static int place_code(struct cpt_remote *r, uint64_t vdso_end, struct cpt_err *err)
{
	static const struct cpt_arch_tail nobody;
	struct cpt_remote_mm *mm = r->mm;
	size_t bytes = (size_t)(cpt_arch_code_end - cpt_arch_code);
	size_t size = (code_bytes() + 15) & ~(size_t)15;
	unsigned char now[1024];
	bool left;

	mm->code = vdso_end - size;
	if (size > sizeof(now) || cpt_pread_all(mm->mem, now, size, (off_t)mm->code))
		return cpt_fail_sys(err, "task %d: read the vdso", r->tid);
	left = !memcmp(now, cpt_arch_code, bytes);	/* by a checkpointer that was killed */
	for (size_t i = 0; i < size && !left; i++)
		if (now[i])
			return cpt_fail(err, CPT_UNSUPPORTED, "task %d: no room for code in its vdso", r->tid);
	cpt_kill_here();
	if (cpt_pwrite_all(mm->mem, &nobody, sizeof(nobody), tail(mm)) ||
	    cpt_pwrite_all(mm->mem, cpt_arch_code, bytes, (off_t)mm->code))
		return cpt_fail_sys(err, "task %d: write the batch code", r->tid);
	return 0;
}

static int map_scratch_start(struct cpt_remote *r, size_t size, struct cpt_err *err)
{
	const uint64_t arg[6] = { 0, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0 };

	return single_start(r, SYS_mmap, arg, err);
}

static int map_scratch_finish(struct cpt_remote *r, size_t size, struct cpt_err *err)
{
	int64_t ret;

	if (single_finish(r, &ret, err))
		return -1;
	if (ret < 0 && ret > -4096)
		return cpt_fail_errno(err, (int)-ret, "task %d: map %zu bytes of scratch memory", r->tid, size);
	r->mm->scratch = (uint64_t)ret;
	r->mm->size = size;
	return 0;
}

static int map_scratch(struct cpt_remote *r, size_t size, struct cpt_err *err)
{
	return map_scratch_start(r, size, err) || map_scratch_finish(r, size, err) ? -1 : 0;
}

static int unmap_scratch(struct cpt_remote *r, struct cpt_err *err)
{
	const uint64_t arg[6] = { r->mm->scratch, r->mm->size };
	int64_t ret;

	if (!r->mm->scratch)
		return 0;
	if (single(r, SYS_munmap, arg, &ret, err))
		return -1;
	r->mm->scratch = 0;
	return ret ? cpt_fail_errno(err, (int)-ret, "task %d: unmap scratch memory", r->tid) : 0;
}

int cpt_remote_open_start(struct cpt_remote *r, uint64_t vdso_end, struct cpt_err *err)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", r->tid);
	r->mm->mem = open(path, O_RDWR | O_CLOEXEC);
	if (r->mm->mem < 0)
		return cpt_fail_sys(err, "open %s", path);
	if (place_code(r, vdso_end, err))
		return -1;
	return map_scratch_start(r, SCRATCH_MIN, err);
}

int cpt_remote_open_finish(struct cpt_remote *r, struct cpt_err *err)
{
	return map_scratch_finish(r, SCRATCH_MIN, err);
}

int cpt_remote_open(struct cpt_remote *r, uint64_t vdso_end, struct cpt_err *err)
{
	return cpt_remote_open_start(r, vdso_end, err) || cpt_remote_open_finish(r, err) ? -1 : 0;
}

int cpt_remote_unmap(struct cpt_remote *r, struct cpt_err *err)
{
	return r->mm->code ? unmap_scratch(r, err) : 0;
}

int cpt_remote_close(struct cpt_remote *r, struct cpt_err *err)
{
	static const unsigned char zeros[1024];
	struct cpt_remote_mm *mm = r->mm;

	if (mm->code && unmap_scratch(r, err) && err->sys != ESRCH)
		return -1;
	if (cpt_remote_settle(r, err))
		return -1;
	if (mm->mem < 0)
		return 0;
	cpt_kill_here();
	if (mm->code && cpt_pwrite_all(mm->mem, zeros, code_bytes(), (off_t)mm->code) && errno != EIO)
		return cpt_fail_sys(err, "task %d: take the batch code away", r->tid);
	close(mm->mem);
	mm->mem = -1;
	mm->code = 0;
	return 0;
}

/* ---- batches --------------------------------------------------------- */

size_t cpt_batch_bytes(const struct cpt_batch *b)
{
	return b->ncalls * sizeof(struct cpt_call) + b->ndata;
}

static int grow_scratch(struct cpt_remote *r, size_t need, struct cpt_err *err)
{
	if (need <= r->mm->size)
		return 0;
	if (r->exitkill)
		return cpt_fail(err, CPT_SYSTEM, "task %d: a batch of %zu bytes is too large", r->tid, need);
	if (unmap_scratch(r, err))
		return -1;
	return map_scratch(r, CPT_PAGE_ALIGN(need + need / 2), err);
}

/* Argument kinds become addresses, now that it is known where the batch will stand. */
static void resolve(struct cpt_batch *b, uint64_t calls, uint64_t data)
{
	for (size_t i = 0; i < b->ncalls; i++) {
		struct cpt_call *c = &b->calls[i];
		uint32_t kinds = b->kinds[i];

		for (unsigned n = 0; kinds; n++, kinds >>= 4) {
			switch (kinds & 15) {
			case CPT_ARG_DATA:
				c->arg[n] += data;
				break;
			case CPT_ARG_RESULT:
				c->arg[n] = calls + c->arg[n] * sizeof(*c) + offsetof(struct cpt_call, ret);
				c->refs |= (uint16_t)(1u << n);
				break;
			case CPT_ARG_INT:
				c->arg[n] += data;
				c->refs |= (uint16_t)(0x100u << n);
				break;
			}
		}
		b->kinds[i] = 0;
	}
	for (size_t i = 0; i < b->npointers; i++) {
		uint64_t address = data + b->pointers[i].to;

		memcpy(b->data + b->pointers[i].at, &address, sizeof(address));
	}
}

/*
 * Not process_vm_writev(2): it pins pages, and the kernel remembers for an
 * address space that it was ever done; forks then stop sharing pages that
 * more than a thousand processes map (folio_needs_cow_for_dma()).
 */
static int copy(struct cpt_remote *r, struct cpt_batch *b, bool into, struct cpt_err *err)
{
	size_t calls = b->ncalls * sizeof(struct cpt_call);
	off_t at = (off_t)r->mm->scratch;

	if (r->mm->shared) {
		char *there = (char *)(uintptr_t)r->mm->scratch;

		memcpy(into ? (void *)there : b->calls, into ? (void *)b->calls : there, calls);
		if (b->ndata)
			memcpy(into ? there + calls : (char *)b->data, into ? (char *)b->data : there + calls, b->ndata);
		return 0;
	}
	if (into ? cpt_pwrite_all(r->mm->mem, b->calls, calls, at) ||
		   cpt_pwrite_all(r->mm->mem, b->data, b->ndata, at + (off_t)calls)
		 : cpt_pread_all(r->mm->mem, b->calls, calls, at) ||
		   cpt_pread_all(r->mm->mem, b->data, b->ndata, at + (off_t)calls))
		return cpt_fail_sys(err, "task %d: copy a batch", r->tid);
	return 0;
}

int cpt_batch_start(struct cpt_remote *r, struct cpt_batch *b, struct cpt_err *err)
{
	struct cpt_regs regs = r->regs;
	struct cpt_arch_entry e;

	if (cpt_fault_here())
		return cpt_fail_errno(err, EIO, "task %d: batch (asked to fail)", r->tid);
	if (grow_scratch(r, cpt_batch_bytes(b), err))
		return -1;
	resolve(b, r->mm->scratch, r->mm->scratch + b->ncalls * sizeof(struct cpt_call));
	if (copy(r, b, true, err))
		return -1;
	if (cpt_remote_arm(r, r->mm->scratch, r->mm->size, err))
		return -1;
	e = cpt_remote_entry(r);
	cpt_arch_enter_batch(&regs, &e, r->mm->scratch, b->ncalls);
	return cpt_remote_let_run(r, &regs, err);
}

int cpt_batch_finish(struct cpt_remote *r, struct cpt_batch *b, struct cpt_err *err)
{
	struct cpt_regs regs;

	if (cpt_remote_wait_end(r, &regs, err) || copy(r, b, false, err))
		return -1;
	for (size_t i = 0; i < b->ncalls; i++) {
		const struct cpt_call *c = &b->calls[i];

		if (c->ret < 0 && c->ret >= -4095 && !(c->flags & 1))
			return cpt_fail_errno(err, (int)-c->ret, "task %d: %s", r->tid, b->names[i]);
		if (c->ret == CPT_CALL_NOT_RUN)
			return cpt_fail_errno(err, EIO, "task %d: %s was not reached", r->tid, b->names[i]);
	}
	return 0;
}

int cpt_batch_run(struct cpt_remote *r, struct cpt_batch *b, struct cpt_err *err)
{
	if (!b->ncalls)
		return 0;
	if (cpt_batch_start(r, b, err))
		return -1;
	return cpt_batch_finish(r, b, err);
}
