/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.c - what this host can do: each feature is tried, no version is looked at
 */
#include "dump/kinds.h"
#include "image/state.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MEMBARRIER_GET_REGISTRATIONS (1 << 9)
#define TCP_REPAIR_OPTION 19
#define SOCK_DIAG_PROTOCOL 4
#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif

/* ---- files of cgroups -------------------------------------------------- */

static void cpt_auto_mntent(FILE **f)
{
	if (*f)
		endmntent(*f);
}

/* A group below the mount shows which files the kernel gives to groups; it is made for the moment. */
static bool group_has(const char *mount, const char *file)
{
	char path[4200];
	bool there;
	int fd;

	snprintf(path, sizeof(path), "%s/cptool-check-%d", mount, getpid());
	if (mkdir(path, 0700))
		return false;
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	there = fd >= 0 && faccessat(fd, file, F_OK, 0) == 0;
	if (fd >= 0)
		close(fd);
	rmdir(path);
	return there;
}

/* Does any mounted hierarchy (v2, or the one of the v1 freezer) give groups this file? */
static bool cgroup_file(bool v1, bool v2, const char *file)
{
	CPT_AUTO(mntent) FILE *f = setmntent("/proc/self/mounts", "re");
	char text[8192];
	struct mntent m;

	while (f && getmntent_r(f, &m, text, sizeof(text))) {
		bool is_v1 = strcmp(m.mnt_type, "cgroup") == 0 && hasmntopt(&m, "freezer");
		bool is_v2 = strcmp(m.mnt_type, "cgroup2") == 0;

		if (((is_v1 && v1) || (is_v2 && v2)) && group_has(m.mnt_dir, file))
			return true;
	}
	return false;
}

static bool freezer_v1(void)
{
	return cgroup_file(true, false, "freezer.state");
}

static bool freezer_v2(void)
{
	return cgroup_file(false, true, "cgroup.freeze");
}

static bool any_freezer(void)
{
	return freezer_v1() || freezer_v2();
}

static bool signal_kill(void)
{
	return cgroup_file(true, true, "signal.kill");
}

static bool cgroup_kill(void)
{
	return cgroup_file(false, true, "cgroup.kill");
}

/* ---- tasks ------------------------------------------------------------- */

static bool pidfd_getfd(void)
{
	CPT_AUTO(fd) int self = cpt_pidfd_open(getpid(), 0);
	CPT_AUTO(fd) int copy = cpt_pidfd_getfd(self, self);

	return copy >= 0;
}

static bool kcmp(void)
{
	return cpt_kcmp(getpid(), getpid(), KCMP_VM, 0, 0) == 0;
}

static pid_t reap(pid_t pid)
{
	while (pid > 0 && waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return pid;
}

/* A child that has come and gone leaves a pid that is free. */
static bool clone3_set_tid(void)
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
		uint64_t set_tid, set_tid_size, cgroup;
	} a = { .exit_signal = SIGCHLD };
	pid_t pid = fork(), got;

	if (pid == 0)
		_exit(0);
	if (reap(pid) < 0)
		return false;
	a.set_tid = (uintptr_t)&pid;
	a.set_tid_size = 1;
	got = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
	if (got == 0)
		_exit(0);
	return reap(got) == pid;
}

static bool traced_child(bool (*look)(pid_t pid), unsigned long options)
{
	pid_t pid = fork();
	bool ok;

	if (pid == 0)
		for (;;)
			pause();
	if (pid < 0)
		return false;
	ok = ptrace(PTRACE_SEIZE, pid, 0, options | PTRACE_O_EXITKILL) == 0 &&
	     ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0 && waitpid(pid, NULL, __WALL) == pid && look(pid);
	kill(pid, SIGKILL);
	reap(pid);
	return ok;
}

static bool stands(pid_t pid)
{
	return pid > 0;
}

static bool peeks(pid_t pid)
{
	struct __ptrace_peeksiginfo_args a = { 0, PTRACE_PEEKSIGINFO_SHARED, 1 };
	siginfo_t info;

	return ptrace(PTRACE_PEEKSIGINFO, pid, &a, &info) >= 0;
}

static bool tells_rseq(pid_t pid)
{
	uint64_t config[3];

	return ptrace((enum __ptrace_request)0x420f, pid, sizeof(config), config) >= 0;	/* PTRACE_GET_RSEQ_CONFIGURATION */
}

static bool trace(void)
{
	return traced_child(stands, 0);
}

static bool pending_signals(void)
{
	return traced_child(peeks, 0);
}

static bool rseq(void)
{
	return traced_child(tells_rseq, 0);
}

static bool suspend_seccomp(void)
{
	return traced_child(stands, PTRACE_O_SUSPEND_SECCOMP);
}

static bool children_file(void)
{
	return access("/proc/thread-self/children", R_OK) == 0;
}

static bool timers_file(void)
{
	return access("/proc/self/timers", R_OK) == 0;
}

static bool timer_ids(void)
{
	return prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0) >= 0;
}

static bool membarrier_registrations(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_GET_REGISTRATIONS, 0, 0) >= 0;
}

static bool mm_map(void)
{
	unsigned size = 0;

	return prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) == 0 && size;
}

static bool time_namespaces(void)
{
	return access("/proc/self/ns/time_for_children", F_OK) == 0;
}

/* ---- memory ------------------------------------------------------------ */

static bool pagemap_scan(void)
{
	CPT_AUTO(fd) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t at = (uintptr_t)&cpt_check_host & ~(CPT_PAGE - 1);
	uint64_t a[12] = { sizeof(a), 0, at, at + CPT_PAGE };	/* struct pm_scan_arg: size, flags, start, end, … */

	a[8] = a[9] = a[10] = a[11] = 0;
	a[11] = 1 << 3;						/* return_mask: PAGE_IS_PRESENT */
	return ioctl(fd, _IOWR('f', 16, uint64_t[12]), a) >= 0;
}

static bool write_tracking(void)
{
	CPT_AUTO(fd) int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1);	/* UFFD_USER_MODE_ONLY */
	uint64_t api[3] = { 0xaa, 1 << 15, 0 };			/* UFFD_API, UFFD_FEATURE_WP_ASYNC */

	return fd >= 0 && ioctl(fd, _IOWR(0xaa, 0x3f, uint64_t[3]), api) == 0;
}

/* ---- network ----------------------------------------------------------- */

static bool sock_diag(void)
{
	CPT_AUTO(fd) int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, SOCK_DIAG_PROTOCOL);

	return fd >= 0;
}

static bool tcp_repair(void)
{
	CPT_AUTO(fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	return fd >= 0 && setsockopt(fd, 6, TCP_REPAIR_OPTION, &on, sizeof(on)) == 0;
}

/* ---- the list ---------------------------------------------------------- */

static const struct feature {
	const char *name;
	bool (*probe)(void);
	bool needed;
	const char *without;		/* what does not work then */
} features[] = {
	{ "a freezer", any_freezer, true, "mount a cgroup hierarchy with one (mount -t cgroup2 none /sys/fs/cgroup) and run as root" },
	{ "v1 freezer (freezer.state)", freezer_v1, false, "groups of the v2 hierarchy only" },
	{ "v2 freezer (cgroup.freeze)", freezer_v2, false, "groups of the v1 freezer only" },
	{ "signal.kill", signal_kill, false, "groups are killed by cgroup.kill or one process after the other" },
	{ "cgroup.kill", cgroup_kill, false, "groups are killed one process after the other" },
	{ "ptrace (PTRACE_SEIZE)", trace, true, "the right to trace processes is missing; run as root" },
	{ "pending signals (PTRACE_PEEKSIGINFO)", pending_signals, true, "CONFIG_CHECKPOINT_RESTORE" },
	{ "restartable sequences (PTRACE_GET_RSEQ_CONFIGURATION)", rseq, true, "Linux 5.13 is needed" },
	{ "seccomp suspended while traced (PTRACE_O_SUSPEND_SECCOMP)", suspend_seccomp, false, "no tasks under seccomp" },
	{ "descriptors of tasks (pidfd_getfd)", pidfd_getfd, true, "Linux 5.6 is needed" },
	{ "kcmp", kcmp, true, "CONFIG_KCMP is needed" },
	{ "children of tasks (/proc/PID/task/TID/children)", children_file, true, "CONFIG_PROC_CHILDREN is needed" },
	{ "POSIX timers (/proc/PID/timers)", timers_file, true, "CONFIG_CHECKPOINT_RESTORE is needed" },
	{ "ids of POSIX timers (PR_TIMER_CREATE_RESTORE_IDS)", timer_ids, false, "timers with high ids are slow to restore or can't be" },
	{ "pids chosen (clone3 set_tid)", clone3_set_tid, true, "CAP_CHECKPOINT_RESTORE or root is needed to restore" },
	{ "layout of address spaces (PR_SET_MM_MAP)", mm_map, true, "CONFIG_CHECKPOINT_RESTORE is needed" },
	{ "membarrier registrations", membarrier_registrations, false, "programs that use membarrier(2) must register again" },
	{ "pages in use (PAGEMAP_SCAN)", pagemap_scan, true, "Linux 6.7 is needed" },
	{ "write tracking (userfaultfd WP_ASYNC)", write_tracking, false, "no increments" },
	{ "socket diagnosis (sock_diag)", sock_diag, false, "no unix sockets" },
	{ "TCP repair", tcp_repair, false, "no established TCP connections" },
	{ "time namespaces", time_namespaces, false, "clocks jump when a group moves to another machine" },
};

static void say(struct cpt_sink out, const char *fmt, ...) CPT_PRINTF(2, 3);
static void say(struct cpt_sink out, const char *fmt, ...)
{
	char line[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (out.line)
		out.line(out.arg, line);
}

static void say_caps(struct cpt_sink out, const struct cpt_self *self)
{
	for (unsigned cap = 0; cap <= self->cap_last; cap++)
		if (!cpt_self_may(self, cap))
			say(out, "no    %s: %s", cpt_cap_name(cap) ? cpt_cap_name(cap) : "a capability",
			    cap == 24 ? "hard limits can't be raised, oom scores not lowered" : "tasks that have it can't be restored");
}

int cpt_check_host(struct cpt_sink out, struct cpt_err *err)
{
	struct cpt_arena arena = { 0 };
	const char *lacking = NULL;
	struct cpt_self *self;
	unsigned n = 0;

	for (size_t i = 0; i < CPT_COUNT(features); i++) {
		const struct feature *f = &features[i];

		if (f->probe()) {
			say(out, "yes   %s", f->name);
			continue;
		}
		say(out, "%s    %s: %s", f->needed ? "NO" : "no", f->name, f->without);
		if (f->needed && !n++)
			lacking = f->name;
	}
	if (!cpt_self_read(&arena, &self, err))
		say_caps(out, self);
	cpt_arena_free(&arena);
	return n ? cpt_fail(err, CPT_UNSUPPORTED, "this host lacks what cptool needs: %s%s", lacking,
			    n > 1 ? ", and more" : "") : 0;
}
