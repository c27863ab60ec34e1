/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* self.c - what this process itself is and may do */
#include "base/self.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

const char *const cpt_ns_file[CPT_NS_COUNT] = {
	[CPT_NS_USER] = "ns/user",
	[CPT_NS_MNT] = "ns/mnt",
	[CPT_NS_NET] = "ns/net",
	[CPT_NS_UTS] = "ns/uts",
	[CPT_NS_IPC] = "ns/ipc",
	[CPT_NS_CGROUP] = "ns/cgroup",
	[CPT_NS_PID] = "ns/pid_for_children",
	[CPT_NS_TIME] = "ns/time_for_children",
};

const char *cpt_cap_name(unsigned cap)
{
	static const char *const names[] = {
		"cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_fsetid", "cap_kill",
		"cap_setgid", "cap_setuid", "cap_setpcap", "cap_linux_immutable", "cap_net_bind_service",
		"cap_net_broadcast", "cap_net_admin", "cap_net_raw", "cap_ipc_lock", "cap_ipc_owner",
		"cap_sys_module", "cap_sys_rawio", "cap_sys_chroot", "cap_sys_ptrace", "cap_sys_pacct",
		"cap_sys_admin", "cap_sys_boot", "cap_sys_nice", "cap_sys_resource", "cap_sys_time",
		"cap_sys_tty_config", "cap_mknod", "cap_lease", "cap_audit_write", "cap_audit_control",
		"cap_setfcap", "cap_mac_override", "cap_mac_admin", "cap_syslog", "cap_wake_alarm",
		"cap_block_suspend", "cap_audit_read", "cap_perfmon", "cap_bpf", "cap_checkpoint_restore",
	};

	return cap < CPT_COUNT(names) ? names[cap] : NULL;
}

static int read_groups(struct cpt_arena *arena, struct cpt_self *s, struct cpt_err *err)
{
	s->ngroups = getgroups(0, NULL);
	if (s->ngroups < 0)
		return cpt_fail_sys(err, "getgroups");
	s->groups = cpt_arena_array(arena, uint32_t, s->ngroups + 1);
	if (getgroups(s->ngroups, s->groups) != s->ngroups)
		return cpt_fail_sys(err, "getgroups");
	return 0;
}

static int read_ids(struct cpt_arena *arena, struct cpt_self *s, struct cpt_err *err)
{
	if (getresuid(&s->uid[0], &s->uid[1], &s->uid[2]) || getresgid(&s->gid[0], &s->gid[1], &s->gid[2]))
		return cpt_fail_sys(err, "read own ids");
	s->uid[3] = (uint32_t)setfsuid((uid_t)-1);
	s->gid[3] = (uint32_t)setfsgid((gid_t)-1);
	return read_groups(arena, s, err);
}

static int read_caps(struct cpt_self *s, struct cpt_err *err)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct c[2];
	int on;

	if (syscall(SYS_capget, &head, c))
		return cpt_fail_sys(err, "read own capabilities");
	s->cap_eff = c[0].effective | (uint64_t)c[1].effective << 32;
	s->cap_prm = c[0].permitted | (uint64_t)c[1].permitted << 32;
	s->cap_inh = c[0].inheritable | (uint64_t)c[1].inheritable << 32;
	for (unsigned cap = 0; cap < 64 && (on = prctl(PR_CAPBSET_READ, cap)) >= 0; cap++) {
		s->cap_last = cap;
		s->cap_bnd |= (uint64_t)on << cap;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			s->cap_amb |= 1ULL << cap;
	}
	s->securebits = (uint32_t)prctl(PR_GET_SECUREBITS);
	s->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	return 0;
}

/* "0-3,8" as bits */
static void cpu_list(const char *p, unsigned char *bits)
{
	while (*p >= '0' && *p <= '9') {
		char *end;
		unsigned long from = strtoul(p, &end, 10), to = from;

		if (*end == '-')
			to = strtoul(end + 1, &end, 10);
		for (unsigned long cpu = from; cpu <= to && cpu < 8 * CPT_CPU_BYTES; cpu++)
			bits[cpu / 8] |= (unsigned char)(1u << cpu % 8);
		p = *end == ',' ? end + 1 : end;
	}
}

static int read_sched(struct cpt_self *s, struct cpt_err *err)
{
	CPT_AUTO(buf) struct cpt_buf buf = { 0 };
	long n = syscall(SYS_sched_getaffinity, 0, sizeof(s->affinity), s->affinity);

	if (n < 0 || syscall(SYS_sched_getattr, 0, &s->sched, sizeof(s->sched), 0))
		return cpt_fail_sys(err, "read own scheduling");
	s->cpu_bytes = (unsigned)n;
	if (cpt_read_at(AT_FDCWD, "/sys/devices/system/cpu/online", &buf, err))
		memcpy(s->online, s->affinity, sizeof(s->online));
	else
		cpu_list(buf.data, s->online);
	s->io_priority = (int)syscall(SYS_ioprio_get, 1, 0);
	if (s->io_priority < 0)		/* a kernel without block devices has none */
		s->io_priority = 0;
	s->nice = getpriority(PRIO_PROCESS, 0);
	s->timer_slack = (uint64_t)prctl(PR_GET_TIMERSLACK);
	s->personality = (uint32_t)personality(0xffffffff);
	return 0;
}

static uint64_t net_cookie(void)
{
	CPT_AUTO(fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	return fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) ? 0 : cookie;
}

static int read_places(struct cpt_arena *arena, struct cpt_self *s, struct cpt_err *err)
{
	CPT_AUTO(fd) int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CPT_AUTO(buf) struct cpt_buf buf = { 0 };
	struct cpt_err none;

	if (proc < 0)
		return cpt_fail_sys(err, "open /proc/self");
	for (int i = 0; i < CPT_NS_COUNT; i++) {
		ssize_t n = readlinkat(proc, cpt_ns_file[i], s->ns[i], sizeof(s->ns[i]) - 1);

		s->ns[i][n < 0 ? 0 : n] = 0;
	}
	s->net_cookie = net_cookie();
	if (cpt_read_at(proc, "attr/current", &buf, &none) == 0)
		snprintf(s->label, sizeof(s->label), "%s", buf.data);
	if (cpt_read_at(proc, "oom_score_adj", &buf, err))
		return -1;
	s->oom_score_adj = strtol(buf.data, NULL, 10);
	if (cpt_read_at(proc, "coredump_filter", &buf, &none) == 0)
		s->coredump_filter = strtoul(buf.data, NULL, 16);
	if (cpt_read_at(proc, "cgroup", &buf, err))
		return -1;
	s->cgroups = cpt_arena_strdup(arena, buf.data);
	return 0;
}

int cpt_self_read(struct cpt_arena *arena, struct cpt_self **ret, struct cpt_err *err)
{
	struct cpt_self *s = cpt_arena_new(arena, struct cpt_self);

	if (read_ids(arena, s, err) || read_caps(s, err) || read_sched(s, err) || read_places(arena, s, err))
		return -1;
	*ret = s;
	return 0;
}
