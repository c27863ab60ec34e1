/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * self.h - what this process itself is and may do
 *
 * A dump compares tasks with it (namespaces, labels), a restore starts from
 * it: whatever it makes inherits these settings.
 */
#ifndef CPT_SELF_H
#define CPT_SELF_H

#include "base/base.h"

/** struct cpt_sched_attr - struct sched_attr of the kernel, version 2 */
struct cpt_sched_attr {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;	/* nanoseconds */
	uint32_t util_min, util_max;
};

enum { CPT_NS_USER, CPT_NS_MNT, CPT_NS_NET, CPT_NS_UTS, CPT_NS_IPC, CPT_NS_CGROUP, CPT_NS_PID, CPT_NS_TIME, CPT_NS_COUNT };
/** cpt_ns_file - name below /proc/PID/ns; of pid and time that of the children, which tells more */
extern const char *const cpt_ns_file[CPT_NS_COUNT];

#define CPT_SELF_GROUPS 65536
#define CPT_CPU_BYTES 1024

struct cpt_self {
	uint32_t uid[4], gid[4];	/* real, effective, saved, of the file system */
	uint32_t *groups;
	int ngroups;
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	unsigned cap_last;		/* the highest capability this kernel knows */
	uint32_t securebits;
	bool no_new_privs;
	uint32_t personality;
	long oom_score_adj;
	unsigned long coredump_filter;
	struct cpt_sched_attr sched;
	int io_priority;
	int nice;
	uint64_t timer_slack;		/* nanoseconds */
	unsigned cpu_bytes;		/* size of a CPU set of this kernel */
	unsigned char affinity[CPT_CPU_BYTES], online[CPT_CPU_BYTES];
	char ns[CPT_NS_COUNT][32];	/* "net:[4026531833]"; "" if this kernel has none */
	uint64_t net_cookie;		/* 0: unknown */
	char label[256];		/* of the security module; "" if there is none */
	char *cgroups;			/* /proc/self/cgroup */
};

/** cpt_self_read - ask for all of it; memory from @arena */
int cpt_self_read(struct cpt_arena *arena, struct cpt_self **ret, struct cpt_err *err) CPT_CHECKED;

static inline bool cpt_self_may(const struct cpt_self *s, unsigned cap)
{
	return s->cap_eff >> cap & 1;
}

/** cpt_cap_name - "cap_chown"; NULL for one that this program does not know */
const char *cpt_cap_name(unsigned cap);

#endif
