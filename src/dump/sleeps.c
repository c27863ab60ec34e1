/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sleeps.c - how long threads have been asleep in a call with a time limit
 *
 * A thread that is stopped in such a call would, made to repeat it elsewhere,
 * wait for the whole time again. The kernel does not tell how much is left
 * (unless the call has a place for it), but before the freeze it tells in which
 * call a thread sleeps (/proc/PID/syscall) and when it fell asleep
 * (/proc/PID/sched, se.exec_start). That clock is each CPU's own: it leaves out
 * time that was stolen from it, so a thread may sleep a little too long, never
 * too short. Where nothing is told, the whole time it is.
 */
#include "dump/engine.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

struct cpt_sleep {
	pid_t tid;
	long nr;
	uint64_t arg[6];
	unsigned cpu;			/* on which it fell asleep */
	uint64_t since;			/* ns, on that CPU's scheduler clock */
	uint64_t slept;			/* ns, when it was looked at */
};

/* ---- which calls, and where their limit is --------------------------- */

enum limit { NO_LIMIT, MILLISECONDS, TIMESPEC };

/* the kind of limit, and which argument it is; absolute ones need no help */
static enum limit limit_of(long nr, const uint64_t arg[6], unsigned *at)
{
	switch (nr) {
	case SYS_nanosleep:
		*at = 0;
		return arg[1] ? NO_LIMIT : TIMESPEC;
	case SYS_clock_nanosleep:
		*at = 2;
		return (arg[1] & TIMER_ABSTIME) || arg[3] ? NO_LIMIT : TIMESPEC;
#ifdef SYS_poll
	case SYS_poll:
		*at = 2;
		return (int)arg[2] > 0 ? MILLISECONDS : NO_LIMIT;
#endif
#ifdef SYS_epoll_wait
	case SYS_epoll_wait:
#endif
	case SYS_epoll_pwait:
		*at = 3;
		return (int)arg[3] > 0 ? MILLISECONDS : NO_LIMIT;
	case 441:			/* epoll_pwait2 */
		*at = 3;
		return arg[3] ? TIMESPEC : NO_LIMIT;
	case SYS_futex:
		*at = 3;
		return arg[3] && (arg[1] & FUTEX_CMD_MASK) == FUTEX_WAIT ? TIMESPEC : NO_LIMIT;
	case SYS_rt_sigtimedwait:
		*at = 2;
		return arg[2] ? TIMESPEC : NO_LIMIT;
	case SYS_semtimedop:
		*at = 3;
		return arg[3] ? TIMESPEC : NO_LIMIT;
	default:
		return NO_LIMIT;
	}
}

/* ---- before the freeze ----------------------------------------------- */

static uint64_t asleep_since(const char *sched)
{
	const char *p = strstr(sched, "se.exec_start");
	double ms;

	p = p ? strchr(p, ':') : NULL;
	if (!p || (ms = strtod(p + 1, NULL)) <= 0)
		return 0;
	return (uint64_t)(ms * 1e6);
}

static uint64_t read_since(struct cpt_dump *d, const char *path)
{
	struct cpt_err ignored;

	return cpt_read_at(AT_FDCWD, path, &d->buf, &ignored) ? 0 : asleep_since(d->buf.data);
}

/* field 39 of proc(5) stat */
static bool last_cpu(struct cpt_dump *d, const char *path, unsigned *cpu)
{
	struct cpt_err ignored;
	char *p;

	if (cpt_read_at(AT_FDCWD, path, &d->buf, &ignored) || !(p = strrchr(d->buf.data, ')')))
		return false;
	for (int field = 2; field < 39; field++)
		if (!(p = strchr(p + 1, ' ')))
			return false;
	*cpu = (unsigned)strtoul(p, NULL, 10);
	return *cpu < CPU_SETSIZE;
}

static void look_at(struct cpt_dump *d, pid_t pid, pid_t tid)
{
	struct cpt_err ignored;
	struct cpt_sleep s = { .tid = tid };
	char path[64], *p;
	unsigned at;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	if (cpt_read_at(AT_FDCWD, path, &d->buf, &ignored) || d->buf.data[0] < '0' || d->buf.data[0] > '9')
		return;
	s.nr = strtol(d->buf.data, &p, 10);
	for (unsigned i = 0; i < 6; i++)
		s.arg[i] = strtoull(p, &p, 16);
	if (limit_of(s.nr, s.arg, &at) == NO_LIMIT)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/sched", pid, tid);
	s.since = read_since(d, path);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	if (!s.since || !last_cpu(d, path, &s.cpu))
		return;
	CPT_GROW(d->sleeps, d->nsleeps, d->cap_sleeps);
	d->sleeps[d->nsleeps++] = s;
}

static void look_at_process(struct cpt_dump *d, pid_t pid)
{
	struct cpt_err ignored;
	char path[64];
	pid_t *tids = NULL;
	unsigned n;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	n = cpt_list_numbers(path, "task", &tids, &ignored);
	for (unsigned i = 0; i < n; i++)
		look_at(d, pid, tids[i]);
	free(tids);
}

static int by_tid(const void *a, const void *b)
{
	pid_t x = ((const struct cpt_sleep *)a)->tid, y = ((const struct cpt_sleep *)b)->tid;

	return (x > y) - (x < y);
}

/* What a CPU's scheduler clock says now: that of whoever has just come to run there. */
static uint64_t clock_of(struct cpt_dump *d, unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? 0 : read_since(d, "/proc/self/sched");
}

static void compare_clocks(struct cpt_dump *d)
{
	cpu_set_t own;

	if (sched_getaffinity(0, sizeof(own), &own)) {
		d->nsleeps = 0;
		return;
	}
	for (size_t i = 0; i < d->nsleeps; i++) {
		uint64_t now, cpu = d->sleeps[i].cpu;

		if (d->sleeps[i].slept)
			continue;
		now = clock_of(d, (unsigned)cpu);
		for (size_t k = i; k < d->nsleeps; k++)
			if (d->sleeps[k].cpu == cpu)
				d->sleeps[k].slept = now > d->sleeps[k].since ? now - d->sleeps[k].since : 1;
	}
	sched_setaffinity(0, sizeof(own), &own);
	d->sleeps_looked_at = cpt_now_ns();
}

void cpt_dump_sleeps(struct cpt_dump *d)
{
	CPT_AUTO(grouptree) struct cpt_grouptree tree = { NULL, 0 };
	struct cpt_err ignored;

	d->nsleeps = 0;
	if (cpt_group_list(&d->group, &tree, &ignored))
		return;
	for (unsigned g = 0; g < tree.ngroups; g++)
		for (unsigned i = 0; i < tree.groups[g].nprocs; i++)
			look_at_process(d, tree.groups[g].procs[i]);
	if (!d->nsleeps)
		return;
	qsort(d->sleeps, d->nsleeps, sizeof(*d->sleeps), by_tid);
	compare_clocks(d);
}

/* ---- in the pause ---------------------------------------------------- */

static bool read_limit(pid_t tid, enum limit kind, uint64_t arg, uint64_t *ns)
{
	struct timespec t;
	struct iovec here = { &t, sizeof(t) }, there = { (void *)(uintptr_t)arg, sizeof(t) };

	if (kind == MILLISECONDS) {
		*ns = (uint64_t)arg * 1000000;
		return true;
	}
	if (process_vm_readv(tid, &here, 1, &there, 1, 0) != sizeof(t) ||
	    t.tv_sec < 0 || t.tv_sec > INT32_MAX || t.tv_nsec < 0 || t.tv_nsec >= 1000000000)
		return false;
	*ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	return true;
}

void cpt_dump_time_left(struct cpt_dump *d, struct cpt_thread *th, struct cpt_syscall *s)
{
	struct cpt_sleep key = { .tid = th->tid }, *known;
	uint64_t limit, slept;
	unsigned at = 0;
	enum limit kind = limit_of(s->nr, s->arg, &at);

	if (kind == NO_LIMIT || !d->nsleeps)
		return;
	known = bsearch(&key, d->sleeps, d->nsleeps, sizeof(key), by_tid);
	if (!known || known->nr != s->nr || memcmp(known->arg, s->arg, sizeof(s->arg)) ||
	    !read_limit(th->tid, kind, s->arg[at], &limit))
		return;
	slept = known->slept + (d->stop_began - d->sleeps_looked_at);
	limit = limit > slept ? limit - slept : 0;
	if (kind == MILLISECONDS) {
		s->arg[at] = CPT_MIN((limit + 999999) / 1000000, (uint64_t)INT_MAX);
		return;
	}
	th->img->has_timeout_ns = th->img->has_timeout_arg = true;
	th->img->timeout_ns = limit;
	th->img->timeout_arg = at;
}
