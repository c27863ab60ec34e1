/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* events.c - are pipes, eventfds, epolls, timerfds and pidfds sane? */
#include "image/kinds.h"

#include <limits.h>
#include <time.h>

#define PIPE_PACKET 4096		/* a pipe's buffer is a page */

int cpt_check_pipe(const Cpt__Pipe *m, struct cpt_err *err)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n_packets; i++) {
		if (!m->packets[i] || m->packets[i] > PIPE_PACKET)
			return cpt_fail(err, CPT_BAD_IMAGE, "a packet of %u bytes", m->packets[i]);
		sum += m->packets[i];
	}
	if (m->size > INT_MAX || m->content.len > INT_MAX || (m->n_packets && sum != m->content.len))
		return cpt_fail(err, CPT_BAD_IMAGE, "%zu bytes in a pipe of %u", m->content.len, m->size);
	return m->path ? cpt_check_path(m->path, err) : 0;
}

int cpt_check_eventfd(const Cpt__Eventfd *m, struct cpt_err *err)
{
	if (m->count == UINT64_MAX)
		return cpt_fail(err, CPT_BAD_IMAGE, "a counter that no eventfd reaches");
	return 0;
}

int cpt_check_epoll_target(const Cpt__EpollTarget *m, struct cpt_err *err)
{
	if (m->fd >= INT_MAX || !m->object)
		return cpt_fail(err, CPT_BAD_IMAGE, "object %u as descriptor %u", m->object, m->fd);
	return 0;
}

int cpt_check_timerfd(const Cpt__Timerfd *m, struct cpt_err *err)
{
	static const uint32_t clocks[] = {
		CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM,
	};

	if (m->left_ns > INT64_MAX || m->interval_ns > INT64_MAX || m->expires_ns > INT64_MAX || m->settime_flags > 3)
		return cpt_fail(err, CPT_BAD_IMAGE, "times out of range, or flags %u", m->settime_flags);
	for (size_t i = 0; i < CPT_COUNT(clocks); i++)
		if (m->clock == clocks[i])
			return 0;
	return cpt_fail(err, CPT_BAD_IMAGE, "of clock %u", m->clock);
}

int cpt_check_pidfd(const Cpt__Pidfd *m, struct cpt_err *err)
{
	if (!m->pid || m->pid > INT_MAX)
		return cpt_fail(err, CPT_BAD_IMAGE, "of process %u", m->pid);
	return 0;
}
