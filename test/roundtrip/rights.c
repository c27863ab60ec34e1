/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rights.c - seccomp, credentials of single threads, settings that programs rarely make */
#include "story.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

/* ---- seccomp ---------------------------------------------------------- */

/* system call @nr fails with @error from now on */
static int forbid(uint32_t nr, uint32_t error, unsigned flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, code };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

struct filtered {
	pid_t tid;
	int error, later;
};

static void *under_filter(void *arg)
{
	struct filtered *f = arg;

	__atomic_store_n(&f->tid, cpt_gettid(), __ATOMIC_RELEASE);
	await("filters");
	f->error = syscall(SYS_getppid) < 0 ? errno : 0;
	mark("looked");
	await("more");
	f->later = syscall(SYS_getpgid, 0) < 0 ? errno : 0;
	return NULL;
}

CPT_STORY(seccomp_filters, "system calls are filtered as before, by filters that all threads share")
{
	struct filtered f = { 0 };
	pthread_t th;

	if (geteuid())
		skip("needs root");
	expect(pthread_create(&th, NULL, under_filter, &f) == 0);
	while (!__atomic_load_n(&f.tid, __ATOMIC_ACQUIRE))
		nap(1);
	expect(forbid(SYS_getppid, 77, SECCOMP_FILTER_FLAG_TSYNC) == 0);
	expect(forbid(SYS_getuid, 78, SECCOMP_FILTER_FLAG_TSYNC) == 0);
	checkpoint_here();
	expect(syscall(SYS_getuid) == -1 && errno == 78);
	expect(syscall(SYS_getppid) == -1 && errno == (spoiled() ? 76 : 77));
	mark("filters");
	await("looked");
	expect_eq(f.error, 77);
	/* only for threads whose filters are the same ones */
	expect_eq(forbid(SYS_getpgid, 79, SECCOMP_FILTER_FLAG_TSYNC), 0);
	mark("more");
	pthread_join(th, NULL);
	expect_eq(f.later, 79);
}

static void strict(void *arg)
{
	int *fds = arg;
	char c;

	expect(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
	while (read(fds[0], &c, 1) == 1 && c != 'q')
		if (write(fds[3], &c, 1) != 1)
			break;
	syscall(SYS_exit, 0);
}

CPT_STORY(seccomp_strict, "a process in strict mode goes on as far as it may")
{
	int fds[4], status;
	char c = 0;
	pid_t pid;

	expect(pipe(fds) == 0 && pipe(fds + 2) == 0);
	pid = branch(strict, fds);
	expect(write(fds[1], "a", 1) == 1 && read(fds[2], &c, 1) == 1 && c == 'a');
	checkpoint_here();
	expect(write(fds[1], "b", 1) == 1 && read(fds[2], &c, 1) == 1 && c == 'b');
	if (spoiled())
		expect(*status_line("self", "Seccomp") == '1');
	{
		char text[16];

		snprintf(text, sizeof(text), "%d", pid);
		expect(*status_line(text, "Seccomp") == '1');
	}
	expect(write(fds[1], "q", 1) == 1);
	expect_eq(waitpid(pid, &status, 0), pid);
	expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- credentials of one thread ---------------------------------------- */

static void *other_user(void *arg)
{
	pid_t *tid = arg;
	uid_t r, e, s;

	/* the raw calls: of this thread alone */
	expect(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME) == 0);
	expect(syscall(SYS_setresuid, -1, -1, 4321) == 0);
	expect(setfsgid(999) == 0);
	__atomic_store_n(tid, cpt_gettid(), __ATOMIC_RELEASE);
	await("look");
	expect(syscall(SYS_getresuid, &r, &e, &s) == 0);
	expect(r == 0 && e == 0 && s == (spoiled() ? 4320 : 4321));
	expect_eq(setfsgid((gid_t)-1), 999);
	expect_eq(prctl(PR_CAPBSET_READ, CAP_SYS_TIME), 0);
	return NULL;
}

CPT_STORY(creds_of_thread, "a thread with ids and bounding set of its own keeps them, the others theirs")
{
	pid_t tid = 0;
	pthread_t th;
	uid_t r, e, s;

	if (geteuid())
		skip("needs root");
	expect(pthread_create(&th, NULL, other_user, &tid) == 0);
	while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
		nap(1);
	checkpoint_here();
	expect(getresuid(&r, &e, &s) == 0);
	expect(r == 0 && e == 0 && s == 0);
	expect_eq(prctl(PR_CAPBSET_READ, CAP_SYS_TIME), 1);
	mark("look");
	pthread_join(th, NULL);
}

/* ---- signals ---------------------------------------------------------- */

CPT_STORY(signals_many, "two thousand queued signals come in their order, each with its value")
{
	siginfo_t info;
	sigset_t set;
	int next[4] = { 0, 1, 2, 3 };

	sigemptyset(&set);
	for (int i = 0; i < 4; i++)
		sigaddset(&set, SIGRTMIN + 1 + i);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 2000; i++)
		expect(sigqueue(getpid(), SIGRTMIN + 1 + i % 4, (union sigval){ .sival_int = i }) == 0);
	checkpoint_here();
	if (spoiled())
		sigwaitinfo(&set, &info);
	for (int i = 0; i < 2000; i++) {
		int which = sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) - SIGRTMIN - 1;

		expect(which >= 0 && which < 4);
		expect_eq(info.si_value.sival_int, next[which]);
		next[which] += 4;
	}
	expect(sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) == -1 && errno == EAGAIN);
}

CPT_STORY(signals_stop_signal_pending, "SIGURG, which a checkpoint has uses for, is pending once before and after")
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGURG);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGURG);
	syscall(SYS_tgkill, getpid(), cpt_gettid(), SIGWINCH);
	checkpoint_here();
	if (spoiled())
		sigwaitinfo(&set, &info);
	for (int i = 0; i < 2; i++)
		expect(sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) > 0);
	expect(sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) == -1 && errno == EAGAIN);
}

CPT_STORY(signals_no_zombies, "children of one that asked for it (SA_NOCLDWAIT) leave no zombies")
{
	struct sigaction sa = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };
	pid_t pid;

	expect(sigaction(SIGCHLD, &sa, NULL) == 0);
	checkpoint_here();
	if (spoiled()) {
		sa.sa_flags = 0;
		expect(sigaction(SIGCHLD, &sa, NULL) == 0);
	}
	pid = fork();
	if (!pid)
		_exit(0);
	expect(waitpid(pid, NULL, 0) == -1 && errno == ECHILD);
}

/* ---- settings --------------------------------------------------------- */

CPT_STORY(misc_membarrier, "a registration for membarrier(2) holds")
{
	if (syscall(SYS_membarrier, 1 << 9, 0, 0) < 0)
		skip("this kernel does not tell registrations");
	expect(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
	checkpoint_here();
	expect(syscall(SYS_membarrier, spoiled() ? MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE
						 : MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
}

CPT_STORY(misc_mdwe, "memory that was written stays forbidden to execute (PR_SET_MDWE)")
{
	void *p;

	if (prctl(PR_SET_MDWE, 1, 0, 0, 0))
		skip("this kernel has no PR_SET_MDWE");
	checkpoint_here();
	expect_eq(prctl(PR_GET_MDWE, 0, 0, 0, 0), spoiled() ? 0 : 1);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	expect(p == MAP_FAILED);
}

CPT_STORY(misc_thp_disable, "huge pages stay switched off for the process")
{
	expect(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	checkpoint_here();
	if (spoiled())
		prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	expect_eq(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
}

CPT_STORY(misc_coredump_filter, "which mappings a core file would hold")
{
	int fd = open("/proc/self/coredump_filter", O_RDWR);

	if (fd < 0)
		skip("this kernel has no core dumps");
	expect(write(fd, "0x7b", 4) == 4);
	close(fd);
	checkpoint_here();
	if (spoiled()) {
		fd = open("/proc/self/coredump_filter", O_WRONLY);
		expect(write(fd, "0x33", 4) == 4);
	}
	expect_eq(strtol(slurp("/proc/self/coredump_filter"), NULL, 16), 0x7b);
}

CPT_STORY(misc_mce, "what happens on memory errors (PR_MCE_KILL)")
{
	expect(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) == 0);
	checkpoint_here();
	if (spoiled())
		prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0);
	expect_eq(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_EARLY);
}

CPT_STORY(limits_cpu_left, "a limit of CPU time counts what is left of it")
{
	struct rlimit l = { 100, 200 };
	struct timespec used;

	while (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0 && used.tv_sec < 1)
		;
	expect(setrlimit(RLIMIT_CPU, &l) == 0);
	checkpoint_here();
	if (spoiled())
		expect(setrlimit(RLIMIT_CPU, &(struct rlimit){ 50, 200 }) == 0);
	expect(getrlimit(RLIMIT_CPU, &l) == 0);
	expect(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0);
	/* time left = limit - time used, before and after */
	expect((long)l.rlim_cur - used.tv_sec >= 97 && (long)l.rlim_cur - used.tv_sec <= 99);
}
