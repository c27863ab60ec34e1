/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host.c - what this host can do: each feature is tried, no version is asked
 *
 * Numbers that Debian 12's headers lack are Linux UAPI.
 */
#include "base/base.h"
#include "freeze/freeze.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif
#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#define CPT_UFFD_WP_ASYNC (1ull << 15)
#define CPT_PAGEMAP_SCAN _IOC(_IOC_READ | _IOC_WRITE, 'f', 16, 96)
#define CPT_TIMER_CREATE_RESTORE_IDS 77
#define CPT_TIMER_RESTORE_IDS_GET 2

/* ---- one question each ----------------------------------------------- */

static bool capability(unsigned bit)
{
	struct cpt_buf buf = { 0 };
	struct cpt_err err;
	const char *p;
	bool has = false;

	if (!cpt_read_at(AT_FDCWD, "/proc/self/status", &buf, &err) &&
	    (p = strstr(buf.data, "\nCapEff:")))
		has = strtoull(p + 8, NULL, 16) >> bit & 1;
	free(buf.data);
	return has;
}

static bool may_trace(void)
{
	return capability(19);		/* CAP_SYS_PTRACE */
}

static bool may_set_pids(void)
{
	return capability(21) || capability(40);	/* CAP_SYS_ADMIN, CAP_CHECKPOINT_RESTORE */
}

static bool freezer(void)
{
	return cpt_freezer_mounted(CPT_FREEZER_V2) || cpt_freezer_mounted(CPT_FREEZER_V1);
}

static bool freezer_v1(void)
{
	return cpt_freezer_mounted(CPT_FREEZER_V1);
}

static bool freezer_v2(void)
{
	return cpt_freezer_mounted(CPT_FREEZER_V2);
}

static bool getfd(void)
{
	CPT_AUTO(fd) int none = -1;
	CPT_AUTO(fd) int self = cpt_pidfd_open(getpid(), 0);

	if (self < 0)
		return false;
	none = cpt_pidfd_getfd(self, self);
	return none >= 0;
}

static bool kcmp_there(void)
{
	return cpt_kcmp(getpid(), getpid(), 1 /* KCMP_VM */, 0, 0) == 0;
}

static bool clone3_there(void)
{
	/* no arguments at all: EINVAL where it is known */
	return syscall(435, NULL, 0) < 0 && errno != ENOSYS;
}

static bool mm_map(void)
{
	unsigned size = 0;

	return !prctl(PR_SET_MM, 15 /* PR_SET_MM_MAP_SIZE */, &size, 0, 0) && size;
}

static bool children_file(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	return !access(path, R_OK);
}

/* ask about a child of ours that waits to be killed */
static bool traced(bool (*ask)(pid_t pid), long options)
{
	pid_t pid = fork();
	bool answer;

	if (pid < 0)
		return false;
	if (pid == 0)
		for (;;)
			pause();
	answer = !ptrace(PTRACE_SEIZE, pid, NULL, options) &&
		 !ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) &&
		 waitpid(pid, NULL, __WALL) == pid && (!ask || ask(pid));
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) == pid)
		;
	return answer;
}

static bool seize(void)
{
	return traced(NULL, 0);
}

static bool suspend_seccomp(void)
{
	return traced(NULL, PTRACE_O_SUSPEND_SECCOMP);
}

static bool ask_rseq(pid_t pid)
{
	char conf[64];

	return ptrace(PTRACE_GET_RSEQ_CONFIGURATION, pid, sizeof(conf), conf) > 0;
}

static bool rseq(void)
{
	return traced(ask_rseq, 0);
}

static bool sock_diag(void)
{
	CPT_AUTO(fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	return fd >= 0;
}

static bool tcp_repair(void)
{
	CPT_AUTO(fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	return fd >= 0 && !setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one));
}

static bool pagemap_scan(void)
{
	CPT_AUTO(fd) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char arg[96] = { 0 };

	/* a size of 0: EINVAL where it is known */
	return fd >= 0 && ioctl(fd, CPT_PAGEMAP_SCAN, arg) < 0 && errno == EINVAL;
}

static bool wp_async(void)
{
	CPT_AUTO(fd) int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = { .api = UFFD_API, .features = CPT_UFFD_WP_ASYNC };

	return fd >= 0 && !ioctl(fd, UFFDIO_API, &api);
}

static bool timer_ids(void)
{
	return prctl(CPT_TIMER_CREATE_RESTORE_IDS, CPT_TIMER_RESTORE_IDS_GET, 0, 0, 0) >= 0;
}

static bool signal_controller(void)
{
	struct cpt_buf buf = { 0 };
	struct cpt_err err;
	bool has = !cpt_read_at(AT_FDCWD, "/proc/cgroups", &buf, &err) &&
		   strstr(buf.data, "\nsignal\t");

	free(buf.data);
	return has;
}

/* ---- the list -------------------------------------------------------- */

static const struct {
	const char *name;
	bool (*there)(void);
	bool needed;
	const char *without;		/* what it is for, or what happens without */
} features[] = {
	{ "a freezer", freezer, true, "mount one: mount -t cgroup2 none /sys/fs/cgroup" },
	{ "freezer v2 (cgroup.freeze)", freezer_v2, false, "groups are frozen with v1" },
	{ "freezer v1 (freezer.state)", freezer_v1, false, "groups are frozen with v2" },
	{ "the right to trace", may_trace, true, "run as root" },
	{ "the right to choose process numbers", may_set_pids, true, "run as root" },
	{ "ptrace(PTRACE_SEIZE)", seize, true, "allow ptrace (kernel.yama.ptrace_scope below 3)" },
	{ "PTRACE_O_SUSPEND_SECCOMP", suspend_seccomp, false, "programs with a seccomp filter can't be dumped" },
	{ "PTRACE_GET_RSEQ_CONFIGURATION", rseq, false, "restartable sequences are lost" },
	{ "pidfd_getfd(2)", getfd, true, "a kernel from 5.6 on is needed" },
	{ "clone3(2)", clone3_there, true, "a kernel from 5.5 on is needed" },
	{ "kcmp(2)", kcmp_there, true, "a kernel with CONFIG_KCMP is needed" },
	{ "PR_SET_MM_MAP", mm_map, true, "a kernel with CONFIG_CHECKPOINT_RESTORE is needed" },
	{ "/proc/PID/task/TID/children", children_file, false, "zombies are looked for in all of /proc" },
	{ "sock_diag", sock_diag, true, "a kernel with CONFIG_UNIX_DIAG and CONFIG_INET_DIAG is needed" },
	{ "TCP_REPAIR", tcp_repair, false, "established connections can't be carried" },
	{ "PAGEMAP_SCAN", pagemap_scan, false, "no increments; a kernel from 6.7 on has it" },
	{ "asynchronous write protection", wp_async, false, "no increments; a kernel from 6.7 on has it" },
	{ "chosen timer ids", timer_ids, false, "ids of POSIX timers are made by trying; a kernel from 6.15 on has it" },
	{ "signal.kill", signal_controller, false, "groups are killed by cgroup.kill or one by one" },
};

int cpt_check_host(struct cpt_sink out, struct cpt_err *err)
{
	unsigned lacking = 0;
	const char *first = NULL;

	for (unsigned i = 0; i < CPT_COUNT(features); i++) {
		bool there = features[i].there();
		char line[256];

		if (!there && features[i].needed && !lacking++)
			first = features[i].name;
		snprintf(line, sizeof(line), "%-8s %s%s%s%s",
			 there ? "yes" : features[i].needed ? "MISSING" : "no", features[i].name,
			 there ? "" : " (", there ? "" : features[i].without, there ? "" : ")");
		if (out.line)
			out.line(out.arg, line);
	}
	if (lacking)
		return cpt_fail(err, CPT_UNSUPPORTED, "this host lacks what cptool needs: %s%s",
				first, lacking > 1 ? " and more" : "");
	return 0;
}
