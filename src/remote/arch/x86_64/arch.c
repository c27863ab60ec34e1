/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* arch.c - what is particular to x86-64: register sets, entry conventions, system call restart */
#include "remote/arch.h"

#define USER_CS_64 0x33			/* arch/x86/include/asm/segment.h: __USER_CS */
#define SYSCALL_BYTES 2			/* 0f 05 */

bool cpt_arch_native(const struct cpt_regs *r)
{
	return r->gp.cs == USER_CS_64;
}

static void enter(struct cpt_regs *r, uint64_t pc, pid_t tgid, pid_t tid, int sig, uint64_t stack)
{
	r->gp.rip = pc;
	r->gp.rsp = stack;
	r->gp.r13 = (uint32_t)tgid;
	r->gp.r14 = (uint32_t)tid;
	r->gp.r15 = (uint32_t)sig;
	r->gp.orig_rax = (uint64_t)-1;	/* no restart of an interrupted call */
	r->gp.eflags &= ~0x500ul;	/* neither single step nor backward string ops */
}

void cpt_arch_enter_batch(struct cpt_regs *r, uint64_t code, uint64_t calls, uint64_t ncalls,
			  pid_t tgid, pid_t tid, int sig, uint64_t stack)
{
	enter(r, code + (uint64_t)(cpt_arch_code_batch - cpt_arch_code), tgid, tid, sig, stack);
	r->gp.rbx = calls;
	r->gp.r12 = ncalls;
	r->gp.rax = 0;
}

void cpt_arch_enter_single(struct cpt_regs *r, uint64_t code, uint32_t nr, const uint64_t arg[6],
			   pid_t tgid, pid_t tid, int sig, uint64_t stack)
{
	enter(r, code + (uint64_t)(cpt_arch_code_single - cpt_arch_code), tgid, tid, sig, stack);
	r->gp.rax = nr;
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

void cpt_arch_resume_block(const struct cpt_regs *own, uint64_t mask, uint64_t scratch, uint64_t size,
			   unsigned char block[CPT_ARCH_RESUME_BYTES])
{
	struct user_regs_struct gp = own->gp;
	uint64_t *b = (uint64_t *)(void *)block;

	restart_by_hand(&gp);
	memset(block, 0, CPT_ARCH_RESUME_BYTES);
	b[0] = mask;
	b[1] = gp.r15;
	b[2] = gp.r14;
	b[3] = gp.r13;
	b[4] = gp.r12;
	b[5] = gp.rbp;
	b[6] = gp.rbx;
	b[7] = gp.r11;
	b[8] = gp.r10;
	b[9] = gp.r9;
	b[10] = gp.r8;
	b[11] = gp.rax;
	b[12] = gp.rcx;
	b[13] = gp.rdx;
	b[14] = gp.rsi;
	b[15] = gp.rdi;
	b[16] = gp.eflags;
	b[17] = gp.rsp;
	b[18] = gp.rip;
	b[19] = scratch;
	b[20] = size;
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
