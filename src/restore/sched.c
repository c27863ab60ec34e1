/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sched.c - policy, nice, CPUs, I/O priority, timer slack of each thread
 *
 * A new thread has what cptool has: only what differs is set.
 */
#include "restore/kinds.h"
#include "image/state.h"

#include <linux/sched.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* ---- CPUs ------------------------------------------------------------- */

/* Those of the image that this machine has; false when there are none. */
static bool cpus_here(const struct cpt_self *self, const ProtobufCBinaryData *a, unsigned char *ret, bool *lacking)
{
	bool any = false;

	for (size_t i = 0; i < CPT_CPU_BYTES; i++) {
		unsigned char want = i < a->len ? a->data[i] : 0;

		ret[i] = want & self->online[i];
		any |= ret[i] != 0;
		*lacking |= (want & ~self->online[i]) != 0;
	}
	return any;
}

static int look(struct cpt_restore *r, struct cpt_err *err)
{
	unsigned char cpus[CPT_CPU_BYTES];
	unsigned lacking = 0;

	if (cpt_restore_self(r, err))
		return -1;
	for (unsigned i = 0; i < r->ntasks; i++)
		for (unsigned k = 0; k < r->tasks[i].nthreads; k++) {
			const Cpt__Thread *img = r->tasks[i].threads[k].img;
			bool lacks = false;

			if (!img || !img->sched || !img->sched->has_affinity)
				continue;
			cpus_here(r->self, &img->sched->affinity, cpus, &lacks);
			lacking += lacks;
		}
	if (lacking)
		cpt_warn("%u threads are bound to CPUs that are not online here; they will run on those of them that are, or on all", lacking);
	return 0;
}

static void set_cpus(const struct cpt_self *self, const Cpt__Sched *s, struct cpt_batch *b)
{
	unsigned char cpus[CPT_CPU_BYTES];
	bool lacks = false;

	if (!s->has_affinity || !cpus_here(self, &s->affinity, cpus, &lacks))
		memcpy(cpus, self->online, sizeof(cpus));
	if (memcmp(cpus, self->affinity, self->cpu_bytes) == 0)
		return;
	CPT_CALL(b, sched_setaffinity, CPT_NUM(0), CPT_NUM(self->cpu_bytes),
		 CPT_DATA(cpt_batch_data(b, cpus, self->cpu_bytes)));
}

/* ---- policy ----------------------------------------------------------- */

#define CLAMPS (SCHED_FLAG_UTIL_CLAMP_MIN | SCHED_FLAG_UTIL_CLAMP_MAX)

static void set_policy(const struct cpt_self *self, const Cpt__Sched *s, struct cpt_batch *b)
{
	const struct cpt_sched_attr *own = &self->sched;
	struct cpt_sched_attr a = {
		.size = sizeof(a), .policy = s->policy, .nice = s->nice, .priority = s->priority,
		.flags = s->flags & (SCHED_FLAG_RESET_ON_FORK | SCHED_FLAG_RECLAIM | SCHED_FLAG_DL_OVERRUN),
		.runtime = s->runtime_ns, .deadline = s->deadline_ns, .period = s->period_ns,
	};
	bool clamped = s->has_util_min || s->has_util_max;

	if (clamped) {
		a.flags |= CLAMPS;
		a.util_min = s->has_util_min ? s->util_min : own->util_min;
		a.util_max = s->has_util_max ? s->util_max : own->util_max;
	}
	/* the nice value of a real-time thread comes back when it is one no longer */
	if (s->nice != self->nice)
		CPT_CALL(b, setpriority, CPT_NUM(PRIO_PROCESS), CPT_NUM(0), CPT_NUM((int64_t)s->nice));
	if (a.policy != own->policy || a.priority != own->priority || a.flags != own->flags || a.runtime)
		CPT_CALL(b, sched_setattr, CPT_NUM(0), CPT_DATA(cpt_batch_data(b, &a, sizeof(a))), CPT_NUM(0));
}

static int thread(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_rthread *th, struct cpt_batch *b, struct cpt_err *err)
{
	const Cpt__Sched *s = th->img->sched;
	const struct cpt_arg zero = CPT_NUM(0);

	if (!s)
		return 0;
	if (s->timer_slack_ns && s->timer_slack_ns != r->self->timer_slack)
		CPT_CALL(b, prctl, CPT_NUM(PR_SET_TIMERSLACK), CPT_NUM(s->timer_slack_ns), zero, zero, zero);
	set_cpus(r->self, s, b);
	set_policy(r->self, s, b);
	if (s->io_priority != (uint32_t)r->self->io_priority)
		CPT_CALL(b, ioprio_set, CPT_NUM(1), CPT_NUM(0), CPT_NUM(s->io_priority));
	return 0;
}

const struct cpt_restore_kind cpt_restore_sched = {
	.name = "sched",
	.look = look,
	.thread = thread,
};
