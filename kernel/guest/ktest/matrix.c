// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Each value written to the signal.kill of each kind of group, to each kind of
 * member, and by each kind of writer; a case for each of these.
 */
#include "ktest.h"

static const struct value {
	const char *text;
	int sig;		/* 0: refused */
} values[] = {
	{ "0", 0 }, { "1", 1 }, { "9", 9 }, { "15", 15 }, { "19", 19 }, { "64", 64 },
	{ "65", 0 }, { "-1", 0 }, { "text", 0 }, { "", 0 },
};

#define VALUES (sizeof(values) / sizeof(values[0]))

static const struct value *value(void)
{
	return case_arg;
}

/* Write the value; nothing is what "echo" writes, and what write(2) of no bytes does. */
static int write_value(const char *group)
{
	int fd;

	if (value()->text[0])
		return sigkill_file(group, value()->text);
	fd = open(path_in(signal_root, group, "signal.kill"), O_WRONLY);
	if (fd < 0)
		return -errno;
	/* cgroup files answer this without asking anybody */
	REQUIRE(write(fd, "", 0) == 0);
	close(fd);
	return sigkill_file(group, "\n");
}

static int expected(void)
{
	return value()->sig ? 0 : -EINVAL;
}

static void require_untouched(pid_t pid)
{
	REQUIRE(alive(pid));
	REQUIRE(!status_mask(pid, "SigPnd:") && !status_mask(pid, "ShdPnd:"));
}

/* What the value does to a process that handles nothing, a child of the case. */
static void require_outcome(pid_t pid)
{
	int got = 0;

	switch (value()->sig) {
	case 0:
		require_untouched(pid);
		break;
	case SIGSTOP:
		REQUIRE(WAIT_UNTIL((got = stopped(pid)) != 0));
		REQUIRE(got == SIGSTOP);
		break;
	default:
		require_killed(pid, value()->sig);
	}
}

static void require_goes_on(volatile long *turns)
{
	long before = *turns;

	REQUIRE(WAIT_UNTIL(*turns > before));
}

/* --- groups --- */

static void m_empty(void)
{
	pid_t late;

	REQUIRE(write_value("t") == expected());
	REQUIRE(members("t") == 0);
	/* who comes later has nothing to do with it */
	late = spawn("t", NULL);
	let_time_pass(5);
	REQUIRE(task_state(late) == 'S');
	require_untouched(late);
}

static void m_running(void)
{
	pid_t busy = spawn("t", count_busy), sleeper = spawn("t", NULL);

	REQUIRE(write_value("t") == expected());
	require_outcome(busy);
	require_outcome(sleeper);
	if (!value()->sig)
		require_goes_on(&sh->busy);
}

/* On v2 what ends a process acts at once, all else at the thaw. */
static void m_frozen(void)
{
	pid_t busy = spawn("t", count_busy), sleeper = spawn("t", NULL);
	bool at_once = v2 && value()->sig && value()->sig != SIGSTOP;
	long b;

	freeze_wait("t");
	b = sh->busy;
	REQUIRE(write_value("t") == expected());
	if (!at_once) {
		let_time_pass(20);
		REQUIRE(is_frozen("t") && alive(busy) && alive(sleeper) && sh->busy == b);
		if (!value()->sig) {
			require_untouched(busy);
			require_untouched(sleeper);
		}
		thaw("t");
	}
	require_outcome(busy);
	require_outcome(sleeper);
	if (value()->sig)
		REQUIRE(sh->busy == b);
	else
		require_goes_on(&sh->busy);
}

static void m_nested(void)
{
	pid_t above, beside, pid[3];

	make_group("t/a");
	make_group("t/a/b");
	make_group("t/a/b/c");
	make_group("t/d");
	above = spawn("t", NULL);
	beside = spawn("t/d", NULL);
	pid[0] = spawn("t/a", NULL);
	pid[1] = spawn("t/a/b", NULL);
	pid[2] = spawn("t/a/b/c", NULL);
	REQUIRE(write_value("t/a") == expected());
	for (int i = 0; i < 3; i++)
		require_outcome(pid[i]);
	require_untouched(above);
	require_untouched(beside);
	REQUIRE(task_state(above) == 'S' && task_state(beside) == 'S');
}

/*
 * A group that has only some threads of a process. On v1 that is any group, and
 * the process gets the signal; on v2 it is a threaded one, which takes no signal,
 * and the domain that it belongs to does.
 */
static void m_threaded(void)
{
	const char *part = v2 ? "t/dom/part" : "t/part";
	pid_t pid, tid[4];

	make_group("t/dom");
	make_group(part);
	if (v2)
		REQUIRE(put_path(path_in(signal_root, part, "cgroup.type"), "threaded") == 0);
	pid = spawn("t/dom", threads_only);
	REQUIRE(WAIT_UNTIL(sh->ready == 4));
	REQUIRE(tids(pid, tid, 4) == 4);
	for (int i = 0; i < 4; i++)
		if (tid[i] != pid)
			move_thread(part, tid[i]);
	if (v2) {
		REQUIRE(write_value(part) == (value()->sig ? -EOPNOTSUPP : -EINVAL));
		let_time_pass(5);
		require_untouched(pid);
		REQUIRE(task_state(pid) == 'S');
		REQUIRE(write_value("t/dom") == expected());
	} else {
		REQUIRE(write_value(part) == expected());
	}
	require_outcome(pid);
}

/* --- members --- */

static void m_stopped(void)
{
	pid_t pid = spawn("t", count_turns);

	REQUIRE(kill(pid, SIGSTOP) == 0);
	REQUIRE(WAIT_UNTIL(stopped(pid) == SIGSTOP));
	REQUIRE(write_value("t") == expected());
	if (value()->sig == SIGKILL) {
		require_killed(pid, SIGKILL);
		return;
	}
	let_time_pass(5);
	REQUIRE(task_state(pid) == 'T');
	if (value()->sig)
		REQUIRE(pending(pid, value()->sig));
	else
		require_untouched(pid);
	REQUIRE(kill(pid, SIGCONT) == 0);
	/* one stop more is forgotten with the first */
	if (value()->sig && value()->sig != SIGSTOP)
		require_killed(pid, value()->sig);
	else
		require_goes_on(&sh->n);
}

/* In a stop of its tracer's making; the tracer then sees what came, and lets it act. */
static void m_ptraced(void)
{
	pid_t pid = spawn("t", count_turns);
	int status = 0, sig = value()->sig;

	REQUIRE(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0);
	REQUIRE(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
	REQUIRE(WAIT_UNTIL(waitpid(pid, &status, WNOHANG) == pid));
	REQUIRE(WIFSTOPPED(status));
	REQUIRE(write_value("t") == expected());
	if (sig == SIGKILL) {
		require_killed(pid, SIGKILL);
		return;
	}
	REQUIRE(task_state(pid) == 't');
	if (!sig) {
		require_untouched(pid);
		REQUIRE(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
		require_goes_on(&sh->n);
		return;
	}
	REQUIRE(pending(pid, sig));
	REQUIRE(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
	REQUIRE(WAIT_UNTIL(waitpid(pid, &status, WNOHANG) == pid));
	REQUIRE(WIFSTOPPED(status) && WSTOPSIG(status) == sig && !(status >> 16), "%x", status);
	REQUIRE(ptrace(PTRACE_CONT, pid, 0, sig) == 0);
	if (sig != SIGSTOP) {
		require_killed(pid, sig);
		return;
	}
	REQUIRE(WAIT_UNTIL(waitpid(pid, &status, WNOHANG) == pid));
	REQUIRE(WSTOPSIG(status) == SIGSTOP && status >> 16 == PTRACE_EVENT_STOP, "%x", status);
}

/* Both end, though the one waits for the other; a stop waits with the parent. */
static void m_vforking(void)
{
	pid_t pid = spawn("t", vforks), child = sh->pid;

	REQUIRE(write_value("t") == expected());
	switch (value()->sig) {
	case 0:
		require_untouched(pid);
		require_untouched(child);
		sh->done = 1;
		REQUIRE(WAIT_UNTIL(task_state(pid) == 'S'));
		break;
	case SIGSTOP:
		REQUIRE(WAIT_UNTIL(task_state(child) == 'T'));
		REQUIRE(pending(pid, SIGSTOP));
		REQUIRE(kill(child, SIGKILL) == 0);
		require_outcome(pid);
		break;
	default:
		require_killed(pid, value()->sig);
		/* it was handed to the case, which is a subreaper */
		require_killed(child, value()->sig);
	}
}

static void m_threads(void)
{
	pid_t pid = spawn("t", threads_only), tid[4];
	char path[64], line[256];

	REQUIRE(WAIT_UNTIL(sh->ready == 4));
	REQUIRE(write_value("t") == expected());
	require_outcome(pid);
	if (value()->sig && value()->sig != SIGSTOP)
		return;
	REQUIRE(tids(pid, tid, 4) == 4);
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid[i]);
		REQUIRE(get_path(path, line, sizeof(line)) == 0);
		REQUIRE(strrchr(line, ')')[2] == (value()->sig ? 'T' : 'S'), "%s", line);
	}
}

/* The thousands of rounds are in race.c. */
static void m_forking(void)
{
	long n;

	signal(SIGCHLD, SIG_IGN);
	spawn("t", chain);
	spawn("t", chain);
	spawn("t", brood);
	n = sh->n;
	REQUIRE(WAIT_UNTIL(sh->n > n + 3));
	REQUIRE(write_value("t") == expected());
	switch (value()->sig) {
	case 0:
		require_goes_on(&sh->n);
		break;
	case SIGSTOP:
		REQUIRE(WAIT_UNTIL(all_stopped("t")));
		n = sh->n;
		let_time_pass(5);
		REQUIRE(sh->n == n && all_stopped("t"));
		break;
	default:
		REQUIRE(WAIT_UNTIL(members("t") == 0), "%d escaped", members("t"));
		return;
	}
	REQUIRE(group_signal("t", 9) == 0);
	REQUIRE(WAIT_UNTIL(members("t") == 0), "%d escaped", members("t"));
}

/* --- writers --- */

static int write_to_t(void)
{
	return -write_value("t");
}

/* Nobody, to whom the group was delegated, and whose processes are in it. */
static void m_owner(void)
{
	pid_t a, b;

	delegate();
	a = spawn("t", become_nobody);
	b = spawn("t", become_nobody);
	REQUIRE(as_nobody(write_to_t) == -expected());
	require_outcome(a);
	require_outcome(b);
}

static void writes(void)
{
	ready();
	while (!sh->done)
		nap();
	sh->code = write_value("t");
	sh->n = 1;
	for (;;)
		pause();
}

/* A member, which gets the signal as all the others do. */
static void m_member(void)
{
	pid_t other = spawn("t", NULL), writer = spawn("t", writes);

	sh->done = 1;
	require_outcome(other);
	if (value()->sig) {
		require_outcome(writer);
		if (value()->sig != SIGSTOP)
			return;
		REQUIRE(kill(writer, SIGCONT) == 0);
	}
	REQUIRE(WAIT_UNTIL(sh->n == 1));
	REQUIRE(sh->code == expected());
	require_untouched(other);
	require_untouched(writer);
}

static const struct kind {
	const char *name;	/* goes on from "VALUE " */
	void (*fn)(void);
} kinds[] = {
	{ "to an empty group", m_empty },
	{ "to a running group", m_running },
	{ "to a FROZEN group", m_frozen },
	{ "to nested groups", m_nested },
	{ "to a threaded group", m_threaded },
	{ "to a stopped member", m_stopped },
	{ "to a ptraced member", m_ptraced },
	{ "to a vforking member", m_vforking },
	{ "to a multi-threaded member", m_threads },
	{ "to fast-forking members", m_forking },
	{ "by the owner of a delegated group", m_owner },
	{ "by a member", m_member },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

const struct test *matrix_cases(void)
{
	static struct test tests[KINDS * VALUES + 1];
	static char names[KINDS * VALUES][64];

	for (size_t i = 0; i < KINDS * VALUES; i++) {
		const struct kind *k = &kinds[i / VALUES];
		const struct value *v = &values[i % VALUES];

		snprintf(names[i], sizeof(names[i]), "%s %s", v->text[0] ? v->text : "nothing",
			 k->name);
		tests[i] = (struct test)CASE("matrix", names[i], k->fn, .arg = v);
	}
	return tests;
}
