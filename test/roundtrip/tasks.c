/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tasks.c - families, sessions and groups, stopped tasks and zombies, credentials, limits */
#include "story.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* field @n of /proc/PID/stat, the state being 0: 1 parent, 2 group, 3 session */
static long stat_field(pid_t pid, int n)
{
	char path[64], *at, *save = NULL, *word;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	at = strrchr(slurp(path), ')');
	expect(at);
	word = strtok_r(at + 1, " ", &save);
	for (int i = 0; i < n && word; i++)
		word = strtok_r(NULL, " ", &save);
	expect(word);
	return strtol(word, NULL, 10);
}

static void quiet(void *arg)
{
	for (;;)
		pause();
}

static void end(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	expect_eq(waitpid(pid, &status, 0), pid);
}

static pid_t read_pid(int fd)
{
	pid_t pid;

	expect_eq(read(fd, &pid, sizeof(pid)), sizeof(pid));
	return pid;
}

static void write_pid(int fd, pid_t pid)
{
	expect_eq(write(fd, &pid, sizeof(pid)), sizeof(pid));
}

static int report[2];

static void generations(void *arg)
{
	int depth = *(int *)arg, below = depth - 1;

	if (depth) {
		pid_t me = getpid(), pid = branch(generations, &below);

		write_pid(report[1], pid);
		after_checkpoint();
		expect_eq(getpid(), me);
		expect_eq(stat_field(pid, 1), me);
		join(pid);
	} else {
		write_pid(report[1], 0);
		after_checkpoint();
	}
}

CPT_STORY(tasks_family, "three generations keep pids and parents, and wait for each other")
{
	pid_t pid, me = getpid();
	int depth = 2;

	expect(pipe(report) == 0);
	pid = branch(generations, &depth);
	for (int i = 0; i < 3; i++)	/* in any order; all are there */
		read_pid(report[0]);

	checkpoint_here();
	if (spoiled())
		kill(pid, SIGKILL);

	expect_eq(getpid(), me);
	join(pid);
}

CPT_STORY(tasks_sessions, "sessions and groups: leaders, members, groups whose leader is gone")
{
	pid_t a, b, orphan, lost;
	int status;

	expect(pipe(report) == 0);
	a = fork();			/* a session leader with a child in another group of it */
	if (!a) {
		pid_t kid;

		setsid();
		kid = branch(quiet, NULL);
		expect(setpgid(kid, kid) == 0);
		write_pid(report[1], kid);
		quiet(NULL);
	}
	orphan = read_pid(report[0]);
	b = fork();			/* a group whose leader has ended */
	if (!b) {
		setpgid(0, 0);
		write_pid(report[1], branch(quiet, NULL));
		_exit(0);
	}
	lost = read_pid(report[0]);
	expect_eq(waitpid(b, &status, 0), b);

	checkpoint_here();
	if (spoiled())
		expect(setpgid(a, 0) == 0);

	expect_eq(getsid(0), getpid());
	expect_eq(getpgrp(), getpid());
	expect_eq(getsid(a), a);
	expect_eq(getpgid(a), a);
	expect_eq(getsid(orphan), a);
	expect_eq(getpgid(orphan), orphan);
	expect_eq(stat_field(orphan, 1), a);
	expect_eq(getpgid(lost), b);
	expect_eq(getsid(lost), getpid());
	kill(orphan, SIGKILL);
	kill(lost, SIGKILL);
	end(a);
}

CPT_STORY(tasks_session_without_leader, "a session whose leader is gone lives on in its members")
{
	pid_t leader, member;
	int status;

	expect(pipe(report) == 0);
	expect(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	leader = fork();
	if (!leader) {
		setsid();
		write_pid(report[1], branch(quiet, NULL));
		_exit(0);
	}
	member = read_pid(report[0]);
	expect_eq(waitpid(leader, &status, 0), leader);

	checkpoint_here();
	if (spoiled())
		end(member);

	expect_eq(getsid(member), leader);
	expect_eq(getpgid(member), leader);
	expect_eq(stat_field(member, 1), getpid());
	await_state(member, 'S');
	end(member);
}

CPT_STORY(tasks_subreaper, "a subreaper adopts orphans after the restore")
{
	pid_t mid, low;
	int status;

	expect(pipe(report) == 0);
	expect(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	mid = fork();
	if (!mid) {
		write_pid(report[1], branch(quiet, NULL));
		quiet(NULL);
	}
	low = read_pid(report[0]);

	checkpoint_here();
	if (spoiled())
		prctl(PR_SET_CHILD_SUBREAPER, 0);

	end(mid);
	expect_eq(stat_field(low, 1), getpid());
	kill(low, SIGTERM);
	expect_eq(waitpid(low, &status, 0), low);
	expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

CPT_STORY(tasks_stopped, "a stopped child is stopped, its parent may still learn of it, and SIGCONT runs it")
{
	pid_t seen = branch(quiet, NULL), unseen = branch(quiet, NULL);
	siginfo_t info;
	int status;

	kill(seen, SIGSTOP);
	kill(unseen, SIGSTOP);
	expect_eq(waitpid(seen, &status, WUNTRACED), seen);
	await_state(unseen, 'T');

	checkpoint_here();
	if (spoiled())
		kill(unseen, SIGCONT);
	else
		await_state(unseen, 'T');

	await_state(seen, 'T');
	expect_eq(waitpid(seen, &status, WUNTRACED | WNOHANG), 0);
	expect_eq(waitpid(unseen, &status, WUNTRACED | WNOHANG), unseen);
	expect(WIFSTOPPED(status));
	expect_eq(WSTOPSIG(status), SIGSTOP);
	kill(seen, SIGCONT);
	await_state(seen, 'S');
	memset(&info, 0, sizeof(info));
	expect(waitid(P_PID, (id_t)seen, &info, WCONTINUED) == 0);
	expect_eq(info.si_code, CLD_CONTINUED);
	end(seen);
	end(unseen);
}

CPT_STORY(tasks_stopped_with_signal, "a stopped task with a signal pending handles it when it goes on")
{
	pid_t pid = branch(quiet, NULL);
	int status;

	kill(pid, SIGSTOP);
	await_state(pid, 'T');
	kill(pid, SIGTERM);

	checkpoint_here();
	if (spoiled())
		kill(pid, SIGKILL);
	else
		await_state(pid, 'T');

	kill(pid, SIGCONT);
	expect_eq(waitpid(pid, &status, 0), pid);
	expect(WIFSIGNALED(status));
	expect_eq(WTERMSIG(status), SIGTERM);
}

CPT_STORY(tasks_zombies, "zombies keep how they ended until their parent waits")
{
	pid_t well, ill, killed, pid;
	siginfo_t info;
	int status;

	well = fork();
	if (!well)
		_exit(0);
	ill = fork();
	if (!ill)
		_exit(42);
	killed = branch(quiet, NULL);
	kill(killed, SIGUSR1);
	await_state(well, 'Z');
	await_state(ill, 'Z');
	await_state(killed, 'Z');

	checkpoint_here();
	if (spoiled())
		waitpid(ill, &status, 0);

	await_state(killed, 'Z');
	expect(waitid(P_PID, (id_t)killed, &info, WEXITED | WNOWAIT) == 0);
	expect_eq(info.si_code, CLD_KILLED);
	expect_eq(info.si_status, SIGUSR1);
	expect_eq(waitpid(ill, &status, 0), ill);
	expect(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	pid = waitpid(well, &status, 0);
	expect_eq(pid, well);
	expect_eq(status, 0);
	expect_eq(waitpid(killed, &status, 0), killed);
}

static void with_caps(void (*fn)(struct __user_cap_data_struct *d))
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	expect(syscall(SYS_capget, &h, d) == 0);
	fn(d);
	expect(syscall(SYS_capset, &h, d) == 0);
}

static void fewer(struct __user_cap_data_struct *d)
{
	d[0].inheritable = 1 << CAP_NET_BIND_SERVICE | 1 << CAP_KILL;
	d[0].effective &= ~(1U << CAP_SYS_MODULE);
	d[0].permitted &= ~(1U << CAP_SYS_BOOT);
	d[0].effective &= ~(1U << CAP_SYS_BOOT);
}

static void privileged(void *arg)
{
	static const char *const keys[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
					    "Uid", "Gid", "Groups", "NoNewPrivs" };
	char before[9][256];

	expect(prctl(PR_CAPBSET_DROP, CAP_SYS_RAWIO) == 0);
	with_caps(fewer);
	expect(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) == 0);
	expect(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP_LOCKED) == 0);
	expect(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	for (int i = 0; i < 9; i++)
		snprintf(before[i], sizeof(before[i]), "%s", status_line("self", keys[i]));
	mark("child");
	after_checkpoint();
	if (spoiled())
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < 9; i++)
		expect(!strcmp(before[i], status_line("self", keys[i])));
	expect_eq(prctl(PR_GET_SECUREBITS), SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP_LOCKED);
	expect_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	expect_eq(prctl(PR_CAPBSET_READ, CAP_SYS_RAWIO), 0);
}

CPT_STORY(tasks_capabilities, "all five capability sets, securebits, no_new_privs")
{
	pid_t pid;

	if (geteuid())
		skip("needs root");
	pid = branch(privileged, NULL);
	await("child");
	checkpoint_here();
	join(pid);
}

static void unprivileged(void *arg)
{
	gid_t groups[3] = { 65533, 1234, 7 }, got[8];
	uid_t r, e, s;

	expect(setgroups(3, groups) == 0);
	expect(setresgid(65533, 65534, 1234) == 0);
	expect(prctl(PR_SET_KEEPCAPS, 1) == 0);
	expect(setresuid(65531, 65532, 65533) == 0);
	mark("child");
	after_checkpoint();
	if (spoiled())
		expect(setresuid(65533, 65533, 65533) == 0);
	expect(getresuid(&r, &e, &s) == 0);
	expect(r == 65531 && e == 65532 && s == 65533);
	expect(getresgid(&r, &e, &s) == 0);
	expect(r == 65533 && e == 65534 && s == 1234);
	expect_eq(getgroups(8, got), 3);
	expect_eq(prctl(PR_GET_KEEPCAPS), 1);
	expect_eq(prctl(PR_GET_DUMPABLE), 0);
	expect(!strcmp(status_line("self", "CapEff"), "0000000000000000"));
}

CPT_STORY(tasks_user, "another user: real, effective and saved ids, groups, keep-caps, not dumpable")
{
	pid_t pid;

	if (geteuid())
		skip("needs root");
	/* it shall be able to write marks here */
	expect(chmod("..", 0777) == 0 && chmod(".", 0777) == 0);
	pid = branch(unprivileged, NULL);
	while (!marked("child")) {
		siginfo_t info = { .si_pid = 0 };

		expect(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0);
		if (info.si_pid)
			skip("an unprivileged user cannot reach the test folder");
		nap(1);
	}
	checkpoint_here();
	join(pid);
}

CPT_STORY(tasks_dumpable, "the dumpable flag")
{
	expect(prctl(PR_SET_DUMPABLE, 0) == 0);
	checkpoint_here();
	if (spoiled())
		prctl(PR_SET_DUMPABLE, 1);
	expect_eq(prctl(PR_GET_DUMPABLE), 0);
}

CPT_STORY(tasks_rlimits, "resource limits, soft and hard")
{
	static const struct { __rlimit_resource_t what; rlim_t soft, hard; } set[] = {
		{ RLIMIT_NOFILE, 321, 4321 }, { RLIMIT_CORE, 0, 0 }, { RLIMIT_STACK, 4 << 20, 64 << 20 },
		{ RLIMIT_NPROC, 5000, 6000 }, { RLIMIT_SIGPENDING, 100, 1000 }, { RLIMIT_CPU, 3600, RLIM_INFINITY },
		{ RLIMIT_FSIZE, 1UL << 40, 1UL << 41 } };
	struct rlimit r;

	for (size_t i = 0; i < sizeof(set) / sizeof(*set); i++) {
		r.rlim_cur = set[i].soft;
		r.rlim_max = set[i].hard;
		expect(setrlimit(set[i].what, &r) == 0);
	}
	checkpoint_here();
	if (spoiled())
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 320, 4321 });
	for (size_t i = 0; i < sizeof(set) / sizeof(*set); i++) {
		expect(getrlimit(set[i].what, &r) == 0);
		expect(r.rlim_cur == set[i].soft);
		expect(r.rlim_max == set[i].hard);
	}
}

CPT_STORY(tasks_limit_below_use, "a descriptor above a limit that was lowered later stays open")
{
	int fd = fcntl(0, F_DUPFD, 500);

	expect_eq(fd, 500);
	expect(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 100, 1000 }) == 0);
	checkpoint_here();
	if (spoiled())
		close(fd);
	expect(fcntl(500, F_GETFD) >= 0);
	expect(fcntl(0, F_DUPFD, 600) == -1 && errno == EINVAL);
}

CPT_STORY(tasks_oom_score, "how gladly the kernel would kill it")
{
	int fd = open("/proc/self/oom_score_adj", O_RDWR);

	expect(fd >= 0);
	expect_eq(write(fd, "321", 3), 3);
	close(fd);
	checkpoint_here();
	if (spoiled()) {
		fd = open("/proc/self/oom_score_adj", O_RDWR);
		expect_eq(write(fd, "400", 3), 3);
	}
	expect(!strcmp(slurp("/proc/self/oom_score_adj"), "321\n"));
}

CPT_STORY(tasks_personality, "the personality")
{
	expect(personality(ADDR_NO_RANDOMIZE | UNAME26) >= 0);
	checkpoint_here();
	if (spoiled())
		personality(0);
	expect_eq(personality(0xffffffff), ADDR_NO_RANDOMIZE | UNAME26);
}

CPT_STORY(tasks_exec_after, "a restored task can fork and exec, and finds its children")
{
	pid_t pid;
	int status;

	checkpoint_here();

	for (int i = 0; i < 5; i++) {
		pid = fork();
		if (!pid) {
			execl("/bin/sh", "sh", "-c", spoiled() ? "exit 4" : "exit 3", NULL);
			_exit(127);
		}
		expect_eq(waitpid(pid, &status, 0), pid);
		expect(WIFEXITED(status));
		expect_eq(WEXITSTATUS(status), 3);
	}
}

static void *fork_here(void *arg)
{
	*(pid_t *)arg = branch(quiet, NULL);
	mark("forked");
	after_checkpoint();
	return NULL;
}

CPT_STORY(tasks_children_of_threads, "a child that another thread has made is waited for by the process")
{
	pthread_t th;
	pid_t pid = 0;
	int status;

	expect(pthread_create(&th, NULL, fork_here, &pid) == 0);
	await("forked");
	checkpoint_here();
	pthread_join(th, NULL);
	expect_eq(stat_field(pid, 1), getpid());
	kill(pid, spoiled() ? SIGKILL : SIGTERM);
	expect_eq(waitpid(pid, &status, 0), pid);
	expect_eq(WTERMSIG(status), SIGTERM);
}
