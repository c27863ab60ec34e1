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
extern const unsigned char cpt_arch_code_single[], cpt_arch_code_batch[], cpt_arch_code_stopped[],
	cpt_arch_code_resume[];
/* size of the block behind the code that holds the way back: mask and registers */
#define CPT_ARCH_RESUME_BYTES 176

/** cpt_arch_native - false for a task of another width (32 bit) */
bool cpt_arch_native(const struct cpt_regs *r);
/** cpt_arch_enter_batch, cpt_arch_enter_single - registers with which the code starts */
void cpt_arch_enter_batch(struct cpt_regs *r, uint64_t code, uint64_t calls, uint64_t ncalls,
			  pid_t tgid, pid_t tid, int sig, uint64_t stack);
void cpt_arch_enter_single(struct cpt_regs *r, uint64_t code, uint32_t nr, const uint64_t arg[6],
			   pid_t tgid, pid_t tid, int sig, uint64_t stack);
/** cpt_arch_single_ret - result of the single call, registers read at the stop */
int64_t cpt_arch_single_ret(const struct cpt_regs *r);
uint64_t cpt_arch_pc(const struct cpt_regs *r);
uint64_t cpt_arch_sp(const struct cpt_regs *r);
/**
 * cpt_arch_resume_block - what the code needs to get back to @own context by itself
 * @scratch, @size: a mapping that it removes on the way; 0 bytes: none;
 *                  CPT_ARCH_SCRATCH_RETURNED: the one that the single call returned
 */
#define CPT_ARCH_SCRATCH_RETURNED UINT64_MAX
void cpt_arch_resume_block(const struct cpt_regs *own, uint64_t mask, uint64_t scratch, uint64_t size,
			   unsigned char block[CPT_ARCH_RESUME_BYTES]);

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
