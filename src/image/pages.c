/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pages.c - is page data what was written? Here, or on threads meanwhile */
#include "image/read.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#define WORTH_THREADS (8 << 20)		/* bytes; below that starting one costs more */
#define THREADS_MAX 4

struct cpt_page_check {
	const struct cpt_img *img;
	atomic_size_t next;		/* record to look at */
	atomic_bool stop;
	pthread_mutex_t lock;
	int result;			/* under lock, with err */
	struct cpt_err err;
	unsigned nthreads;
	pthread_t threads[THREADS_MAX];
};

static int check_record(const struct cpt_img *img, const struct cpt_found *f, char *chunk,
			struct cpt_err *err)
{
	uint64_t hash;
	int sys = cpt_hash_file(img->fd, f->data, f->header.length, chunk, &hash);

	if (sys == ENODATA)
		return cpt_bad(img->name, f->offset, err, "the file was cut meanwhile");
	if (sys)
		return cpt_fail_errno(err, sys, "read %s", img->name);
	if (hash != f->header.payload_hash)
		return cpt_bad(img->name, f->offset, err, "damaged pages");
	return 0;
}

static void *work(void *arg)
{
	struct cpt_page_check *c = arg;
	const struct cpt_found_list *list = &c->img->by_type[CPT_REC_PAGES];
	uint64_t room = CPT_MIN(c->img->slots * CPT_PAGE, (uint64_t)CPT_HASH_CHUNK);
	CPT_AUTO(mem) char *chunk = cpt_malloc(room);
	struct cpt_err err;

	while (!c->stop) {
		size_t n = c->next++;

		if (n >= list->n)
			break;
		if (!check_record(c->img, &c->img->records[list->at[n]], chunk, &err))
			continue;
		pthread_mutex_lock(&c->lock);
		if (!c->result)
			c->err = err;
		c->result = -1;
		pthread_mutex_unlock(&c->lock);
		c->stop = true;
	}
	return NULL;
}

/* threads that no signal of the program's is delivered to; as many as can be had */
static void start_threads(struct cpt_page_check *c)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (c->nthreads < THREADS_MAX && (long)c->nthreads < cpus) {
		if (pthread_create(&c->threads[c->nthreads], NULL, work, c))
			break;
		c->nthreads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static struct cpt_page_check *new_check(const struct cpt_img *img)
{
	struct cpt_page_check *c = cpt_calloc(1, sizeof(*c));

	c->img = img;
	pthread_mutex_init(&c->lock, NULL);
	if (img->slots * CPT_PAGE >= WORTH_THREADS)
		start_threads(c);
	return c;
}

static void join(struct cpt_page_check *c)
{
	while (c->nthreads)
		pthread_join(c->threads[--c->nthreads], NULL);
}

static int finish(struct cpt_page_check *c, struct cpt_err *err)
{
	int result;

	work(c);		/* what the threads have left, or all of it */
	join(c);
	result = c->result;
	if (result)
		*err = c->err;
	pthread_mutex_destroy(&c->lock);
	free(c);
	return result;
}

int cpt_img_check_pages(const struct cpt_img *img, struct cpt_err *err)
{
	return finish(new_check(img), err);
}

int cpt_img_check_start(struct cpt_img *img, struct cpt_err *err)
{
	if (img->check)
		return cpt_fail(err, CPT_USAGE, "%s is being checked already", img->name);
	img->check = new_check(img);
	return 0;
}

int cpt_img_check_finish(struct cpt_img *img, struct cpt_err *err)
{
	if (!img->check)
		return cpt_fail(err, CPT_USAGE, "no check of %s was started", img->name);
	return finish(CPT_TAKE(img->check, NULL), err);
}

void cpt_pages_stop(struct cpt_img *img)
{
	struct cpt_page_check *c = img->check;

	if (!c)
		return;
	c->stop = true;
	join(c);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
