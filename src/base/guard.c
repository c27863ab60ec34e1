/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guard.c - the child process that undoes
 *
 * Everything below guard_main() runs in a child of a fork, perhaps while its
 * maker is being killed: system calls and the stack only, no allocation.
 */
#include "base/guard.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define LOG_SIZE (8u << 20)		/* virtual; only what is written is backed */
#define EMPTY_DEADLINE_NS 10000000000u	/* to kill a group */
#define RMDIR_DEADLINE_NS 2000000000u	/* the last task of a group has just gone */

/* One undo: header and two NUL-terminated strings, padded to 8 bytes. */
struct entry {
	uint32_t size;			/* with this header */
	uint32_t prev;			/* offset of the entry before */
	uint16_t what;			/* enum cpt_undo */
	uint16_t b;			/* offset of the second string in text; 0: none */
	char text[];
};

struct cpt_guard_log {
	uint32_t used;			/* bytes of data[] that are valid: published last */
	uint32_t last;			/* offset of the last entry */
	char data[] __attribute__((aligned(8)));
};

#define LOG_ROOM (LOG_SIZE - sizeof(struct cpt_guard_log))

/*
 * What a signal handler needs to know of the guard at work. It can't be handed
 * over otherwise: this is the library's one piece of global state besides the log.
 */
static struct {
	volatile sig_atomic_t pipe;	/* -1: none */
	volatile sig_atomic_t pid;
	volatile sig_atomic_t too_late;
} working = { -1, 0, 0 };

enum word { WORD_SUCCESS = 'S', WORD_UNDO = 'U' };

/* ---- in the guard ---------------------------------------------------- */

/* write without caring; true when it was taken */
static bool put(int dirfd, const char *file, const char *value)
{
	CPT_AUTO(fd) int fd = openat(dirfd, file, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, value, strlen(value)) > 0;
}

static void undo_write(const char *file, const char *value)
{
	for (unsigned i = 0; i < 100; i++) {
		if (put(AT_FDCWD, file, value))
			return;
		/* the interface of 2008 calls the running state otherwise */
		if (errno == EINVAL && !strcmp(value, "THAWED") && put(AT_FDCWD, file, "RUNNING"))
			return;
		if (errno != EBUSY && errno != EINTR && errno != EAGAIN)
			return;
		cpt_sleep_us(1000);
	}
}

/* SIGKILL to whoever is listed in @file */
static void kill_listed(int group, const char *file)
{
	CPT_AUTO(fd) int fd = openat(group, file, O_RDONLY | O_CLOEXEC);
	char buf[4096];
	long pid = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] >= '0' && buf[i] <= '9' && pid < INT_MAX / 10) {
				pid = pid * 10 + (buf[i] - '0');
				continue;
			}
			if (pid > 0)	/* 0: of a pid namespace that we can't see */
				kill((pid_t)pid, SIGKILL);
			pid = 0;
		}
	}
}

/* calls @visit with every folder below @group; true as soon as one returns true */
static bool any_below(int group, int depth, bool (*visit)(int group, int depth))
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n;

	if (depth == 0 || lseek(group, 0, SEEK_SET) < 0)
		return false;
	while ((n = getdents64(group, buf, sizeof(buf))) > 0) {
		const struct dirent64 *d;

		for (ssize_t at = 0; at < n; at += d->d_reclen) {
			d = (const void *)(buf + at);
			if (d->d_type != DT_DIR || d->d_name[0] == '.')
				continue;
			CPT_AUTO(fd) int sub = openat(group, d->d_name,
						      O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
			if (sub >= 0 && visit(sub, depth - 1))
				return true;
		}
	}
	return false;
}

#define DEPTH 16

static bool kill_once(int group, int depth)
{
	if (!put(group, "signal.kill", "9") && !put(group, "cgroup.kill", "1")) {
		kill_listed(group, "cgroup.procs");
		kill_listed(group, "cgroup.threads");	/* of a threaded group */
	}
	any_below(group, depth, kill_once);
	/* on v1 the signal acts when the group, and each below it, runs */
	if (!put(group, "freezer.state", "THAWED"))
		put(group, "freezer.state", "RUNNING");
	return false;
}

/* anybody alive in it? v2 says so itself, v1 is looked through */
static bool populated(int group, int depth)
{
	CPT_AUTO(fd) int events = openat(group, "cgroup.events", O_RDONLY | O_CLOEXEC);
	CPT_AUTO(fd) int procs = -1;
	char buf[256];

	if (events >= 0) {
		ssize_t n = read(events, buf, sizeof(buf) - 1);

		buf[n > 0 ? n : 0] = 0;
		return strstr(buf, "populated 1");
	}
	procs = openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	if (procs >= 0 && read(procs, buf, sizeof(buf)) > 0)
		return true;
	return any_below(group, depth, populated);
}

static void undo_group(const char *path)
{
	CPT_AUTO(fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t end = cpt_now_ns() + EMPTY_DEADLINE_NS;
	unsigned wait_us = 50;

	if (fd < 0)
		return;
	for (unsigned round = 1; ; round++) {
		/* whoever forks faster than he is killed stands still for it */
		if (round % 8 == 0 && put(fd, "freezer.state", "FROZEN"))
			cpt_sleep_us(2000);
		kill_once(fd, DEPTH);
		if (!populated(fd, DEPTH) || cpt_now_ns() > end)
			return;
		cpt_sleep_us(wait_us);
		wait_us = CPT_MIN(2 * wait_us, 5000u);
	}
}

static void undo_rmdir(const char *path)
{
	uint64_t end = cpt_now_ns() + RMDIR_DEADLINE_NS;

	while (rmdir(path) && errno == EBUSY && cpt_now_ns() < end)
		cpt_sleep_us(500);
}

static void undo_all(const struct cpt_guard_log *log)
{
	uint32_t at = log->last;

	if (__atomic_load_n(&log->used, __ATOMIC_ACQUIRE) == 0)
		return;
	for (;;) {
		const struct entry *e = (const void *)(log->data + at);

		switch ((enum cpt_undo)e->what) {
		case CPT_UNDO_WRITE:
			undo_write(e->text, e->text + e->b);
			break;
		case CPT_UNDO_KILL_GROUP:
			undo_group(e->text);
			break;
		case CPT_UNDO_RMDIR:
			undo_rmdir(e->text);
			break;
		case CPT_UNDO_UNLINK:
			unlink(e->text);
			break;
		case CPT_UNDO_RENAME:
			rename(e->text, e->text + e->b);
			break;
		}
		if (at == 0)
			return;
		at = e->prev;
	}
}

/* what was put aside has been replaced for good */
static void drop_asides(const struct cpt_guard_log *log)
{
	uint32_t at = log->last;

	if (__atomic_load_n(&log->used, __ATOMIC_ACQUIRE) == 0)
		return;
	for (;;) {
		const struct entry *e = (const void *)(log->data + at);

		if (e->what == CPT_UNDO_RENAME)
			unlink(e->text);
		if (at == 0)
			return;
		at = e->prev;
	}
}

static _Noreturn void guard_main(int pipe, int maker, const struct cpt_guard_log *log)
{
	struct pollfd p[] = { { pipe, POLLIN, 0 }, { maker, POLLIN, 0 } };
	char word = 0;

	for (;;) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents & POLLIN && read(pipe, &word, 1) == 1)
			break;
		if (p[1].revents)
			break;
		if (p[0].revents) {
			/*
			 * The maker is on its way out: files are closed before
			 * tracees are let go. Undo when that has happened too.
			 */
			p[1].revents = 0;
			poll(p + 1, 1, 1000);
			break;
		}
	}
	if (word == WORD_SUCCESS)
		drop_asides(log);
	else
		undo_all(log);
	_exit(0);
}

/* ---- in the maker ---------------------------------------------------- */

int cpt_guard_start(struct cpt_guard *ret, struct cpt_err *err)
{
	struct cpt_guard_log *log;
	sigset_t all, old;
	int pipe[2];
	pid_t pid;

	working.too_late = 0;
	if (cpt_fault_here())
		return cpt_fail(err, CPT_SYSTEM, "start the undo guard: injected fault");
	CPT_AUTO(fd) int maker = cpt_pidfd_open(getpid(), 0);
	if (maker < 0)
		return cpt_fail_sys(err, "start the undo guard: pidfd_open");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pipe))
		return cpt_fail_sys(err, "start the undo guard: socketpair");
	log = mmap(NULL, LOG_SIZE, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (log == MAP_FAILED) {
		cpt_fail_sys(err, "start the undo guard: mmap");
		close(pipe[0]);
		close(pipe[1]);
		return -1;
	}
	/* no signal may run a handler of the maker's in the guard */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	pid = fork();
	if (pid == 0) {
		/*
		 * Keep two descriptors, as 0 and 1, and nothing else. They may
		 * stand at these numbers already: get them out of the way first.
		 */
		int p = fcntl(pipe[1], F_DUPFD, 3), m = fcntl(maker, F_DUPFD, 3);

		if (p < 0 || m < 0 || dup2(p, 0) < 0 || dup2(m, 1) < 0)
			_exit(1);
		syscall(SYS_close_range, 2u, ~0u, 0u);
		setsid();
		prctl(PR_SET_NAME, "cptool-guard");
		if (chdir("/"))
			_exit(1);
		/* the last to be chosen where memory runs out; a wish */
		put(AT_FDCWD, "/proc/self/oom_score_adj", "-1000");
		guard_main(0, 1, log);
	}
	if (pid < 0) {
		cpt_fail_sys(err, "start the undo guard: fork");
	} else {
		working.pipe = pipe[0];
		working.pid = pid;
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(pipe[1]);
	if (pid < 0) {
		close(pipe[0]);
		munmap(log, LOG_SIZE);
		return -1;
	}
	*ret = (struct cpt_guard){ pipe[0], pid, log };
	return 0;
}

int cpt_guard_add(struct cpt_guard *g, enum cpt_undo what, const char *a,
		  const char *b, struct cpt_err *err)
{
	size_t la = strlen(a) + 1, lb = b ? strlen(b) + 1 : 0;
	size_t size = (sizeof(struct entry) + la + lb + 7) & ~(size_t)7;
	struct cpt_guard_log *log = g->log;
	struct entry *e;

	if (cpt_fault_here())
		return cpt_fail(err, CPT_SYSTEM, "tell the undo guard: injected fault");
	if (la > PATH_MAX || lb > PATH_MAX)
		return cpt_fail_errno(err, ENAMETOOLONG, "tell the undo guard of %.100s…", a);
	if (log->used + size > LOG_ROOM)
		return cpt_fail_errno(err, ENOSPC, "tell the undo guard of %s", a);
	e = (struct entry *)(log->data + log->used);
	e->size = (uint32_t)size;
	e->prev = log->last;
	e->what = (uint16_t)what;
	e->b = b ? (uint16_t)la : 0;
	memcpy(e->text, a, la);
	if (b)
		memcpy(e->text + la, b, lb);
	/* the maker may die between any two of these: the entry is there when it counts */
	log->last = log->used;
	__atomic_store_n(&log->used, log->used + (uint32_t)size, __ATOMIC_RELEASE);
	return 0;
}

static void say(int pipe, pid_t pid, char word)
{
	/* should the guard be gone, nothing is to be gained from knowing it here */
	send(pipe, &word, 1, MSG_NOSIGNAL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void end(struct cpt_guard *g, char word)
{
	if (g->pipe < 0)
		return;
	if (word == WORD_SUCCESS)
		working.too_late = 1;
	say(g->pipe, g->pid, word);
	working.pipe = -1;
	close(g->pipe);
	munmap(g->log, LOG_SIZE);
	*g = (struct cpt_guard)CPT_GUARD_NONE;
}

void cpt_guard_success(struct cpt_guard *g)
{
	end(g, WORD_SUCCESS);
}

void cpt_guard_no_return(struct cpt_guard *g)
{
	working.too_late = 1;
}

void cpt_guard_undo(struct cpt_guard *g)
{
	end(g, WORD_UNDO);
}

bool cpt_interrupt(void)
{
	int was = errno;

	if (working.too_late)
		return false;
	if (working.pipe >= 0)
		say(working.pipe, working.pid, WORD_UNDO);
	errno = was;
	return true;
}
