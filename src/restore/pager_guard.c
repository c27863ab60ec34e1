/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pager_guard.c - should the pager die, the group dies too
 *
 * When the last descriptor of a userfaultfd is closed, the kernel gives zeros
 * for the pages that are missing. So there is a second process with the same
 * table of descriptors (CLONE_FILES): whatever the pager got, before or after,
 * stays open when it is killed, and who needs a page waits. This process then
 * ends the group, and lets go of the descriptors when their memory is gone.
 */
#include "restore/lazy.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <syslog.h>

#define KILL_MS 2000
#define PROBE 0x7fffffffc000UL		/* at the upper end of the address space; nothing of ours is there */

/* ---- the end of a group ----------------------------------------------- */

static void tell(const struct cpt_group *group, const char *why)
{
	char name[CPT_LAZY_NAME], text[700];
	struct cpt_err ignored;
	int n = snprintf(text, sizeof(text), "%s: %s; the group was killed\n", group->path, why);

	openlog("cptool", LOG_PID, LOG_DAEMON);
	syslog(LOG_ERR, "%s", text);
	if (!cpt_lazy_name(group->path, "sock", name, &ignored))
		unlink(name);
	if (!cpt_lazy_name(group->path, "end", name, &ignored)) {
		CPT_AUTO(fd) int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd >= 0 && cpt_write_all(fd, text, CPT_MIN((size_t)n, sizeof(text) - 1)))
			unlink(name);
	}
}

/* Is there still memory behind it? Asked for a place that it does not watch, so that nothing happens there. */
static bool has_memory(int uffd)
{
	struct uffdio_zeropage z = { .range = { PROBE, CPT_PAGE } };

	return !ioctl(uffd, UFFDIO_ZEROPAGE, &z) || errno != ESRCH;
}

/* close the userfaultfds whose memory has gone; how many are left? */
static unsigned let_go(void)
{
	DIR *d = opendir("/proc/self/fd");
	const struct dirent *e;
	unsigned left = 0;

	if (!d)
		return 1;
	while ((e = readdir(d))) {
		char target[64];
		ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);
		int fd = atoi(e->d_name);

		target[n < 0 ? 0 : n] = 0;
		if (strcmp(target, "anon_inode:[userfaultfd]"))
			continue;
		if (has_memory(fd))
			left++;
		else
			close(fd);
	}
	closedir(d);
	return left;
}

void cpt_pager_end_group(const struct cpt_group *group, const char *why)
{
	struct cpt_err err;

	tell(group, why);
	/* one that has been moved out of the group waits for its page, for ever if need be, but gets no wrong one */
	for (unsigned round = 0; let_go(); round++) {
		if (round % 100 == 0 && cpt_group_signal(group, SIGKILL, KILL_MS, false, &err))
			cpt_debug("%s", err.text);
		cpt_sleep_us(round < 100 ? 1000 : 100000);
	}
}

/* ---- the guard -------------------------------------------------------- */

/* Who stops the service in which cptool was started must not kill both at once. */
static void leave_cgroup(const struct cpt_group *group)
{
	struct cpt_err ignored;
	char path[4200];

	snprintf(path, sizeof(path), "%s/cgroup.procs", group->mount);
	if (cpt_write_at(AT_FDCWD, path, "0", &ignored))
		cpt_debug("%s", ignored.text);
}

static _Noreturn void guard(const struct cpt_group *group, int pager, const struct cpt_pager_shared *shared)
{
	struct pollfd p = { pager, POLLIN, 0 };

	prctl(PR_SET_NAME, "cptool-lazy-grd");
	leave_cgroup(group);
	while (poll(&p, 1, -1) < 1)
		;
	if (!__atomic_load_n(&shared->done, __ATOMIC_ACQUIRE))
		cpt_pager_end_group(group, "the process that brought in the pages of a lazy restore was killed");
	_exit(0);
}

pid_t cpt_pager_guard_start(const struct cpt_group *group, int pager, struct cpt_pager_shared *shared, struct cpt_err *err)
{
	/* like fork(2), but for the descriptors; the caller's other threads are at rest */
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

	if (!pid)
		guard(group, pager, shared);
	return pid > 0 ? pid : cpt_fail_sys(err, "start the guard of the pages");
}
