/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * limits.c - resource limits
 *
 * The task asks for its own: prlimit(2) on somebody else's needs CAP_SYS_RESOURCE.
 */
#include "dump/kinds.h"
#include "image/state.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

struct asked {
	size_t limits;		/* struct rlimit[RLIM_NLIMITS] */
	size_t used;		/* struct timespec */
};

static int ask(struct cpt_dump *d, struct cpt_task *t, struct cpt_batch *b, void **state, struct cpt_err *err)
{
	struct asked *a = cpt_arena_new(&d->arena, struct asked);

	a->limits = cpt_batch_data(b, NULL, RLIM_NLIMITS * sizeof(struct rlimit));
	for (size_t res = 0; res < RLIM_NLIMITS; res++)
		CPT_CALL(b, prlimit64, CPT_NUM(0), CPT_NUM(res), CPT_NUM(0),
			 CPT_DATA(a->limits + res * sizeof(struct rlimit)));
	a->used = cpt_batch_data(b, NULL, sizeof(struct timespec));
	CPT_CALL(b, clock_gettime, CPT_NUM(CLOCK_PROCESS_CPUTIME_ID), CPT_DATA(a->used));
	*state = a;
	return 0;
}

static int tell(struct cpt_dump *d, struct cpt_task *t, const struct cpt_batch *b, void *state, struct cpt_err *err)
{
	const struct asked *a = state;
	const struct rlimit *l = cpt_batch_out(b, a->limits);
	const struct timespec *used = cpt_batch_out(b, a->used);
	Cpt__Limits *m = cpt_arena_new(&d->arena, Cpt__Limits);

	cpt__limits__init(m);
	m->n_soft = m->n_hard = RLIM_NLIMITS;
	m->soft = cpt_arena_array(&d->arena, uint64_t, RLIM_NLIMITS);
	m->hard = cpt_arena_array(&d->arena, uint64_t, RLIM_NLIMITS);
	for (unsigned res = 0; res < RLIM_NLIMITS; res++) {
		m->soft[res] = l[res].rlim_cur;
		m->hard[res] = l[res].rlim_max;
	}
	if (l[RLIMIT_CPU].rlim_cur != RLIM_INFINITY || l[RLIMIT_CPU].rlim_max != RLIM_INFINITY)
		CPT_SET(m, cpu_used_ns, (uint64_t)used->tv_sec * 1000000000 + (uint64_t)used->tv_nsec);
	t->img->limits = m;
	return 0;
}

const struct cpt_dump_kind cpt_dump_limits = {
	.name = "limits",
	.ask = ask,
	.tell = tell,
};
