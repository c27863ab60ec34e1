/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * timers.c - interval timers and POSIX timers
 *
 * They are made while rights are still there, and started last of all, behind
 * the pending signals, so that one that fires at once does not overtake them.
 */
#include "restore/kinds.h"
#include "image/state.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

/* Linux 6.15 lets a process ask for the ids of its timers. */
static bool ids_can_be_asked_for(void)
{
	return prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0) >= 0;
}

static int look(struct cpt_restore *r, struct cpt_err *err)
{
	r->timer_ids = ids_can_be_asked_for();
	for (unsigned i = 0; i < r->ntasks && !r->timer_ids; i++) {
		const Cpt__Timers *m = r->tasks[i].img->timers;

		if (m && m->n_timers && m->timers[m->n_timers - 1]->id > CPT_TIMER_ID_MAX_PLAIN)
			cpt_missing(r, "task %u: POSIX timer %u: to make a timer with that id Linux 6.15 is needed",
				    r->tasks[i].img->pid, m->timers[m->n_timers - 1]->id);
	}
	return 0;
}

/* ---- making ----------------------------------------------------------- */

static size_t create(struct cpt_batch *b, const Cpt__PosixTimer *p)
{
	const struct cpt_ksigevent e = {
		.value = p->value, .signal = p->signal, .notify = p->notify, .tid = p->tid,
	};
	size_t id = cpt_batch_data(b, &p->id, sizeof(uint32_t));

	CPT_CALL(b, timer_create, CPT_NUM((int64_t)p->clock), CPT_DATA(cpt_batch_data(b, &e, sizeof(e))), CPT_DATA(id));
	return id;
}

/* A new process numbers its timers from 0 on: those in between are made and deleted. */
static void skip_ids(struct cpt_batch *b, uint32_t from, uint32_t to)
{
	size_t id = cpt_batch_data(b, NULL, sizeof(uint32_t));
	const struct cpt_ksigevent none = { .notify = SIGEV_NONE };
	size_t e = cpt_batch_data(b, &none, sizeof(none));

	for (; from < to; from++) {
		CPT_CALL(b, timer_create, CPT_NUM(CLOCK_MONOTONIC), CPT_DATA(e), CPT_DATA(id));
		CPT_CALL(b, timer_delete, CPT_INT(id));
	}
}

static int make(struct cpt_restore *r, const Cpt__Timers *m, struct cpt_batch *b)
{
	const struct cpt_arg zero = CPT_NUM(0), what = CPT_NUM(PR_TIMER_CREATE_RESTORE_IDS);
	uint32_t next = 0;

	if (r->timer_ids)
		CPT_CALL(b, prctl, what, CPT_NUM(PR_TIMER_CREATE_RESTORE_IDS_ON), zero, zero, zero);
	for (size_t i = 0; i < m->n_timers; i++) {
		if (!r->timer_ids)
			skip_ids(b, next, m->timers[i]->id);
		create(b, m->timers[i]);
		next = m->timers[i]->id + 1;
	}
	if (r->timer_ids)
		CPT_CALL(b, prctl, what, CPT_NUM(PR_TIMER_CREATE_RESTORE_IDS_OFF), zero, zero, zero);
	return 0;
}

static int thread(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_rthread *th, struct cpt_batch *b, struct cpt_err *err)
{
	const Cpt__Timers *m = t->img->timers;

	return m && m->n_timers && th == t->threads ? make(r, m, b) : 0;
}

/* ---- starting --------------------------------------------------------- */

static struct timespec ts(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
}

static struct timeval tv(uint64_t us)
{
	return (struct timeval){ (time_t)(us / 1000000), (suseconds_t)(us % 1000000) };
}

/* The kernel adds a tick of its own to a time of CPU use that it is given (kernel/time/itimer.c). */
static uint64_t without_tick(const Cpt__Itimer *it)
{
	struct timespec tick = { 0 };

	if (it->which == ITIMER_REAL || clock_getres(CLOCK_REALTIME_COARSE, &tick))
		return it->left_us;
	return it->left_us - CPT_MIN(it->left_us, (uint64_t)tick.tv_nsec / 1000);
}

/* One that had fired and waits for its signal to be taken is let fire at once: the two signals are one. */
static void start_itimer(struct cpt_batch *b, const Cpt__Itimer *it)
{
	struct itimerval v = { .it_interval = tv(it->interval_us), .it_value = tv(CPT_MAX(without_tick(it), (uint64_t)1)) };

	CPT_CALL(b, setitimer, CPT_NUM(it->which), CPT_DATA(cpt_batch_data(b, &v, sizeof(v))), CPT_NUM(0));
}

static void start_timer(struct cpt_batch *b, const Cpt__PosixTimer *p)
{
	struct itimerspec v = { .it_interval = ts(p->interval_ns), .it_value = ts(p->left_ns) };

	if (p->left_ns)
		CPT_CALL(b, timer_settime, CPT_NUM(p->id), CPT_NUM(0), CPT_DATA(cpt_batch_data(b, &v, sizeof(v))), CPT_NUM(0));
}

#define AT_ONCE 256		/* timers in a batch: they fit into any scratch mapping */

static int start(struct cpt_restore *r, struct cpt_rtask *t, const Cpt__Timers *m, struct cpt_err *err)
{
	struct cpt_batch *b = &r->batch;

	cpt_batch_reset(b);
	for (size_t i = 0; i < m->n_itimers; i++)
		start_itimer(b, m->itimers[i]);
	for (size_t i = 0; i < m->n_timers; i++) {
		start_timer(b, m->timers[i]);
		if (b->ncalls < AT_ONCE)
			continue;
		if (cpt_batch_run(&t->threads[0].remote, b, err))
			return -1;
		cpt_batch_reset(b);
	}
	return cpt_batch_run(&t->threads[0].remote, b, err);
}

static int late(struct cpt_restore *r, struct cpt_err *err)
{
	for (unsigned i = 0; i < r->ntasks; i++) {
		const Cpt__Timers *m = r->tasks[i].img->timers;

		if (m && r->tasks[i].nthreads && start(r, &r->tasks[i], m, err))
			return cpt_within(err, "start timers");
	}
	return 0;
}

const struct cpt_restore_kind cpt_restore_timers = {
	.name = "timers",
	.look = look,
	.thread = thread,
	.late = late,
};
