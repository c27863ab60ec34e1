/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * alike.h - threads that would answer as another one of their process does
 *
 * A batch in each of a thousand threads asks a thousand times what is the same
 * for nearly all of them. Where the kernel can be asked by a BPF iterator, it
 * tells which threads are alike: one of each sort, its model, is asked.
 */
#ifndef CPT_DUMP_ALIKE_H
#define CPT_DUMP_ALIKE_H

#include "dump/bpf.h"
#include "dump/engine.h"

#define CPT_ALIKE_STATE 15

/* what the kernel has of a thread */
struct cpt_facts {
	uint64_t tid, tgid, task, parent;	/* the last two are addresses in the kernel */
	/* its own */
	uint64_t clear_child_tid, robust_list;
	uint64_t stack, stack_size, stack_flags;	/* sigaltstack(2) */
	char comm[16];
	/* equal: so are all answers */
	uint64_t state[CPT_ALIKE_STATE];
};

/** cpt_alike_begin - all tasks are stopped; never fails, it may find nothing out. Sets .facts and .model of threads. */
void cpt_alike_begin(struct cpt_dump *d, const struct cpt_btf *btf);
void cpt_alike_free(struct cpt_dump *d);

/** cpt_alike_childless - this thread surely has no children, not even dead ones */
bool cpt_alike_childless(const struct cpt_dump *d, const struct cpt_thread *th);

#endif
