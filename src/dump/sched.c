/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sched.c - how each thread is scheduled: policy, nice, CPUs, I/O priority, timer slack */
#include "dump/kinds.h"
#include "image/state.h"

#include <linux/sched.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

struct asked {
	size_t attr, cpus;		/* data */
	size_t nice, ioprio, slack;	/* calls */
};

static int ask_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_batch *b, void **state, struct cpt_err *err)
{
	struct asked *a = cpt_arena_new(&d->arena, struct asked);

	if (cpt_dump_self(d, err))
		return -1;
	a->attr = cpt_batch_data(b, NULL, sizeof(struct cpt_sched_attr));
	a->cpus = cpt_batch_data(b, NULL, d->self->cpu_bytes);
	CPT_CALL(b, sched_getattr, CPT_NUM(0), CPT_DATA(a->attr), CPT_NUM(sizeof(struct cpt_sched_attr)), CPT_NUM(0));
	CPT_CALL(b, sched_getaffinity, CPT_NUM(0), CPT_NUM(d->self->cpu_bytes), CPT_DATA(a->cpus));
	a->nice = CPT_CALL(b, getpriority, CPT_NUM(PRIO_PROCESS), CPT_NUM(0));
	a->ioprio = CPT_TRY(b, ioprio_get, CPT_NUM(1), CPT_NUM(0));
	a->slack = CPT_CALL(b, prctl, CPT_NUM(PR_GET_TIMERSLACK));
	*state = a;
	return 0;
}

/* Deadlines, and what differs from what every task has. */
static void tell_attr(const struct cpt_dump *d, Cpt__Sched *s, const struct cpt_sched_attr *a)
{
	CPT_SET(s, policy, a->policy);
	if (a->priority)
		CPT_SET(s, priority, a->priority);
	if (a->flags)
		CPT_SET(s, flags, (uint32_t)a->flags);
	if (a->policy == SCHED_DEADLINE) {
		CPT_SET(s, runtime_ns, a->runtime);
		CPT_SET(s, deadline_ns, a->deadline);
		CPT_SET(s, period_ns, a->period);
	} else if (a->runtime && a->runtime != d->self->sched.runtime) {
		CPT_SET(s, runtime_ns, a->runtime);
	}
	if (a->util_min != d->self->sched.util_min)
		CPT_SET(s, util_min, a->util_min);
	if (a->util_max != d->self->sched.util_max)
		CPT_SET(s, util_max, a->util_max);
}

/* One that may run on every CPU of this machine may do so on the next machine too. */
static void tell_cpus(struct cpt_dump *d, Cpt__Sched *s, const unsigned char *cpus)
{
	for (unsigned i = 0; i < d->self->cpu_bytes; i++)
		if (d->self->online[i] & ~cpus[i]) {
			s->has_affinity = 1;
			s->affinity.len = d->self->cpu_bytes;
			s->affinity.data = cpt_arena_memdup(&d->arena, cpus, d->self->cpu_bytes);
			return;
		}
}

/* @nice: as the system call itself says it, 1 to 40 */
static void keep(struct cpt_dump *d, struct cpt_thread *th, const struct cpt_sched_attr *attr, const unsigned char *cpus,
		 int64_t nice, int64_t ioprio, int64_t slack)
{
	Cpt__Sched *s = cpt_arena_new(&d->arena, Cpt__Sched);

	cpt__sched__init(s);
	tell_attr(d, s, attr);
	tell_cpus(d, s, cpus);
	CPT_SET(s, nice, 20 - (int32_t)nice);
	if (ioprio > 0)
		CPT_SET(s, io_priority, (uint32_t)ioprio);
	if (slack > 0)
		CPT_SET(s, timer_slack_ns, (uint64_t)slack);
	th->img->sched = s;
}

static int tell_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, const struct cpt_batch *b, void *state, struct cpt_err *err)
{
	const struct asked *a = state;

	keep(d, th, cpt_batch_out(b, a->attr), cpt_batch_out(b, a->cpus), cpt_batch_ret(b, a->nice),
	     cpt_batch_ret(b, a->ioprio), cpt_batch_ret(b, a->slack));
	return 0;
}

/* All but the timer slack can be asked from outside. */
static int like_thread(struct cpt_dump *d, struct cpt_task *t, struct cpt_thread *th, struct cpt_err *err)
{
	struct cpt_sched_attr attr = { 0 };
	unsigned char cpus[CPT_CPU_BYTES] = { 0 };
	long nice;

	if (syscall(SYS_sched_getattr, th->tid, &attr, sizeof(attr), 0) ||
	    syscall(SYS_sched_getaffinity, th->tid, d->self->cpu_bytes, cpus) < 0 ||
	    (nice = syscall(SYS_getpriority, PRIO_PROCESS, th->tid)) < 0)
		return cpt_fail_sys(err, "thread %d", th->tid);
	keep(d, th, &attr, cpus, nice, syscall(SYS_ioprio_get, 1, th->tid),
	     (int64_t)th->model->img->sched->timer_slack_ns);
	return 0;
}

const struct cpt_dump_kind cpt_dump_sched = {
	.name = "sched",
	.ask_thread = ask_thread,
	.tell_thread = tell_thread,
	.like_thread = like_thread,
};
