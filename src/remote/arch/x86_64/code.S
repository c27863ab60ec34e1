/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * code.S - the bytes that run inside a stopped task
 *
 * Position-independent; copied into the task. No stack is used. Registers that
 * the kernel preserves over a system call carry the state:
 *   rbx  next struct cpt_call (remote.h); for a single call 1 if it unmaps scratch
 *   r12  calls left
 *   r13  own tgid; bit 32: which way back is its own
 *   r14  own tid   r15  the signal that ends in a stop
 *
 * The end of a batch is tgkill(self, a signal that the task ignores): with a
 * tracer it is a stop, without one it is nothing, and the code goes on to
 * cpt_arch_code_resume, which puts the task's own mask and registers back from
 * a block behind the code. So a tracer that dies leaves no task stranded.
 *
 * There are two such blocks, as a thread gets into the code before the one that
 * was there gets out. Of the two, the owner takes the scratch mapping along: at
 * every instant there is one.
 */
	.section .rodata
	.globl cpt_arch_code, cpt_arch_code_end, cpt_arch_code_batch
	.globl cpt_arch_code_single, cpt_arch_code_twin, cpt_arch_code_stopped, cpt_arch_code_resume
	.hidden cpt_arch_code, cpt_arch_code_end, cpt_arch_code_batch
	.hidden cpt_arch_code_single, cpt_arch_code_twin, cpt_arch_code_stopped, cpt_arch_code_resume
	.balign 16

#define CALL_FLAGS 4
#define CALL_REFS 6
#define CALL_ARG0 8
#define CALL_RET 56
#define CALL_SIZE 64
#define OWNER_SIZE 32
#define BLOCK_SIZE 160

#define NR_munmap 11
#define NR_rt_sigprocmask 14
#define NR_clone 56
#define NR_wait4 61
#define NR_exit_group 231
#define NR_tgkill 234
#define NR_close_range 436

#define CLONE_FILES 0x400
#define WALL 0x40000000
#define EINTR 4
#define CLOSE_RANGE_UNSHARE 2

	.macro LOAD n, reg
	mov	CALL_ARG0 + 8 * \n(%rbx), \reg
	test	$(1 << \n), %eax
	jz	1f
	mov	(\reg), \reg
1:	test	$(0x100 << \n), %eax
	jz	2f
	movslq	(\reg), \reg
2:
	.endm

	/* own mask and registers; the order is that of struct cpt_arch_way */
	.macro BACK block
	lea	\block(%rip), %rsi
	xor	%edx, %edx
	mov	$2, %edi			/* SIG_SETMASK */
	mov	$8, %r10d
	mov	$NR_rt_sigprocmask, %eax
	syscall
	lea	\block + 8(%rip), %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rsi
	pop	%rdi
	popfq
	mov	\block + 136(%rip), %rsp
	jmp	*(\block + 144)(%rip)
	.endm

cpt_arch_code:
cpt_arch_code_batch:
	test	%r12, %r12
	jz	stop
	movzwl	CALL_REFS(%rbx), %eax
	LOAD	0, %rdi
	LOAD	1, %rsi
	LOAD	2, %rdx
	LOAD	3, %r10
	LOAD	4, %r8
	LOAD	5, %r9
	mov	(%rbx), %eax
	syscall
	mov	%rax, CALL_RET(%rbx)
	cmp	$-4095, %rax
	jae	failed
next:	add	$CALL_SIZE, %rbx
	dec	%r12
	jmp	cpt_arch_code_batch
failed:	testb	$1, CALL_FLAGS(%rbx)
	jnz	next
	jmp	stop

	/*
	 * A twin of the address space. clone(2), with the arguments in
	 * registers, makes a child that shares the memory: the middle. It lets
	 * go of all descriptors, makes a child that shares nothing but the
	 * then empty table, and ends: so the twin has no parent here. The
	 * middle is waited for. Whatever happens to the tracer, the middle and
	 * the twin can only come to their ends.
	 */
cpt_arch_code_twin:
	syscall
	mov	%rax, %rbp
	test	%rax, %rax
	js	stop
	jz	5f
4:	mov	%ebp, %edi
	xor	%esi, %esi
	mov	$WALL, %edx
	xor	%r10d, %r10d
	mov	$NR_wait4, %eax
	syscall
	cmp	$-EINTR, %eax
	je	4b
	jmp	stop
5:	xor	%edi, %edi
	or	$-1, %esi
	mov	$CLOSE_RANGE_UNSHARE, %edx
	mov	$NR_close_range, %eax
	syscall
	test	%eax, %eax
	js	6f
	mov	$CLONE_FILES, %edi
	xor	%esi, %esi
	xor	%edx, %edx
	xor	%r10d, %r10d
	xor	%r8d, %r8d
	mov	$NR_clone, %eax
	syscall
	/* the middle ends with the error, or with 0, as the twin does if it is ever let go */
6:	xor	%edi, %edi
	sub	%eax, %edi
	jns	7f
	xor	%edi, %edi
7:	mov	$NR_exit_group, %eax
	syscall
	jmp	7b

	/* one call, everything in registers; the result goes to rbp */
cpt_arch_code_single:
	syscall
	mov	%rax, %rbp

stop:	mov	%r13d, %edi
	mov	%r14d, %esi
	mov	%r15d, %edx
	mov	$NR_tgkill, %eax
	syscall
cpt_arch_code_stopped:
	nop
cpt_arch_code_resume:
	/* its owner takes the scratch mapping away, unless the single call has done it */
	cmp	%r14, owner(%rip)
	jne	3f
	cmp	$1, %rbx
	je	3f
	mov	owner + 16(%rip), %rsi
	mov	owner + 8(%rip), %rdi
	cmp	$-1, %rdi			/* the mapping that the single call has made */
	cmove	%rbp, %rdi
	mov	$NR_munmap, %eax
	syscall
3:	bt	$32, %r13
	jc	second
	BACK	block0
second:	BACK	block1
	.balign 16
cpt_arch_code_end:
owner:	/* filled in in the task: struct cpt_arch_tail */
	.set	block0, owner + OWNER_SIZE
	.set	block1, block0 + BLOCK_SIZE

	.section .note.GNU-stack, "", @progbits
