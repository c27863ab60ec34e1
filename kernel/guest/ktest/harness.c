// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the cases are made of: files of cgroups, tasks that do something in a
 * group, and ways to see what became of them.
 */
#include "ktest.h"

#include <dirent.h>
#include <grp.h>
#include <stdarg.h>

void fail(const char *func, int line, const char *cond, const char *more, ...)
{
	int sys = errno;
	va_list ap;

	printf("# %s:%d: not so: %s", func, line, cond);
	va_start(ap, more);
	vprintf(more, ap);
	va_end(ap);
	printf(" (errno %d, %s)\n", sys, strerror(sys));
	fflush(stdout);
	_exit(1);
}

/* --- files of a cgroup --- */

const char *path_in(const char *dir, const char *group, const char *file)
{
	static char buf[8][512];
	static int next;
	char *p = buf[next++ & 7];

	snprintf(p, sizeof(buf[0]), "%s/%s/%s", dir, group, file);
	return p;
}

int put_path(const char *path, const char *text)
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

int get_path(const char *path, char *buf, size_t len)
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

int sigkill_file(const char *group, const char *text)
{
	return put_path(path_in(signal_root, group, "signal.kill"), text);
}

int group_signal(const char *group, int sig)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", sig);
	return sigkill_file(group, text);
}

const char *state_of(const char *group)
{
	static char buf[64];

	if (get_path(path_in(freezer_root, group, "freezer.state"), buf, sizeof(buf)))
		return "?";
	buf[strcspn(buf, "\n")] = 0;
	return buf;
}

int freeze(const char *group, bool on)
{
	if (v2)
		return put_path(path_in(freezer_root, group, "cgroup.freeze"), on ? "1" : "0");
	return put_path(path_in(freezer_root, group, "freezer.state"), on ? "FROZEN" : "THAWED");
}

bool is_frozen(const char *group)
{
	char buf[128] = "";

	if (!v2)
		return !strcmp(state_of(group), "FROZEN");
	get_path(path_in(freezer_root, group, "cgroup.events"), buf, sizeof(buf));
	return strstr(buf, "frozen 1");
}

void freeze_wait(const char *group)
{
	REQUIRE(freeze(group, true) == 0);
	REQUIRE(WAIT_UNTIL(is_frozen(group)));
}

void thaw(const char *group)
{
	REQUIRE(freeze(group, false) == 0);
	REQUIRE(!is_frozen(group));
}

void make_group(const char *group)
{
	REQUIRE(mkdir(path_in(signal_root, group, ""), 0755) == 0);
	if (freezer_root != signal_root)
		REQUIRE(mkdir(path_in(freezer_root, group, ""), 0755) == 0);
}

void join(const char *group)
{
	REQUIRE(put_path(path_in(signal_root, group, "cgroup.procs"), "0") == 0);
	if (freezer_root != signal_root)
		REQUIRE(put_path(path_in(freezer_root, group, "cgroup.procs"), "0") == 0);
}

int count_lines(const char *path)
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

int members(const char *group)
{
	return count_lines(path_in(signal_root, group, "cgroup.procs"));
}

/* --- tasks --- */

/* The letter that stands for a task's state in /proc, or 0 if it is gone. */
char task_state(pid_t pid)
{
	char path[64], buf[512], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (get_path(path, buf, sizeof(buf)))
		return 0;
	p = strrchr(buf, ')');
	return p ? p[2] : 0;
}

/* A hexadecimal field of /proc/PID/status. */
unsigned long long status_mask(pid_t pid, const char *field)
{
	char path[64], buf[4096], *p;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (get_path(path, buf, sizeof(buf)))
		return 0;
	p = strstr(buf, field);
	return p ? strtoull(p + strlen(field), NULL, 16) : 0;
}

bool pending(pid_t pid, int sig)
{
	return (status_mask(pid, "ShdPnd:") >> (sig - 1)) & 1;
}

/* Start a process in @group that runs @fn; NULL: it sleeps. */
pid_t spawn(const char *group, void (*fn)(void))
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

void ready(void)
{
	__atomic_add_fetch(&sh->ready, 1, __ATOMIC_SEQ_CST);
}

void count_turns(void)
{
	ready();
	for (;;) {
		sh->n++;
		nap();
	}
}

void count_busy(void)
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

void handle(int sig)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };

	REQUIRE(sigaction(sig, &sa, NULL) == 0);
}

void handle_all(void)
{
	for (int sig = 1; sig <= 64; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33)
			continue;
		handle(sig);
	}
}

int wait_status(pid_t pid)
{
	int status = -1, ret;

	REQUIRE(WAIT_UNTIL((ret = waitpid(pid, &status, WNOHANG)) == pid), "task %d", pid);
	return status;
}

void require_killed(pid_t pid, int sig)
{
	int status = wait_status(pid);

	REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == sig, "status %x", status);
}

bool alive(pid_t pid)
{
	char c = task_state(pid);

	return c && c != 'Z' && c != 'X';
}

int stopped(pid_t pid)
{
	int status;

	return waitpid(pid, &status, WNOHANG | WUNTRACED) == pid && WIFSTOPPED(status) ?
		WSTOPSIG(status) : 0;
}

void let_time_pass(int turns)
{
	for (int i = 0; i < turns; i++)
		nap();
	sh->beat++;
}

/* --- processes of several threads, and those who fork --- */

static void *thread_pause(void *arg)
{
	ready();
	for (;;)
		pause();
	return arg;
}

void threads_and_handlers(void)
{
	pthread_t t;

	handle_all();
	for (int i = 0; i < 7; i++)
		REQUIRE(pthread_create(&t, NULL, thread_pause, NULL) == 0);
}

void threads_only(void)
{
	pthread_t t;

	for (int i = 0; i < 3; i++)
		REQUIRE(pthread_create(&t, NULL, thread_pause, NULL) == 0);
}

/* The threads of a process, the leader's first. */
int tids(pid_t pid, pid_t *out, int max)
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

void move_thread(const char *group, pid_t tid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", tid);
	REQUIRE(put_path(path_in(signal_root, group, v2 ? "cgroup.threads" : "tasks"), text) == 0);
}

void vforks(void)
{
	if (vfork() == 0) {
		sh->pid = getpid();
		ready();
		while (!sh->done)
			nap();
		_exit(0);
	}
}

void vforks_and_handles(void)
{
	handle_all();
	vforks();
}

void forks_forever(void)
{
	signal(SIGCHLD, SIG_IGN);
	ready();
	for (;;) {
		if (fork() == 0)
			_exit(0);
		sh->n++;
	}
}

volatile sig_atomic_t told;

/* Parent forks and leaves, child goes on: alone, it never ends. */
void chain(void)
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
void brood(void)
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

bool all_stopped(const char *group)
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

/* --- an unprivileged user --- */

void become_nobody(void)
{
	REQUIRE(setgroups(0, NULL) == 0);
	REQUIRE(setresgid(NOBODY, NOBODY, NOBODY) == 0);
	REQUIRE(setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

/* what @fn returns, run by an unprivileged user */
int as_nobody(int (*fn)(void))
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

void delegate(void)
{
	REQUIRE(chown(path_in(signal_root, "t", ""), NOBODY, NOBODY) == 0);
	REQUIRE(chown(path_in(signal_root, "t", "cgroup.procs"), NOBODY, NOBODY) == 0);
	REQUIRE(chown(path_in(signal_root, "t", "signal.kill"), NOBODY, NOBODY) == 0);
}
