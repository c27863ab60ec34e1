/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* state.c - ask the freezer, freeze, wait, thaw */
#include "freeze/internal.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

#define MS 1000000ull

unsigned cpt_pause_next(struct cpt_pause *p)
{
	if (p->spins < 20) {
		p->spins++;
		return 0;
	}
	p->us = p->us ? CPT_MIN(2 * p->us, (unsigned)CPT_PAUSE_MAX_US) : 20;
	return p->us;
}

/* ---- what it says ---------------------------------------------------- */

static int read_small(int fd, const char *file, char *buf, size_t size, struct cpt_err *err)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	if (n < 0)
		return cpt_fail_sys(err, "read %s", file);
	buf[n] = 0;
	return 0;
}

static int v1_parse(const char *text, enum cpt_state *ret, struct cpt_err *err)
{
	/* RUNNING: the interface of 2008, and kernels that were told to speak it */
	if (!strcmp(text, "THAWED\n") || !strcmp(text, "RUNNING\n"))
		*ret = CPT_RUNNING;
	else if (!strcmp(text, "FREEZING\n"))
		*ret = CPT_FREEZING;
	else if (!strcmp(text, "FROZEN\n"))
		*ret = CPT_FROZEN;
	else
		return cpt_fail(err, CPT_SYSTEM, "freezer.state says %.20s", text);
	return 0;
}

/* "frozen 1" in cgroup.events */
static bool v2_frozen(const char *events)
{
	return strstr(events, "frozen 1\n");
}

static int v1_state(const struct cpt_group *g, enum cpt_state *ret, bool *self_frozen,
		    struct cpt_err *err)
{
	CPT_AUTO(fd) int fd = openat(g->fd, "freezer.state", O_RDONLY | O_CLOEXEC);
	char text[64];

	if (fd < 0)
		return cpt_fail_sys(err, "open %s/freezer.state", g->path);
	if (read_small(fd, "freezer.state", text, sizeof(text), err) || v1_parse(text, ret, err))
		return -1;
	*self_frozen = *ret != CPT_RUNNING;
	if (*self_frozen) {
		CPT_AUTO(fd) int self = openat(g->fd, "freezer.self_freezing", O_RDONLY | O_CLOEXEC);

		/* 2008 had no such file, and no inheritance */
		if (self >= 0 && !read_small(self, "freezer.self_freezing", text, sizeof(text), err))
			*self_frozen = text[0] == '1';
	}
	return 0;
}

static int v2_state(const struct cpt_group *g, enum cpt_state *ret, bool *self_frozen,
		    struct cpt_err *err)
{
	CPT_AUTO(fd) int self = openat(g->fd, "cgroup.freeze", O_RDONLY | O_CLOEXEC);
	CPT_AUTO(fd) int events = openat(g->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	bool frozen = false;
	char text[256];

	if (self < 0 || events < 0)
		return cpt_fail_sys(err, "open cgroup.freeze and cgroup.events of %s", g->path);
	if (read_small(self, "cgroup.freeze", text, sizeof(text), err))
		return -1;
	*self_frozen = text[0] == '1';
	if (read_small(events, "cgroup.events", text, sizeof(text), err))
		return -1;
	if (v2_frozen(text) && cpt_group_all_frozen(g, &frozen, err))
		return -1;
	*ret = frozen ? CPT_FROZEN : *self_frozen || v2_frozen(text) ? CPT_FREEZING : CPT_RUNNING;
	return 0;
}

int cpt_group_state(const struct cpt_group *g, enum cpt_state *ret, bool *self_frozen,
		    struct cpt_err *err)
{
	if (cpt_fault_here())
		return cpt_fail(err, CPT_SYSTEM, "read the state of %s: injected fault", g->path);
	if (g->freezer == CPT_FREEZER_V1)
		return v1_state(g, ret, self_frozen, err);
	return v2_state(g, ret, self_frozen, err);
}

/* ---- freeze ---------------------------------------------------------- */

/* once more; EBUSY of old kernels says that not all were frozen at once */
static int v1_write_frozen(const struct cpt_group *g, struct cpt_err *err)
{
	if (cpt_write_at(g->fd, "freezer.state", "FROZEN", err) && err->sys != EBUSY)
		return cpt_within(err, "freeze %s", g->path);
	return 0;
}

int cpt_group_freeze_start(const struct cpt_group *g, struct cpt_err *err)
{
	if (cpt_fault_here())
		return cpt_fail(err, CPT_SYSTEM, "freeze %s: injected fault", g->path);
	if (g->holds_caller)
		return cpt_fail(err, CPT_USAGE, "%s holds this very program, which would freeze itself: start it from a group outside",
				g->path);
	if (g->freezer == CPT_FREEZER_V1) {
		cpt_info("freezer: v1 freezer.state of %s", g->path);
		return v1_write_frozen(g, err);
	}
	cpt_info("freezer: v2 cgroup.freeze of %s", g->path);
	if (cpt_write_at(g->fd, "cgroup.freeze", "1", err))
		return cpt_within(err, "freeze %s", g->path);
	return 0;
}

static int timed_out(const struct cpt_group *g, int deadline_ms, struct cpt_err *err)
{
	char who[256];

	cpt_group_unfrozen(g, who, sizeof(who));
	return cpt_fail_errno(err, ETIMEDOUT, "%s did not freeze within %d ms; %s",
			      g->path, deadline_ms, who);
}

static int v1_wait(const struct cpt_group *g, int deadline_ms, struct cpt_err *err)
{
	CPT_AUTO(fd) int fd = openat(g->fd, "freezer.state", O_RDONLY | O_CLOEXEC);
	uint64_t begin = cpt_now_ns(), end = begin + (uint64_t)deadline_ms * MS;
	uint64_t rewrite = begin + 10 * MS, afresh = begin + (uint64_t)deadline_ms * MS / 2;
	struct cpt_pause pause = { 0 };

	if (fd < 0)
		return cpt_fail_sys(err, "open %s/freezer.state", g->path);
	for (;;) {
		enum cpt_state state;
		uint64_t now;
		char text[64];
		unsigned us;

		/* the state is computed by the reading */
		if (read_small(fd, "freezer.state", text, sizeof(text), err) ||
		    v1_parse(text, &state, err))
			return -1;
		if (state == CPT_FROZEN)
			return 0;
		now = cpt_now_ns();
		if (now >= end)
			return timed_out(g, deadline_ms, err);
		if (state == CPT_RUNNING)
			return cpt_fail(err, CPT_SYSTEM, "%s was thawed by somebody else meanwhile", g->path);
		if (now >= afresh) {
			/* the last resort, now and then in the second half */
			cpt_info("freezer: %s stays FREEZING, thaw and freeze again", g->path);
			if (cpt_group_let_run(g, err) || v1_write_frozen(g, err))
				return -1;
			afresh = now + (uint64_t)deadline_ms * MS / 8;
			rewrite = now + 10 * MS;
			pause = (struct cpt_pause){ 0 };
		} else if (now >= rewrite) {
			if (v1_write_frozen(g, err))
				return -1;
			rewrite = now + 20 * MS;
		}
		us = cpt_pause_next(&pause);
		if (us)
			cpt_sleep_us(us);
		else
			sched_yield();
	}
}

/*
 * The kernel notifies of cgroup.events, but not more often than every 10 ms
 * per group: look by ourselves as well, finely at first.
 */
static int v2_wait(const struct cpt_group *g, int deadline_ms, struct cpt_err *err)
{
	CPT_AUTO(fd) int fd = openat(g->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	uint64_t end = cpt_now_ns() + (uint64_t)deadline_ms * MS;
	struct pollfd p = { fd, POLLPRI, 0 };
	struct cpt_pause pause = { 0 };

	if (fd < 0)
		return cpt_fail_sys(err, "open %s/cgroup.events", g->path);
	for (;;) {
		struct timespec t = { 0, 0 };
		bool frozen = false;
		char text[256];

		if (read_small(fd, "cgroup.events", text, sizeof(text), err) ||
		    (v2_frozen(text) && cpt_group_all_frozen(g, &frozen, err)))
			return -1;
		if (frozen)
			return 0;
		if (cpt_now_ns() >= end)
			return timed_out(g, deadline_ms, err);
		t.tv_nsec = (long)cpt_pause_next(&pause) * 1000;
		if (t.tv_nsec)
			ppoll(&p, 1, &t, NULL);
		else
			sched_yield();
	}
}

int cpt_group_freeze_wait(const struct cpt_group *g, int deadline_ms, struct cpt_err *err)
{
	if (cpt_fault_here())
		return cpt_fail(err, CPT_SYSTEM, "wait for %s to freeze: injected fault", g->path);
	if (g->freezer == CPT_FREEZER_V1)
		return v1_wait(g, deadline_ms, err);
	return v2_wait(g, deadline_ms, err);
}

/* ---- thaw ------------------------------------------------------------ */

int cpt_group_let_run(const struct cpt_group *g, struct cpt_err *err)
{
	if (g->freezer == CPT_FREEZER_V2) {
		if (cpt_write_at(g->fd, "cgroup.freeze", "0", err))
			return cpt_within(err, "thaw %s", g->path);
		return 0;
	}
	if (!cpt_write_at(g->fd, "freezer.state", "THAWED", err))
		return 0;
	if (err->sys == EINVAL && !cpt_write_at(g->fd, "freezer.state", "RUNNING", err))
		return 0;
	return cpt_within(err, "thaw %s", g->path);
}

void cpt_group_thaw_undo(const struct cpt_group *g, char file[4200], const char **value)
{
	if (g->freezer == CPT_FREEZER_V2) {
		snprintf(file, 4200, "%s/cgroup.freeze", g->path);
		*value = "0";
	} else {
		snprintf(file, 4200, "%s/freezer.state", g->path);
		*value = "THAWED";	/* the guard tries RUNNING where this is EINVAL */
	}
}
