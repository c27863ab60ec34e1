/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blocked.c - tasks that sit in a system call
 *
 * No call may return EINTR that no signal caused, none may return early, none
 * late by more than the checkpoint took. A watcher in the story (not the task
 * that is blocked) keeps time: while the group does not exist, the clock runs
 * on, and whether that time counts is left open, within these bounds.
 */
#include "story.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct sleeper {
	pid_t tid;
	int64_t ms;			/* how long it wants to sleep */
	int64_t began, ended;
	long ret;
	int err;
	struct timespec rem;
	long (*fn)(struct sleeper *s);
	pthread_t th;
};

static void *run_sleeper(void *arg)
{
	struct sleeper *s = arg;

	s->rem.tv_sec = -1;
	s->began = now_ns(CLOCK_MONOTONIC);
	__atomic_store_n(&s->tid, cpt_gettid(), __ATOMIC_RELEASE);
	errno = 0;
	s->ret = s->fn(s);
	s->err = errno;
	s->ended = now_ns(CLOCK_MONOTONIC);
	return NULL;
}

static void start(struct sleeper *s, long nr)
{
	expect(pthread_create(&s->th, NULL, run_sleeper, s) == 0);
	while (!__atomic_load_n(&s->tid, __ATOMIC_ACQUIRE))
		nap(1);
	await_blocked(getpid(), s->tid, nr);
}

static void slept_well(struct sleeper *s, long ret, int err)
{
	int64_t ms;

	if (spoiled())
		pthread_kill(s->th, SIGUSR1);
	pthread_join(s->th, NULL);
	expect_eq(s->ret, ret);
	expect_eq(s->err, err);
	ms = (s->ended - s->began) / 1000000;
	expect(ms >= s->ms);
	/* 2 s of slack for a busy machine: an endless or a doubled sleep is longer */
	expect(ms <= s->ms + gap_ns() / 1000000 + 2000);
}

static void on_usr1(int sig)
{
}

/* spoiled stories are interrupted by a handler without SA_RESTART */
static void prepare(void)
{
	struct sigaction sa = { .sa_handler = on_usr1 };

	sigaction(SIGUSR1, &sa, NULL);
}

static struct timespec ms_spec(int64_t ms)
{
	return (struct timespec){ ms / 1000, ms % 1000 * 1000000 };
}

static long do_nanosleep(struct sleeper *s)
{
	struct timespec ts = ms_spec(s->ms);

	return nanosleep(&ts, &s->rem);
}

static long do_nanosleep_null(struct sleeper *s)
{
	struct timespec ts = ms_spec(s->ms);

	return syscall(SYS_nanosleep, &ts, NULL);
}

static long do_clock_nanosleep(struct sleeper *s)
{
	struct timespec ts = ms_spec(s->ms);

	return clock_nanosleep(CLOCK_BOOTTIME, 0, &ts, &s->rem);
}

static long do_clock_nanosleep_abs(struct sleeper *s)
{
	int64_t end = now_ns(CLOCK_MONOTONIC) + s->ms * 1000000;
	struct timespec ts = { end / 1000000000, end % 1000000000 };

	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

CPT_STORY(blocked_sleeps, "nanosleep and clock_nanosleep, relative and absolute, go on for what was left")
{
	struct sleeper s[4] = { { .ms = 900, .fn = do_nanosleep }, { .ms = 700, .fn = do_nanosleep_null },
				{ .ms = 800, .fn = do_clock_nanosleep },
				{ .ms = 900, .fn = do_clock_nanosleep_abs } };

	prepare();
	start(&s[0], SYS_clock_nanosleep);
	start(&s[1], SYS_nanosleep);
	start(&s[2], SYS_clock_nanosleep);
	start(&s[3], SYS_clock_nanosleep);
	checkpoint_here();
	for (int i = 0; i < 4; i++)
		slept_well(&s[i], 0, 0);
}

CPT_STORY(blocked_long_sleep, "a sleep of an hour is still a sleep of an hour, and one signal ends it with what was left")
{
	struct sleeper s = { .ms = 3600 * 1000, .fn = do_nanosleep };

	prepare();
	start(&s, SYS_clock_nanosleep);
	checkpoint_here();
	await_blocked(getpid(), s.tid, SYS_clock_nanosleep);
	pthread_kill(s.th, SIGUSR1);
	pthread_join(s.th, NULL);
	expect_eq(s.ret, -1);
	expect_eq(s.err, EINTR);
	expect(s.rem.tv_sec > 3500 && s.rem.tv_sec < (spoiled() ? 1 : 3601));
}

static long do_poll(struct sleeper *s)
{
	return poll(NULL, 0, (int)s->ms);
}

static long do_ppoll(struct sleeper *s)
{
	struct timespec ts = ms_spec(s->ms);
	sigset_t none;

	sigemptyset(&none);
	return ppoll(NULL, 0, &ts, &none);
}

static long do_select(struct sleeper *s)
{
	struct timeval tv = { s->ms / 1000, s->ms % 1000 * 1000 };

	return select(0, NULL, NULL, NULL, &tv);
}

static int idle_epoll;

static long do_epoll(struct sleeper *s)
{
	struct epoll_event ev;

	return epoll_wait(idle_epoll, &ev, 1, (int)s->ms);
}

static long do_epoll_pwait(struct sleeper *s)
{
	struct epoll_event ev;
	sigset_t none;

	sigemptyset(&none);
	return epoll_pwait(idle_epoll, &ev, 1, (int)s->ms, &none);
}

CPT_STORY(blocked_polls, "poll, ppoll, select, epoll_wait and epoll_pwait time out when they should")
{
	struct sleeper s[5] = { { .ms = 900, .fn = do_poll }, { .ms = 800, .fn = do_ppoll },
				{ .ms = 850, .fn = do_select }, { .ms = 950, .fn = do_epoll },
				{ .ms = 900, .fn = do_epoll_pwait } };

	prepare();
	idle_epoll = epoll_create1(0);
	start(&s[0], SYS_poll);
	start(&s[1], SYS_ppoll);
	start(&s[2], SYS_pselect6);
	start(&s[3], SYS_epoll_wait);
	start(&s[4], SYS_epoll_pwait);
	checkpoint_here();
	for (int i = 0; i < 5; i++)
		slept_well(&s[i], 0, 0);
}

static int futex_word, futex_other;

static long do_futex(struct sleeper *s)
{
	struct timespec ts = ms_spec(s->ms);

	return syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0);
}

static long do_futex_bitset(struct sleeper *s)
{
	int64_t end = now_ns(CLOCK_MONOTONIC) + s->ms * 1000000;
	struct timespec ts = { end / 1000000000, end % 1000000000 };

	return syscall(SYS_futex, &futex_word, FUTEX_WAIT_BITSET_PRIVATE, 0, &ts, NULL, 1);
}

static long do_futex_forever(struct sleeper *s)
{
	return syscall(SYS_futex, &futex_other, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

CPT_STORY(blocked_futexes, "futex waits with a relative, an absolute and no timeout")
{
	struct sleeper s[3] = { { .ms = 900, .fn = do_futex }, { .ms = 800, .fn = do_futex_bitset },
				{ .ms = 0, .fn = do_futex_forever } };

	prepare();
	for (int i = 0; i < 3; i++)
		start(&s[i], SYS_futex);
	checkpoint_here();
	for (int i = 0; i < 2; i++)
		slept_well(&s[i], -1, ETIMEDOUT);
	/* it may have to be queued again after the restore: wake until it is gone */
	while (syscall(SYS_futex, &futex_other, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) != 1)
		nap(1);
	pthread_join(s[2].th, NULL);
	expect_eq(s[2].ret, 0);
}

static long do_sigtimedwait(struct sleeper *s)
{
	struct timespec ts = ms_spec(s->ms);
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigtimedwait(&set, NULL, &ts);
}

CPT_STORY(blocked_sigtimedwait, "sigtimedwait ends with EAGAIN at its time, not with EINTR")
{
	struct sleeper s = { .ms = 900, .fn = do_sigtimedwait };
	sigset_t set;

	prepare();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	start(&s, SYS_rt_sigtimedwait);
	checkpoint_here();
	slept_well(&s, -1, EAGAIN);
}

static long do_pause(struct sleeper *s)
{
	return pause();
}

static long do_sigsuspend(struct sleeper *s)
{
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGUSR2);
	return sigsuspend(&set);
}

static long do_sigwait(struct sleeper *s)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	return sigwait(&set, &sig) ? -1 : sig;
}

CPT_STORY(blocked_signals, "pause, sigsuspend and sigwait still wait, and end by their signal only")
{
	struct sleeper s[3] = { { .fn = do_pause }, { .fn = do_sigsuspend }, { .fn = do_sigwait } };
	static const long nr[3] = { SYS_pause, SYS_rt_sigsuspend, SYS_rt_sigtimedwait };
	static const int err[3] = { EINTR, EINTR, 0 };
	int sig[3] = { SIGUSR2, SIGUSR2, SIGRTMIN + 1 };
	struct sigaction sa = { .sa_handler = on_usr1 };
	sigset_t set, got;

	prepare();
	sigaction(SIGUSR2, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 3; i++)
		start(&s[i], nr[i]);
	checkpoint_here();
	if (spoiled()) {
		pthread_kill(s[0].th, SIGUSR2);
		pthread_join(s[0].th, NULL);
	}
	/* none has come back by itself */
	for (int i = 0; i < 3; i++) {
		expect(s[i].ended == 0);
		await_blocked(getpid(), s[i].tid, nr[i]);
	}
	for (int i = 0; i < 3; i++) {
		expect(pthread_kill(s[i].th, sig[i]) == 0);
		pthread_join(s[i].th, NULL);
		expect_eq(s[i].ret, i == 2 ? SIGRTMIN + 1 : -1);
		expect_eq(s[i].err, err[i]);
	}
	pthread_sigmask(SIG_SETMASK, NULL, &got);
	expect(!sigismember(&got, SIGUSR1));
}

static int data_pipe[2], data_sock[2];

static long do_read(struct sleeper *s)
{
	char c;

	return read(data_pipe[0], &c, 1) == 1 ? c : -1;
}

static long do_recv(struct sleeper *s)
{
	char c;

	return recv(data_sock[0], &c, 1, 0) == 1 ? c : -1;
}

static long do_recv_timeout(struct sleeper *s)
{
	char c;

	return recv(data_sock[1], &c, 1, 0);
}

CPT_STORY(blocked_data, "threads in read and recv get what comes later; a receive timeout ends in time")
{
	struct sleeper s[3] = { { .fn = do_read }, { .fn = do_recv }, { .ms = 900, .fn = do_recv_timeout } };
	struct timeval tv = { 0, 900000 };

	prepare();
	expect(pipe(data_pipe) == 0);
	expect(socketpair(AF_UNIX, SOCK_DGRAM, 0, data_sock) == 0);
	expect(setsockopt(data_sock[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	start(&s[0], SYS_read);
	start(&s[1], SYS_recvfrom);
	start(&s[2], SYS_recvfrom);
	checkpoint_here();
	slept_well(&s[2], -1, EAGAIN);
	expect_eq(write(data_pipe[1], "p", 1), 1);
	expect_eq(send(data_sock[1], "s", 1, 0), 1);
	pthread_join(s[0].th, NULL);
	pthread_join(s[1].th, NULL);
	expect_eq(s[0].ret, 'p');
	expect_eq(s[1].ret, 's');
}

static void linger(void *arg)
{
	after_checkpoint();
	await("end");
}

static pid_t lingering[2];

static long do_waitid(struct sleeper *s)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)lingering[0], &info, WEXITED | WNOWAIT) ? -1 : info.si_status;
}

static long do_wait(struct sleeper *s)
{
	int status;

	return waitpid(lingering[1], &status, 0) == lingering[1] ? status : -1;
}

CPT_STORY(blocked_waits, "wait4 and waitid for children that end only after the restore")
{
	struct sleeper s[2] = { { .fn = do_waitid }, { .fn = do_wait } };

	lingering[0] = branch(linger, NULL);
	lingering[1] = branch(linger, NULL);
	start(&s[0], SYS_waitid);
	start(&s[1], SYS_wait4);
	checkpoint_here();
	expect(s[0].ended == 0 && s[1].ended == 0);
	if (spoiled())
		kill(lingering[0], SIGKILL);
	mark("end");
	for (int i = 0; i < 2; i++) {
		pthread_join(s[i].th, NULL);
		expect_eq(s[i].ret, 0);
	}
	join(lingering[0]);
}

CPT_STORY(blocked_child_sleeps, "a child process in a long select keeps sleeping, another in pause ends by SIGTERM")
{
	pid_t a, b;
	int status;

	a = fork();
	if (!a) {
		select(0, NULL, NULL, NULL, &(struct timeval){ 3000, 0 });
		_exit(9);
	}
	b = fork();
	if (!b) {
		pause();
		_exit(9);
	}
	await_blocked(a, a, SYS_pselect6);
	await_blocked(b, b, SYS_pause);
	checkpoint_here();
	if (spoiled())
		kill(a, SIGKILL), await_state(a, 'Z');
	expect_eq(waitpid(-1, &status, WNOHANG), 0);
	kill(b, SIGTERM);
	expect_eq(waitpid(b, &status, 0), b);
	expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	kill(a, SIGKILL);
	expect_eq(waitpid(a, &status, 0), a);
}
