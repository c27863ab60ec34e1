/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* signal.c - a signal to everybody in a group */
#include "freeze/internal.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define MS 1000000ull

/* ---- by pidfds ------------------------------------------------------- */

struct target {
	pid_t pid;
	int pidfd;
	bool seen;		/* in the second look as well */
};

struct targets {
	struct target *t;
	unsigned n, cap;
};

static void cpt_auto_targets(struct targets *t)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->t[i].pidfd >= 0)
			close(t->t[i].pidfd);
	free(t->t);
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = ((const struct target *)a)->pid, y = ((const struct target *)b)->pid;

	return (x > y) - (x < y);
}

static struct target *find(struct targets *t, pid_t pid)
{
	struct target key = { .pid = pid };

	return t->n ? bsearch(&key, t->t, t->n, sizeof(key), by_pid) : NULL;
}

/* a process with threads in several groups is listed in each */
static int collect(const struct cpt_group *g, struct targets *ret, struct cpt_err *err)
{
	CPT_AUTO(grouptree) struct cpt_grouptree tree = { 0 };
	unsigned k = 0;

	if (cpt_group_list(g, &tree, err))
		return -1;
	for (unsigned i = 0; i < tree.ngroups; i++)
		for (unsigned j = 0; j < tree.groups[i].nprocs; j++) {
			CPT_GROW(ret->t, ret->n, ret->cap);
			ret->t[ret->n++] = (struct target){ tree.groups[i].procs[j], -1, false };
		}
	if (ret->n)
		qsort(ret->t, ret->n, sizeof(*ret->t), by_pid);
	for (unsigned i = 0; i < ret->n; i++)
		if (k == 0 || ret->t[k - 1].pid != ret->t[i].pid)
			ret->t[k++] = ret->t[i];
	ret->n = k;
	return 0;
}

/*
 * Send @sig to whoever is listed now. A process may go, and its number be
 * given to a stranger, between the listing and pidfd_open: who is still
 * listed after it is surely the one that the pidfd stands for.
 */
static int send_round(const struct cpt_group *g, int sig, struct cpt_err *err)
{
	CPT_AUTO(targets) struct targets t = { 0 };
	CPT_AUTO(targets) struct targets again = { 0 };
	unsigned done = 0;

	/*
	 * One at a time where there are more processes than descriptors: only
	 * the list of the second look is common.
	 */
	if (collect(g, &t, err))
		return -1;
	while (done < t.n) {
		unsigned end = done;

		for (; end < t.n && end < done + 512; end++) {
			t.t[end].pidfd = cpt_pidfd_open(t.t[end].pid, 0);
			if (t.t[end].pidfd < 0 && (errno == EMFILE || errno == ENFILE) && end > done)
				break;
			if (t.t[end].pidfd < 0 && errno != ESRCH && errno != EINVAL && errno != ENOENT)
				return cpt_fail_sys(err, "pidfd_open of %d", t.t[end].pid);
		}
		again.n = 0;
		if (collect(g, &again, err))
			return -1;
		for (unsigned i = done; i < end; i++) {
			if (t.t[i].pidfd < 0)
				continue;
			if (find(&again, t.t[i].pid) &&
			    cpt_pidfd_send_signal(t.t[i].pidfd, sig) && errno != ESRCH)
				return cpt_fail_sys(err, "send signal %d to process %d", sig, t.t[i].pid);
			close(CPT_TAKE(t.t[i].pidfd, -1));
		}
		done = end;
	}
	return 0;
}

/* nobody forks while they stand still */
static int by_pidfds(const struct cpt_group *g, int sig, int deadline_ms, struct cpt_err *err)
{
	enum cpt_state state;
	struct cpt_err second;
	bool self;
	int r;

	if (cpt_group_state(g, &state, &self, err))
		return -1;
	/* SIGKILL does without: who is missed by forking is found in a later round */
	if (sig == SIGKILL)
		deadline_ms = CPT_MIN(deadline_ms, 500);
	if (state != CPT_FROZEN &&
	    (cpt_group_freeze_start(g, err) || cpt_group_freeze_wait(g, deadline_ms, err)) &&
	    !(sig == SIGKILL && err->sys == ETIMEDOUT)) {
		if (!self && cpt_group_let_run(g, &second))
			cpt_warn("%s", second.text);
		return -1;
	}
	r = send_round(g, sig, err);
	if (state != CPT_FROZEN && !self && cpt_group_let_run(g, &second)) {
		if (!r)
			*err = second;
		return -1;
	}
	return r;
}

/* ---- waiting for the end --------------------------------------------- */

/* on v1 a group that is frozen, or has a frozen one below, does not die */
static int thaw_one(int fd, const char *path, void *arg, struct cpt_err *err)
{
	struct cpt_err ignored;

	if (cpt_write_at(fd, "freezer.state", "THAWED", err) && err->sys == EINVAL &&
	    cpt_write_at(fd, "freezer.state", "RUNNING", &ignored))
		return -1;
	return 0;
}

static int survivor(const struct cpt_group *g, int deadline_ms, struct cpt_err *err)
{
	CPT_AUTO(targets) struct targets t = { 0 };

	if (collect(g, &t, err))
		return -1;
	return cpt_fail_errno(err, ETIMEDOUT, "%s is not empty %d ms after SIGKILL: process %d is still there",
			      g->path, deadline_ms, t.n ? t.t[0].pid : 0);
}

static int wait_empty(const struct cpt_group *g, uint64_t end, int deadline_ms, bool again,
		      struct cpt_err *err)
{
	struct cpt_pause pause = { 0 };
	uint64_t next = cpt_now_ns() + 50 * MS;
	bool populated;

	for (;;) {
		unsigned us = cpt_pause_next(&pause);
		uint64_t now;

		if (cpt_group_populated(g, &populated, err))
			return -1;
		if (!populated)
			return 0;
		now = cpt_now_ns();
		if (now >= end)
			return survivor(g, deadline_ms, err);
		if (again && now >= next) {	/* pidfds alone: somebody may have been moved in */
			if (send_round(g, SIGKILL, err) || cpt_group_walk(g, thaw_one, NULL, err))
				return -1;
			next = now + 50 * MS;
		}
		if (us)
			cpt_sleep_us(us);
		else
			sched_yield();
	}
}

/* ---- all together ---------------------------------------------------- */

/* 1: done, 0: not the way for this group, -1: failed */
static int by_file(const struct cpt_group *g, const char *file, const char *value, struct cpt_err *err)
{
	if (faccessat(g->fd, file, F_OK, 0))
		return 0;
	if (!cpt_write_at(g->fd, file, value, err)) {
		cpt_info("kill: %s of %s", file, g->path);
		return 1;
	}
	if (err->sys == EOPNOTSUPP)	/* a threaded group */
		return 0;
	return cpt_within(err, "signal %s", g->path);
}

int cpt_group_signal(const struct cpt_group *g, int sig, int deadline_ms, bool traced,
		     struct cpt_err *err)
{
	uint64_t end = cpt_now_ns() + (uint64_t)deadline_ms * MS;
	char number[16];
	int r;

	if (cpt_fault_here())
		return cpt_fail(err, CPT_SYSTEM, "signal %s: injected fault", g->path);
	if (sig < 1 || sig > 64)
		return cpt_fail(err, CPT_USAGE, "%d is no signal: 1 to 64", sig);
	if (g->holds_caller)
		return cpt_fail(err, CPT_USAGE, "%s holds this very program: start it from a group outside", g->path);

	snprintf(number, sizeof(number), "%d", sig);
	r = by_file(g, "signal.kill", number, err);
	/*
	 * Tracees stand still, so pidfds reach them all; and a group that
	 * cgroup.kill was used on kills what is cloned into it from outside later
	 * (seen on Linux 6.18), which would cost a restore there its fast way.
	 */
	if (r == 0 && sig == SIGKILL && g->freezer == CPT_FREEZER_V2 && !traced)
		r = by_file(g, "cgroup.kill", "1", err);
	if (r < 0)
		return -1;
	if (r == 0) {
		cpt_info("kill: pidfds of %s", g->path);
		if (traced ? send_round(g, sig, err) : by_pidfds(g, sig, deadline_ms, err))
			return -1;
	}
	if (sig != SIGKILL)
		return 0;
	if (g->freezer == CPT_FREEZER_V1 && cpt_group_walk(g, thaw_one, NULL, err))
		return -1;
	return traced ? 0 : wait_empty(g, end, deadline_ms, r == 0, err);
}
