/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timerfd.c - time left, interval, ticks not yet read */
#include "story.h"

#include <sys/timerfd.h>

CPT_STORY(timerfd_keeps_phase, "timerfds on three clocks keep interval and time left, flags too")
{
	static const int clocks[] = { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME };
	struct itimerspec armed = { .it_interval.tv_sec = 11, .it_value.tv_sec = 600 }, left;
	int fd[3];

	for (int i = 0; i < 3; i++) {
		fd[i] = timerfd_create(clocks[i], TFD_NONBLOCK | TFD_CLOEXEC);
		expect(fd[i] >= 0 && timerfd_settime(fd[i], 0, &armed, NULL) == 0);
	}

	checkpoint_here();
	if (spoiled())
		timerfd_settime(fd[1], 0, &(struct itimerspec){ 0 }, NULL);

	for (int i = 0; i < 3; i++) {
		expect(timerfd_gettime(fd[i], &left) == 0);
		expect_eq(left.it_interval.tv_sec, 11);
		expect(left.it_value.tv_sec > 500 && left.it_value.tv_sec <= 600);
		expect_eq(fdinfo_line(fd[i], "clockid", 10), clocks[i]);
		expect_eq(fcntl(fd[i], F_GETFD), FD_CLOEXEC);
		expect_eq(fcntl(fd[i], F_GETFL), O_RDWR | O_NONBLOCK);
	}
}

CPT_STORY(timerfd_ticks, "ticks that nobody has read yet are there after the restore")
{
	struct itimerspec armed = { .it_interval.tv_sec = 1000, .it_value.tv_nsec = 1000000 };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	uint64_t ticks = 0;

	expect(timerfd_settime(fd, 0, &armed, NULL) == 0);
	while (fdinfo_line(fd, "ticks", 10) == 0)
		nap(1);

	checkpoint_here();
	if (spoiled())
		timerfd_settime(fd, 0, &armed, NULL);

	expect_eq(read(fd, &ticks, sizeof(ticks)), sizeof(ticks));
	expect_eq(ticks, 1);
	expect(read(fd, &ticks, sizeof(ticks)) == -1 && errno == EAGAIN);
}

CPT_STORY(timerfd_fires, "a timerfd armed before the checkpoint fires after it, again and again")
{
	struct itimerspec armed = { .it_interval.tv_nsec = 30000000, .it_value.tv_nsec = 30000000 };
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t ticks;

	expect(timerfd_settime(fd, 0, &armed, NULL) == 0);

	checkpoint_here();
	if (spoiled())
		fcntl(fd, F_SETFL, O_NONBLOCK);

	expect_eq(read(fd, &ticks, sizeof(ticks)), sizeof(ticks));
	for (int i = 0; i < 3; i++) {
		expect_eq(read(fd, &ticks, sizeof(ticks)), sizeof(ticks));
		expect(ticks >= 1);
	}
}

CPT_STORY(timerfd_absolute, "an absolute realtime timer stays at its instant, cancel-on-set included")
{
	struct itimerspec armed = { 0 }, left;
	int fd = timerfd_create(CLOCK_REALTIME, 0);
	int64_t end = now_ns(CLOCK_REALTIME) / 1000000000 + 500;

	armed.it_value.tv_sec = end;
	expect(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &armed, NULL) == 0);

	checkpoint_here();
	if (spoiled())
		timerfd_settime(fd, 0, &armed, NULL);

	expect_eq(fdinfo_line(fd, "settime flags", 8), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
	expect(timerfd_gettime(fd, &left) == 0);
	expect(now_ns(CLOCK_REALTIME) / 1000000000 + left.it_value.tv_sec - end <= 1);
	expect(now_ns(CLOCK_REALTIME) / 1000000000 + left.it_value.tv_sec - end >= -1);
}
