/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* threads.c - registers of all kinds, and the addresses that the kernel keeps for a thread */
#include "dump/alike.h"

#include <elf.h>
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif
#define XSTATE_MAX (64 * 1024)

/* include/uapi/linux/ptrace.h: struct ptrace_rseq_configuration */
struct rseq_config {
	uint64_t pointer;
	uint32_t size, signature, flags, pad;
};

static int rseq(struct cpt_thread *th, struct cpt_err *err)
{
	struct rseq_config c = { 0 };

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, th->tid, sizeof(c), &c) < 0)
		return errno == EIO ? 0 : cpt_fail_sys(err, "rseq configuration");
	if (!c.pointer)
		return 0;
	th->img->has_rseq = th->img->has_rseq_len = th->img->has_rseq_signature = true;
	th->img->rseq = c.pointer;
	th->img->rseq_len = c.size;
	th->img->rseq_signature = c.signature;
	return 0;
}

/* Components behind the last one in use are in their initial state; they need no room. */
static size_t used_xstate(const unsigned char *x, size_t size)
{
	while (size > 576 && x[size - 1] == 0)	/* 512 legacy + 64 header */
		size--;
	return size;
}

static int look_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_err *err)
{
	static unsigned char xstate[XSTATE_MAX];
	struct iovec v = { xstate, sizeof(xstate) };
	struct cpt_regs regs;

	if (rseq(th, err) || cpt_dump_context(d, t, th, &regs, err))
		return -1;
	if (ptrace(PTRACE_GETREGSET, th->tid, NT_X86_XSTATE, &v))
		return cpt_fail_sys(err, "read the extended registers");
	th->img->has_gp_regs = th->img->has_xstate = th->img->has_sigmask = true;
	th->img->gp_regs.len = sizeof(regs.gp);
	th->img->gp_regs.data = cpt_arena_memdup(&d->arena, &regs.gp, sizeof(regs.gp));
	th->img->xstate.len = used_xstate(xstate, v.iov_len);
	th->img->xstate.data = cpt_arena_memdup(&d->arena, xstate, th->img->xstate.len);
	th->img->sigmask = th->remote.sigmask;
	return 0;
}

struct asked {
	size_t tid_address, robust_head, robust_len;
};

static int ask_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_batch *b,
		      void **state, struct cpt_err *err)
{
	struct asked *a = cpt_arena_new(&d->arena, struct asked);

	a->tid_address = cpt_batch_data(b, NULL, 8);
	a->robust_head = cpt_batch_data(b, NULL, 8);
	a->robust_len = cpt_batch_data(b, NULL, 8);
	CPT_CALL(b, prctl, CPT_NUM(PR_GET_TID_ADDRESS), CPT_DATA(a->tid_address));
	CPT_CALL(b, get_robust_list, CPT_NUM(0), CPT_DATA(a->robust_head), CPT_DATA(a->robust_len));
	*state = a;
	return 0;
}

static void addresses(Cpt__Thread *img, uint64_t clear_child_tid, uint64_t robust_list, uint64_t robust_len)
{
	img->clear_child_tid = clear_child_tid;
	img->robust_list = robust_list;
	img->robust_list_len = robust_len;
	img->has_clear_child_tid = clear_child_tid != 0;
	img->has_robust_list = img->has_robust_list_len = robust_list != 0;
}

static int tell_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th,
		       const struct cpt_batch *b, void *state, struct cpt_err *err)
{
	const struct asked *a = state;
	uint64_t tid_address, robust_head, robust_len;

	memcpy(&tid_address, cpt_batch_out(b, a->tid_address), 8);
	memcpy(&robust_head, cpt_batch_out(b, a->robust_head), 8);
	memcpy(&robust_len, cpt_batch_out(b, a->robust_len), 8);
	addresses(th->img, tid_address, robust_head, robust_len);
	return 0;
}

static int like_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_err *err)
{
	addresses(th->img, th->facts->clear_child_tid, th->facts->robust_list, sizeof(struct robust_list_head));
	return 0;
}

const struct cpt_dump_kind cpt_dump_threads = {
	.name = "threads",
	.look_thread = look_thread,
	.ask_thread = ask_thread,
	.tell_thread = tell_thread,
	.like_thread = like_thread,
};
