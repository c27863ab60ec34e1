/* SPDX-License-Identifier: GPL-2.0-or-later */
/* eventfd.c - counters above 32 bits, semaphores, a blocked reader */
#include "story.h"

#include <sys/eventfd.h>

CPT_STORY(eventfd_counts, "an eventfd keeps a counter above 32 bits and its flags")
{
	eventfd_t v = 0;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	expect(fd >= 0 && eventfd_write(fd, 0x123456789aUL) == 0);

	checkpoint_here();
	if (spoiled())
		eventfd_write(fd, 1);

	expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	expect_eq(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
	expect(eventfd_read(fd, &v) == 0);
	expect_eq(v, 0x123456789aL);
	expect(eventfd_read(fd, &v) == -1 && errno == EAGAIN);
}

CPT_STORY(eventfd_semaphore, "an eventfd semaphore counts down one by one, one at its maximum blocks writers")
{
	int sem = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK), full = eventfd(0, EFD_NONBLOCK);
	eventfd_t v = 0;

	expect(sem >= 0 && full >= 0);
	expect(eventfd_write(full, 0xfffffffffffffffeUL) == 0);

	checkpoint_here();
	if (spoiled())
		eventfd_read(sem, &v);

	for (int i = 0; i < 3; i++) {
		expect(eventfd_read(sem, &v) == 0);
		expect_eq(v, 1);
	}
	expect(eventfd_read(sem, &v) == -1 && errno == EAGAIN);
	expect(eventfd_write(full, 1) == -1 && errno == EAGAIN);
	expect(eventfd_read(full, &v) == 0);
	expect(v == 0xfffffffffffffffeUL);
}

static void wait_for_event(void *arg)
{
	eventfd_t v = 0;

	expect(eventfd_read(*(int *)arg, &v) == 0);
	expect_eq(v, 42);
}

CPT_STORY(eventfd_wakes_child, "a child that blocks on a shared eventfd is woken by a write after the restore")
{
	int fd = eventfd(0, 0);
	pid_t pid = branch(wait_for_event, &fd);

	await_blocked(pid, pid, SYS_read);

	checkpoint_here();

	expect(eventfd_write(fd, spoiled() ? 41 : 42) == 0);
	join(pid);
}
