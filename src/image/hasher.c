/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hasher.c - the hash of page data that others wrote into the file
 *
 * Hashing costs a third of what writing costs. A dump of some size has it done
 * by a thread while the next pages are written; a small one does it at once,
 * because starting a thread costs more than it saves.
 */
#include "image/write.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define WORTH_A_THREAD (8 << 20)	/* bytes of pages */

struct job {
	struct job *next;
	struct cpt_disk_record header;
	uint64_t offset;
};

struct cpt_hasher {
	int fd;
	uint64_t seed;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* under the lock */
	struct job *first, *last, *todo;	/* all there were; the next one to do */
	bool finish;
	int sys;				/* first error */
};

static int hash_one(int fd, struct cpt_disk_record *header, uint64_t seed, uint64_t offset,
		    char *chunk)
{
	int sys = cpt_hash_file(fd, cpt_disk_data(header, offset), header->length, chunk,
				&header->payload_hash);

	header->hash = cpt_disk_seal(header, seed);
	return sys;
}

static int write_header(int fd, const struct cpt_disk_record *header, uint64_t offset)
{
	return cpt_pwrite_all(fd, header, sizeof(*header), (off_t)offset) ? errno : 0;
}

static struct job *next_job(struct cpt_hasher *h, int sys)
{
	struct job *job;

	pthread_mutex_lock(&h->lock);
	if (sys && !h->sys)
		h->sys = sys;
	while (!h->todo && !h->finish)
		pthread_cond_wait(&h->wake, &h->lock);
	job = h->todo;
	if (job)
		h->todo = job->next;
	pthread_mutex_unlock(&h->lock);
	return job;
}

static void *work(void *arg)
{
	struct cpt_hasher *h = arg;
	CPT_AUTO(mem) char *chunk = cpt_malloc(CPT_HASH_CHUNK);
	struct job *job;
	int sys = 0;

	while ((job = next_job(h, sys)))
		sys = hash_one(h->fd, &job->header, h->seed, job->offset, chunk);
	return NULL;
}

/* a thread that no signal of the program's is delivered to; NULL if there can be none */
static struct cpt_hasher *start(const struct cpt_img_writer *w)
{
	struct cpt_hasher *h = cpt_calloc(1, sizeof(*h));
	sigset_t all, old;
	int sys;

	h->fd = w->out.fd;
	h->seed = w->seed;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->wake, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	sys = pthread_create(&h->thread, NULL, work, h);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (sys) {
		free(h);
		return NULL;
	}
	return h;
}

/* hand over one span; returns the first error of those before */
static int enqueue(struct cpt_hasher *h, const struct cpt_placed *p)
{
	struct job *job = cpt_calloc(1, sizeof(*job));
	int sys;

	job->header = p->header;
	job->offset = p->offset;
	pthread_mutex_lock(&h->lock);
	if (h->last)
		h->last->next = job;
	else
		h->first = job;
	h->last = job;
	if (!h->todo)
		h->todo = job;
	sys = h->sys;
	pthread_cond_signal(&h->wake);
	pthread_mutex_unlock(&h->lock);
	return sys;
}

int cpt_hasher_add(struct cpt_img_writer *w, struct cpt_placed *p)
{
	int sys;

	w->hashed += p->header.length;
	if (!w->hasher && w->hashed > WORTH_A_THREAD)
		w->hasher = start(w);
	if (w->hasher)
		return enqueue(w->hasher, p);
	if (!w->chunk)
		w->chunk = cpt_malloc(CPT_HASH_CHUNK);
	sys = hash_one(w->out.fd, &p->header, w->seed, p->offset, w->chunk);
	return sys ? sys : write_header(w->out.fd, &p->header, p->offset);
}

int cpt_hasher_finish(struct cpt_img_writer *w)
{
	struct cpt_hasher *h = CPT_TAKE(w->hasher, NULL);
	int sys;

	if (!h)
		return 0;
	pthread_mutex_lock(&h->lock);
	h->finish = true;
	pthread_cond_signal(&h->wake);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	sys = h->sys;
	/* the thread leaves this to us: it would wait for the file's lock while pages are written */
	for (struct job *job = h->first, *next; job; job = next) {
		next = job->next;
		w->records[job->header.seq].header = job->header;
		if (!sys)
			sys = write_header(h->fd, &job->header, job->offset);
		free(job);
	}
	pthread_cond_destroy(&h->wake);
	pthread_mutex_destroy(&h->lock);
	free(h);
	return sys;
}

void cpt_hasher_abandon(struct cpt_img_writer *w)
{
	struct cpt_hasher *h = w->hasher;

	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->todo = NULL;
	h->sys = ECANCELED;
	pthread_mutex_unlock(&h->lock);
	(void)cpt_hasher_finish(w);
}
