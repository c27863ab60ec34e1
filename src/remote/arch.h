/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arch.h - what every architecture provides; all of it lives in arch/<arch>/
 */
#ifndef CPT_REMOTE_ARCH_H
#define CPT_REMOTE_ARCH_H

#include "base/base.h"

#include <sys/user.h>

/** struct cpt_regs - the general registers as PTRACE_GETREGSET/NT_PRSTATUS has them */
struct cpt_regs {
	struct user_regs_struct gp;
};

/* the batch code: bytes to be copied, entry points as offsets into it */
extern const unsigned char cpt_arch_code[], cpt_arch_code_end[];
extern const unsigned char cpt_arch_code_single[], cpt_arch_code_batch[], cpt_arch_code_twin[],
	cpt_arch_code_stopped[], cpt_arch_code_resume[];

/* a way back: signal mask, then registers in the order in which the code takes them */
struct cpt_arch_way {
	uint64_t word[20];
};
/* what stands behind the code in the task */
struct cpt_arch_tail {
	/* the thread (its own tid) that takes the scratch mapping along on its way back */
	struct cpt_arch_owner {
		uint64_t tid;
		uint64_t scratch;	/* CPT_ARCH_SCRATCH_RETURNED: what its single call returned */
		uint64_t size;
		uint64_t pad;
	} owner;
	struct cpt_arch_way way[2];
};
#define CPT_ARCH_SCRATCH_RETURNED UINT64_MAX

/** struct cpt_arch_entry - what every entry into the code needs */
struct cpt_arch_entry {
	uint64_t code;		/* where it stands in the task */
	pid_t tgid, tid;	/* as the task sees itself */
	int sig;		/* ends a batch */
	unsigned way;		/* which of the two ways back is the task's */
};

/** cpt_arch_native - false for a task of another width (32 bit) */
bool cpt_arch_native(const struct cpt_regs *r);
/**
 * cpt_arch_enter_… - registers with which the code starts, out of the task's own
 *
 * resume: straight on to its way back. A single munmap(2) takes the scratch
 * mapping away: its owner need not do so any more.
 */
void cpt_arch_enter_resume(struct cpt_regs *r, const struct cpt_arch_entry *e);
void cpt_arch_enter_batch(struct cpt_regs *r, const struct cpt_arch_entry *e, uint64_t calls, uint64_t ncalls);
void cpt_arch_enter_single(struct cpt_regs *r, const struct cpt_arch_entry *e, uint32_t nr, const uint64_t arg[6]);
/** cpt_arch_enter_twin - the same, to make a twin of the address space; its result is that of a single call */
void cpt_arch_enter_twin(struct cpt_regs *r, const struct cpt_arch_entry *e);
/** cpt_arch_single_ret - result of the single call, registers read at the stop */
int64_t cpt_arch_single_ret(const struct cpt_regs *r);
uint64_t cpt_arch_pc(const struct cpt_regs *r);
uint64_t cpt_arch_sp(const struct cpt_regs *r);
/** cpt_arch_way_back - what the code needs to get back to @own context by itself */
void cpt_arch_way_back(const struct cpt_regs *own, uint64_t mask, struct cpt_arch_way *ret);

/* ---- interrupted system calls ---------------------------------------- */

/** struct cpt_syscall - the system call in which a task was stopped */
struct cpt_syscall {
	bool inside;		/* it was stopped in one */
	long nr;
	long ret;		/* -ERESTART… or what it returned */
	uint64_t arg[6];
};
void cpt_arch_syscall(const struct cpt_regs *r, struct cpt_syscall *ret);
/** cpt_arch_set_result, cpt_arch_set_args - what the interrupted call returns; with what it is made again */
void cpt_arch_set_result(struct cpt_regs *r, long ret);
void cpt_arch_set_args(struct cpt_regs *r, const uint64_t arg[6]);
void cpt_arch_set_pc(struct cpt_regs *r, uint64_t pc);

/** cpt_arch_step_syscall - registers to run one system call at the instruction at @insn by a single step */
void cpt_arch_step_syscall(struct cpt_regs *r, uint64_t insn, uint32_t nr, const uint64_t arg[6]);
/** cpt_arch_find_syscall - offset of a system call instruction in a vdso's bytes, or -1 */
long cpt_arch_find_syscall(const unsigned char *vdso, size_t size);

#endif
