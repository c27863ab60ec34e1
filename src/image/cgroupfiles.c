/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cgroupfiles.c - which files of a cgroup hold settings */
#include "image/cgroupfiles.h"

#include <fnmatch.h>

/* in the order of writing: what others need comes first */
static const struct cpt_cgroup_file settings[] = {
	{ "cgroup.subtree_control", CPT_CGROUP_WORDS },
	{ "cgroup.max.depth", CPT_CGROUP_LINE },
	{ "cgroup.max.descendants", CPT_CGROUP_LINE },
	{ "cgroup.pressure", CPT_CGROUP_LINE },
	{ "cgroup.clone_children", CPT_CGROUP_LINE },
	{ "notify_on_release", CPT_CGROUP_LINE },
	/* cpuset */
	{ "cpuset.cpus", CPT_CGROUP_LINE },
	{ "cpuset.mems", CPT_CGROUP_LINE },
	{ "cpuset.cpus.exclusive", CPT_CGROUP_LINE },
	{ "cpuset.cpus.partition", CPT_CGROUP_LINE },
	{ "cpuset.cpu_exclusive", CPT_CGROUP_LINE },
	{ "cpuset.mem_exclusive", CPT_CGROUP_LINE },
	{ "cpuset.mem_hardwall", CPT_CGROUP_LINE },
	{ "cpuset.memory_migrate", CPT_CGROUP_LINE },
	{ "cpuset.memory_spread_*", CPT_CGROUP_LINE },
	{ "cpuset.sched_load_balance", CPT_CGROUP_LINE },
	{ "cpuset.sched_relax_domain_level", CPT_CGROUP_LINE },
	/* cpu */
	{ "cpu.weight", CPT_CGROUP_LINE },
	{ "cpu.max", CPT_CGROUP_LINE },
	{ "cpu.max.burst", CPT_CGROUP_LINE },
	{ "cpu.idle", CPT_CGROUP_LINE },
	{ "cpu.uclamp.*", CPT_CGROUP_LINE },
	{ "cpu.shares", CPT_CGROUP_LINE },
	{ "cpu.cfs_period_us", CPT_CGROUP_LINE },
	{ "cpu.cfs_quota_us", CPT_CGROUP_LINE },
	{ "cpu.cfs_burst_us", CPT_CGROUP_LINE },
	{ "cpu.rt_period_us", CPT_CGROUP_LINE },
	{ "cpu.rt_runtime_us", CPT_CGROUP_LINE },
	/* memory */
	{ "memory.min", CPT_CGROUP_LINE },
	{ "memory.low", CPT_CGROUP_LINE },
	{ "memory.high", CPT_CGROUP_LINE },
	{ "memory.max", CPT_CGROUP_LINE },
	{ "memory.swap.high", CPT_CGROUP_LINE },
	{ "memory.swap.max", CPT_CGROUP_LINE },
	{ "memory.zswap.max", CPT_CGROUP_LINE },
	{ "memory.zswap.writeback", CPT_CGROUP_LINE },
	{ "memory.oom.group", CPT_CGROUP_LINE },
	{ "memory.limit_in_bytes", CPT_CGROUP_LINE },
	{ "memory.memsw.limit_in_bytes", CPT_CGROUP_LINE },
	{ "memory.soft_limit_in_bytes", CPT_CGROUP_LINE },
	{ "memory.kmem.tcp.limit_in_bytes", CPT_CGROUP_LINE },
	{ "memory.swappiness", CPT_CGROUP_LINE },
	{ "memory.move_charge_at_immigrate", CPT_CGROUP_LINE },
	/* others */
	{ "pids.max", CPT_CGROUP_LINE },
	{ "hugetlb.*.max", CPT_CGROUP_LINE },
	{ "hugetlb.*.limit_in_bytes", CPT_CGROUP_LINE },
	{ "io.weight", CPT_CGROUP_LINES },
	{ "io.bfq.weight", CPT_CGROUP_LINES },
	{ "io.max", CPT_CGROUP_LINES },
	{ "io.latency", CPT_CGROUP_LINES },
	{ "io.prio.class", CPT_CGROUP_LINE },
	{ "blkio.weight", CPT_CGROUP_LINE },
	{ "blkio.bfq.weight", CPT_CGROUP_LINE },
	{ "blkio.throttle.*_device", CPT_CGROUP_LINES },
	{ "rdma.max", CPT_CGROUP_LINES },
	{ "misc.max", CPT_CGROUP_LINES },
	{ "dmem.m*", CPT_CGROUP_LINES },
	{ "net_cls.classid", CPT_CGROUP_LINE },
	{ "net_prio.ifpriomap", CPT_CGROUP_LINES },
};

int cpt_cgroup_file(const char *name, enum cpt_cgroup_form *form)
{
	for (size_t i = 0; i < CPT_COUNT(settings); i++)
		if (fnmatch(settings[i].name, name, FNM_PATHNAME) == 0) {
			*form = settings[i].form;
			return (int)i;
		}
	return -1;
}

bool cpt_cgroup_state_file(const char *name)
{
	static const char *const names[] = {
		/* kept by other means */
		"cgroup.procs", "cgroup.threads", "tasks", "cgroup.type", "cgroup.freeze", "freezer.state",
		/* orders, counters that can be reset, and other views of a setting above */
		"cgroup.kill", "signal.kill", "cgroup.event_control", "*.pressure", "*.pressure_level",
		"memory.reclaim", "memory.peak", "memory.swap.peak", "memory.*max_usage_in_bytes",
		"memory.*failcnt", "memory.force_empty", "memory.use_hierarchy", "hugetlb.*failcnt",
		"hugetlb.*max_usage_in_bytes", "pids.peak", "cpu.weight.nice", "cpuacct.usage", "cpuset.memory_pressure*",
		"blkio.reset_stats",
	};

	for (size_t i = 0; i < CPT_COUNT(names); i++)
		if (fnmatch(names[i], name, FNM_PATHNAME) == 0)
			return true;
	return false;
}
