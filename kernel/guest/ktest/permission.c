// SPDX-License-Identifier: GPL-2.0-or-later
/* Who may write what to signal.kill. */
#include "ktest.h"

static void nobody_handles(void)
{
	become_nobody();
	handle_all();
}

static int write_15(void) { return -group_signal("t", 15); }
static int write_9(void) { return -group_signal("t", 9); }
static int write_64(void) { return -group_signal("t", 64); }
static int write_18(void) { return -group_signal("t", 18); }

static void t_not_delegated(void)
{
	pid_t pid = spawn("t", nobody_handles);

	REQUIRE(as_nobody(write_9) == EACCES);
	REQUIRE(as_nobody(write_64) == EACCES);
	REQUIRE(alive(pid) && sh->got[64] == 0);
}

static void t_delegated_own(void)
{
	pid_t a, b;

	delegate();
	a = spawn("t", nobody_handles);
	b = spawn("t", nobody_handles);
	REQUIRE(as_nobody(write_64) == 0);
	REQUIRE(WAIT_UNTIL(sh->got[64] == 2));
	REQUIRE(as_nobody(write_9) == 0);
	require_killed(a, 9);
	require_killed(b, 9);
}

/* what a set-user-ID program is like, started in the group */
static void t_delegated_other(void)
{
	pid_t root_pid, own;

	delegate();
	root_pid = spawn("t", handle_all);
	own = spawn("t", nobody_handles);
	REQUIRE(as_nobody(write_64) == EPERM);
	REQUIRE(WAIT_UNTIL(sh->got[64] == 1));
	let_time_pass(20);
	REQUIRE(sh->got[64] == 1 && sh->from != 0);
	/* nor is there an exception for SIGCONT within the session */
	REQUIRE(as_nobody(write_18) == EPERM);
	REQUIRE(as_nobody(write_15) == EPERM);
	let_time_pass(20);
	REQUIRE(sh->got[18] == 1 && sh->got[15] == 1);
	REQUIRE(!pending(root_pid, 64) && !pending(root_pid, 15) && alive(root_pid));
	/* the group can be ended, whatever is in it */
	REQUIRE(as_nobody(write_9) == 0);
	require_killed(root_pid, 9);
	require_killed(own, 9);
}

/* the one who opened the file counts, not the one who writes */
static void t_opener(void)
{
	int p[2], fd_root, status;
	pid_t opener, root_pid;

	delegate();
	root_pid = spawn("t", handle_all);
	fd_root = open(path_in(signal_root, "t", "signal.kill"), O_WRONLY);
	REQUIRE(fd_root >= 0);

	/* opened by root, written by nobody: as if by root */
	fflush(stdout);
	opener = fork();
	if (!opener) {
		become_nobody();
		_exit(write(fd_root, "64", 2) == 2 ? 0 : errno);
	}
	status = wait_status(opener);
	REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	REQUIRE(WAIT_UNTIL(sh->got[64] == 1));

	/* opened by nobody, written by root: as if by nobody, root itself included */
	REQUIRE(pipe(p) == 0);
	opener = fork();
	if (!opener) {
		become_nobody();
		dup2(open(path_in(signal_root, "t", "signal.kill"), O_WRONLY), 100);
		if (write(p[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	REQUIRE(read(p[0], &status, 1) == 1);
	fd_root = syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, opener, 0), 100, 0);
	REQUIRE(fd_root >= 0);
	handle_all();
	join("t");
	REQUIRE(write(fd_root, "64", 2) == -1 && errno == EPERM);
	REQUIRE(write(fd_root, "18", 2) == -1 && errno == EPERM);
	let_time_pass(20);
	REQUIRE(sh->got[64] == 1 && sh->got[18] == 0);
	REQUIRE(put_path(path_in(signal_root, ".", "cgroup.procs"), "0") == 0);
	REQUIRE(write(fd_root, "9", 1) == 1);
	require_killed(root_pid, 9);
	kill(opener, SIGKILL);
	wait_status(opener);
}

const struct test permission_cases[] = {
	CASE("signal", "nobody without write access", t_not_delegated),
	CASE("signal", "the owner of a delegated group: own processes", t_delegated_own),
	CASE("signal", "the owner of a delegated group: others only 9", t_delegated_other),
	CASE("signal", "permission is that of the opener", t_opener),
	{ }
};
