/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * behind.c - what has been written is brought to the disk meanwhile, and out of the page cache
 *
 * Left to the end, bringing it there would take as long again as copying it.
 * And memory that caches an image, which nobody reads soon, is lost to those who
 * run. A thread follows the writers at some distance.
 */
#include "image/write.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define STEP (16ULL << 20)
#define DISTANCE (48ULL << 20)		/* records on their way may end so far before the end of the file */
#define FLYING (2 * STEP)		/* asked for and not waited for yet */

struct cpt_behind {
	int fd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	uint64_t end;			/* under the lock: of the file, so far */
	bool stop;
	int sys;			/* first error; what sync_file_range tells, fsync tells no more */
};

/* may the writers be followed so far? Waits; false: it is over */
static bool reached(struct cpt_behind *b, uint64_t end)
{
	bool stop;

	pthread_mutex_lock(&b->lock);
	while (b->end < end && !b->stop)
		pthread_cond_wait(&b->wake, &b->lock);
	stop = b->stop;
	pthread_mutex_unlock(&b->lock);
	return !stop;
}

static void *follow(void *arg)
{
	const unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
	struct cpt_behind *b = arg;

	for (uint64_t at = 0; !b->sys && reached(b, at + STEP + DISTANCE); at += STEP) {
		uint64_t done = at < FLYING ? 0 : at - FLYING;

		if (sync_file_range(b->fd, (off_t)at, (off_t)STEP, SYNC_FILE_RANGE_WRITE))
			b->sys = errno;
		if (at < FLYING)
			continue;
		if (sync_file_range(b->fd, (off_t)done, (off_t)STEP, all) && !b->sys)
			b->sys = errno;
		posix_fadvise(b->fd, (off_t)done, (off_t)STEP, POSIX_FADV_DONTNEED);
	}
	return NULL;
}

struct cpt_behind *cpt_behind_start(int fd)
{
	struct cpt_behind *b = cpt_calloc(1, sizeof(*b));
	sigset_t all, old;
	int sys;

	b->fd = fd;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->wake, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	sys = pthread_create(&b->thread, NULL, follow, b);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (sys) {
		free(b);
		return NULL;
	}
	return b;
}

void cpt_behind_reach(struct cpt_behind *b, uint64_t end)
{
	pthread_mutex_lock(&b->lock);
	b->end = end;
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
}

int cpt_behind_end(struct cpt_behind *b)
{
	int sys;

	pthread_mutex_lock(&b->lock);
	b->stop = true;
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	sys = b->sys;
	pthread_cond_destroy(&b->wake);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return sys;
}
