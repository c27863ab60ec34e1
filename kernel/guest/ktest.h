/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the test programs that run in the guest share. */
#ifndef KTEST_H
#define KTEST_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* A case ends at the first thing that is not as it should be. */
#define REQUIRE(cond, ...)						\
	do {								\
		if (!(cond))						\
			fail(__func__, __LINE__, #cond, " " __VA_ARGS__); \
	} while (0)

/* Waiting is for a condition, with a deadline that only a failure meets. */
#define WAIT_MS 20000
#define WAIT_UNTIL(cond)						\
	({								\
		long long end_ = now_ms() + WAIT_MS;			\
		bool ok_;						\
		while (!(ok_ = (cond)) && now_ms() < end_)		\
			nap();						\
		ok_ || (cond);						\
	})

static inline long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* between two looks at a condition, not a means to let something happen */
static inline void nap(void)
{
	struct timespec ts = { .tv_nsec = 1000000 };

	nanosleep(&ts, NULL);
}

static inline __attribute__((noreturn, format(printf, 4, 5)))
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

/*
 * A task that the kernel holds, uninterruptible and not freezable, until it is
 * let go: it faults on a page that userfaultfd was asked to watch.
 */
struct held {
	pid_t pid;
	int uffd;
	char *page;
};

enum held_how {
	HELD_WRITE,	/* in write(2), goes on in user space */
	HELD_VFORK,	/* in clone3(2), goes on in the wait for a vfork child */
};

/* runs in the task once it was let go */
static inline void held_after(void)
{
	for (;;)
		pause();
}

static inline int held_uffd(char *page)
{
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (unsigned long)page, 4096 },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	REQUIRE(fd >= 0);
	REQUIRE(ioctl(fd, UFFDIO_API, &api) == 0);
	REQUIRE(ioctl(fd, UFFDIO_REGISTER, &reg) == 0);
	return fd;
}

static inline void held_task(enum held_how how, int fd_nr, char *page)
{
	int null = open("/dev/null", O_WRONLY);
	int p[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)null;
	if (dup2(held_uffd(page), fd_nr) < 0)
		_exit(9);
	if (how == HELD_VFORK) {
		struct clone_args args = {
			.flags = CLONE_VFORK | CLONE_PARENT_SETTID,
			.parent_tid = (unsigned long)page,
			.exit_signal = SIGCHLD,
		};
		pid_t pid = syscall(SYS_clone3, &args, sizeof(args));

		if (pid == 0)
			_exit(0);
		_exit(pid > 0 ? 0 : 9);
	}
	if (pipe(p))
		_exit(9);
	if (write(p[1], page, 1) != 1)
		_exit(9);
	held_after();
}

/* Start a held task, call @join in it first, and wait until it is held. */
static inline struct held held_start(enum held_how how, void (*join)(void))
{
	struct held h;
	struct pollfd pfd;
	struct uffd_msg msg;
	int pidfd;

	h.page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(h.page != MAP_FAILED);
	h.pid = fork();
	REQUIRE(h.pid >= 0);
	if (!h.pid) {
		if (join)
			join();
		held_task(how, 100, h.page);
	}
	pidfd = syscall(SYS_pidfd_open, h.pid, 0);
	REQUIRE(pidfd >= 0);
	REQUIRE(WAIT_UNTIL((h.uffd = syscall(SYS_pidfd_getfd, pidfd, 100, 0)) >= 0));
	close(pidfd);
	pfd = (struct pollfd){ .fd = h.uffd, .events = POLLIN };
	REQUIRE(poll(&pfd, 1, WAIT_MS) == 1);
	REQUIRE(read(h.uffd, &msg, sizeof(msg)) == sizeof(msg));
	REQUIRE(msg.event == UFFD_EVENT_PAGEFAULT);
	return h;
}

static inline void held_let_go(struct held *h)
{
	static char zeroes[4096] __attribute__((aligned(4096)));
	struct uffdio_copy copy = {
		.dst = (unsigned long)h->page,
		.src = (unsigned long)zeroes,
		.len = 4096,
	};

	REQUIRE(ioctl(h->uffd, UFFDIO_COPY, &copy) == 0);
	close(h->uffd);
}

#endif
