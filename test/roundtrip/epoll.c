/* SPDX-License-Identifier: GPL-2.0-or-later */
/* epoll.c - interest lists: events, data, edge and oneshot state, odd targets */
#include "story.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static void add(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	expect(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
}

CPT_STORY(epoll_level, "level-triggered entries with 64-bit data; what was ready is ready, later events come")
{
	int ep = epoll_create1(EPOLL_CLOEXEC), ready = eventfd(1, 0), later = eventfd(0, 0), p[2];
	struct epoll_event ev[8];

	expect(pipe(p) == 0);
	add(ep, ready, EPOLLIN, 0x1122334455667788UL);
	add(ep, later, EPOLLIN | EPOLLPRI, 2);
	add(ep, p[0], EPOLLIN | EPOLLRDHUP, 3);
	expect_eq(epoll_wait(ep, ev, 8, 0), 1);

	checkpoint_here();
	if (spoiled())
		epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL);

	expect_eq(fcntl(ep, F_GETFD), FD_CLOEXEC);
	expect_eq(epoll_wait(ep, ev, 8, 0), 1);
	expect_eq(ev[0].data.u64, 0x1122334455667788L);
	expect_eq(ev[0].events, EPOLLIN);
	eventfd_read(ready, &(eventfd_t){ 0 });
	expect_eq(epoll_wait(ep, ev, 8, 0), 0);
	eventfd_write(later, 1);
	expect_eq(epoll_wait(ep, ev, 8, 1000), 1);
	expect_eq(ev[0].data.u64, 2);
	expect_eq(epoll_ctl(ep, EPOLL_CTL_DEL, later, NULL), 0);
	close(p[1]);
	expect_eq(epoll_wait(ep, ev, 8, 1000), 1);
	expect_eq(ev[0].data.u64, 3);
	expect_eq(ev[0].events, EPOLLHUP);
	expect(epoll_ctl(ep, EPOLL_CTL_ADD, ready, ev) == -1 && errno == EEXIST);
}

CPT_STORY(epoll_oneshot, "a oneshot entry that has fired stays disarmed until it is armed again")
{
	int ep = epoll_create1(0), fd = eventfd(1, 0), armed = eventfd(0, 0);
	struct epoll_event ev;

	add(ep, fd, EPOLLIN | EPOLLONESHOT, 7);
	add(ep, armed, EPOLLIN | EPOLLONESHOT, 8);
	expect_eq(epoll_wait(ep, &ev, 1, 0), 1);
	expect_eq(epoll_wait(ep, &ev, 1, 0), 0);

	checkpoint_here();
	if (spoiled()) {
		ev.events = EPOLLIN | EPOLLONESHOT;
		epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
	}

	expect_eq(epoll_wait(ep, &ev, 1, 0), 0);
	eventfd_write(armed, 1);
	expect_eq(epoll_wait(ep, &ev, 1, 1000), 1);
	expect_eq(ev.data.u64, 8);
	ev.events = EPOLLIN | EPOLLONESHOT;
	ev.data.u64 = 9;
	expect(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev) == 0);
	expect_eq(epoll_wait(ep, &ev, 1, 0), 1);
	expect_eq(ev.data.u64, 9);
}

CPT_STORY(epoll_edge, "an edge-triggered entry reports every new edge after the restore")
{
	int ep = epoll_create1(0), fd = eventfd(0, 0);
	struct epoll_event ev;

	add(ep, fd, EPOLLIN | EPOLLET, 5);

	checkpoint_here();
	if (spoiled())
		epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL);

	for (int i = 0; i < 3; i++) {
		eventfd_write(fd, 1);
		expect_eq(epoll_wait(ep, &ev, 1, 1000), 1);
		expect_eq(ev.events, EPOLLIN);
		expect_eq(epoll_wait(ep, &ev, 1, 0), 0);
	}
}

CPT_STORY(epoll_nested, "an epoll inside an epoll, and one that is watched under two numbers")
{
	int outer = epoll_create1(0), inner = epoll_create1(0), fd = eventfd(0, 0), twin = dup(fd);
	struct epoll_event ev[4];

	add(inner, fd, EPOLLIN, 11);
	add(inner, twin, EPOLLIN, 12);
	add(outer, inner, EPOLLIN, 13);

	checkpoint_here();
	if (spoiled())
		epoll_ctl(inner, EPOLL_CTL_DEL, twin, NULL);

	expect_eq(epoll_wait(outer, ev, 4, 0), 0);
	eventfd_write(fd, 1);
	expect_eq(epoll_wait(outer, ev, 4, 1000), 1);
	expect_eq(ev[0].data.u64, 13);
	expect_eq(epoll_wait(inner, ev, 4, 0), 2);
	expect_eq(ev[0].data.u64 + ev[1].data.u64, 23);
}

CPT_STORY(epoll_closed_number, "an entry whose number was closed but whose file lives on elsewhere still reports")
{
	int ep = epoll_create1(0), fd = eventfd(0, 0), alive = dup(fd);
	struct epoll_event ev;

	add(ep, fd, EPOLLIN, 21);
	close(fd);

	checkpoint_here();

	if (!spoiled())
		eventfd_write(alive, 1);
	expect_eq(epoll_wait(ep, &ev, 1, 1000), 1);
	expect_eq(ev.data.u64, 21);
}

static int shared_ep;

static void wait_event(void *arg)
{
	struct epoll_event ev;

	expect_eq(epoll_wait(shared_ep, &ev, 1, -1), 1);
	expect_eq(ev.data.u64, 31);
}

CPT_STORY(epoll_blocked_child, "a child in epoll_wait on an epoll shared over fork wakes up")
{
	int sv[2];
	pid_t pid;

	expect(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	shared_ep = epoll_create1(0);
	add(shared_ep, sv[0], EPOLLIN, spoiled() ? 32 : 31);
	pid = branch(wait_event, NULL);
	await_blocked(pid, pid, SYS_epoll_wait);

	checkpoint_here();

	expect_eq(write(sv[1], "x", 1), 1);
	join(pid);
}
