/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* arch.c - what is particular to x86-64: register sets, entry conventions, system call restart */
#include "remote/arch.h"

#include <sched.h>
#include <sys/syscall.h>

#define USER_CS_64 0x33			/* arch/x86/include/asm/segment.h: __USER_CS */
#define SYSCALL_BYTES 2			/* 0f 05 */

bool cpt_arch_native(const struct cpt_regs *r)
{
	return r->gp.cs == USER_CS_64;
}

static void enter(struct cpt_regs *r, const unsigned char *entry, const struct cpt_arch_entry *e)
{
	r->gp.rip = e->code + (uint64_t)(entry - cpt_arch_code);
	r->gp.r13 = (uint32_t)e->tgid | (uint64_t)e->way << 32;
	r->gp.r14 = (uint32_t)e->tid;
	r->gp.r15 = (uint32_t)e->sig;
	r->gp.orig_rax = (uint64_t)-1;	/* no restart of an interrupted call */
	r->gp.eflags &= ~0x500ul;	/* neither single step nor backward string ops */
}

void cpt_arch_enter_resume(struct cpt_regs *r, const struct cpt_arch_entry *e)
{
	enter(r, cpt_arch_code_resume, e);
	r->gp.rbx = 0;
	r->gp.rbp = (uint64_t)-1;	/* no call has made a mapping */
}

void cpt_arch_enter_batch(struct cpt_regs *r, const struct cpt_arch_entry *e, uint64_t calls, uint64_t ncalls)
{
	enter(r, cpt_arch_code_batch, e);
	r->gp.rbx = calls;
	r->gp.r12 = ncalls;
	r->gp.rax = 0;
}

void cpt_arch_enter_single(struct cpt_regs *r, const struct cpt_arch_entry *e, uint32_t nr, const uint64_t arg[6])
{
	enter(r, cpt_arch_code_single, e);
	r->gp.rbx = nr == SYS_munmap;
	r->gp.rax = nr;
	cpt_arch_set_args(r, arg);
}

void cpt_arch_enter_twin(struct cpt_regs *r, const struct cpt_arch_entry *e)
{
	/* the middle shares memory and descriptors, and sends no signal when it ends */
	const uint64_t arg[6] = { CLONE_VM | CLONE_FILES };

	enter(r, cpt_arch_code_twin, e);
	r->gp.rbx = 0;
	r->gp.rax = SYS_clone;
	cpt_arch_set_args(r, arg);
}

int64_t cpt_arch_single_ret(const struct cpt_regs *r)
{
	return (int64_t)r->gp.rbp;
}

uint64_t cpt_arch_pc(const struct cpt_regs *r)
{
	return r->gp.rip;
}

uint64_t cpt_arch_sp(const struct cpt_regs *r)
{
	return r->gp.rsp;
}

/* ---- interrupted system calls ---------------------------------------- */

void cpt_arch_syscall(const struct cpt_regs *r, struct cpt_syscall *ret)
{
	ret->inside = (int64_t)r->gp.orig_rax >= 0;
	ret->nr = (long)r->gp.orig_rax;
	ret->ret = (long)r->gp.rax;
	ret->arg[0] = r->gp.rdi;
	ret->arg[1] = r->gp.rsi;
	ret->arg[2] = r->gp.rdx;
	ret->arg[3] = r->gp.r10;
	ret->arg[4] = r->gp.r8;
	ret->arg[5] = r->gp.r9;
}

void cpt_arch_set_result(struct cpt_regs *r, long ret)
{
	r->gp.rax = (uint64_t)ret;
}

void cpt_arch_set_args(struct cpt_regs *r, const uint64_t arg[6])
{
	r->gp.rdi = arg[0];
	r->gp.rsi = arg[1];
	r->gp.rdx = arg[2];
	r->gp.r10 = arg[3];
	r->gp.r8 = arg[4];
	r->gp.r9 = arg[5];
}

void cpt_arch_set_pc(struct cpt_regs *r, uint64_t pc)
{
	r->gp.rip = pc;
}

/* The kernel would do this on the way out: arch/x86/kernel/signal.c, arch_do_signal_or_restart(). */
static void restart_by_hand(struct user_regs_struct *gp)
{
	if ((int64_t)gp->orig_rax < 0)
		return;
	switch ((int64_t)gp->rax) {
	case -512:			/* ERESTARTSYS */
	case -513:			/* ERESTARTNOINTR */
	case -514:			/* ERESTARTNOHAND */
		gp->rax = gp->orig_rax;
		gp->rip -= SYSCALL_BYTES;
		break;
	case -516:			/* ERESTART_RESTARTBLOCK */
		gp->rax = 219;		/* restart_syscall */
		gp->rip -= SYSCALL_BYTES;
		break;
	}
}

void cpt_arch_way_back(const struct cpt_regs *own, uint64_t mask, struct cpt_arch_way *ret)
{
	struct user_regs_struct gp = own->gp;

	restart_by_hand(&gp);
	*ret = (struct cpt_arch_way){ {
		mask, gp.r15, gp.r14, gp.r13, gp.r12, gp.rbp, gp.rbx, gp.r11, gp.r10, gp.r9, gp.r8,
		gp.rax, gp.rcx, gp.rdx, gp.rsi, gp.rdi, gp.eflags, gp.rsp, gp.rip, 0
	} };
}

void cpt_arch_step_syscall(struct cpt_regs *r, uint64_t insn, uint32_t nr, const uint64_t arg[6])
{
	r->gp.rip = insn;
	r->gp.orig_rax = (uint64_t)-1;
	r->gp.rax = nr;
	cpt_arch_set_args(r, arg);
}

long cpt_arch_find_syscall(const unsigned char *vdso, size_t size)
{
	for (size_t i = 0; i + SYSCALL_BYTES <= size; i++)
		if (vdso[i] == 0x0f && vdso[i + 1] == 0x05)
			return (long)i;
	return -1;
}
