// SPDX-License-Identifier: GPL-2.0-or-later
/* signal.kill and members in odd states. */
#include "ktest.h"

static void write_own(void)
{
	handle_all();
	if (group_signal("t", 64) == 0)
		sh->done = 1;
	/* the signal is there when the write returns */
	if (sh->got[64] < 1)
		sh->done = -1;
	ready();
	/* let the other take it before both die */
	if (!WAIT_UNTIL(sh->got[64] == 2))
		_exit(1);
	group_signal("t", 9);
	sh->done = 2;
}

static void t_writer_is_member(void)
{
	pid_t other = spawn("t", handle_all), pid;

	pid = spawn("t", write_own);
	require_killed(pid, 9);
	require_killed(other, 9);
	REQUIRE(sh->done == 1 && sh->got[64] == 2);
}

static void t_stopped(void)
{
	pid_t pid = spawn("t", NULL);

	REQUIRE(group_signal("t", 19) == 0);
	REQUIRE(WAIT_UNTIL(stopped(pid) == 19));
	REQUIRE(group_signal("t", 15) == 0);
	REQUIRE(pending(pid, 15) && task_state(pid) == 'T');
	REQUIRE(group_signal("t", 18) == 0);
	require_killed(pid, 15);
	pid = spawn("t", NULL);
	REQUIRE(group_signal("t", 19) == 0);
	REQUIRE(WAIT_UNTIL(stopped(pid) == 19));
	REQUIRE(group_signal("t", 9) == 0);
	require_killed(pid, 9);
}

static void trace_me(void)
{
	handle_all();
	ptrace(PTRACE_TRACEME, 0, 0, 0);
}

static void t_ptraced(void)
{
	pid_t pid = spawn("t", trace_me);
	int status;

	REQUIRE(group_signal("t", 12) == 0);
	status = 0;
	REQUIRE(WAIT_UNTIL(waitpid(pid, &status, WNOHANG) == pid));
	REQUIRE(WIFSTOPPED(status) && WSTOPSIG(status) == 12);
	REQUIRE(sh->got[12] == 0);
	/* in its stop: a second one waits, and 9 ends it */
	REQUIRE(group_signal("t", 10) == 0);
	REQUIRE(pending(pid, 10));
	REQUIRE(ptrace(PTRACE_CONT, pid, 0, 12) == 0);
	REQUIRE(WAIT_UNTIL(waitpid(pid, &status, WNOHANG) == pid));
	REQUIRE(WIFSTOPPED(status) && WSTOPSIG(status) == 10);
	REQUIRE(group_signal("t", 9) == 0);
	require_killed(pid, 9);
	REQUIRE(sh->got[10] == 0);
}

static void t_vforking(void)
{
	pid_t pid = spawn("t", vforks_and_handles);

	/* handled: the child at once, the parent when its vfork() ends */
	REQUIRE(group_signal("t", 64) == 0);
	REQUIRE(WAIT_UNTIL(sh->got[64] == 1));
	let_time_pass(20);
	REQUIRE(sh->got[64] == 1 && pending(pid, 64));
	sh->done = 1;
	REQUIRE(WAIT_UNTIL(sh->got[64] == 2));
	sh->done = 0;
	REQUIRE(group_signal("t", 9) == 0);
	require_killed(pid, 9);
	/* fatal: both at once, though the parent waits for the child */
	for (int i = 0; i < 2; i++) {
		pid = spawn("t", vforks_and_handles);
		REQUIRE(group_signal("t", 9) == 0);
		require_killed(pid, 9);
		REQUIRE(WAIT_UNTIL(members("t") == 0));
	}
}

static void block_all(void)
{
	sigset_t all;

	handle_all();
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

static void t_blocked(void)
{
	pid_t pid = spawn("t", block_all);

	REQUIRE(group_signal("t", 12) == 0);
	REQUIRE(group_signal("t", 64) == 0);
	REQUIRE(pending(pid, 12) && pending(pid, 64) && sh->got[12] == 0);
	REQUIRE(group_signal("t", 9) == 0);
	require_killed(pid, 9);
}

/* A process that is init of a pid namespace of its own is killed all the same. */
static void t_namespace_init(void)
{
	struct clone_args args = { .flags = CLONE_NEWPID, .exit_signal = SIGCHLD };
	pid_t pid = syscall(SYS_clone3, &args, sizeof(args));
	char text[16];

	REQUIRE(pid >= 0);
	if (!pid)
		for (;;)
			pause();
	snprintf(text, sizeof(text), "%d", pid);
	REQUIRE(put_path(path_in(signal_root, "t", "cgroup.procs"), text) == 0);
	REQUIRE(group_signal("t", 15) == 0);
	let_time_pass(20);
	REQUIRE(alive(pid));
	REQUIRE(group_signal("t", 9) == 0);
	require_killed(pid, 9);
}

/* A kernel thread may be in a group; it has no use for signals. */
static void t_kernel_threads(void)
{
	char path[64], name[64], text[16];
	pid_t found = 0;

	for (pid_t pid = 2; pid < 200 && !found; pid++) {
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		snprintf(text, sizeof(text), "%d", pid);
		if (get_path(path, name, sizeof(name)) || status_mask(pid, "VmSize:") ||
		    strncmp(name, "kcompactd", 9))
			continue;
		if (put_path(path_in(signal_root, "t", "cgroup.procs"), text) == 0)
			found = pid;
	}
	REQUIRE(found, "no kernel thread could be moved");
	REQUIRE(group_signal("t", 15) == 0 && group_signal("t", 9) == 0);
	REQUIRE(alive(found) && !status_mask(found, "SigPnd:") && !status_mask(found, "ShdPnd:"));
	snprintf(text, sizeof(text), "%d", found);
	REQUIRE(put_path(path_in(signal_root, ".", "cgroup.procs"), text) == 0);
}

static void t_global_init(void)
{
	REQUIRE(put_path(path_in(signal_root, "t", "cgroup.procs"), "1") == 0);
	REQUIRE(group_signal("t", 9) == 0 && group_signal("t", 19) == 0);
	REQUIRE(task_state(1) == 'S');
	REQUIRE(put_path(path_in(signal_root, ".", "cgroup.procs"), "1") == 0);
}

/* Threads other than the leader keep executing the program anew. */
static char *self_exe[] = { "/proc/self/exe", "--exec-loop", NULL };

static void *thread_exec(void *arg)
{
	(void)arg;
	execv(self_exe[0], self_exe);
	return NULL;
}

int exec_loop(void)
{
	pthread_t t;

	usleep(200);
	if (pthread_create(&t, NULL, thread_exec, NULL))
		return 1;
	for (;;)
		pause();
	return 0;
}

static void start_exec_loop(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, 64);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ready();
	execv(self_exe[0], self_exe);
}

/* SigQ of /proc/PID/status counts the user's queued signals; all are ours */
static int queued(pid_t pid)
{
	char path[64], buf[4096], *p;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (get_path(path, buf, sizeof(buf)))
		return -1;
	p = strstr(buf, "SigQ:");
	return p ? atoi(p + 5) : -1;
}

static void t_execing(void)
{
	pid_t pid = spawn("t", start_exec_loop);

	for (int i = 1; i <= 50; i++) {
		int n;

		REQUIRE(group_signal("t", 64) == 0);
		/* 0 is read for a leader that is just being replaced */
		REQUIRE(WAIT_UNTIL((n = queued(pid)) > 0));
		REQUIRE(n == i, "%d queued after %d", n, i);
	}
	REQUIRE(group_signal("t", 9) == 0);
	require_killed(pid, 9);
}

const struct test member_cases[] = {
	CASE("signal", "the writer is a member", t_writer_is_member),
	CASE("signal", "a stopped member", t_stopped),
	CASE("signal", "a ptraced member", t_ptraced),
	CASE("signal", "a vforking member and its child", t_vforking),
	CASE("signal", "a member that blocks the signal", t_blocked),
	CASE("signal", "a member whose threads exec", t_execing),
	CASE("signal", "init of a pid namespace", t_namespace_init),
	CASE("signal", "the machine's init", t_global_init),
	CASE("signal", "kernel threads are left alone", t_kernel_threads),
	{ }
};
