// SPDX-License-Identifier: GPL-2.0-or-later
/* Who gets what is written to signal.kill: each process, once. */
#include "ktest.h"

/* every signal, default action: the process ends, stops, goes on as by kill(2) */
static void t_every_signal(void)
{
	for (int sig = 1; sig <= 64; sig++) {
		pid_t pid = spawn("t", NULL);

		REQUIRE(group_signal("t", sig) == 0);
		switch (sig) {
		case SIGCHLD: case SIGCONT: case SIGURG: case SIGWINCH:
			REQUIRE(alive(pid) && !pending(pid, sig), "signal %d", sig);
			break;
		case SIGSTOP: case SIGTSTP: case SIGTTIN: case SIGTTOU:
			/* the last three do nothing to an orphaned process group */
			if (sig == SIGSTOP) {
				int got = 0;

				REQUIRE(WAIT_UNTIL((got = stopped(pid)) != 0));
				REQUIRE(got == sig);
			}
			break;
		default:
			require_killed(pid, sig);
			continue;
		}
		REQUIRE(group_signal("t", 9) == 0);
		require_killed(pid, 9);
	}
}

static void t_five_signals(void)
{
	static const int sigs[] = { 1, 9, 15, 19, 64 };

	for (size_t i = 0; i < 5; i++) {
		pid_t pid[10];

		for (int k = 0; k < 10; k++)
			pid[k] = spawn("t", k & 1 ? count_busy : NULL);
		REQUIRE(group_signal("t", sigs[i]) == 0);
		for (int k = 0; k < 10; k++) {
			int got = 0;

			if (sigs[i] != 19) {
				require_killed(pid[k], sigs[i]);
				continue;
			}
			REQUIRE(WAIT_UNTIL((got = stopped(pid[k])) != 0));
			REQUIRE(got == 19);
			kill(pid[k], SIGKILL);
			require_killed(pid[k], 9);
		}
		REQUIRE(WAIT_UNTIL(members("t") == 0));
	}
}

/* once each, and with the writer as sender; 64 queues, so twice would show */
static void t_exactly_once(void)
{
	for (int k = 0; k < 20; k++)
		spawn("t", handle_all);
	for (int i = 1; i <= 5; i++) {
		REQUIRE(group_signal("t", 64) == 0);
		REQUIRE(WAIT_UNTIL(sh->got[64] >= 20 * i));
		let_time_pass(20);
		REQUIRE(sh->got[64] == 20 * i, "%d of %d", sh->got[64], 20 * i);
	}
	REQUIRE(sh->code == SI_USER && sh->from == getpid());
}

static void t_nested(void)
{
	make_group("t/a");
	make_group("t/a/b");
	make_group("t/c");
	spawn("t", handle_all);
	spawn("t/a", handle_all);
	spawn("t/a/b", handle_all);
	spawn("t/a/b", handle_all);
	spawn("t/c", handle_all);
	REQUIRE(group_signal("t/a", 64) == 0);
	REQUIRE(WAIT_UNTIL(sh->got[64] >= 3));
	REQUIRE(group_signal("t", 63) == 0);
	REQUIRE(WAIT_UNTIL(sh->got[63] >= 5));
	REQUIRE(group_signal("t/c", 62) == 0);
	REQUIRE(WAIT_UNTIL(sh->got[62] >= 1));
	let_time_pass(20);
	REQUIRE(sh->got[64] == 3 && sh->got[63] == 5 && sh->got[62] == 1);
}

static void t_threads_once(void)
{
	pid_t pid = spawn("t", threads_and_handlers);

	REQUIRE(WAIT_UNTIL(sh->ready == 8));
	for (int i = 1; i <= 10; i++) {
		REQUIRE(group_signal("t", 64) == 0);
		REQUIRE(WAIT_UNTIL(sh->got[64] >= i));
	}
	let_time_pass(20);
	REQUIRE(sh->got[64] == 10);
	REQUIRE(group_signal("t", 9) == 0);
	require_killed(pid, 9);
}

/* what each does by default, to processes of four threads in three levels */
static void t_five_nested(void)
{
	static const int sigs[] = { 1, 9, 15, 19, 64 };
	static const char *const level[] = { "t", "t/a", "t/a/b" };

	make_group("t/a");
	make_group("t/a/b");
	for (size_t i = 0; i < 5; i++) {
		pid_t pid[3];

		sh->ready = 0;
		for (int k = 0; k < 3; k++)
			pid[k] = spawn(level[k], threads_only);
		REQUIRE(WAIT_UNTIL(sh->ready == 12));
		REQUIRE(group_signal("t", sigs[i]) == 0);
		for (int k = 0; k < 3; k++) {
			int got = 0;

			if (sigs[i] == 19) {
				REQUIRE(WAIT_UNTIL((got = stopped(pid[k])) != 0));
				REQUIRE(got == 19);
				kill(pid[k], SIGKILL);
			}
			require_killed(pid[k], sigs[i] == 19 ? 9 : sigs[i]);
		}
		REQUIRE(WAIT_UNTIL(members("t/a/b") == 0));
	}
}

/* v1: a process whose threads are in three groups, its leader outside */
static void t_split_threads(void)
{
	pid_t pid, tid[8];

	make_group("t/a");
	make_group("t/b");
	make_group("t/c");
	pid = spawn("t/a", threads_and_handlers);
	REQUIRE(WAIT_UNTIL(sh->ready == 8));
	REQUIRE(tids(pid, tid, 8) == 8);
	for (int i = 0; i < 8; i++)
		if (tid[i] != pid)
			move_thread(i & 1 ? "t/b" : "t/c", tid[i]);
	REQUIRE(group_signal("t/b", 64) == 0);
	REQUIRE(WAIT_UNTIL(sh->got[64] == 1));
	REQUIRE(group_signal("t/a", 64) == 0);
	REQUIRE(WAIT_UNTIL(sh->got[64] == 2));
	REQUIRE(group_signal("t", 64) == 0);
	REQUIRE(WAIT_UNTIL(sh->got[64] == 3));
	let_time_pass(20);
	REQUIRE(sh->got[64] == 3);
	REQUIRE(group_signal("t/c", 9) == 0);
	require_killed(pid, 9);
}

static void leader_exits(void)
{
	threads_and_handlers();
	while (sh->ready < 7)
		nap();
	ready();
	pthread_exit(NULL);
}

/* the leader is a zombie; on v1 the others then move on without it */
static void t_zombie_leader(void)
{
	pid_t pid = spawn("t", leader_exits), tid[8];
	char text[16];

	REQUIRE(WAIT_UNTIL(sh->ready == 8 && task_state(pid) == 'Z'));
	REQUIRE(group_signal("t", 64) == 0);
	REQUIRE(WAIT_UNTIL(sh->got[64] == 1));
	make_group("t/sub");
	if (v2) {
		snprintf(text, sizeof(text), "%d", pid);
		put_path(path_in(signal_root, "t/sub", "cgroup.procs"), text);
	} else {
		REQUIRE(tids(pid, tid, 8) == 8);
		for (int i = 0; i < 8; i++)
			if (tid[i] != pid)
				move_thread("t/sub", tid[i]);
		REQUIRE(group_signal("t/sub", 64) == 0);
		REQUIRE(WAIT_UNTIL(sh->got[64] == 2));
	}
	REQUIRE(group_signal("t", 63) == 0);
	REQUIRE(WAIT_UNTIL(sh->got[63] == 1));
	let_time_pass(20);
	REQUIRE(sh->got[63] == 1 && sh->got[64] == (v2 ? 1 : 2));
	REQUIRE(group_signal("t", 9) == 0);
	require_killed(pid, 9);
}

static void t_threaded_group(void)
{
	pid_t pid, tid[8];

	make_group("t/dom");
	make_group("t/dom/thr");
	REQUIRE(put_path(path_in(signal_root, "t/dom/thr", "cgroup.type"), "threaded") == 0);
	pid = spawn("t/dom", threads_and_handlers);
	REQUIRE(WAIT_UNTIL(sh->ready == 8));
	REQUIRE(tids(pid, tid, 8) == 8);
	for (int i = 0; i < 8; i++)
		if (i & 1)
			move_thread("t/dom/thr", tid[i]);
	REQUIRE(group_signal("t/dom/thr", 64) == -EOPNOTSUPP);
	REQUIRE(group_signal("t/dom/thr", 9) == -EOPNOTSUPP);
	REQUIRE(group_signal("t/dom", 64) == 0);
	REQUIRE(WAIT_UNTIL(sh->got[64] == 1));
	let_time_pass(20);
	REQUIRE(sh->got[64] == 1);
	REQUIRE(group_signal("t", 9) == 0);
	require_killed(pid, 9);
}

const struct test reach_cases[] = {
	CASE("signal", "1 to 64, each with its default action", t_every_signal),
	CASE("signal", "1, 9, 15, 19 and 64 on ten running processes", t_five_signals),
	CASE("signal", "1, 9, 15, 19 and 64 on threaded processes in nested groups", t_five_nested),
	CASE("signal", "each process once, from the writer", t_exactly_once),
	CASE("signal", "groups below, and not those beside", t_nested),
	CASE("signal", "a process of eight threads once", t_threads_once),
	CASE("signal", "threads split over groups, still once", t_split_threads, .only = V1),
	CASE("signal", "a zombie leader with live threads", t_zombie_leader),
	CASE("signal", "a threaded group is refused, its domain is not", t_threaded_group, .only = V2),
	{ }
};
