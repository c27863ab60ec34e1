/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * limits.c - resource limits
 *
 * Set by the task itself when its memory, descriptors and threads stand. A
 * hard limit above cptool's own needs CAP_SYS_RESOURCE: that is found out
 * before anything is made.
 */
#include "restore/kinds.h"
#include "image/state.h"

#include <linux/capability.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static const char *const names[RLIM_NLIMITS] = {
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS",
	"RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING",
	"RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
};

struct need {
	uint64_t hard;		/* the highest that is asked for */
	uint32_t pid;		/* by whom */
	unsigned tasks;		/* how many ask for more than there is */
};

static void note_needs(const struct cpt_restore *r, unsigned res, uint64_t own, struct need *n)
{
	for (unsigned i = 0; i < r->ntasks; i++) {
		const Cpt__Limits *m = r->tasks[i].img->limits;

		if (!m || res >= m->n_hard || m->hard[res] <= own)
			continue;
		n->tasks++;
		if (m->hard[res] >= n->hard) {
			n->hard = m->hard[res];
			n->pid = r->tasks[i].img->pid;
		}
	}
}

static void say(char *to, size_t size, uint64_t limit)
{
	if (limit == RLIM_INFINITY)
		snprintf(to, size, "unlimited");
	else
		snprintf(to, size, "%llu", (unsigned long long)limit);
}

static int look(struct cpt_restore *r, struct cpt_err *err)
{
	struct rlimit own;

	if (cpt_restore_self(r, err))
		return -1;
	if (cpt_self_may(r->self, CAP_SYS_RESOURCE))
		return 0;
	for (unsigned res = 0; res < RLIM_NLIMITS; res++) {
		struct need n = { 0 };
		char want[24], have[24], more[32] = "";

		if (getrlimit(res, &own))
			return cpt_fail_sys(err, "getrlimit %s", names[res]);
		note_needs(r, res, own.rlim_max, &n);
		if (!n.tasks)
			continue;
		say(want, sizeof(want), n.hard);
		say(have, sizeof(have), own.rlim_max);
		if (n.tasks > 1)
			snprintf(more, sizeof(more), " and %u more", n.tasks - 1);
		cpt_missing(r, "task %u%s: hard limit %s of %s is above cptool's own, %s, and it has no CAP_SYS_RESOURCE to raise it; start cptool with a higher one (ulimit -H)",
			    n.pid, more, names[res], want, have);
	}
	return 0;
}

/* Time used counts from 0 again: what is left of the limit becomes the limit. */
static uint64_t cpu_left(uint64_t limit, uint64_t used_ns)
{
	uint64_t used = used_ns / 1000000000;

	if (limit == RLIM_INFINITY)
		return limit;
	return limit > used ? limit - used : 1;
}

static int thread(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_rthread *th, struct cpt_batch *b, struct cpt_err *err)
{
	const Cpt__Limits *m = t->img->limits;

	if (!m || th != t->threads)
		return 0;
	for (unsigned res = 0; res < m->n_soft; res++) {
		struct rlimit l = { m->soft[res], m->hard[res] };

		if (res == RLIMIT_CPU) {
			l.rlim_cur = cpu_left(l.rlim_cur, m->cpu_used_ns);
			l.rlim_max = cpu_left(l.rlim_max, m->cpu_used_ns);
		}
		CPT_CALL(b, prlimit64, CPT_NUM(0), CPT_NUM(res), CPT_DATA(cpt_batch_data(b, &l, sizeof(l))), CPT_NUM(0));
	}
	return 0;
}

const struct cpt_restore_kind cpt_restore_limits = {
	.name = "limits",
	.look = look,
	.thread = thread,
};
