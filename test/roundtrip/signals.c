/* SPDX-License-Identifier: GPL-2.0-or-later */
/* signals.c - actions, masks, what is pending and with what information */
#include "story.h"

#include <sys/signalfd.h>
#include <ucontext.h>

#define SA_KERNEL_RESTORER 0x04000000	/* x86 glibc lets the kernel's flag show through */

static volatile sig_atomic_t handled, handled_on_stack;
static char *alt_base;

static void on_info(int sig, siginfo_t *info, void *context)
{
	handled = sig;
	if (alt_base && (char *)&info > alt_base && (char *)&info < alt_base + 65536)
		handled_on_stack = 1;
}

CPT_STORY(signals_actions, "handlers, ignored signals, flags and handler masks of all signals")
{
	struct sigaction set, got;

	memset(&set, 0, sizeof(set));
	set.sa_sigaction = on_info;
	set.sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER;
	sigaddset(&set.sa_mask, SIGUSR2);
	sigaddset(&set.sa_mask, SIGRTMAX);
	expect(sigaction(SIGUSR1, &set, NULL) == 0);
	expect(sigaction(SIGRTMIN + 5, &set, NULL) == 0);
	set.sa_flags = SA_SIGINFO | SA_RESETHAND | SA_ONSTACK;
	expect(sigaction(SIGUSR2, &set, NULL) == 0);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);

	checkpoint_here();
	if (spoiled())
		signal(SIGRTMIN + 5, SIG_DFL);

	for (int sig = SIGUSR1;; sig = SIGRTMIN + 5) {
		expect(sigaction(sig, NULL, &got) == 0);
		expect(got.sa_sigaction == on_info);
		expect_eq(got.sa_flags & ~SA_KERNEL_RESTORER, SA_SIGINFO | SA_RESTART | SA_NODEFER);
		expect(sigismember(&got.sa_mask, SIGUSR2));
		expect(sigismember(&got.sa_mask, SIGRTMAX));
		expect(!sigismember(&got.sa_mask, SIGINT));
		if (sig != SIGUSR1)
			break;
	}
	expect(sigaction(SIGUSR2, NULL, &got) == 0);
	expect_eq(got.sa_flags & ~SA_KERNEL_RESTORER, SA_SIGINFO | (int)(SA_RESETHAND | SA_ONSTACK));
	expect(sigaction(SIGPIPE, NULL, &got) == 0 && got.sa_handler == SIG_IGN);
	expect(sigaction(SIGCHLD, NULL, &got) == 0 && got.sa_handler == SIG_IGN);
	expect(sigaction(SIGTERM, NULL, &got) == 0 && got.sa_handler == SIG_DFL);
	raise(SIGUSR1);
	expect_eq(handled, SIGUSR1);
}

CPT_STORY(signals_mask, "the blocked mask, real-time signals included")
{
	sigset_t set, got;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGRTMAX);
	sigprocmask(SIG_SETMASK, &set, NULL);

	checkpoint_here();
	if (spoiled())
		sigprocmask(SIG_UNBLOCK, &set, NULL);

	sigprocmask(SIG_SETMASK, NULL, &got);
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sig < 32 || sig >= SIGRTMIN)
			expect_eq(sigismember(&got, sig), sigismember(&set, sig));
}

CPT_STORY(signals_queued_values, "queued real-time signals keep order, number and values")
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGRTMIN + 2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 20; i++) {
		union sigval value = { .sival_ptr = (void *)(0xabc000000000UL + (unsigned long)i) };

		expect(sigqueue(getpid(), SIGRTMIN + 1 + i % 2, value) == 0);
	}

	checkpoint_here();
	if (spoiled())
		sigwaitinfo(&set, &info);

	for (int i = 0; i < 20; i++) {
		int at = i % 10;

		expect(sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) == SIGRTMIN + 1 + i / 10);
		expect_eq(info.si_code, SI_QUEUE);
		expect_eq(info.si_pid, getpid());
		expect_eq((long)info.si_value.sival_ptr, 0xabc000000000L + at * 2 + i / 10);
	}
	expect(sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) == -1 && errno == EAGAIN);
}

struct waiter {
	pid_t tid;
	atomic_int done;
	siginfo_t info;
};

static void *sig_thread(void *arg)
{
	struct waiter *w = arg;
	sigset_t set;

	w->tid = cpt_gettid();
	after_checkpoint();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	/* glibc turns SI_TKILL into SI_USER, the kernel does not */
	if (syscall(SYS_rt_sigtimedwait, &set, &w->info, &(struct timespec){ 0, 0 }, 8) == SIGUSR1)
		w->done = 1;
	else
		w->done = -1;
	return NULL;
}

CPT_STORY(signals_thread_directed, "a signal pending for one thread waits for that thread only")
{
	struct waiter w[2] = { { 0 }, { 0 } };
	pthread_t th[2];
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 2; i++) {
		expect(pthread_create(&th[i], NULL, sig_thread, &w[i]) == 0);
		while (!*(volatile pid_t *)&w[i].tid)
			nap(1);
	}
	expect(syscall(SYS_tgkill, getpid(), w[1].tid, SIGUSR1) == 0);
	expect(kill(getpid(), SIGUSR2) == 0);

	checkpoint_here();
	if (spoiled())
		w[1].done = -1;

	for (int i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
	expect_eq(w[0].done, -1);
	expect_eq(w[1].done, spoiled() ? 2 : 1);
	expect_eq(w[1].info.si_code, SI_TKILL);
	expect_eq(w[1].info.si_pid, getpid());
	expect(sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) == SIGUSR2);
	expect_eq(info.si_code, SI_USER);
}

CPT_STORY(signals_altstack, "the alternate stack is still the one handlers run on")
{
	stack_t st = { 0 }, got;
	struct sigaction set;

	alt_base = malloc(65536);
	st.ss_sp = alt_base;
	st.ss_size = 65536;
	expect(sigaltstack(&st, NULL) == 0);
	memset(&set, 0, sizeof(set));
	set.sa_sigaction = on_info;
	set.sa_flags = SA_SIGINFO | SA_ONSTACK;
	expect(sigaction(SIGUSR1, &set, NULL) == 0);

	checkpoint_here();
	if (spoiled())
		sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL);

	expect(sigaltstack(NULL, &got) == 0);
	expect(got.ss_sp == alt_base);
	expect_eq(got.ss_size, 65536);
	expect_eq(got.ss_flags, 0);
	raise(SIGUSR1);
	expect_eq(handled_on_stack, 1);
}

static void in_handler(int sig)
{
	checkpoint_here();
	handled = sig;
}

CPT_STORY(signals_inside_handler, "a checkpoint inside a handler on the alternate stack returns from it well")
{
	struct sigaction set = { .sa_handler = in_handler, .sa_flags = SA_ONSTACK };
	stack_t st = { .ss_sp = malloc(65536), .ss_size = 65536 }, got;
	sigset_t mask;

	sigaddset(&set.sa_mask, SIGUSR2);
	expect(sigaltstack(&st, NULL) == 0);
	expect(sigaction(SIGUSR1, &set, NULL) == 0);
	raise(SIGUSR1);
	if (spoiled())
		sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL);
	expect_eq(handled, SIGUSR1);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	expect(!sigismember(&mask, SIGUSR1));
	expect(!sigismember(&mask, SIGUSR2));
	expect(sigaltstack(NULL, &got) == 0);
	expect(got.ss_sp == st.ss_sp);
	expect_eq(got.ss_flags, 0);
}

CPT_STORY(signals_ignored_stay_ignored, "an ignored signal does nothing after the restore either")
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);

	checkpoint_here();
	if (spoiled())
		expect(signal(SIGTERM, SIG_DFL) != SIG_IGN);

	raise(SIGTERM);
	raise(SIGHUP);
}

CPT_STORY(signals_pending_unblocked_later, "a signal that waited through the checkpoint runs its handler once unblocked")
{
	struct sigaction set = { .sa_sigaction = on_info, .sa_flags = SA_SIGINFO };
	sigset_t mask;

	expect(sigaction(SIGUSR1, &set, NULL) == 0);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	raise(SIGUSR1);
	expect_eq(handled, 0);

	checkpoint_here();
	if (spoiled())
		sigtimedwait(&mask, NULL, &(struct timespec){ 0, 0 });

	expect_eq(handled, 0);
	sigprocmask(SIG_UNBLOCK, &mask, NULL);
	expect_eq(handled, SIGUSR1);
}

CPT_STORY(signalfd_reads, "a signalfd keeps its mask and reads what is pending")
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 9);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	expect(fd >= 0);
	expect(sigqueue(getpid(), SIGRTMIN + 9, (union sigval){ .sival_int = 4711 }) == 0);

	checkpoint_here();
	if (spoiled()) {
		sigdelset(&set, SIGRTMIN + 9);
		signalfd(fd, &set, 0);
	}

	expect_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	expect_eq(read(fd, &info, sizeof(info)), sizeof(info));
	expect_eq(info.ssi_signo, SIGRTMIN + 9);
	expect_eq(info.ssi_int, 4711);
	expect(read(fd, &info, sizeof(info)) == -1 && errno == EAGAIN);
	raise(SIGUSR1);
	expect_eq(read(fd, &info, sizeof(info)), sizeof(info));
	expect_eq(info.ssi_signo, SIGUSR1);
}
