/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* timers.c - interval timers and POSIX timers: which there are, and the time that is left */
#include "dump/kinds.h"
#include "image/state.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

/* ---- /proc/PID/timers ------------------------------------------------- */

struct listed {
	int id, clock, notify;
	unsigned signal;
	uint64_t value;
	pid_t target;
};

/*
 * ID: 0
 * signal: 60/00007fff86e452a8
 * notify: signal/pid.2634		or none, thread; tid: SIGEV_THREAD_ID
 * ClockID: 0
 * Returns the characters that the entry takes, 0 if it is none.
 */
static int parse_entry(const char *text, struct listed *l)
{
	char how[16], whom[8];
	unsigned long long value;
	int used = 0;

	if (sscanf(text, "ID: %d\nsignal: %u/%llx\nnotify: %15[a-z]/%7[a-z].%d\nClockID: %d\n%n",
		   &l->id, &l->signal, &value, how, whom, &l->target, &l->clock, &used) != 7)
		return 0;
	l->value = value;
	l->notify = strcmp(how, "none") == 0 ? SIGEV_NONE : strcmp(how, "thread") == 0 ? SIGEV_THREAD : SIGEV_SIGNAL;
	if (strcmp(whom, "tid") == 0)
		l->notify |= SIGEV_THREAD_ID;
	return used;
}

static bool has_thread(const struct cpt_task *t, pid_t tid)
{
	for (unsigned i = 0; i < t->nthreads; i++)
		if (t->threads[i].tid == tid)
			return true;
	return false;
}

/* A clock of CPU time must have its owner in the image. */
static void check_clock(struct cpt_dump *d, struct cpt_task *t, const struct listed *l)
{
	pid_t owner = cpt_clock_pid(l->clock);

	if (!cpt_clock_is_cpu(l->clock))
		return;
	if (!owner && cpt_clock_is_thread(l->clock) && t->nthreads > 1)
		cpt_refuse(d, t, "timer %d: measures the CPU time of the thread that made it, and the kernel does not say which that was; delete it (timer_delete) or make it with pthread_getcpuclockid", l->id);
	else if (owner && cpt_clock_is_thread(l->clock) && !has_thread(t, owner))
		cpt_refuse(d, t, "timer %d: measures the CPU time of thread %d, which is gone; delete it (timer_delete)", l->id, owner);
	else if (owner && !cpt_clock_is_thread(l->clock) && !cpt_dump_find(d, owner))
		cpt_refuse(d, t, "timer %d: measures the CPU time of process %d, which is not in the group", l->id, owner);
}

static Cpt__PosixTimer *timer(struct cpt_dump *d, struct cpt_task *t, const struct listed *l)
{
	Cpt__PosixTimer *p = cpt_arena_new(&d->arena, Cpt__PosixTimer);
	bool lost = l->notify & SIGEV_THREAD_ID && !has_thread(t, l->target);

	cpt__posix_timer__init(p);
	CPT_SET(p, id, (uint32_t)l->id);
	CPT_SET(p, clock, l->clock);
	/* whom it signalled is gone: it goes on without */
	CPT_SET(p, notify, lost ? (uint32_t)SIGEV_NONE : (uint32_t)l->notify);
	CPT_SET(p, signal, l->signal);
	CPT_SET(p, value, l->value);
	if (l->notify & SIGEV_THREAD_ID && !lost)
		CPT_SET(p, tid, (uint32_t)l->target);
	return p;
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = (*(Cpt__PosixTimer *const *)a)->id, y = (*(Cpt__PosixTimer *const *)b)->id;

	return x < y ? -1 : x > y;
}

static int parse(struct cpt_dump *d, struct cpt_task *t, const char *text, Cpt__Timers *ret, struct cpt_err *err)
{
	Cpt__PosixTimer **v = NULL;
	size_t n = 0, cap = 0;
	struct listed l;
	int used;

	for (; *text; text += used) {
		used = parse_entry(text, &l);
		if (!used || l.id < 0) {
			free(v);
			return cpt_fail(err, CPT_SYSTEM, "can't read /proc/%d/timers: '%.20s'", t->pid, text);
		}
		check_clock(d, t, &l);
		CPT_GROW(v, n, cap);
		v[n++] = timer(d, t, &l);
	}
	if (n)
		qsort(v, n, sizeof(*v), by_id);
	ret->timers = cpt_arena_memdup(&d->arena, v, n * sizeof(*v));
	ret->n_timers = n;
	free(v);
	return 0;
}

static int look(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	Cpt__Timers *timers = cpt_arena_new(&d->arena, Cpt__Timers);

	cpt__timers__init(timers);
	if (cpt_read_at(t->proc, "timers", &d->buf, err))
		return err->sys == ENOENT ? cpt_fail(err, CPT_UNSUPPORTED,
			"this kernel does not list POSIX timers (/proc/PID/timers); it needs CONFIG_CHECKPOINT_RESTORE") : -1;
	t->img->timers = timers;
	return parse(d, t, d->buf.data, timers, err);
}

/* ---- time left -------------------------------------------------------- */

#define ITIMERS 3

static int ask(struct cpt_dump *d, struct cpt_task *t, struct cpt_batch *b, void **state, struct cpt_err *err)
{
	const Cpt__Timers *timers = t->img->timers;
	size_t at;

	_Static_assert(sizeof(struct itimerval) == sizeof(struct itimerspec), "one array for both");
	at = cpt_batch_data(b, NULL, (ITIMERS + timers->n_timers) * sizeof(struct itimerspec));
	*state = (void *)at;
	for (int which = 0; which < ITIMERS; which++, at += sizeof(struct itimerval))
		CPT_CALL(b, getitimer, CPT_NUM(which), CPT_DATA(at));
	for (size_t i = 0; i < timers->n_timers; i++, at += sizeof(struct itimerspec))
		CPT_CALL(b, timer_gettime, CPT_NUM(timers->timers[i]->id), CPT_DATA(at));
	return 0;
}

static void tell_itimers(struct cpt_dump *d, Cpt__Timers *timers, const struct itimerval *v)
{
	for (unsigned which = 0; which < ITIMERS; which++) {
		uint64_t left = (uint64_t)v[which].it_value.tv_sec * 1000000 + (uint64_t)v[which].it_value.tv_usec;
		uint64_t every = (uint64_t)v[which].it_interval.tv_sec * 1000000 + (uint64_t)v[which].it_interval.tv_usec;
		Cpt__Itimer *it;

		if (!left && !every)
			continue;
		it = cpt_arena_new(&d->arena, Cpt__Itimer);
		cpt__itimer__init(it);
		CPT_SET(it, which, which);
		CPT_SET(it, left_us, left);
		CPT_SET(it, interval_us, every);
		if (!timers->itimers)
			timers->itimers = cpt_arena_array(&d->arena, Cpt__Itimer *, ITIMERS);
		timers->itimers[timers->n_itimers++] = it;
	}
}

static uint64_t ns(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int tell(struct cpt_dump *d, struct cpt_task *t, const struct cpt_batch *b, void *state, struct cpt_err *err)
{
	Cpt__Timers *timers = t->img->timers;
	const struct itimerspec *left;

	tell_itimers(d, timers, cpt_batch_out(b, (size_t)state));
	left = cpt_batch_out(b, (size_t)state + ITIMERS * sizeof(struct itimerval));
	for (size_t i = 0; i < timers->n_timers; i++) {
		CPT_SET(timers->timers[i], left_ns, ns(left[i].it_value));
		CPT_SET(timers->timers[i], interval_ns, ns(left[i].it_interval));
	}
	if (!timers->n_timers && !timers->n_itimers)
		t->img->timers = NULL;
	return 0;
}

const struct cpt_dump_kind cpt_dump_timers = {
	.name = "timers",
	.look = look,
	.ask = ask,
	.tell = tell,
};
