// SPDX-License-Identifier: GPL-2.0-or-later
/* Frozen groups while the machine is suspended and resumed. */
#include "ktest.h"

static volatile long *outside;

static void outside_turns(void)
{
	ready();
	for (;;) {
		(*outside)++;
		nap();
	}
}

static void power_down(const char *test)
{
	if (test) {
		REQUIRE(put_path("/sys/power/pm_test", test) == 0);
		REQUIRE(put_path("/sys/power/state", "mem") == 0, "pm_test %s", test);
		REQUIRE(put_path("/sys/power/pm_test", "none") == 0);
		return;
	}
	/* S3 for real, woken by the clock */
	REQUIRE(put_path("/sys/power/pm_test", "none") == 0);
	REQUIRE(put_path("/sys/power/mem_sleep", "deep") == 0);
	REQUIRE(put_path("/sys/class/rtc/rtc0/wakealarm", "0") == 0);
	REQUIRE(put_path("/sys/class/rtc/rtc0/wakealarm", "+6") == 0);
	REQUIRE(put_path("/sys/power/state", "mem") == 0);
}

static void over_suspend(const char *test)
{
	pid_t stop, traced, sleeper, busy;
	int status;
	long n, b, o;

	REQUIRE(WAIT_UNTIL(put_path("/sys/power/pm_test", "none") == 0));
	outside = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(outside != MAP_FAILED);
	spawn(NULL, outside_turns);
	sleeper = spawn("t", count_turns);
	busy = spawn("t", count_busy);
	stop = spawn("t", NULL);
	REQUIRE(kill(stop, SIGSTOP) == 0);
	REQUIRE(WAIT_UNTIL(stopped(stop) == SIGSTOP));
	traced = spawn("t", NULL);
	REQUIRE(ptrace(PTRACE_SEIZE, traced, 0, 0) == 0);
	REQUIRE(ptrace(PTRACE_INTERRUPT, traced, 0, 0) == 0);
	REQUIRE(waitpid(traced, &status, 0) == traced);
	freeze_wait("t");
	n = sh->n;
	b = sh->busy;
	for (int i = 0; i < 2; i++) {
		power_down(test);
		o = *outside;
		REQUIRE(WAIT_UNTIL(*outside > o + 200), "others do not run on");
		REQUIRE(is_frozen("t"));
		REQUIRE(sh->n == n, "the sleeper ran: %ld turns", sh->n - n);
		REQUIRE(sh->busy == b, "the busy task ran");
		if (!v2) {
			REQUIRE(task_state(sleeper) == 'D' && task_state(busy) == 'D');
			REQUIRE(task_state(stop) == 'D' && task_state(traced) == 'D');
		}
	}
	thaw("t");
	REQUIRE(WAIT_UNTIL(sh->n > n + 5 && sh->busy > b));
	REQUIRE(WAIT_UNTIL(task_state(stop) == 'T'));
	REQUIRE(ptrace(PTRACE_DETACH, traced, 0, 0) == 0);
	/* a group that is not frozen runs on by itself */
	n = sh->n;
	power_down(test);
	REQUIRE(WAIT_UNTIL(sh->n > n + 5));
	if (group_signal("t", 9) == 0) {
		require_killed(sleeper, 9);
		require_killed(busy, 9);
	}
}

static void t_pm_freezer(void) { over_suspend("freezer"); }
static void t_pm_devices(void) { over_suspend("devices"); }
static void t_pm_platform(void) { over_suspend("platform"); }
static void t_pm_processors(void) { over_suspend("processors"); }
static void t_pm_core(void) { over_suspend("core"); }
static void t_s3(void) { over_suspend(NULL); }

/* a signal that comes before the resume is taken at the thaw */
static void t_pm_signal(void)
{
	pid_t pid = spawn("t", handle_all);

	freeze_wait("t");
	REQUIRE(group_signal("t", 64) == 0);
	power_down("freezer");
	let_time_pass(50);
	REQUIRE(is_frozen("t") && sh->got[64] == 0);
	thaw("t");
	REQUIRE(WAIT_UNTIL(sh->got[64] == 1));
	REQUIRE(group_signal("t", 9) == 0);
	require_killed(pid, 9);
}

const struct test suspend_cases[] = {
	CASE("suspend", "frozen over pm_test freezer", t_pm_freezer),
	CASE("suspend", "frozen over pm_test devices", t_pm_devices),
	CASE("suspend", "a signal sent before the resume", t_pm_signal),
	CASE("suspend-all", "frozen over pm_test platform", t_pm_platform),
	CASE("suspend-all", "frozen over pm_test processors", t_pm_processors),
	CASE("suspend-all", "frozen over pm_test core", t_pm_core),
	CASE("s3", "frozen over S3, woken by the clock", t_s3),

	/* what the stock kernel is expected to fail */
	CASE("stock-bugs", "frozen over pm_test freezer", t_pm_freezer, .only = V1),
	{ }
};
