/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* public.c - the functions of cptool.h about groups */
#include "base/guard.h"
#include "base/lazy.h"
#include "freeze/internal.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define KILL_DEADLINE_MS 10000

/* whoever dies or gives up while he freezes leaves it as it was */
static int guard_thaw(const struct cpt_group *g, struct cpt_guard *guard, struct cpt_err *err)
{
	const char *value;
	char file[4200];

	cpt_group_thaw_undo(g, file, &value);
	if (cpt_guard_start(guard, err))
		return -1;
	return cpt_guard_add(guard, CPT_UNDO_WRITE, file, value, err);
}

int cpt_group_freeze(const char *name, int deadline_ms, struct cpt_err *err)
{
	CPT_AUTO(group) struct cpt_group g = CPT_GROUP_NONE;
	CPT_AUTO(guard) struct cpt_guard guard = CPT_GUARD_NONE;
	enum cpt_state state;
	bool self;

	if (deadline_ms <= 0)
		return cpt_fail(err, CPT_USAGE, "a deadline of %d ms", deadline_ms);
	if (cpt_group_open(name, &g, err) || cpt_group_state(&g, &state, &self, err))
		return -1;
	if (!self && guard_thaw(&g, &guard, err))
		return -1;
	if (cpt_group_freeze_start(&g, err) || cpt_group_freeze_wait(&g, deadline_ms, err))
		return -1;
	cpt_guard_success(&guard);
	return 0;
}

int cpt_group_thaw(const char *name, struct cpt_err *err)
{
	CPT_AUTO(group) struct cpt_group g = CPT_GROUP_NONE;
	enum cpt_state state;
	bool self;

	if (cpt_group_open(name, &g, err) || cpt_group_let_run(&g, err) ||
	    cpt_group_state(&g, &state, &self, err))
		return -1;
	/* v2 tells of a thaw a moment later; only v1 knows who froze it */
	if (g.freezer == CPT_FREEZER_V1 && state != CPT_RUNNING && !self)
		return cpt_fail(err, CPT_SYSTEM, "%s stays frozen because a group above it is: thaw that one", g.path);
	return 0;
}

struct count {
	struct cpt_group_status *status;
	struct cpt_buf buf;
};

static int count_threads(int fd, const char *path, void *arg, struct cpt_err *err)
{
	struct count *c = arg;

	if (cpt_read_at(fd, c->status->freezer == CPT_FREEZER_V1 ? "tasks" : "cgroup.threads",
			&c->buf, err))
		return -1;
	for (const char *p = c->buf.data; (p = strchr(p, '\n')); p++)
		c->status->threads++;
	return 0;
}

static int compare(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

/* a process whose threads are in several groups is listed in each, and counts once */
static unsigned count_processes(const struct cpt_grouptree *tree)
{
	CPT_AUTO(mem) pid_t *all = NULL;
	unsigned n = 0, cap = 0, k = 0;

	for (unsigned i = 0; i < tree->ngroups; i++)
		for (unsigned j = 0; j < tree->groups[i].nprocs; j++) {
			CPT_GROW(all, n, cap);
			all[n++] = tree->groups[i].procs[j];
		}
	if (n)
		qsort(all, n, sizeof(*all), compare);
	for (unsigned i = 0; i < n; i++)
		k += i == 0 || all[i] != all[i - 1];
	return k;
}

static void ask_lazy(struct cpt_group_status *ret)
{
	struct cpt_lazy_news news;
	struct cpt_err err;
	int got = cpt_lazy_ask(ret->path, &news, &err);

	if (got < 0)
		cpt_warn("%s", err.text);
	if (got <= 0)
		news = (struct cpt_lazy_news){ .total = 0 };
	ret->lazy_total = news.total;
	ret->lazy_left = news.left;
	cpt_lazy_end(ret->path, ret->lazy_end, sizeof(ret->lazy_end));
}

int cpt_group_status(const char *name, struct cpt_group_status *ret, struct cpt_err *err)
{
	CPT_AUTO(group) struct cpt_group g = CPT_GROUP_NONE;
	CPT_AUTO(grouptree) struct cpt_grouptree tree = { 0 };
	struct count c = { .status = ret };
	bool self;
	int r;

	*ret = (struct cpt_group_status){ 0 };
	if (cpt_group_open(name, &g, err) || cpt_group_state(&g, &ret->state, &self, err) ||
	    cpt_group_list(&g, &tree, err))
		return -1;
	ret->freezer = g.freezer;
	ret->processes = count_processes(&tree);
	ret->groups = tree.ngroups - 1;
	memcpy(ret->path, g.path, sizeof(ret->path));
	ask_lazy(ret);
	r = cpt_group_walk(&g, count_threads, &c, err);
	free(c.buf.data);
	return r;
}

int cpt_group_kill(const char *name, int sig, struct cpt_err *err)
{
	CPT_AUTO(group) struct cpt_group g = CPT_GROUP_NONE;
	CPT_AUTO(guard) struct cpt_guard guard = CPT_GUARD_NONE;
	enum cpt_state state;
	bool self;

	if (cpt_group_open(name, &g, err) || cpt_group_state(&g, &state, &self, err))
		return -1;
	/* it may be frozen for a moment */
	if (!self && !g.holds_caller && guard_thaw(&g, &guard, err))
		return -1;
	if (cpt_group_signal(&g, sig, KILL_DEADLINE_MS, false, err))
		return -1;
	cpt_guard_success(&guard);
	return 0;
}
