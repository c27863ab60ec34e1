/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tree.c - the groups below a group, and who is in them */
#include "freeze/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define DEPTH_MAX 64

/* ---- numbers --------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

int cpt_pids_parse(const char *text, pid_t **ret, unsigned *n, struct cpt_err *err)
{
	pid_t *pids = NULL;
	unsigned used = 0, cap = 0;
	bool ascending = true;

	while (*text) {
		long pid = 0;
		const char *p = text;

		while (*p >= '0' && *p <= '9' && pid <= INT_MAX)
			pid = pid * 10 + (*p++ - '0');
		if (p == text || *p != '\n' || pid > INT_MAX) {
			free(pids);
			return cpt_fail(err, CPT_SYSTEM, "a list of processes has a line that is no number");
		}
		text = p + 1;
		if (pid == 0) {
			free(pids);
			return cpt_fail(err, CPT_UNSUPPORTED, "it holds processes of a pid namespace that can't be seen from here: run cptool in the outer one");
		}
		CPT_GROW(pids, used, cap);
		ascending &= used == 0 || pids[used - 1] < pid;
		pids[used++] = (pid_t)pid;
	}
	if (!ascending) {
		unsigned k = 0;

		qsort(pids, used, sizeof(*pids), compare);
		for (unsigned i = 0; i < used; i++)
			if (k == 0 || pids[k - 1] != pids[i])
				pids[k++] = pids[i];
		used = k;
	}
	*ret = pids;
	*n = used;
	return 0;
}

/* ---- walking --------------------------------------------------------- */

typedef int visit_fn(int fd, const char *path, void *arg, struct cpt_err *err);

static int walk(int fd, char path[4096], unsigned depth, visit_fn *visit, void *arg, struct cpt_err *err)
{
	CPT_AUTO(dir) DIR *dir = NULL;
	size_t len = strlen(path);
	const struct dirent *d;
	int copy;

	if (visit(fd, path, arg, err))
		return -1;
	if (depth == DEPTH_MAX)
		return cpt_fail(err, CPT_UNSUPPORTED, "groups nested deeper than %d", DEPTH_MAX);
	copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (copy < 0 || !(dir = fdopendir(copy))) {
		cpt_fail_sys(err, "open the group %s", path);
		if (copy >= 0)
			close(copy);
		return -1;
	}
	while (errno = 0, (d = readdir(dir))) {
		if (d->d_type != DT_DIR || !strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		if ((size_t)snprintf(path + len, 4096 - len, "%s%s", len ? "/" : "", d->d_name) >= 4096 - len)
			return cpt_fail_errno(err, ENAMETOOLONG, "a group below %.100s…", path);
		CPT_AUTO(fd) int sub = openat(fd, d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (sub < 0 && errno != ENOENT)
			return cpt_fail_sys(err, "open the group %s", path);
		if (sub >= 0 && walk(sub, path, depth + 1, visit, arg, err))
			return -1;
		path[len] = 0;
	}
	if (errno)
		return cpt_fail_sys(err, "read the folder of a group");
	return 0;
}

int cpt_group_walk(const struct cpt_group *g, visit_fn *visit, void *arg, struct cpt_err *err)
{
	char path[4096] = "";

	return walk(g->fd, path, 0, visit, arg, err);
}

/* ---- listing --------------------------------------------------------- */

struct listing {
	struct cpt_grouptree *tree;
	unsigned cap;
	struct cpt_buf buf;
};

/* the process that thread @tid belongs to; 0: it has gone */
static pid_t process_of(pid_t tid)
{
	struct cpt_buf buf = { 0 };
	struct cpt_err err;
	char path[40];
	pid_t pid = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	if (!cpt_read_at(AT_FDCWD, path, &buf, &err)) {
		const char *p = strstr(buf.data, "\nTgid:");

		if (p)
			pid = (pid_t)strtol(p + 6, NULL, 10);
	}
	free(buf.data);
	return pid;
}

/* a threaded group of v2 lists no processes, only threads */
static int list_threaded(int fd, struct cpt_subgroup *s, struct cpt_buf *buf, struct cpt_err *err)
{
	unsigned k = 0;

	if (cpt_read_at(fd, "cgroup.threads", buf, err) ||
	    cpt_pids_parse(buf->data, &s->procs, &s->nprocs, err))
		return -1;
	for (unsigned i = 0; i < s->nprocs; i++) {
		pid_t pid = process_of(s->procs[i]);

		if (pid > 0)
			s->procs[k++] = pid;
	}
	if (k)
		qsort(s->procs, k, sizeof(*s->procs), compare);
	s->nprocs = 0;
	for (unsigned i = 0; i < k; i++)
		if (s->nprocs == 0 || s->procs[s->nprocs - 1] != s->procs[i])
			s->procs[s->nprocs++] = s->procs[i];
	return 0;
}

static int list_one(int fd, const char *path, void *arg, struct cpt_err *err)
{
	struct listing *l = arg;
	struct cpt_grouptree *t = l->tree;
	struct cpt_subgroup *s;
	int r;

	if (t->ngroups == l->cap)
		CPT_GROW(t->groups, t->ngroups, l->cap);
	s = &t->groups[t->ngroups++];
	*s = (struct cpt_subgroup){ .path = cpt_strdup(path) };
	r = cpt_read_at(fd, "cgroup.procs", &l->buf, err);
	if (r && err->sys == EOPNOTSUPP)
		return list_threaded(fd, s, &l->buf, err);
	if (r && *path && (err->sys == ENOENT || err->sys == ENODEV)) {
		/* removed while we looked: it is not there */
		free(s->path);
		t->ngroups--;
		return 0;
	}
	if (r || cpt_pids_parse(l->buf.data, &s->procs, &s->nprocs, err))
		return cpt_within(err, "group /%s", path);
	return 0;
}

int cpt_group_list(const struct cpt_group *g, struct cpt_grouptree *ret, struct cpt_err *err)
{
	struct cpt_grouptree tree = { 0 };
	struct listing l = { .tree = &tree };
	int r;

	if (cpt_fault_here())
		return cpt_fail(err, CPT_SYSTEM, "list %s: injected fault", g->path);
	r = cpt_group_walk(g, list_one, &l, err);
	free(l.buf.data);
	if (r) {
		cpt_grouptree_free(&tree);
		return cpt_within(err, "list %s", g->path);
	}
	*ret = tree;
	return 0;
}

void cpt_grouptree_free(struct cpt_grouptree *t)
{
	for (unsigned i = 0; i < t->ngroups; i++) {
		free(t->groups[i].path);
		free(t->groups[i].procs);
	}
	free(t->groups);
	*t = (struct cpt_grouptree){ 0 };
}

/* ---- anybody there? -------------------------------------------------- */

static int look_inside(int fd, const char *path, void *arg, struct cpt_err *err)
{
	CPT_AUTO(fd) int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char c;

	if (procs >= 0 && read(procs, &c, 1) == 1)
		*(bool *)arg = true;
	return *(bool *)arg ? -1 : 0;
}

int cpt_group_populated(const struct cpt_group *g, bool *ret, struct cpt_err *err)
{
	*ret = false;
	if (g->freezer == CPT_FREEZER_V2) {
		struct cpt_buf buf = { 0 };
		int r = cpt_read_at(g->fd, "cgroup.events", &buf, err);

		if (!r)
			*ret = strstr(buf.data, "populated 1\n");
		free(buf.data);
		return r;
	}
	if (cpt_group_walk(g, look_inside, ret, err) && !*ret)
		return -1;
	return 0;
}

/* ---- who does not freeze --------------------------------------------- */

struct suspect {
	int rank;
	bool stacks;		/* this kernel lets stacks be read */
	char *text;
	size_t size;
	struct cpt_buf buf;
};

static bool read_word(int task, const char *file, char *ret, size_t size)
{
	CPT_AUTO(fd) int fd = openat(task, file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (n <= 0)
		return false;
	ret[n] = 0;
	ret[strcspn(ret, "\n")] = 0;
	return true;
}

/*
 * How much a task looks like the one that does not freeze; 0: it is frozen, or may be.
 * Of a running task no stack is to be read; @stacks: of others it is. On v1 D may be TASK_FROZEN.
 */
static int rank(char state, bool kernel_thread, const char *where, bool stacks)
{
	/* get_signal() may hold the trap inline; who waits in vfork(2) counts as frozen */
	static const char *const frozen[] = { "do_freezer_trap", "get_signal", "__refrigerator", "kernel_clone", "wait_for_vfork_done" };

	for (unsigned i = 0; i < CPT_COUNT(frozen); i++)
		if (!strcmp(where, frozen[i]))
			return 0;
	if (strchr("tTZX", state))
		return 0;
	if (kernel_thread)
		return 4;
	if (state == 'R')
		return 3;
	if (state == 'D')
		return 2;
	return stacks || (where[0] && strcmp(where, "0"));
}

static void suspect_task(pid_t tid, struct suspect *s)
{
	char path[40], stat[1024], where[256] = "", *end;
	unsigned long flags = 0;
	bool kernel_thread;
	const char *at;
	char state;
	int r;

	snprintf(path, sizeof(path), "/proc/%d", tid);
	CPT_AUTO(fd) int task = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* pid (name) state ppid pgrp session tty tpgid flags …; the name may hold anything */
	if (task < 0 || !read_word(task, "stat", stat, sizeof(stat)) || !(end = strrchr(stat, ')')) ||
	    sscanf(end + 1, " %c %*d %*d %*d %*d %*d %lu", &state, &flags) != 2)
		return;
	*end = 0;
	kernel_thread = flags & 0x00200000;	/* PF_KTHREAD */
	/* the stack tells more than wchan, to root: "[<0>] function+0x1/0x2" */
	if (read_word(task, "stack", where, sizeof(where)) && (at = strchr(where, ']')))
		memmove(where, at + (at[1] == ' ' ? 2 : 1), strlen(at));
	else if (!read_word(task, "wchan", where, sizeof(where)))
		where[0] = 0;
	where[strcspn(where, "+")] = 0;
	r = rank(state, kernel_thread, where, s->stacks);
	if (r <= s->rank)
		return;
	s->rank = r;
	at = strchr(stat, '(');
	snprintf(s->text, s->size, "%s %d (%s) is in state %c%s%s",
		 kernel_thread ? "kernel thread" : "task", tid, at ? at + 1 : "?", state,
		 where[0] && strcmp(where, "0") ? " at " : "", strcmp(where, "0") ? where : "");
}

static int suspect_group(int fd, const char *path, void *arg, struct cpt_err *err)
{
	struct suspect *s = arg;
	CPT_AUTO(mem) pid_t *tids = NULL;
	char own[8];
	unsigned n = 0;

	s->stacks = read_word(AT_FDCWD, "/proc/self/stack", own, sizeof(own));
	if (cpt_read_at(fd, "cgroup.threads", &s->buf, err) && cpt_read_at(fd, "tasks", &s->buf, err))
		return 0;
	if (cpt_pids_parse(s->buf.data, &tids, &n, err))
		return 0;
	for (unsigned i = 0; i < n; i++)
		suspect_task(tids[i], s);
	return 0;
}

void cpt_group_unfrozen(const struct cpt_group *g, char *text, size_t size)
{
	struct suspect s = { .text = text, .size = size };
	struct cpt_err ignored;

	snprintf(text, size, "no task in it looks unfrozen");
	if (cpt_group_walk(g, suspect_group, &s, &ignored))
		cpt_debug("freezer: %s", ignored.text);
	free(s.buf.data);
}

/* ---- frozen, with all that is below ------------------------------------ */

struct frozen {
	bool all;
	struct cpt_buf buf;
};

static int look_for_unfrozen(int fd, const char *path, void *arg, struct cpt_err *err)
{
	char text[256] = "";
	struct suspect s = { .text = text, .size = sizeof(text) };
	struct frozen *f = arg;
	struct stat st;

	if (cpt_read_at(fd, "cgroup.events", &f->buf, err))
		return err->sys == ENOENT || err->sys == ENODEV ? 0 : -1;
	f->all = strstr(f->buf.data, "frozen 1\n");
	/* of a group with others below the kernel may have looked at those only */
	if (f->all && fstat(fd, &st) == 0 && st.st_nlink > 2) {
		if (suspect_group(fd, path, &s, err))
			return -1;
		free(s.buf.data);
		f->all = s.rank == 0;
	}
	return f->all ? 0 : -1;
}

int cpt_group_all_frozen(const struct cpt_group *g, bool *ret, struct cpt_err *err)
{
	struct frozen f = { .all = true };
	int r = cpt_group_walk(g, look_for_unfrozen, &f, err);

	free(f.buf.data);
	*ret = f.all;
	return r && f.all ? -1 : 0;
}
