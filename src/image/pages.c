/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pages.c - is page data what was written? Here, or on threads meanwhile; decompressed on the way if that is asked for */
#include "image/pack.h"
#include "image/read.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#define WORTH_THREADS (8 << 20)		/* bytes; below that starting one costs more */
#define THREADS_MAX 8

struct cpt_page_check {
	const struct cpt_img *img;
	int spool;			/* where pages are to go, or -1 */
	atomic_size_t next;		/* record to look at */
	atomic_bool stop;
	pthread_mutex_t lock;
	int result;			/* under lock, with err */
	struct cpt_err err;
	unsigned nthreads;
	pthread_t threads[THREADS_MAX];
};

/* what a thread works in */
struct bench {
	char *chunk;			/* CPT_HASH_CHUNK, or less if there is less */
	char *payload;			/* of a compressed record */
	struct cpt_unpacker *unpacker;
};

static void cpt_auto_bench(struct bench *b)
{
	free(b->chunk);
	free(b->payload);
	cpt_unpacker_free(b->unpacker);
}

static int read_error(const struct cpt_img *img, const struct cpt_found *f, int sys, struct cpt_err *err)
{
	if (sys)
		return cpt_fail_errno(err, sys, "read %s", img->name);
	return cpt_bad(img->name, f->offset, err, "the file was cut meanwhile");
}

static int check_hash(const struct cpt_img *img, const struct cpt_found *f, uint64_t hash, struct cpt_err *err)
{
	return hash == f->header.payload_hash ? 0 : cpt_bad(img->name, f->offset, err, "damaged pages");
}

struct spooled {
	int fd;				/* or -1 */
	uint64_t slot;			/* the first of the record */
};

static int spool(void *arg, uint32_t page, const void *bytes, size_t size, struct cpt_err *err)
{
	const struct spooled *s = arg;

	if (s->fd >= 0 && cpt_pwrite_all(s->fd, bytes, size, (off_t)((s->slot + page) * CPT_PAGE)))
		return cpt_fail_sys(err, "keep decompressed pages");
	return 0;
}

static int check_packed(const struct cpt_page_check *c, const struct cpt_img *img, const struct cpt_found *f,
			struct bench *b, struct cpt_err *err)
{
	struct spooled to = { c->spool, f->header.key };

	if (!b->unpacker) {
		b->unpacker = cpt_unpacker_new();
		b->payload = cpt_malloc(CPT_IMG_SPAN_PAGES * CPT_PAGE + CPT_PACK_TABLE(CPT_IMG_SPAN_PAGES));
	}
	if (cpt_pread_all(img->fd, b->payload, f->header.length, (off_t)f->data))
		return read_error(img, f, errno, err);
	if (check_hash(img, f, cpt_hash(b->payload, f->header.length), err))
		return -1;
	if (cpt_unpack(b->unpacker, f->header.flags & CPT_DISK_CODEC, f->header.npages, b->payload,
		       f->header.length, spool, &to, err))
		return cpt_within(err, "%s: at byte %llu", img->name, (unsigned long long)f->offset);
	return 0;
}

static int check_record(const struct cpt_page_check *c, const struct cpt_img *img, const struct cpt_found *f,
			struct bench *b, struct cpt_err *err)
{
	uint64_t hash;
	int sys;

	if (f->header.flags & CPT_DISK_CODEC)		/* checked already when they were spooled */
		return img->spool < 0 ? check_packed(c, img, f, b, err) : 0;
	if (c->spool >= 0)
		return 0;
	sys = cpt_hash_file(img->fd, f->data, f->header.length, b->chunk, &hash);
	if (sys)
		return read_error(img, f, sys == ENODATA ? 0 : sys, err);
	return check_hash(img, f, hash, err);
}

/* that are not left out, in this very image */
static uint64_t own_slots(const struct cpt_img *img)
{
	const struct cpt_found_list *list = &img->by_type[CPT_REC_PAGES];
	uint64_t slots = 0;

	for (size_t i = 0; img->needed && i < list->n; i++)
		slots += img->needed[i] ? img->records[list->at[i]].header.npages : 0;
	return img->needed ? slots : img->slots;
}

/* of an image and all that it builds on */
static uint64_t all_slots(const struct cpt_img *img)
{
	uint64_t slots = 0;

	for (; img; img = img->base)
		slots += own_slots(img);
	return slots;
}

/* of the first image alone when it is decompressed; else of all */
static const struct cpt_found *nth_record(const struct cpt_page_check *c, size_t n, const struct cpt_img **in,
					  bool *needed)
{
	for (const struct cpt_img *img = c->img; img; img = c->spool < 0 ? img->base : NULL) {
		const struct cpt_found_list *list = &img->by_type[CPT_REC_PAGES];

		if (n < list->n) {
			*in = img;
			*needed = !img->needed || img->needed[n];
			return &img->records[list->at[n]];
		}
		n -= list->n;
	}
	return NULL;
}

static void *work(void *arg)
{
	struct cpt_page_check *c = arg;
	uint64_t room = CPT_MIN(all_slots(c->img) * CPT_PAGE, (uint64_t)CPT_HASH_CHUNK);
	CPT_AUTO(bench) struct bench b = { .chunk = cpt_malloc(room) };
	const struct cpt_img *img;
	const struct cpt_found *f;
	struct cpt_err err;
	bool needed;

	while (!c->stop) {
		f = nth_record(c, c->next++, &img, &needed);
		if (!f)
			break;
		if (!needed)
			continue;
		if (!check_record(c, img, f, &b, &err)) {
			cpt_progress_add(f->header.npages * CPT_PAGE);
			continue;
		}
		pthread_mutex_lock(&c->lock);
		if (!c->result)
			c->err = err;
		c->result = -1;
		pthread_mutex_unlock(&c->lock);
		c->stop = true;
	}
	return NULL;
}

/*
 * Threads that no signal of the program's is delivered to; as many as can be
 * had. Who does something else meanwhile, which is reading the same pages into
 * place, has a processor for it.
 */
static void start_threads(struct cpt_page_check *c, bool beside)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	sigset_t all, old;

	if (beside && cpus > 1)
		cpus--;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (c->nthreads < THREADS_MAX && (long)c->nthreads < cpus) {
		if (pthread_create(&c->threads[c->nthreads], NULL, work, c))
			break;
		c->nthreads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static struct cpt_page_check *new_check(const struct cpt_img *img, int to, bool beside)
{
	struct cpt_page_check *c = cpt_calloc(1, sizeof(*c));
	uint64_t bytes = (to < 0 ? all_slots(img) : own_slots(img)) * CPT_PAGE;

	c->img = img;
	c->spool = to;
	pthread_mutex_init(&c->lock, NULL);
	cpt_progress_begin(to < 0 ? CPT_WORK_CHECK : CPT_WORK_UNPACK, bytes);
	if (bytes >= WORTH_THREADS)
		start_threads(c, beside);
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
	return finish(new_check(img, -1, false), err);
}

int cpt_pages_spool(const struct cpt_img *img, int to, struct cpt_err *err)
{
	return finish(new_check(img, to, false), err);
}

int cpt_img_check_start(struct cpt_img *img, struct cpt_err *err)
{
	if (img->check)
		return cpt_fail(err, CPT_USAGE, "%s is being checked already", img->name);
	img->check = new_check(img, -1, true);
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
