// SPDX-License-Identifier: GPL-2.0-or-later
/* Tasks that the kernel holds until they are let go. */
#include "ktest.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <linux/userfaultfd.h>

/* runs in the task once it was let go */
static void held_after(void)
{
	for (;;)
		pause();
}

static int held_uffd(char *page)
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

static void held_task(enum held_how how, int fd_nr, char *page)
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

struct held held_start(enum held_how how, void (*join)(void))
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
	REQUIRE(poll(&pfd, 1, patience_ms) == 1);
	REQUIRE(read(h.uffd, &msg, sizeof(msg)) == sizeof(msg));
	REQUIRE(msg.event == UFFD_EVENT_PAGEFAULT);
	return h;
}

void held_let_go(struct held *h)
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
