/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ahead.c - read /proc/PID/smaps (or maps) of the next processes meanwhile
 *
 * It is the one slow file of a process, and only ptrace binds a dump to one
 * thread: where there are many processes, another thread reads ahead.
 */
#include "dump/engine.h"

#include <pthread.h>
#include <stdlib.h>

#define MANY 8				/* processes; fewer are not worth a thread */
#define AHEAD 32			/* texts waiting */

struct cpt_ahead {
	struct cpt_dump *d;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more, room;
	struct {
		const struct cpt_task *t;
		struct cpt_buf text;
		struct cpt_err err;	/* .fault is 0 if it was read */
	} ring[AHEAD];
	unsigned first, n;
	bool stop;
};

static const char *file_of(const struct cpt_dump *d, const struct cpt_task *t)
{
	return t->flags_known || cpt_precopy_knows_flags(d, t->pid) ? "maps" : "smaps";
}

static bool put(struct cpt_ahead *a, const struct cpt_task *t)
{
	unsigned at;
	bool stop;

	pthread_mutex_lock(&a->lock);
	while (a->n == AHEAD && !a->stop)
		pthread_cond_wait(&a->room, &a->lock);
	at = (a->first + a->n) % AHEAD;
	stop = a->stop;
	pthread_mutex_unlock(&a->lock);
	if (stop)
		return false;
	a->ring[at].t = t;
	a->ring[at].err.fault = CPT_OK;
	if (cpt_read_at(t->proc, file_of(a->d, t), &a->ring[at].text, &a->ring[at].err))
		a->ring[at].text.len = 0;
	pthread_mutex_lock(&a->lock);
	a->n++;
	pthread_cond_signal(&a->more);
	pthread_mutex_unlock(&a->lock);
	return true;
}

static void *reader(void *arg)
{
	struct cpt_ahead *a = arg;

	for (unsigned i = 0; i < a->d->ntasks; i++)
		if (!a->d->tasks[i].zombie && !put(a, &a->d->tasks[i]))
			break;
	return NULL;
}

/* A process is read before its own turn, so before a scratch mapping stands in it. */
void cpt_dump_ahead(struct cpt_dump *d)
{
	struct cpt_ahead *a;

	if (d->ntasks < MANY)
		return;
	a = cpt_calloc(1, sizeof(*a));
	a->d = d;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->more, NULL);
	pthread_cond_init(&a->room, NULL);
	if (pthread_create(&a->thread, NULL, reader, a))
		free(a);
	else
		d->ahead = a;
}

int cpt_dump_smaps(struct cpt_dump *d, struct cpt_task *t, struct cpt_err *err)
{
	struct cpt_ahead *a = d->ahead;
	struct cpt_buf text;
	int rc = 0;

	if (!a)
		return cpt_read_at(t->proc, file_of(d, t), &d->maps, err);
	pthread_mutex_lock(&a->lock);
	while (!a->n)
		pthread_cond_wait(&a->more, &a->lock);
	if (a->ring[a->first].t != t)
		abort();		/* they come in the order of the tasks */
	if (a->ring[a->first].err.fault) {
		*err = a->ring[a->first].err;
		rc = -1;
	}
	text = d->maps;
	d->maps = a->ring[a->first].text;
	a->ring[a->first].text = text;
	a->first = (a->first + 1) % AHEAD;
	a->n--;
	pthread_cond_signal(&a->room);
	pthread_mutex_unlock(&a->lock);
	return rc;
}

void cpt_dump_ahead_end(struct cpt_dump *d)
{
	struct cpt_ahead *a = d->ahead;

	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_signal(&a->room);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	for (unsigned i = 0; i < AHEAD; i++)
		free(a->ring[i].text.data);
	free(a);
	d->ahead = NULL;
}
