// SPDX-License-Identifier: GPL-2.0-or-later
/* Signals to frozen groups. */
#include "ktest.h"

/* v1: 9 waits for the thaw, and then not one instruction is run */
static void t_frozen_9_v1(void)
{
	pid_t busy = spawn("t", count_busy), sleeper = spawn("t", count_turns);
	long n, b;

	freeze_wait("t");
	n = sh->n;
	b = sh->busy;
	REQUIRE(group_signal("t", 9) == 0);
	let_time_pass(50);
	REQUIRE(alive(busy) && alive(sleeper) && is_frozen("t"));
	REQUIRE(pending(busy, 9) || status_mask(busy, "SigPnd:"));
	thaw("t");
	require_killed(busy, 9);
	require_killed(sleeper, 9);
	REQUIRE(sh->n == n && sh->busy == b);
}

static void busy_and_handles(void)
{
	handle_all();
	count_busy();
}

static void t_frozen_handled(void)
{
	long b;

	spawn("t", busy_and_handles);
	spawn("t", handle_all);
	freeze_wait("t");
	b = sh->busy;
	REQUIRE(group_signal("t", 64) == 0);
	REQUIRE(group_signal("t", 64) == 0);
	let_time_pass(50);
	REQUIRE(sh->got[64] == 0 && is_frozen("t") && sh->busy == b);
	thaw("t");
	REQUIRE(WAIT_UNTIL(sh->got[64] == 4));
	REQUIRE(WAIT_UNTIL(sh->busy > b));
	let_time_pass(20);
	REQUIRE(sh->got[64] == 4);
}

static void t_frozen_stop(void)
{
	pid_t busy = spawn("t", count_busy);
	long b;

	freeze_wait("t");
	b = sh->busy;
	REQUIRE(group_signal("t", 19) == 0);
	let_time_pass(20);
	REQUIRE(is_frozen("t"));
	thaw("t");
	REQUIRE(WAIT_UNTIL(stopped(busy) == 19));
	REQUIRE(sh->busy == b);
	REQUIRE(group_signal("t", 18) == 0);
	REQUIRE(WAIT_UNTIL(sh->busy > b));
}

static void t_frozen_9_v2(void)
{
	pid_t busy = spawn("t", count_busy), sleeper = spawn("t", count_turns), term;
	long n, b;

	freeze_wait("t");
	n = sh->n;
	b = sh->busy;
	REQUIRE(group_signal("t", 9) == 0);
	require_killed(busy, 9);
	require_killed(sleeper, 9);
	REQUIRE(sh->n == n && sh->busy == b);
	thaw("t");
	/* a default action that ends the process is as good */
	term = spawn("t", count_busy);
	freeze_wait("t");
	REQUIRE(group_signal("t", 15) == 0);
	require_killed(term, 15);
}

/* signals that end a process: on v1 at the thaw, on v2 at once */
static void t_frozen_fatal(void)
{
	static const int sigs[] = { 1, 15, 64 };

	for (size_t i = 0; i < 3; i++) {
		pid_t busy = spawn("t", count_busy), sleeper = spawn("t", NULL);
		long b;

		freeze_wait("t");
		b = sh->busy;
		REQUIRE(sigkill_file("t", "0") == -EINVAL && sigkill_file("t", "65") == -EINVAL);
		REQUIRE(sigkill_file("t", "-1") == -EINVAL && sigkill_file("t", "x") == -EINVAL);
		REQUIRE(group_signal("t", sigs[i]) == 0);
		if (!v2) {
			let_time_pass(20);
			REQUIRE(alive(busy) && alive(sleeper) && is_frozen("t"));
			thaw("t");
		}
		require_killed(busy, sigs[i]);
		require_killed(sleeper, sigs[i]);
		REQUIRE(sh->busy == b);
		REQUIRE(freeze("t", false) == 0);
	}
}

/* signals that dump core wait for the thaw, on v2 too */
static void t_frozen_core(void)
{
	static const int sigs[] = { SIGQUIT, SIGABRT, SIGSYS };

	for (size_t i = 0; i < 3; i++) {
		pid_t busy = spawn("t", count_busy), sleeper = spawn("t", NULL);
		long b;

		freeze_wait("t");
		b = sh->busy;
		REQUIRE(group_signal("t", sigs[i]) == 0);
		let_time_pass(20);
		REQUIRE(alive(busy) && alive(sleeper) && is_frozen("t"));
		thaw("t");
		require_killed(busy, sigs[i]);
		require_killed(sleeper, sigs[i]);
		REQUIRE(sh->busy == b);
	}
}

static void blocks_term(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* nor does a signal end whoever blocks it, or has a tracer that is asked first */
static void t_frozen_traced(void)
{
	pid_t traced = spawn("t", count_busy), blocks = spawn("t", blocks_term);
	int status;
	long b;

	REQUIRE(ptrace(PTRACE_SEIZE, traced, 0, 0) == 0);
	freeze_wait("t");
	b = sh->busy;
	REQUIRE(group_signal("t", SIGTERM) == 0);
	let_time_pass(20);
	REQUIRE(alive(traced) && pending(blocks, SIGTERM) && is_frozen("t"));
	thaw("t");
	REQUIRE(WAIT_UNTIL(waitpid(traced, &status, WNOHANG) == traced));
	REQUIRE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTERM && sh->busy == b);
	REQUIRE(ptrace(PTRACE_CONT, traced, 0, SIGTERM) == 0);
	require_killed(traced, SIGTERM);
	REQUIRE(alive(blocks) && pending(blocks, SIGTERM));
	REQUIRE(group_signal("t", 9) == 0);
	require_killed(blocks, 9);
}

static void t_frozen_parent(void)
{
	pid_t pid;
	long b;

	make_group("t/sub");
	pid = spawn("t/sub", busy_and_handles);
	freeze_wait("t");
	REQUIRE(is_frozen("t/sub"));
	b = sh->busy;
	REQUIRE(group_signal("t/sub", 64) == 0);
	REQUIRE(group_signal("t", 63) == 0);
	/* a frozen parent wins */
	REQUIRE(freeze("t/sub", false) == 0);
	let_time_pass(20);
	REQUIRE(is_frozen("t/sub") && sh->got[64] == 0 && sh->busy == b);
	thaw("t");
	REQUIRE(WAIT_UNTIL(sh->got[64] == 1 && sh->got[63] == 1));
	REQUIRE(group_signal("t", 9) == 0);
	require_killed(pid, 9);
}

/* the end of the session of 2008, for a group: frozen, saved, ended as one */
static void t_frozen_end(void)
{
	pid_t pid[20];

	for (int i = 0; i < 20; i++)
		pid[i] = spawn("t", i & 1 ? count_busy : count_turns);
	freeze_wait("t");
	REQUIRE(group_signal("t", 9) == 0);
	thaw("t");
	for (int i = 0; i < 20; i++)
		require_killed(pid[i], 9);
	REQUIRE(WAIT_UNTIL(members("t") == 0));
}

const struct test frozen_cases[] = {
	CASE("frozen", "9 to a FROZEN group acts at the thaw, at once", t_frozen_9_v1, .only = V1),
	CASE("frozen", "9 and 15 end a frozen group as it is", t_frozen_9_v2, .only = V2),
	CASE("frozen", "1, 15 and 64 to a frozen group, and no 0, 65, -1 or text", t_frozen_fatal),
	CASE("frozen", "what dumps core acts at the thaw", t_frozen_core),
	CASE("frozen", "15 to a traced member, and one that blocks it", t_frozen_traced),
	CASE("frozen", "a handler runs at the thaw", t_frozen_handled),
	CASE("frozen", "19 to a frozen group stops it at the thaw", t_frozen_stop),
	CASE("frozen", "a group whose parent is frozen", t_frozen_parent),
	CASE("frozen", "frozen, signalled 9 and thawed: all end", t_frozen_end),
	{ }
};
