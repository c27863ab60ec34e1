/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pagemaps.c - pagemaps of related processes, read ahead by threads
 *
 * The kernel looks at every page frame to fill in an entry, which takes far
 * longer than comparing it with the parent's. So that is done on all
 * processors, in the order in which the processes are written.
 */
#include "dump/memory.h"
#include "dump/scan.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define MUCH_KIB (64 * 1024)		/* resident, of all processes; less is not worth threads */
#define MOST_THREADS 8
#define MOST_ENTRIES (16u << 20)	/* of one process */
#define NEAR 64				/* pages */
#define MOST_AHEAD (16u << 20)		/* entries that wait to be used */

enum state { WAITS, BEING_READ, READ, NOT_READ };

struct pagemap {
	const struct cpt_task *t;
	enum state state;
	struct cpt_entries *v;		/* ascending */
	size_t n, cap, first;
	uint64_t *entries;		/* of all, one behind the other */
	size_t total;
};

struct cpt_pagemaps {
	struct pagemap *v;		/* as they are written */
	size_t n, claimed, used;
	size_t ahead;			/* entries */
	bool stop;
	pthread_mutex_t lock;
	pthread_cond_t more, room;
	pthread_t threads[MOST_THREADS];
	unsigned nthreads;
};

/* ---- threads --------------------------------------------------------- */

/* Ranges with something in them, those not far apart as one. */
static int note(void *arg, uint64_t start, uint64_t end, struct cpt_err *err)
{
	struct pagemap *p = arg;
	struct cpt_entries *last = p->n > p->first ? &p->v[p->n - 1] : NULL;

	if (last && start / CPT_PAGE - (last->vpn + last->n) <= NEAR) {
		last->n = end / CPT_PAGE - last->vpn;
		return 0;
	}
	CPT_GROW(p->v, p->n, p->cap);
	p->v[p->n++] = (struct cpt_entries){ start / CPT_PAGE, NULL, (end - start) / CPT_PAGE };
	return 0;
}

static bool read_one(struct pagemap *p)
{
	CPT_AUTO(fd) int fd = cpt_pagemap_open(p->t, p->t->twin);
	struct cpt_err ignored;
	uint64_t total = 0, *to;

	for (size_t i = 0; fd >= 0 && i < p->t->mm_img->n_vmas; i++) {
		const Cpt__Vma *v = p->t->mm_img->vmas[i];

		p->first = p->n;	/* no range reaches beyond its mapping */
		if (cpt_private_memory(v) && cpt_scan(fd, v->start, v->end, CPT_SCAN_ANON, note, p, &ignored))
			return false;
	}
	for (size_t i = 0; i < p->n; i++)
		total += p->v[i].n;
	if (fd < 0 || total > MOST_ENTRIES)
		return false;
	to = p->entries = cpt_malloc(total * 8);
	for (size_t i = 0; i < p->n; to += p->v[i++].n) {
		p->v[i].entry = to;
		if (cpt_pread_all(fd, to, p->v[i].n * 8, (off_t)(p->v[i].vpn * 8)))
			return false;
	}
	p->total = total;
	return true;
}

static void *reader(void *arg)
{
	struct cpt_pagemaps *a = arg;

	pthread_mutex_lock(&a->lock);
	for (;;) {
		struct pagemap *p;
		bool ok;

		while (!a->stop && a->claimed < a->n && a->claimed != a->used && a->ahead >= MOST_AHEAD)
			pthread_cond_wait(&a->room, &a->lock);
		if (a->stop || a->claimed == a->n)
			break;
		p = &a->v[a->claimed++];
		p->state = BEING_READ;
		pthread_mutex_unlock(&a->lock);
		ok = read_one(p);
		pthread_mutex_lock(&a->lock);
		p->state = ok ? READ : NOT_READ;
		a->ahead += p->total;
		pthread_cond_broadcast(&a->more);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

/* ---- beginning and end ----------------------------------------------- */

static void put_in_order(struct cpt_dump *d, struct cpt_pagemaps *a, bool *in, const struct cpt_task *t)
{
	if (in[t - d->tasks])
		return;
	if (t->parent)
		put_in_order(d, a, in, t->parent);
	in[t - d->tasks] = true;
	if (!t->zombie && cpt_may_share(d, t) && !cpt_precopy_relatives_watched(d, t) && !cpt_compares_tables(d, t))
		a->v[a->n++] = (struct pagemap){ .t = t };
}

static bool worth_it(struct cpt_dump *d)
{
	uint64_t kib = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < d->ntasks; i++)
		if (!cpt_precopy_relatives_watched(d, &d->tasks[i]) && !cpt_compares_tables(d, &d->tasks[i])) {
			kib += d->tasks[i].status.vm_rss_kib;
			n++;
		}
	return d->memory->sharing && !d->memory->careful && kib > MUCH_KIB && n > 1;
}

static void begin(struct cpt_dump *d)
{
	CPT_AUTO(mem) bool *in = cpt_calloc(d->ntasks, sizeof(*in));
	struct cpt_pagemaps *a = cpt_calloc(1, sizeof(*a));
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	a->v = cpt_calloc(d->ntasks, sizeof(*a->v));
	for (unsigned i = 0; i < d->ntasks; i++)
		put_in_order(d, a, in, &d->tasks[i]);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->more, NULL);
	pthread_cond_init(&a->room, NULL);
	while (a->nthreads < MOST_THREADS && a->nthreads < processors &&
	       !pthread_create(&a->threads[a->nthreads], NULL, reader, a))
		a->nthreads++;
	d->memory->ahead = a;
}

void cpt_pagemaps_end(struct cpt_dump *d)
{
	struct cpt_pagemaps *a = d->memory->ahead;

	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_broadcast(&a->room);
	pthread_mutex_unlock(&a->lock);
	for (unsigned i = 0; i < a->nthreads; i++)
		pthread_join(a->threads[i], NULL);
	for (size_t i = 0; i < a->n; i++) {
		free(a->v[i].entries);
		free(a->v[i].v);
	}
	free(a->v);
	free(a);
	d->memory->ahead = NULL;
}

/* ---- using them ------------------------------------------------------ */

static struct pagemap *next_of(struct cpt_dump *d, const struct cpt_task *t)
{
	struct cpt_pagemaps *a;

	if (!d->memory->ahead && !d->memory->not_ahead) {
		d->memory->not_ahead = !worth_it(d);
		if (!d->memory->not_ahead)
			begin(d);
	}
	a = d->memory->ahead;
	return a && a->nthreads && a->used < a->n && a->v[a->used].t == t ? &a->v[a->used] : NULL;
}

static void wait_for(struct cpt_pagemaps *a, const struct pagemap *p)
{
	while (p->state == WAITS || p->state == BEING_READ)
		pthread_cond_wait(&a->more, &a->lock);
}

bool cpt_pagemaps_between(struct cpt_dump *d, const struct cpt_task *t, uint64_t start, uint64_t end,
			  const struct cpt_entries **ret, size_t *n)
{
	struct pagemap *p = next_of(d, t);
	size_t from = 0, to;

	if (!p)
		return false;
	pthread_mutex_lock(&d->memory->ahead->lock);
	wait_for(d->memory->ahead, p);
	pthread_mutex_unlock(&d->memory->ahead->lock);
	if (p->state != READ)
		return false;
	while (from < p->n && p->v[from].vpn < start / CPT_PAGE)
		from++;
	for (to = from; to < p->n && p->v[to].vpn < end / CPT_PAGE; to++)
		;
	*ret = p->v + from;
	*n = to - from;
	return true;
}

void cpt_pagemaps_done(struct cpt_dump *d, const struct cpt_task *t)
{
	struct cpt_pagemaps *a = d->memory->ahead;

	if (!a || a->used == a->n || a->v[a->used].t != t)
		return;
	pthread_mutex_lock(&a->lock);
	if (a->nthreads)
		wait_for(a, &a->v[a->used]);
	a->ahead -= a->v[a->used].total;
	free(a->v[a->used].entries);
	a->v[a->used].entries = NULL;
	a->used++;
	pthread_cond_broadcast(&a->room);
	pthread_mutex_unlock(&a->lock);
}
