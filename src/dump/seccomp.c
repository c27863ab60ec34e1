/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* seccomp.c - the filters that system calls of a thread go through */
#include "dump/seccomp.h"
#include "image/state.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ptrace.h>

#ifndef PTRACE_SECCOMP_GET_METADATA
#define PTRACE_SECCOMP_GET_METADATA 0x420d
#endif
#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

#define FILTERS_MAX 4096	/* the kernel bounds their instructions, and so their number, in sum */

struct metadata {			/* include/uapi/linux/ptrace.h */
	uint64_t index, flags;
};

bool cpt_same_filter(const Cpt__SeccompFilter *a, const Cpt__SeccompFilter *b)
{
	return a->flags == b->flags && a->program.len == b->program.len &&
	       memcmp(a->program.data, b->program.data, a->program.len) == 0;
}

static bool asks_supervisor(const struct sock_filter *f, long n)
{
	for (long i = 0; i < n; i++)
		if (BPF_CLASS(f[i].code) == BPF_RET && BPF_RVAL(f[i].code) == BPF_K &&
		    (f[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF)
			return true;
	return false;
}

/* Returns 1 with a filter, 0 when there are no more. @index: 0 is the oldest. */
static int one(struct cpt_dump *d, struct cpt_task *t, pid_t tid, size_t index, Cpt__SeccompFilter **ret, struct cpt_err *err)
{
	struct metadata m = { .index = index };
	Cpt__SeccompFilter *f;
	struct sock_filter *prog;
	long n = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, NULL);

	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0)
		return cpt_fail_sys(err, "read the seccomp filters of thread %d", tid);
	prog = cpt_arena_array(&d->arena, struct sock_filter, n);
	if (ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, prog) != n ||
	    ptrace(PTRACE_SECCOMP_GET_METADATA, tid, sizeof(m), &m) < 0)
		return cpt_fail_sys(err, "read the seccomp filters of thread %d", tid);
	if (asks_supervisor(prog, n))
		cpt_refuse(d, t, "thread %d: a seccomp filter hands system calls to a supervisor (SECCOMP_RET_USER_NOTIF), which can't be carried; run it without", tid);
	f = cpt_arena_new(&d->arena, Cpt__SeccompFilter);
	cpt__seccomp_filter__init(f);
	f->has_program = true;
	f->program.len = (size_t)n * sizeof(*prog);
	f->program.data = (uint8_t *)prog;
	if (m.flags)
		CPT_SET(f, flags, (uint32_t)m.flags);
	*ret = f;
	return 1;
}

int cpt_dump_filters(struct cpt_dump *d, struct cpt_task *t, pid_t tid, Cpt__Creds *c, struct cpt_err *err)
{
	Cpt__SeccompFilter *found[FILTERS_MAX];
	size_t n = 0;
	int more;

	while (n < FILTERS_MAX && (more = one(d, t, tid, n, &found[n], err)) > 0)
		n++;
	if (more < 0)
		return -1;
	c->n_filters = n;
	c->filters = cpt_arena_array(&d->arena, Cpt__SeccompFilter *, n);
	for (size_t i = 0; i < n; i++)
		c->filters[i] = found[i];
	return 0;
}
