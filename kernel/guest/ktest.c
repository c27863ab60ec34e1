// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's side of freezing and signalling cgroups, tested inside a guest.
 *
 * ktest [-n ROUNDS] [-s FREEZER] SIGNAL SET [CASE ...] runs the cases of a set
 * in the hierarchies mounted on the folders FREEZER and SIGNAL (one folder if
 * -s is not given), and prints a line for each. A case is a process of its own
 * with a cgroup of its own; whatever it leaves behind is killed and removed.
 */
#include "ktest.h"
#include <dirent.h>
#include <grp.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#define NOBODY 65534
#define V1 1
#define V2 2

static const char *signal_root, *freezer_root;
static bool v2;			/* signal_root is a v2 hierarchy */
static int rounds = 100;	/* of each race */

/* Memory that a case shares with its tasks. */
static struct shared {
	volatile int ready;		/* tasks that reached their loop */
	volatile long n, busy;		/* turns of loops */
	volatile int got[65];		/* runs of handlers, by signal */
	volatile int from, code;	/* siginfo of the last */
	volatile int done;
	volatile pid_t pid;
} *sh;

/* --- files of a cgroup --- */

static const char *path_in(const char *dir, const char *group, const char *file)
{
	static char buf[8][512];
	static int next;
	char *p = buf[next++ & 7];

	snprintf(p, sizeof(buf[0]), "%s/%s/%s", dir, group, file);
	return p;
}

static int put_path(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int err = 0;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n < 0)
		err = -errno;
	close(fd);
	return err;
}

static int get_path(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, len - 1);
	close(fd);
	if (n < 0)
		return -errno;
	buf[n] = 0;
	return 0;
}

static int sigkill_file(const char *group, const char *text)
{
	return put_path(path_in(signal_root, group, "signal.kill"), text);
}

static int group_signal(const char *group, int sig)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", sig);
	return sigkill_file(group, text);
}

static const char *state_of(const char *group)
{
	static char buf[64];

	if (get_path(path_in(freezer_root, group, "freezer.state"), buf, sizeof(buf)))
		return "?";
	buf[strcspn(buf, "\n")] = 0;
	return buf;
}

static int freeze(const char *group, bool on)
{
	if (v2)
		return put_path(path_in(freezer_root, group, "cgroup.freeze"), on ? "1" : "0");
	return put_path(path_in(freezer_root, group, "freezer.state"), on ? "FROZEN" : "THAWED");
}

static bool is_frozen(const char *group)
{
	char buf[128] = "";

	if (!v2)
		return !strcmp(state_of(group), "FROZEN");
	get_path(path_in(freezer_root, group, "cgroup.events"), buf, sizeof(buf));
	return strstr(buf, "frozen 1");
}

static void freeze_wait(const char *group)
{
	REQUIRE(freeze(group, true) == 0);
	REQUIRE(WAIT_UNTIL(is_frozen(group)));
}

static void thaw(const char *group)
{
	REQUIRE(freeze(group, false) == 0);
	REQUIRE(!is_frozen(group));
}

static void make_group(const char *group)
{
	REQUIRE(mkdir(path_in(signal_root, group, ""), 0755) == 0);
	if (freezer_root != signal_root)
		REQUIRE(mkdir(path_in(freezer_root, group, ""), 0755) == 0);
}

static void join(const char *group)
{
	REQUIRE(put_path(path_in(signal_root, group, "cgroup.procs"), "0") == 0);
	if (freezer_root != signal_root)
		REQUIRE(put_path(path_in(freezer_root, group, "cgroup.procs"), "0") == 0);
}

static int count_lines(const char *path)
{
	FILE *f = fopen(path, "r");
	int c, n = 0;

	if (!f)
		return -1;
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static int members(const char *group)
{
	return count_lines(path_in(signal_root, group, "cgroup.procs"));
}

/* --- tasks --- */

/* The letter that stands for a task's state in /proc, or 0 if it is gone. */
static char task_state(pid_t pid)
{
	char path[64], buf[512], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (get_path(path, buf, sizeof(buf)))
		return 0;
	p = strrchr(buf, ')');
	return p ? p[2] : 0;
}

/* A hexadecimal field of /proc/PID/status. */
static unsigned long long status_mask(pid_t pid, const char *field)
{
	char path[64], buf[4096], *p;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (get_path(path, buf, sizeof(buf)))
		return 0;
	p = strstr(buf, field);
	return p ? strtoull(p + strlen(field), NULL, 16) : 0;
}

static bool pending(pid_t pid, int sig)
{
	return (status_mask(pid, "ShdPnd:") >> (sig - 1)) & 1;
}

/* Start a process in @group that runs @fn; NULL: it sleeps. */
static pid_t spawn(const char *group, void (*fn)(void))
{
	int before = sh->ready;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		if (group)
			join(group);
		if (fn)
			fn();
		__atomic_add_fetch(&sh->ready, 1, __ATOMIC_SEQ_CST);
		for (;;)
			pause();
	}
	REQUIRE(WAIT_UNTIL(sh->ready > before), "the new task is not ready");
	return pid;
}

static void ready(void)
{
	__atomic_add_fetch(&sh->ready, 1, __ATOMIC_SEQ_CST);
}

static void count_turns(void)
{
	ready();
	for (;;) {
		sh->n++;
		nap();
	}
}

static void count_busy(void)
{
	ready();
	for (;;)
		sh->busy++;
}

static void on_signal(int sig, siginfo_t *info, void *ctx)
{
	(void)ctx;
	__atomic_add_fetch(&sh->got[sig], 1, __ATOMIC_SEQ_CST);
	sh->from = info->si_pid;
	sh->code = info->si_code;
}

static void handle(int sig)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };

	REQUIRE(sigaction(sig, &sa, NULL) == 0);
}

static void handle_all(void)
{
	for (int sig = 1; sig <= 64; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33)
			continue;
		handle(sig);
	}
}

static int wait_status(pid_t pid)
{
	int status = -1, ret;

	REQUIRE(WAIT_UNTIL((ret = waitpid(pid, &status, WNOHANG)) == pid), "task %d", pid);
	return status;
}

static void require_killed(pid_t pid, int sig)
{
	int status = wait_status(pid);

	REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == sig, "status %x", status);
}

static bool alive(pid_t pid)
{
	char c = task_state(pid);

	return c && c != 'Z' && c != 'X';
}

static int stopped(pid_t pid)
{
	int status;

	return waitpid(pid, &status, WNOHANG | WUNTRACED) == pid && WIFSTOPPED(status) ?
		WSTOPSIG(status) : 0;
}

/*
 * Let a task outside of the group do @turns turns of its loop: by then one in
 * the group would have done some, if it could run.
 */
static void let_time_pass(int turns)
{
	for (int i = 0; i < turns; i++)
		nap();
}

/* ---- signal.kill: the file ---- */

static void t_values(void)
{
	static const char *const bad[] = {
		"0", "65", "-1", "text", "\n", " ", "9x", "x9", "0x9", "9 9", "9.0",
		"99999999999999999999", "4294967305", "1000", "KILL", "SIGKILL", "+-9",
	};
	pid_t pid = spawn("t", NULL);
	int fd;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		REQUIRE(sigkill_file("t", bad[i]) == -EINVAL, "value \"%s\"", bad[i]);
	/* a write of nothing never reaches the file's method, in any cgroup file */
	fd = open(path_in(signal_root, "t", "signal.kill"), O_WRONLY);
	REQUIRE(fd >= 0);
	REQUIRE(write(fd, "", 0) == 0);
	close(fd);
	REQUIRE(alive(pid) && !pending(pid, 9) && task_state(pid) == 'S');
	/* blanks around it are what echo and others write */
	REQUIRE(sigkill_file("t", " 9\n") == 0);
	require_killed(pid, 9);
}

static void t_file(void)
{
	struct stat st;
	const char *file = path_in(signal_root, "t", "signal.kill");
	char buf[16];

	REQUIRE(stat(file, &st) == 0);
	REQUIRE((st.st_mode & 07777) == 0200, "mode %o", st.st_mode);
	REQUIRE(get_path(file, buf, sizeof(buf)) == -EINVAL);
	REQUIRE(stat(path_in(signal_root, ".", "signal.kill"), &st) == -1 && errno == ENOENT);
}

static void t_empty(void)
{
	static const int sigs[] = { 1, 9, 15, 19, 64 };

	for (size_t i = 0; i < 5; i++)
		REQUIRE(group_signal("t", sigs[i]) == 0);
	make_group("t/sub");
	REQUIRE(group_signal("t", 9) == 0);
}

static void t_removed(void)
{
	int fd;

	make_group("t/sub");
	fd = open(path_in(signal_root, "t/sub", "signal.kill"), O_WRONLY);
	REQUIRE(fd >= 0);
	REQUIRE(rmdir(path_in(signal_root, "t/sub", "")) == 0);
	REQUIRE(write(fd, "9", 1) == -1 && (errno == ENODEV || errno == ENOENT));
}

/* ---- signal.kill: who gets it ---- */

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

static void *thread_pause(void *arg)
{
	ready();
	for (;;)
		pause();
	return arg;
}

static void threads_and_handlers(void)
{
	pthread_t t;

	handle_all();
	for (int i = 0; i < 7; i++)
		REQUIRE(pthread_create(&t, NULL, thread_pause, NULL) == 0);
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

static void threads_only(void)
{
	pthread_t t;

	for (int i = 0; i < 3; i++)
		REQUIRE(pthread_create(&t, NULL, thread_pause, NULL) == 0);
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

/* The threads of a process, the leader's first. */
static int tids(pid_t pid, pid_t *out, int max)
{
	char path[64];
	struct dirent *d;
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	REQUIRE(dir);
	while (n < max && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			out[n++] = atoi(d->d_name);
	closedir(dir);
	return n;
}

static void move_thread(const char *group, pid_t tid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", tid);
	REQUIRE(put_path(path_in(signal_root, group, v2 ? "cgroup.threads" : "tasks"), text) == 0);
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

/* ---- signal.kill: members in odd states ---- */

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

static void do_vfork(void)
{
	volatile pid_t pid;

	handle_all();
	pid = vfork();
	if (!pid) {
		sh->pid = getpid();
		ready();
		while (!sh->done)
			nap();
		_exit(0);
	}
}

static void t_vforking(void)
{
	pid_t pid = spawn("t", do_vfork);

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
		pid = spawn("t", do_vfork);
		REQUIRE(group_signal("t", i ? 9 : 9) == 0);
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

/* A kernel thread may be in a v1 group; it has no use for signals. */
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

static int exec_loop(void)
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

/* ---- signal.kill: forks that race with the write ---- */

static volatile sig_atomic_t told;

static void tell(int sig)
{
	(void)sig;
	told = 1;
}

/* Parent forks and leaves, child goes on: alone, it never ends. */
static void chain(void)
{
	ready();
	while (!told) {
		pid_t pid = fork();

		if (pid > 0)
			_exit(0);
		sh->n++;
	}
	_exit(0);
}

/* Parent forks children that wait to be told; all leave when they are. */
static void brood(void)
{
	ready();
	for (int i = 0; i < 12 && !told; i++) {
		if (fork() == 0)
			break;
		sh->n++;
	}
	while (!told) {
		sigset_t set;

		/* look and sleep at once, or the signal may come in between */
		sigemptyset(&set);
		sigaddset(&set, 12);
		sigaddset(&set, 64);
		sigprocmask(SIG_BLOCK, &set, NULL);
		if (!told) {
			sigemptyset(&set);
			sigsuspend(&set);
		}
	}
	_exit(0);
}

static bool all_stopped(const char *group)
{
	FILE *f = fopen(path_in(signal_root, group, "cgroup.procs"), "r");
	bool all = true;
	int pid;

	if (!f)
		return false;
	while (fscanf(f, "%d", &pid) == 1) {
		char c = task_state(pid);

		if (c && c != 'T' && c != 'Z' && c != 'X')
			all = false;
	}
	fclose(f);
	return all;
}

static void race(int sig)
{
	int round, full = 0;

	signal(SIGCHLD, SIG_IGN);
	signal(12, tell);
	signal(64, tell);
	for (round = 0; round < rounds; round++) {
		long before;

		spawn("t", chain);
		spawn("t", chain);
		spawn("t", brood);
		before = sh->n;
		/* they must be at it; a brood's dozen is soon complete */
		REQUIRE(WAIT_UNTIL(sh->n > before + 3));
		full += members("t") > 3;
		REQUIRE(group_signal("t", sig) == 0);
		if (sig == SIGSTOP) {
			REQUIRE(WAIT_UNTIL(all_stopped("t")), "round %d", round);
			before = sh->n;
			let_time_pass(2);
			REQUIRE(sh->n == before && all_stopped("t"), "round %d", round);
			REQUIRE(group_signal("t", 9) == 0);
		}
		REQUIRE(WAIT_UNTIL(members("t") == 0), "round %d: %d escaped", round, members("t"));
	}
	printf("# signal %d: %d rounds, %d of them with more than three processes, none escaped\n",
	       sig, round, full);
}

static void t_race_9(void) { race(9); }
static void t_race_12(void) { race(12); }
static void t_race_15(void) { race(15); }
static void t_race_19(void) { race(19); }
static void t_race_64(void) { race(64); }

/* ---- signal.kill: who may ---- */

static void become_nobody(void)
{
	REQUIRE(setgroups(0, NULL) == 0);
	REQUIRE(setresgid(NOBODY, NOBODY, NOBODY) == 0);
	REQUIRE(setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

static void nobody_handles(void)
{
	become_nobody();
	handle_all();
}

/* what @fn returns, run by an unprivileged user */
static int as_nobody(int (*fn)(void))
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		become_nobody();
		_exit(fn());
	}
	return WEXITSTATUS(wait_status(pid));
}

static int write_15(void) { return -group_signal("t", 15); }
static int write_9(void) { return -group_signal("t", 9); }
static int write_64(void) { return -group_signal("t", 64); }
static int write_18(void) { return -group_signal("t", 18); }

static void delegate(void)
{
	REQUIRE(chown(path_in(signal_root, "t", ""), NOBODY, NOBODY) == 0);
	REQUIRE(chown(path_in(signal_root, "t", "cgroup.procs"), NOBODY, NOBODY) == 0);
	REQUIRE(chown(path_in(signal_root, "t", "signal.kill"), NOBODY, NOBODY) == 0);
}

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

/* ---- signals and frozen groups ---- */

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

/* ---- the v1 freezer ---- */

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
	spawn("t", do_vfork);
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

static void forks_forever(void)
{
	signal(SIGCHLD, SIG_IGN);
	ready();
	for (;;) {
		if (fork() == 0)
			_exit(0);
		sh->n++;
	}
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


/* ---- over suspend ---- */

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
	REQUIRE(put_path("/sys/class/rtc/rtc0/wakealarm", "+3") == 0);
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

/* ---- an hour's worth ---- */

static void forks_and_handles(void)
{
	handle(64);
	forks_forever();
}

/*
 * An hour of one freeze, signal and thaw a second is 3600 of them; with -n
 * fewer. The group forks all the while.
 */
static void t_hour(void)
{
	pid_t pid[3];
	long n;
	int cycles = rounds > 1000 ? 3600 : rounds, got = 0;

	for (int i = 0; i < 3; i++)
		pid[i] = spawn("t", forks_and_handles);
	for (int i = 0; i < cycles; i++) {
		n = sh->n;
		REQUIRE(WAIT_UNTIL(sh->n > n), "cycle %d: no forks", i);
		freeze_wait("t");
		n = sh->n;
		REQUIRE(group_signal("t", 64) == 0);
		REQUIRE(is_frozen("t") && sh->n == n, "cycle %d: not at rest", i);
		thaw("t");
		/* each parent once, and the children that were there */
		REQUIRE(WAIT_UNTIL(sh->got[64] >= got + 3), "cycle %d: signal lost", i);
		got = sh->got[64];
		REQUIRE(group_signal("t", 64) == 0);
		REQUIRE(WAIT_UNTIL(sh->got[64] >= got + 3), "cycle %d: signal lost", i);
		got = sh->got[64];
	}
	REQUIRE(group_signal("t", 9) == 0);
	for (int i = 0; i < 3; i++)
		require_killed(pid[i], 9);
	REQUIRE(WAIT_UNTIL(members("t") == 0));
	printf("# %d cycles, %ld forks, %d signals handled\n", cycles, sh->n, got);
}

/* ---- the cases ---- */

static const struct test {
	const char *set, *name;
	void (*fn)(void);
	int only;
} tests[] = {
	{ "signal", "signal.kill refuses 0, 65, -1, text and nothing", t_values, 0 },
	{ "signal", "signal.kill is write-only and not in the root", t_file, 0 },
	{ "signal", "an empty group takes every signal", t_empty, 0 },
	{ "signal", "a removed group takes none", t_removed, 0 },
	{ "signal", "1 to 64, each with its default action", t_every_signal, 0 },
	{ "signal", "1, 9, 15, 19 and 64 on ten running processes", t_five_signals, 0 },
	{ "signal", "1, 9, 15, 19 and 64 on threaded processes in nested groups", t_five_nested, 0 },
	{ "signal", "each process once, from the writer", t_exactly_once, 0 },
	{ "signal", "groups below, and not those beside", t_nested, 0 },
	{ "signal", "a process of eight threads once", t_threads_once, 0 },
	{ "signal", "threads split over groups, still once", t_split_threads, V1 },
	{ "signal", "a zombie leader with live threads", t_zombie_leader, 0 },
	{ "signal", "a threaded group is refused, its domain is not", t_threaded_group, V2 },
	{ "signal", "the writer is a member", t_writer_is_member, 0 },
	{ "signal", "a stopped member", t_stopped, 0 },
	{ "signal", "a ptraced member", t_ptraced, 0 },
	{ "signal", "a vforking member and its child", t_vforking, 0 },
	{ "signal", "a member that blocks the signal", t_blocked, 0 },
	{ "signal", "a member whose threads exec", t_execing, 0 },
	{ "signal", "init of a pid namespace", t_namespace_init, 0 },
	{ "signal", "the machine's init", t_global_init, 0 },
	{ "signal", "kernel threads are left alone", t_kernel_threads, V1 },
	{ "signal", "nobody without write access", t_not_delegated, 0 },
	{ "signal", "the owner of a delegated group: own processes", t_delegated_own, 0 },
	{ "signal", "the owner of a delegated group: others only 9", t_delegated_other, 0 },
	{ "signal", "permission is that of the opener", t_opener, 0 },

	{ "race", "fork against 9", t_race_9, 0 },
	{ "race", "fork against a handled 12", t_race_12, 0 },
	{ "race", "fork against 15", t_race_15, 0 },
	{ "race", "fork against 19", t_race_19, 0 },
	{ "race", "fork against a handled 64", t_race_64, 0 },

	{ "frozen", "9 to a FROZEN group acts at the thaw, at once", t_frozen_9_v1, V1 },
	{ "frozen", "9 and 15 end a frozen group as it is", t_frozen_9_v2, V2 },
	{ "frozen", "1, 15 and 64 to a frozen group, and no 0, 65, -1 or text", t_frozen_fatal, 0 },
	{ "frozen", "a handler runs at the thaw", t_frozen_handled, 0 },
	{ "frozen", "19 to a frozen group stops it at the thaw", t_frozen_stop, 0 },
	{ "frozen", "a group whose parent is frozen", t_frozen_parent, 0 },
	{ "frozen", "frozen, signalled 9 and thawed: all end", t_frozen_end, 0 },

	{ "freezer", "both words are accepted, either reported", t_state_names, V1 },
	{ "freezer", "the word reported by default", t_default_name, V1 },
	{ "freezer", "stopped counts as frozen", t_stopped_is_frozen, 0 },
	{ "freezer", "waiting counts as frozen, and is not disturbed", t_waiting_is_frozen, 0 },
	{ "freezer", "a task freezes its own group", t_freeze_own_group, 0 },
	{ "freezer", "a slow freeze completes by itself", t_slow_freeze, 0 },
	{ "freezer", "a slow freeze can be given up", t_slow_freeze_thawed, 0 },
	{ "freezer", "asked too early for its wait in vfork", t_vfork_straggler, 0 },
	{ "freezer", "vforking tasks", t_vforking_frozen, 0 },
	{ "freezer", "ptraced tasks", t_ptraced_frozen, 0 },
	{ "freezer", "SIGSTOP races with the freeze", t_stop_races_freeze, 0 },
	{ "freezer", "fork races with the freeze", t_fork_races_freeze, 0 },
	{ "freezer", "moved into and out of a frozen group", t_attach_to_frozen, 0 },

	{ "suspend", "frozen over pm_test freezer", t_pm_freezer, 0 },
	{ "suspend", "frozen over pm_test devices", t_pm_devices, 0 },
	{ "suspend", "a signal sent before the resume", t_pm_signal, 0 },
	{ "suspend-all", "frozen over pm_test platform", t_pm_platform, 0 },
	{ "suspend-all", "frozen over pm_test processors", t_pm_processors, 0 },
	{ "suspend-all", "frozen over pm_test core", t_pm_core, 0 },
	{ "s3", "frozen over S3, woken by the clock", t_s3, 0 },

	{ "hour", "an hour of freeze, signal and thaw on a forking group", t_hour, 0 },

	/* what the stock kernel is expected to fail */
	{ "stock-bugs", "frozen over pm_test freezer", t_pm_freezer, V1 },
	{ "stock-bugs", "asked too early for its wait in vfork", t_vfork_straggler, V1 },
};

/* Kill and remove what is left below @dir. */
static void clear(const char *dir)
{
	char path[512], buf[65536], *p, *save;
	struct dirent *d;
	DIR *sub;

	put_path((snprintf(path, sizeof(path), "%s/freezer.state", dir), path), "THAWED");
	put_path((snprintf(path, sizeof(path), "%s/cgroup.freeze", dir), path), "0");
	sub = opendir(dir);
	if (!sub)
		return;
	while ((d = readdir(sub))) {
		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, d->d_name);
		clear(path);
	}
	closedir(sub);
	for (long long end = now_ms() + WAIT_MS; now_ms() < end; nap()) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
		if (!get_path(path, buf, sizeof(buf)))
			for (p = strtok_r(buf, "\n", &save); p; p = strtok_r(NULL, "\n", &save))
				if (atoi(p) > 1)
					kill(atoi(p), SIGKILL);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (rmdir(dir) == 0 || errno == ENOENT)
			return;
	}
	printf("# cannot remove %s\n", dir);
}

static void kill_children(void)
{
	char path[64], buf[4096], *p, *save;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", getpid(), getpid());
	while (!get_path(path, buf, sizeof(buf)) && buf[0]) {
		for (p = strtok_r(buf, " \n", &save); p; p = strtok_r(NULL, " \n", &save)) {
			kill(atoi(p), SIGKILL);
			waitpid(atoi(p), NULL, 0);
		}
	}
}

/* Run one case in a process of its own, with the group "t" made for it. */
static bool run(const struct test *t)
{
	long long end = now_ms() + 60000 + rounds * 400LL;
	int status = -1;
	pid_t pid;

	memset(sh, 0, sizeof(*sh));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		make_group("t");
		t->fn();
		fflush(stdout);
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ms() > end) {
			printf("# timed out\n");
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			status = -1;
			break;
		}
		nap();
	}
	clear(path_in(signal_root, "t", ""));
	if (freezer_root != signal_root)
		clear(path_in(freezer_root, "t", ""));
	/* what a case started outside of its group was handed to this process */
	kill_children();
	return status == 0;
}

/* ktest slow FIFO: a task that freezes only after a line came out of FIFO */
static int slow(const char *fifo)
{
	struct held h = held_start(HELD_WRITE, NULL);
	char buf[16];
	int fd;

	printf("%d\n", h.pid);
	fflush(stdout);
	fclose(stdout);
	fd = open(fifo, O_RDONLY);
	REQUIRE(fd >= 0 && read(fd, buf, sizeof(buf)) > 0);
	held_let_go(&h);
	waitpid(h.pid, NULL, 0);
	return 0;
}

int main(int argc, char **argv)
{
	struct statfs fs;
	int opt, ran = 0, bad = 0;

	if (argc > 1 && !strcmp(argv[1], "--exec-loop"))
		return exec_loop();
	if (argc == 3 && !strcmp(argv[1], "slow"))
		return slow(argv[2]);
	while ((opt = getopt(argc, argv, "n:s:")) != -1) {
		if (opt == 'n')
			rounds = atoi(optarg);
		else if (opt == 's')
			freezer_root = optarg;
		else
			return 2;
	}
	if (argc - optind < 2)
		return 2;
	signal_root = argv[optind];
	if (!freezer_root)
		freezer_root = signal_root;
	if (statfs(signal_root, &fs))
		return 2;
	v2 = fs.f_type == 0x63677270;
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED)
		return 2;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int s = optind + 1; s < argc; s++) {
		for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
			const struct test *t = &tests[i];
			long long start = now_ms();
			bool ok;

			if (strcmp(t->set, argv[s]) || (t->only && t->only != (v2 ? V2 : V1)))
				continue;
			ok = run(t);
			ran++;
			bad += !ok;
			printf("%s %s: %s (%.1f s)\n", ok ? "ok" : "not ok", t->set, t->name,
			       (now_ms() - start) / 1000.0);
		}
	}
	return !ran || bad;
}
