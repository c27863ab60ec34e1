// SPDX-License-Identifier: GPL-2.0-or-later
/* The freezers themselves: what counts as frozen, and how it comes about. */
#include "ktest.h"

static int put_state(const char *word)
{
	return put_path(path_in(freezer_root, "t", "freezer.state"), word);
}

#define PARAM "/sys/module/cgroup_freezer/parameters/running"

static void t_state_names(void)
{
	static const char *const bad[] = { "FREEZING", "frozen", "running", "RUN", "", " ", "0" };
	char was[16], *now;

	REQUIRE(get_path(PARAM, was, sizeof(was)) == 0);
	spawn("t", count_turns);
	for (int i = 0; i < 2; i++) {
		now = i ? "RUNNING" : "THAWED";
		REQUIRE(put_path(PARAM, i ? "1" : "0") == 0);
		REQUIRE(!strcmp(state_of("t"), now));
		for (int k = 0; k < 2; k++) {
			freeze_wait("t");
			REQUIRE(put_state(k ? "RUNNING\n" : "THAWED\n") == 0);
			REQUIRE(!strcmp(state_of("t"), now));
		}
		for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
			if (bad[k][0])
				REQUIRE(put_state(bad[k]) == -EINVAL, "word %s", bad[k]);
		REQUIRE(!strcmp(state_of("t"), now));
	}
	REQUIRE(put_path(PARAM, was) == 0);
}

static void t_default_name(void)
{
	char was[16];

	REQUIRE(get_path(PARAM, was, sizeof(was)) == 0);
	/* RUNNING by the configuration built here, THAWED if the boot says so */
	REQUIRE(!strcmp(state_of("t"), was[0] == 'Y' ? "RUNNING" : "THAWED"));
	printf("# freezer.state reads %s\n", state_of("t"));
}

static void t_stopped_is_frozen(void)
{
	pid_t pid = spawn("t", count_busy);
	long b;

	REQUIRE(kill(pid, SIGSTOP) == 0);
	REQUIRE(WAIT_UNTIL(stopped(pid) == SIGSTOP));
	freeze_wait("t");
	b = sh->busy;
	thaw("t");
	let_time_pass(20);
	REQUIRE(task_state(pid) == 'T' && sh->busy == b);
	/* continued while frozen: runs at the thaw, not before */
	freeze_wait("t");
	REQUIRE(kill(pid, SIGCONT) == 0);
	let_time_pass(50);
	REQUIRE(sh->busy == b && is_frozen("t"));
	thaw("t");
	REQUIRE(WAIT_UNTIL(sh->busy > b));
}

static void long_sleep(void)
{
	struct timespec ts = { .tv_sec = 1 }, left = { 0 };
	int ret;

	ready();
	ret = nanosleep(&ts, &left);
	sh->done = ret ? -errno : 1;
	for (;;)
		pause();
}

static void *reader(void *arg)
{
	int *p = arg;
	char c;

	ready();
	sh->got[0] = read(p[0], &c, 1) == 1 ? 1 : -errno;
	return NULL;
}

static int reader_pipe[2];

static void read_and_sleep(void)
{
	pthread_t t;

	REQUIRE(pthread_create(&t, NULL, reader, reader_pipe) == 0);
	long_sleep();
}

/* tasks that wait count as frozen, and wait on as if nothing had been */
static void t_waiting_is_frozen(void)
{
	REQUIRE(pipe(reader_pipe) == 0);
	spawn("t", read_and_sleep);
	REQUIRE(WAIT_UNTIL(sh->ready == 2));
	freeze_wait("t");
	REQUIRE(write(reader_pipe[1], "x", 1) == 1);
	let_time_pass(50);
	REQUIRE(sh->got[0] == 0 && sh->done == 0);
	thaw("t");
	REQUIRE(WAIT_UNTIL(sh->got[0] == 1 && sh->done == 1), "read %d, sleep %d",
		sh->got[0], sh->done);
}

static void freeze_self(void)
{
	ready();
	sh->done = freeze("t", true) ? -1 : 1;
	sh->n = 1;
	for (;;)
		pause();
}

static void t_freeze_own_group(void)
{
	spawn("t", count_busy);
	spawn("t", freeze_self);
	REQUIRE(WAIT_UNTIL(is_frozen("t")));
	let_time_pass(20);
	REQUIRE(sh->n == 0 && sh->done == 0);
	thaw("t");
	REQUIRE(WAIT_UNTIL(sh->done == 1 && sh->n == 1));
}

static void join_t(void)
{
	join("t");
}

/* FREEZING for as long as somebody can't freeze, then FROZEN, without a write */
static void t_slow_freeze(void)
{
	struct held h = held_start(HELD_WRITE, join_t);

	spawn("t", count_turns);
	REQUIRE(freeze("t", true) == 0);
	for (int i = 0; i < 100; i++) {
		REQUIRE(!is_frozen("t"));
		REQUIRE(v2 || !strcmp(state_of("t"), "FREEZING"));
		nap();
	}
	held_let_go(&h);
	REQUIRE(WAIT_UNTIL(is_frozen("t")));
	thaw("t");
	REQUIRE(WAIT_UNTIL(task_state(h.pid) == 'S'));
}

/* given up while FREEZING */
static void t_slow_freeze_thawed(void)
{
	struct held h = held_start(HELD_WRITE, join_t);
	long n;

	spawn("t", count_turns);
	REQUIRE(freeze("t", true) == 0);
	REQUIRE(!is_frozen("t"));
	thaw("t");
	n = sh->n;
	REQUIRE(WAIT_UNTIL(sh->n > n));
	held_let_go(&h);
	REQUIRE(WAIT_UNTIL(task_state(h.pid) == 'S'));
}

/* asked to freeze before it began to wait for its vfork child */
static void t_vfork_straggler(void)
{
	struct held h = held_start(HELD_VFORK, join_t);
	int status;

	REQUIRE(freeze("t", true) == 0);
	REQUIRE(!is_frozen("t"));
	held_let_go(&h);
	REQUIRE(WAIT_UNTIL(is_frozen("t")), "the group stays %s", v2 ? "unfrozen" : state_of("t"));
	thaw("t");
	status = wait_status(h.pid);
	REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void t_vforking_frozen(void)
{
	spawn("t", vforks_and_handles);
	freeze_wait("t");
	thaw("t");
	sh->done = 1;
	REQUIRE(WAIT_UNTIL(members("t") == 1));
}

static void t_ptraced_frozen(void)
{
	pid_t pid = spawn("t", count_busy);
	int status;
	long b;

	REQUIRE(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0);
	REQUIRE(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	freeze_wait("t");
	b = sh->busy;
	/* let go by its tracer while frozen: runs at the thaw, not before */
	REQUIRE(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
	let_time_pass(50);
	REQUIRE(sh->busy == b);
	REQUIRE(WAIT_UNTIL(is_frozen("t")));
	thaw("t");
	REQUIRE(WAIT_UNTIL(sh->busy > b));
	/* and the other way round: seized while frozen, stops at the thaw */
	freeze_wait("t");
	b = sh->busy;
	REQUIRE(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
	thaw("t");
	REQUIRE(WAIT_UNTIL(waitpid(pid, &status, WNOHANG) == pid));
	REQUIRE(WIFSTOPPED(status) && sh->busy == b);
}

/* stops and trace stops entered while the freeze is under way */
static void t_stop_races_freeze(void)
{
	pid_t pid = spawn("t", count_busy);
	int n = rounds;

	for (int i = 0; i < n; i++) {
		REQUIRE(kill(pid, SIGSTOP) == 0);
		freeze_wait("t");
		thaw("t");
		REQUIRE(kill(pid, SIGCONT) == 0);
	}
	printf("# %d rounds of SIGSTOP and freeze at once\n", n);
}

static void t_fork_races_freeze(void)
{
	long n;

	spawn("t", forks_forever);
	spawn("t", forks_forever);
	for (int i = 0; i < rounds; i++) {
		n = sh->n;
		REQUIRE(WAIT_UNTIL(sh->n > n));
		freeze_wait("t");
		n = sh->n;
		let_time_pass(2);
		REQUIRE(sh->n == n && is_frozen("t"), "round %d", i);
		thaw("t");
	}
}

static void t_attach_to_frozen(void)
{
	pid_t pid = spawn(NULL, count_busy);
	char text[16];
	long b;

	freeze_wait("t");
	snprintf(text, sizeof(text), "%d", pid);
	REQUIRE(put_path(path_in(freezer_root, "t", "cgroup.procs"), text) == 0);
	REQUIRE(WAIT_UNTIL(is_frozen("t")));
	b = sh->busy;
	let_time_pass(20);
	REQUIRE(sh->busy == b);
	REQUIRE(put_path(path_in(freezer_root, ".", "cgroup.procs"), text) == 0);
	REQUIRE(WAIT_UNTIL(sh->busy > b));
	kill(pid, SIGKILL);
	require_killed(pid, 9);
	thaw("t");
}

const struct test freezer_cases[] = {
	CASE("freezer", "both words are accepted, either reported", t_state_names, .only = V1),
	CASE("freezer", "the word reported by default", t_default_name, .only = V1),
	CASE("freezer", "stopped counts as frozen", t_stopped_is_frozen),
	CASE("freezer", "waiting counts as frozen, and is not disturbed", t_waiting_is_frozen),
	CASE("freezer", "a task freezes its own group", t_freeze_own_group),
	CASE("freezer", "a slow freeze completes by itself", t_slow_freeze),
	CASE("freezer", "a slow freeze can be given up", t_slow_freeze_thawed),
	CASE("freezer", "asked too early for its wait in vfork", t_vfork_straggler),
	CASE("freezer", "vforking tasks", t_vforking_frozen),
	CASE("freezer", "ptraced tasks", t_ptraced_frozen),
	CASE("freezer", "SIGSTOP races with the freeze", t_stop_races_freeze),
	CASE("freezer", "fork races with the freeze", t_fork_races_freeze),
	CASE("freezer", "moved into and out of a frozen group", t_attach_to_frozen),

	/* what the stock kernel is expected to fail */
	CASE("stock-bugs", "asked too early for its wait in vfork", t_vfork_straggler, .only = V1),
	{ }
};
