/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_state.c - forged signals, timers, credentials, limits, settings and groups are told from sane ones */
#include "unit.h"

#include "image/cgroupfiles.h"
#include "image/kinds.h"
#include "image/state.h"

#include <linux/filter.h>
#include <sched.h>
#include <signal.h>

#define BAD(call, part) fails(call, CPT_BAD_IMAGE, part)

static void signals(void **state)
{
	Cpt__SigAction a = CPT__SIG_ACTION__INIT, b = CPT__SIG_ACTION__INIT, *actions[2] = { &a, &b };
	Cpt__Signals m = CPT__SIGNALS__INIT;
	uint8_t info[CPT_SIGINFO] = { SIGUSR1 };
	ProtobufCBinaryData pending = { sizeof(info), info };

	m.actions = actions;
	m.n_actions = 2;
	m.pending = &pending;
	m.n_pending = 1;
	a.signal = 2;
	b.signal = 64;
	ok(cpt_check_signals(&m, err));
	b.signal = 65;
	BAD(cpt_check_signals(&m, err), "signal 65");
	b.signal = 2;
	BAD(cpt_check_signals(&m, err), "action 1");
	b.signal = SIGKILL;
	BAD(cpt_check_signals(&m, err), "signal 9");
	b.signal = 64;
	for (int sig = 0; sig < 256; sig++) {
		info[0] = (uint8_t)sig;
		if (sig < 1 || sig > 64 || sig == SIGKILL || sig == SIGSTOP)
			BAD(cpt_check_signals(&m, err), "pending signal 0");
		else
			ok(cpt_check_signals(&m, err));
	}
	info[0] = SIGUSR1;
	pending.len--;
	BAD(cpt_check_signals(&m, err), "127 bytes");
}

static void alternate_stacks(void **state)
{
	Cpt__ThreadSignals m = CPT__THREAD_SIGNALS__INIT;

	m.stack_flags = SS_AUTODISARM;
	ok(cpt_check_thread_signals(&m, err));
	m.stack_flags |= SS_ONSTACK;
	BAD(cpt_check_thread_signals(&m, err), "flags");
}

static void timers(void **state)
{
	Cpt__PosixTimer a = CPT__POSIX_TIMER__INIT, b = CPT__POSIX_TIMER__INIT, *list[2] = { &a, &b };
	Cpt__Itimer it = CPT__ITIMER__INIT, *its[1] = { &it };
	Cpt__Timers m = CPT__TIMERS__INIT;

	m.timers = list;
	m.n_timers = 2;
	m.itimers = its;
	m.n_itimers = 1;
	a.signal = b.signal = SIGALRM;
	b.id = 7;
	ok(cpt_check_timers(&m, err));
	b.id = 0;
	BAD(cpt_check_timers(&m, err), "out of order");
	b.id = UINT32_MAX;
	BAD(cpt_check_timers(&m, err), "out of range");
	b.id = 7;
	b.notify = SIGEV_THREAD_ID;
	BAD(cpt_check_timers(&m, err), "notifies");
	b.tid = 12;
	ok(cpt_check_timers(&m, err));
	b.signal = 65;
	BAD(cpt_check_timers(&m, err), "notifies");
	b.signal = 1;
	b.left_ns = 1ULL << 63;
	BAD(cpt_check_timers(&m, err), "time out of range");
	b.left_ns = 1;
	it.which = 3;
	BAD(cpt_check_timers(&m, err), "interval timer");
}

static void creds(void **state)
{
	Cpt__Creds m = CPT__CREDS__INIT;
	Cpt__SeccompFilter f = CPT__SECCOMP_FILTER__INIT;
	uint32_t ids[4] = { 0 };
	uint8_t code[16] = { 0 };

	m.uids = m.gids = ids;
	m.n_uids = m.n_gids = 4;
	ok(cpt_check_creds(&m, err));
	m.n_gids = 3;
	BAD(cpt_check_creds(&m, err), "3 group ids");
	m.n_gids = 4;
	m.effective = 2;
	BAD(cpt_check_creds(&m, err), "not permitted");
	m.permitted = m.ambient = 2;
	BAD(cpt_check_creds(&m, err), "not permitted");
	m.inheritable = 2;
	ok(cpt_check_creds(&m, err));
	m.seccomp = 2;
	BAD(cpt_check_creds(&m, err), "0 filters");
	f.program = (ProtobufCBinaryData){ sizeof(code), code };
	ok(cpt_check_seccomp_filter(&f, err));
	f.program.len = 12;
	BAD(cpt_check_seccomp_filter(&f, err), "12 bytes");
	f.program.len = (BPF_MAXINSNS + 1) * sizeof(struct sock_filter);
	BAD(cpt_check_seccomp_filter(&f, err), "bytes");
	f.program.len = 8;
	f.flags = 1;		/* SECCOMP_FILTER_FLAG_TSYNC is no property of a filter */
	BAD(cpt_check_seccomp_filter(&f, err), "flags");
}

static void limits(void **state)
{
	Cpt__Limits m = CPT__LIMITS__INIT;
	uint64_t soft[17] = { 1 }, hard[17] = { 1 };

	m.soft = soft;
	m.hard = hard;
	m.n_soft = m.n_hard = 16;
	ok(cpt_check_limits(&m, err));
	soft[0] = 2;
	BAD(cpt_check_limits(&m, err), "above the hard one");
	soft[0] = 0;
	m.n_soft = 15;
	BAD(cpt_check_limits(&m, err), "15 soft and 16 hard");
	m.n_soft = m.n_hard = 17;
	BAD(cpt_check_limits(&m, err), "17 soft");
}

static void sched(void **state)
{
	Cpt__Sched m = CPT__SCHED__INIT;
	uint8_t cpus[2000] = { 1 };

	ok(cpt_check_sched(&m, err));
	m.policy = 4;
	BAD(cpt_check_sched(&m, err), "policy 4");
	m.policy = SCHED_FIFO;
	m.priority = 100;
	BAD(cpt_check_sched(&m, err), "priority 100");
	m.priority = 1;
	m.nice = -21;
	BAD(cpt_check_sched(&m, err), "nice");
	m.nice = 0;
	m.has_affinity = 1;
	BAD(cpt_check_sched(&m, err), "0 bytes");
	m.affinity = (ProtobufCBinaryData){ sizeof(cpus), cpus };
	BAD(cpt_check_sched(&m, err), "2000 bytes");
}

static void settings(void **state)
{
	Cpt__Misc m = CPT__MISC__INIT;
	Cpt__ThreadMisc t = CPT__THREAD_MISC__INIT;

	m.membarrier = 0x154;
	ok(cpt_check_misc(&m, err));
	m.membarrier = 1;	/* an order, not a registration */
	BAD(cpt_check_misc(&m, err), "membarrier");
	m.membarrier = 0;
	m.oom_score_adj = -1001;
	BAD(cpt_check_misc(&m, err), "-1001");
	t.pdeath_signal = 65;
	BAD(cpt_check_thread_misc(&t, err), "65");
}

static void paths(void **state)
{
	static const char *const wild[] = { "..", "a/../b", "/a", "a/", "a//b", ".", "a/.", "../a" };
	static const char *const tame[] = { "", "a", "a/b.c", "..a", "a..", "...", "system.slice/x.service" };
	Cpt__Cgroup g = CPT__CGROUP__INIT;

	for (size_t i = 0; i < CPT_COUNT(wild); i++) {
		g.id = 1;
		g.path = (char *)(uintptr_t)wild[i];
		BAD(cpt_check_cgroup(&g, err), "path");
	}
	for (size_t i = 0; i < CPT_COUNT(tame); i++) {
		g.id = *tame[i] ? 1 : 0;
		g.path = (char *)(uintptr_t)tame[i];
		ok(cpt_check_cgroup(&g, err));
	}
	g.id = 1;
	g.path = (char *)"";
	BAD(cpt_check_cgroup(&g, err), "group 1");
}

static void cgroup_files(void **state)
{
	Cpt__CgroupFile f = CPT__CGROUP_FILE__INIT;
	char line[] = "1", two[] = "1\n2", *values[1] = { line };
	enum cpt_cgroup_form form;

	f.name = (char *)"memory.max";
	f.values = values;
	f.n_values = 1;
	ok(cpt_check_cgroup_file(&f, err));
	values[0] = two;
	BAD(cpt_check_cgroup_file(&f, err), "more than a line");
	values[0] = line;
	f.name = (char *)"../cgroup.procs";
	BAD(cpt_check_cgroup_file(&f, err), "name");
	/* a restore writes settings and nothing else */
	assert_true(cpt_cgroup_file("memory.max", &form) >= 0);
	assert_true(cpt_cgroup_file("hugetlb.2MB.max", &form) >= 0);
	assert_true(cpt_cgroup_file("cgroup.procs", &form) < 0);
	assert_true(cpt_cgroup_file("cgroup.kill", &form) < 0);
	assert_true(cpt_cgroup_file("memory.reclaim", &form) < 0);
	assert_true(cpt_cgroup_file("cgroup.subtree_control", &form) < cpt_cgroup_file("memory.max", &form));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals), cmocka_unit_test(alternate_stacks), cmocka_unit_test(timers),
		cmocka_unit_test(creds), cmocka_unit_test(limits), cmocka_unit_test(sched),
		cmocka_unit_test(settings), cmocka_unit_test(paths), cmocka_unit_test(cgroup_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
