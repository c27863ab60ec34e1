/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue.c - bring pages into the image
 *
 * Runs are gathered until they fill a record. The bytes are copied through a
 * small buffer that stays in the cache: one system call takes them from the
 * task, one puts them into the file. When there is much to do, threads do it.
 *
 * To be compressed, they go from the buffer into memory instead, and the
 * record is appended when it is complete. Records of which a sample does not
 * get smaller take the first way.
 *
 * While a group that is to go on stands still, its pages are only read, and
 * written when it runs again.
 */
#include "dump/memory.h"

#include "image/hash.h"
#include "image/pack.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#define COPY_PAGES CPT_PACK_PAGES	/* what is on its way at once */
#define INLINE_SPANS 2			/* so many records before threads are started */
#define INLINE_PACKED 1			/* … when compressing */
#define COPIERS 2
#define COPIERS_MAX 8			/* when compressing, as many as there are processors */
#define SAMPLE_PAGES 4			/* of a record that may be worth compressing */
#define SAMPLE_FROM 64			/* pages; a smaller record is tried as a whole */
#define DULL_MAX 8			/* after so many bad samples in a row only every 16th record is looked at */
#define BACKLOG 8			/* records waiting for a thread */
#define LATE_MAX (256ULL << 20)		/* bytes kept to be written after the pause */
#define READ_PAGE_NS 1500		/* one here and there, into memory that was not used yet */
#define POLITE_US 100			/* after each record, while the group runs */
#define LITTLE_PAGES 512
#define TOGETHER 256			/* runs read by one call */

struct job {
	bool pack;			/* compress it */
	struct cpt_img_span span;	/* else this is where it goes */
	uint64_t hash;			/* of the bytes, once they are copied */
	struct cpt_img_packed packed;
	uint32_t zero;			/* pages of zeros, which are not stored */
	bool later;			/* only read it now */
	char *raw;			/* what was read; owned */
	struct cpt_run *runs;
	size_t nruns;
};

struct cpt_copiers {
	struct cpt_dump *d;
	pthread_mutex_t lock;
	pthread_cond_t work, room;
	pthread_t thread[COPIERS_MAX];
	unsigned nthreads, nwanted;
	unsigned limit;			/* so many jobs at once */
	struct job jobs[BACKLOG];	/* a ring */
	unsigned first, njobs, running;
	bool stop;
	struct job done[2 * BACKLOG + COPIERS_MAX];	/* copied, not closed yet */
	unsigned ndone;
	struct cpt_err err;		/* of the first that failed */
	unsigned spans;
	struct job *late;		/* read in the pause, to be written */
	size_t nlate, late_cap;
	uint64_t late_bytes;
	struct cpt_packer *packer;	/* of the thread that queues */
	unsigned dull;			/* samples in a row that did not shrink */
};

/* ---- copying --------------------------------------------------------- */

/* The last page of a file may be cut short; the rest of it reads as zeros. */
static ssize_t gather_file(int fd, char *buf, size_t size, uint64_t at)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = pread(fd, buf + have, size - have, (off_t)(at + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	memset(buf + have, 0, size - have);
	return (ssize_t)size;
}

/* /proc/PID/mem of the task that was read last */
struct mem {
	int fd;				/* or -1 */
	pid_t pid;
};
#define MEM_NONE { -1, 0 }

static void cpt_auto_mem_of(struct mem *m)
{
	if (m->fd >= 0)
		close(m->fd);
}

static ssize_t gather_mem(struct mem *m, const struct cpt_run *r, uint64_t at, void *buf, size_t size)
{
	char path[32];

	if (m->fd < 0 || m->pid != r->pid) {
		cpt_auto_mem_of(m);
		snprintf(path, sizeof(path), "/proc/%d/mem", r->pid);
		m->fd = open(path, O_RDONLY | O_CLOEXEC);
		m->pid = r->pid;
	}
	if (m->fd < 0 || cpt_pread_all(m->fd, buf, size, (off_t)at))
		return -1;
	return (ssize_t)size;
}

/*
 * As many pages of the runs as fit; @into is where to go on.
 *
 * process_vm_readv pins what it reads, and for that the kernel gives the task
 * a copy of its own of every anonymous page that it shares with a relative:
 * the group would lose its sharing by being dumped. /proc/PID/mem does not
 * pin. It also reads, for a tracer, mappings without read permission.
 */
static ssize_t gather_once(struct mem *m, const struct cpt_run *r, uint32_t into, uint32_t room, void *buf)
{
	struct iovec here = { buf, (size_t)CPT_MIN(r->npages - into, room) * CPT_PAGE };
	uint64_t at = r->at + (uint64_t)into * CPT_PAGE;
	struct iovec there = { (void *)(uintptr_t)at, here.iov_len };
	ssize_t n;

	if (!r->pid)
		return gather_file(r->fd, buf, here.iov_len, at);
	if (r->shared)
		return gather_mem(m, r, at, buf, here.iov_len);
	n = process_vm_readv(r->pid, &here, 1, &there, 1, 0);
	return n < 0 && errno == EFAULT ? gather_mem(m, r, at, buf, here.iov_len) : n;
}

/* Memory of a task that runs may go at any moment; what was there is not needed then. */
static ssize_t gather(struct mem *m, const struct cpt_run *r, uint32_t into, uint32_t room, void *buf)
{
	ssize_t n = gather_once(m, r, into, room, buf);

	if (n > 0 || !r->running)
		return n;
	n = gather_once(m, r, into, 1, buf);
	if (n <= 0)
		memset(buf, 0, CPT_PAGE);
	return CPT_PAGE;
}

/* what is on its way into the image */
struct flow {
	char *buf;
	uint32_t have;			/* pages in it */
	struct cpt_img_writer *img;
	uint64_t to;			/* offset there */
	uint32_t zero;			/* pages of zeros that were among them */
	struct cpt_hash hash;
	struct cpt_packer *packer;	/* or through this one */
};

static int pour(struct flow *f, struct cpt_err *err)
{
	size_t size = (size_t)f->have * CPT_PAGE;

	cpt_progress_add(size);
	if (f->packer) {
		f->zero += cpt_zero_pages(f->buf, f->have);
		cpt_pack_add(f->packer, f->buf, f->have);
		f->have = 0;
		return 0;
	}
	cpt_hash_add(&f->hash, f->buf, size);
	if (cpt_img_write_pages(f->img, f->buf, f->have, f->to, &f->zero, err))
		return -1;
	f->to += size;
	f->have = 0;
	return 0;
}

static int copy_run(struct flow *f, struct mem *m, const struct cpt_run *r, struct cpt_err *err)
{
	for (uint32_t into = 0; into < r->npages;) {
		char *at = f->buf + f->have * CPT_PAGE;
		ssize_t n = gather(m, r, into, COPY_PAGES - f->have, at);

		if (n <= 0 || n % (ssize_t)CPT_PAGE)
			return cpt_fail_sys(err, "task %d: read %u pages at %llx", r->pid, r->npages,
					    (unsigned long long)r->at);
		into += (uint32_t)(n / (ssize_t)CPT_PAGE);
		f->have += (uint32_t)(n / (ssize_t)CPT_PAGE);
		if (f->have == COPY_PAGES && pour(f, err))
			return -1;
	}
	return 0;
}

static int copy_runs(const struct job *j, struct flow *f, struct cpt_err *err)
{
	CPT_AUTO(mem_of) struct mem m = MEM_NONE;

	for (size_t i = 0; i < j->nruns; i++)
		if (copy_run(f, &m, &j->runs[i], err))
			return -1;
	return f->have ? pour(f, err) : 0;
}

/* How many runs from here on were read by one call; single pages here and there are many. */
static size_t read_together(const struct cpt_run *r, size_t n, char *at)
{
	struct iovec there[TOGETHER], here = { at, 0 };
	size_t i;

	for (i = 0; i < n && i < TOGETHER && r[i].pid && r[i].pid == r->pid && !r[i].shared && !r[i].running; i++) {
		there[i] = (struct iovec){ (void *)(uintptr_t)r[i].at, r[i].npages * CPT_PAGE };
		here.iov_len += there[i].iov_len;
	}
	return i > 1 && process_vm_readv(r->pid, &here, 1, there, i, 0) == (ssize_t)here.iov_len ? i : 0;
}

static int read_run(struct mem *m, const struct cpt_run *r, char *at, struct cpt_err *err)
{
	for (uint32_t into = 0; into < r->npages;) {
		ssize_t n = gather(m, r, into, UINT32_MAX, at);

		if (n <= 0)
			return cpt_fail_sys(err, "task %d: read memory", r->pid);
		into += (uint32_t)(n / (ssize_t)CPT_PAGE);
		at += n;
	}
	return 0;
}

static int read_runs(const struct job *j, char *at, struct cpt_err *err)
{
	CPT_AUTO(mem_of) struct mem m = MEM_NONE;

	for (size_t i = 0, n; i < j->nruns; i += n) {
		n = read_together(&j->runs[i], j->nruns - i, at);
		if (!n && read_run(&m, &j->runs[i], at, err))
			return -1;
		n = CPT_MAX(n, (size_t)1);
		for (size_t k = 0; k < n; k++)
			at += j->runs[i + k].npages * CPT_PAGE;
	}
	return 0;
}

static int read_job(struct job *j, struct cpt_err *err)
{
	size_t size = (size_t)j->packed.npages * CPT_PAGE;

	cpt_progress_add(size);
	j->raw = cpt_malloc(size);
	return read_runs(j, j->raw, err);
}

/* what read_job() has read */
static void pack_raw(const struct job *j, struct flow *f)
{
	f->zero = cpt_zero_pages(j->raw, j->packed.npages);
	for (uint32_t n, i = 0; i < j->packed.npages; i += n) {
		n = CPT_MIN(j->packed.npages - i, (uint32_t)CPT_PACK_PAGES);
		cpt_pack_add(f->packer, j->raw + i * CPT_PAGE, n);
	}
}

static int pack_job(struct job *j, char *buf, struct cpt_packer *packer, struct cpt_err *err)
{
	struct flow f = { .buf = buf, .packer = packer };
	uint64_t first = j->packed.first_slot;

	cpt_pack_begin(packer, j->packed.npages);
	if (j->raw)
		pack_raw(j, &f);
	else if (copy_runs(j, &f, err))
		return -1;
	cpt_pack_end(packer, &j->packed);
	j->packed.first_slot = first;
	j->zero = f.zero;
	return 0;
}

/* what read_job() has read */
static int copy_raw(const struct job *j, struct flow *f, struct cpt_err *err)
{
	uint32_t npages = j->packed.npages;

	cpt_hash_add(&f->hash, j->raw, (size_t)npages * CPT_PAGE);
	return cpt_img_write_pages(f->img, j->raw, npages, f->to, &f->zero, err);
}

static int copy_job(struct job *j, struct cpt_img_writer *img, char *buf, struct cpt_err *err)
{
	struct flow f = { .buf = buf, .img = img, .to = j->span.offset };

	cpt_hash_begin(&f.hash);
	if (j->raw ? copy_raw(j, &f, err) : copy_runs(j, &f, err))
		return -1;
	j->hash = cpt_hash_end(&f.hash);
	j->zero = f.zero;
	return 0;
}

static void keep_for_later(struct cpt_copiers *c, struct job *j)
{
	CPT_GROW(c->late, c->nlate, c->late_cap);
	c->late[c->nlate++] = (struct job){ .pack = j->pack, .raw = CPT_TAKE(j->raw, NULL), .packed = j->packed,
					    .span = j->span };
}

/* A copied job becomes a record; only the one thread that may write records does this. */
static int close_job(struct cpt_dump *d, struct job *j, struct cpt_err *err)
{
	int rc;

	if (j->later) {
		keep_for_later(d->memory->copiers, j);
		return 0;
	}
	d->stats.pages_zero += j->zero;
	d->stats.pages_written -= j->zero;
	if (!j->pack)
		return cpt_img_span_close_hashed(d->img, &j->span, j->hash, err);
	rc = cpt_img_put_packed(d->img, &j->packed, err);
	free(CPT_TAKE(j->packed.payload, NULL));
	return rc;
}

static void free_runs(struct cpt_run *runs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!runs[i].pid && (i + 1 == n || runs[i + 1].fd != runs[i].fd))
			close(runs[i].fd);
	free(runs);
}

static void free_job(struct job *j)
{
	free_runs(j->runs, j->nruns);
	free(j->packed.payload);
	free(j->raw);
}

/* ---- threads --------------------------------------------------------- */

static struct cpt_packer *new_packer(const struct cpt_dump_options *opt)
{
	return opt->codec ? cpt_packer_new(opt->codec, opt->codec_level) : NULL;
}

/* @packer: made when the first job needs it */
static int any_job(struct cpt_copiers *c, struct job *j, char *buf, struct cpt_packer **packer, struct cpt_err *err)
{
	if (j->later)
		return read_job(j, err);
	if (!j->pack)
		return copy_job(j, c->d->img, buf, err);
	if (!*packer)
		*packer = new_packer(c->d->opt);
	return pack_job(j, buf, *packer, err);
}

/* Called with the lock held, which is given up meanwhile. */
static void run_job(struct cpt_copiers *c, struct job *j, char *buf, struct cpt_packer **packer)
{
	struct cpt_err err = { 0 };
	bool polite = c->limit < COPIERS_MAX;

	c->running++;
	pthread_mutex_unlock(&c->lock);
	(void)!any_job(c, j, buf, packer, &err);
	if (polite)
		cpt_sleep_us(POLITE_US);
	pthread_mutex_lock(&c->lock);
	c->running--;
	if (err.fault && !c->err.fault)
		c->err = err;
	c->done[c->ndone++] = *j;
	pthread_cond_signal(&c->room);
	pthread_cond_signal(&c->work);
}

static void *copier(void *arg)
{
	struct cpt_copiers *c = arg;
	struct cpt_packer *packer = NULL;
	char *buf = cpt_malloc(COPY_PAGES * CPT_PAGE);

	pthread_mutex_lock(&c->lock);
	for (;;) {
		struct job j;

		while ((!c->njobs || c->running >= c->limit) && !c->stop)
			pthread_cond_wait(&c->work, &c->lock);
		if (!c->njobs)
			break;
		j = c->jobs[c->first];
		c->first = (c->first + 1) % BACKLOG;
		c->njobs--;
		run_job(c, &j, buf, &packer);
	}
	pthread_mutex_unlock(&c->lock);
	cpt_packer_free(packer);
	free(buf);
	return NULL;
}

/* Called with the lock held, which is given up while records are written. */
static int close_done(struct cpt_copiers *c, struct cpt_err *err)
{
	while (c->ndone) {
		struct job j = c->done[--c->ndone];
		struct cpt_err failed = c->err;

		pthread_mutex_unlock(&c->lock);
		if (!failed.fault)
			(void)!close_job(c->d, &j, &failed);
		free_job(&j);
		pthread_mutex_lock(&c->lock);
		if (failed.fault && !c->err.fault)
			c->err = failed;
	}
	if (c->err.fault) {
		*err = c->err;
		return -1;
	}
	return 0;
}

static unsigned processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? COPIERS : (unsigned)CPU_COUNT(&set);
}

static int start_copiers(struct cpt_copiers *c, struct cpt_err *err)
{
	if (!c->nwanted)
		c->nwanted = c->d->opt->codec ? CPT_MIN(processors(), (unsigned)COPIERS_MAX) : COPIERS;
	if (!c->nthreads)
		c->stop = false;
	while (c->nthreads < c->nwanted) {
		int e = pthread_create(&c->thread[c->nthreads], NULL, copier, c);

		if (e)
			return c->nthreads ? 0 : cpt_fail_errno(err, e, "start a thread");
		c->nthreads++;
	}
	return 0;
}

/* Does a group that is to go on stand still now? Then it is to run again soon. */
static bool in_pause(const struct cpt_dump *d)
{
	return d->opt->after == CPT_AFTER_RUN && d->stop_began && !d->stats.pause_ns;
}

/*
 * While the group runs, a processor is left to it, and the others from time to
 * time: threads that wait for each other were seen to keep a program from a
 * processor for more than a tenth of a second (Linux 6.18).
 */
static unsigned at_once(const struct cpt_copiers *c)
{
	const struct cpt_dump *d = c->d;
	unsigned n = processors();

	if (d->opt->codec || d->opt->after != CPT_AFTER_RUN || d->was_frozen || in_pause(d))
		return COPIERS_MAX;
	return n > 1 ? n - 1 : 1;
}

/* Takes the job, also when it fails. */
static int hand_over(struct cpt_copiers *c, struct job *j, struct cpt_err *err)
{
	int rc;

	if (start_copiers(c, err)) {
		free_job(j);
		return -1;
	}
	pthread_mutex_lock(&c->lock);
	c->limit = at_once(c);
	while (c->njobs == BACKLOG || c->ndone >= BACKLOG) {
		if (c->ndone) {
			if (close_done(c, err)) {
				pthread_mutex_unlock(&c->lock);
				free_job(j);
				return -1;
			}
			continue;
		}
		pthread_cond_wait(&c->room, &c->lock);
	}
	c->jobs[(c->first + c->njobs++) % BACKLOG] = *j;
	pthread_cond_signal(&c->work);
	rc = close_done(c, err);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static void stop_copiers(struct cpt_copiers *c)
{
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->work);
	pthread_mutex_unlock(&c->lock);
	while (c->nthreads)
		pthread_join(c->thread[--c->nthreads], NULL);
}

/* ---- records --------------------------------------------------------- */

static struct cpt_copiers *copiers(struct cpt_dump *d)
{
	struct cpt_copiers *c = d->memory->copiers;

	if (!c) {
		c = d->memory->copiers = cpt_calloc(1, sizeof(*c));
		c->d = d;
		pthread_mutex_init(&c->lock, NULL);
		pthread_cond_init(&c->work, NULL);
		pthread_cond_init(&c->room, NULL);
	}
	return c;
}

static int flush_stream(struct cpt_dump *d, struct job *j, uint32_t npages, struct cpt_err *err)
{
	CPT_AUTO(mem) char *buf = cpt_malloc((size_t)npages * CPT_PAGE);
	uint64_t first;

	if (read_runs(j, buf, err))
		return -1;
	cpt_progress_add((uint64_t)npages * CPT_PAGE);
	return cpt_img_put_pages(d->img, buf, npages, &first, err);
}

/* ---- is it worth compressing? ----------------------------------------- */

/* a few pages out of all of a record */
static size_t take_sample(const struct job *j, uint32_t npages, char *buf)
{
	CPT_AUTO(mem_of) struct mem m = MEM_NONE;
	uint32_t next = npages / SAMPLE_PAGES / 2, before = 0;
	size_t have = 0;

	for (size_t i = 0; i < j->nruns && have < SAMPLE_PAGES; i++) {
		const struct cpt_run *r = &j->runs[i];

		for (; next < before + r->npages && have < SAMPLE_PAGES; next += npages / SAMPLE_PAGES)
			if (gather(&m, r, next - before, 1, buf + have * CPT_PAGE) == (ssize_t)CPT_PAGE)
				have++;
		before += r->npages;
	}
	return have * CPT_PAGE;
}

/*
 * What does not get smaller is not to be slower for it: it takes the way of
 * an uncompressed dump. Where nothing ever does, fewer samples are taken.
 */
static bool worth_packing(struct cpt_copiers *c, const struct job *j, uint32_t npages)
{
	char sample[SAMPLE_PAGES * CPT_PAGE];
	size_t size;

	if (!c->d->opt->codec)
		return false;
	if (!c->packer)
		c->packer = new_packer(c->d->opt);
	if (npages < SAMPLE_FROM)
		return true;
	if (c->dull && c->spans % (1u << c->dull / 2))
		return false;
	size = take_sample(j, npages, sample);
	if (!size || cpt_pack_shrinks(c->packer, sample, size))
		c->dull = 0;
	else if (c->dull < DULL_MAX)
		c->dull++;
	return !c->dull;
}

/* ---- after the pause --------------------------------------------------- */

uint64_t cpt_queue_pause_ns(const struct cpt_dump *d, uint64_t pages)
{
	bool later = d->opt->codec || (d->img && cpt_img_seekable(d->img));
	uint64_t read = later ? CPT_MIN(pages, (uint64_t)(LATE_MAX / CPT_PAGE)) : 0;

	return read * READ_PAGE_NS + (uint64_t)((double)(pages - read) * d->copy_page_ns);
}

static bool for_later(struct cpt_copiers *c, uint32_t npages)
{
	uint64_t bytes = (uint64_t)npages * CPT_PAGE;

	if ((!c->d->opt->codec && !cpt_img_seekable(c->d->img)) || !in_pause(c->d) || c->late_bytes + bytes > LATE_MAX)
		return false;
	c->late_bytes += bytes;
	return true;
}

int cpt_queue_late(struct cpt_dump *d, struct cpt_err *err)
{
	struct cpt_copiers *c = d->memory ? d->memory->copiers : NULL;

	if (!c || !c->nlate)
		return 0;
	while (c->nlate) {
		struct job j = c->late[--c->nlate];

		if (hand_over(c, &j, err))
			return -1;
	}
	if (cpt_queue_drain(d, err))
		return -1;
	stop_copiers(c);
	return 0;
}

/* ---- records again ---------------------------------------------------- */

/* here and now, without a thread */
static int do_job(struct cpt_copiers *c, struct job *j, struct cpt_err *err)
{
	CPT_AUTO(mem) char *buf = cpt_malloc(COPY_PAGES * CPT_PAGE);
	int rc = any_job(c, j, buf, &c->packer, err);

	if (!rc)
		rc = close_job(c->d, j, err);
	free_job(j);
	return rc;
}

static int flush(struct cpt_dump *d, struct cpt_err *err)
{
	struct cpt_dump_memory *m = d->memory;
	struct job j = { .runs = m->runs, .nruns = m->nruns };
	uint32_t npages = CPT_TAKE(m->queued, 0u);
	struct cpt_copiers *c;
	int rc;

	m->runs = NULL;
	m->nruns = m->cap = 0;
	if (!npages)
		return 0;
	d->stats.pages_written += npages;
	c = copiers(d);
	j.later = for_later(c, npages);
	j.pack = j.later ? d->opt->codec != 0 : worth_packing(c, &j, npages);
	if (!j.pack && !cpt_img_seekable(d->img)) {
		rc = flush_stream(d, &j, npages, err);
		free_runs(j.runs, j.nruns);
		return rc;
	}
	j.packed.npages = npages;
	if (j.pack ? cpt_img_take_slots(d->img, npages, &j.packed.first_slot, err) :
		     cpt_img_span_open(d->img, npages, &j.span, err)) {
		free_job(&j);
		return -1;
	}
	/* to wait for a thread would take longer than to read a little */
	if (j.later && npages <= LITTLE_PAGES)
		return do_job(c, &j, err);
	if (c->spans++ >= (d->opt->codec ? INLINE_PACKED : INLINE_SPANS))
		return hand_over(c, &j, err);
	return do_job(c, &j, err);
}

static int queue(struct cpt_dump *d, struct cpt_run r, uint64_t count, struct cpt_err *err)
{
	struct cpt_dump_memory *m = d->memory;
	int from = r.fd;

	m->next_slot += count;
	if (!d->img)			/* cptool check: only looking */
		return 0;
	while (count) {
		uint32_t n = (uint32_t)CPT_MIN(count, (uint64_t)(CPT_IMG_SPAN_PAGES - m->queued));
		struct cpt_run *last = m->nruns ? &m->runs[m->nruns - 1] : NULL;

		if (!r.pid && (!last || last->pid || last->fd != r.fd)) {
			r.fd = fcntl(from, F_DUPFD_CLOEXEC, 3);
			if (r.fd < 0)
				return cpt_fail_sys(err, "duplicate a descriptor");
		}
		if (last && r.pid && last->pid == r.pid && last->shared == r.shared &&
		    last->at + (uint64_t)last->npages * CPT_PAGE == r.at) {
			last->npages += n;
		} else {
			CPT_GROW(m->runs, m->nruns, m->cap);
			m->runs[m->nruns] = r;
			m->runs[m->nruns++].npages = n;
		}
		m->queued += n;
		r.at += (uint64_t)n * CPT_PAGE;
		count -= n;
		if (m->queued == CPT_IMG_SPAN_PAGES && flush(d, err))
			return -1;
	}
	return 0;
}

int cpt_queue_memory(struct cpt_dump *d, pid_t pid, uint64_t address, uint64_t count, bool shared, struct cpt_err *err)
{
	/* a twin shares all it has */
	return queue(d, (struct cpt_run){ .pid = pid, .fd = -1, .at = address, .shared = shared || d->twins }, count, err);
}

int cpt_queue_running(struct cpt_dump *d, pid_t pid, uint64_t address, uint64_t count, bool shared, struct cpt_err *err)
{
	return queue(d, (struct cpt_run){ .pid = pid, .fd = -1, .at = address, .shared = shared, .running = true }, count, err);
}

int cpt_queue_drain(struct cpt_dump *d, struct cpt_err *err)
{
	struct cpt_copiers *c;
	int rc;

	if (flush(d, err))
		return -1;
	c = d->memory->copiers;
	if (!c)
		return 0;
	pthread_mutex_lock(&c->lock);
	while (c->njobs || c->running) {
		if (!c->ndone)
			pthread_cond_wait(&c->room, &c->lock);
		else if (close_done(c, err))
			break;
	}
	rc = close_done(c, err);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

int cpt_queue_file(struct cpt_dump *d, int fd, uint64_t offset, uint64_t count, struct cpt_err *err)
{
	return queue(d, (struct cpt_run){ .fd = fd, .at = offset }, count, err);
}

int cpt_dump_file_pages(struct cpt_dump *d, int fd, uint64_t size, Cpt__Pages **ret, struct cpt_err *err)
{
	struct cpt_pages *p = &d->memory->pages;
	off_t at = 0, end;

	while ((uint64_t)at < size && (at = lseek(fd, at, SEEK_DATA)) >= 0 && (uint64_t)at < size) {
		uint64_t first = (uint64_t)at / CPT_PAGE, count;

		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0)
			return cpt_fail_sys(err, "look for a hole");
		count = (CPT_MIN((uint64_t)end, size) + CPT_PAGE - 1) / CPT_PAGE - first;
		cpt_pages_add(p, first, count, d->memory->next_slot);
		if (cpt_queue_file(d, fd, first * CPT_PAGE, count, err))
			return -1;
		at = (off_t)((first + count) * CPT_PAGE);
	}
	if (at < 0 && errno != ENXIO)
		return cpt_fail_sys(err, "look for data");
	*ret = cpt_pages_message(p, &d->arena);
	return 0;
}

int cpt_dump_memory_end(struct cpt_dump *d, struct cpt_err *err)
{
	struct cpt_copiers *c = d->memory->copiers;

	if (!d->img)
		return 0;
	if (flush(d, err))
		return -1;
	c = d->memory->copiers;
	if (!c)
		return 0;
	if (c->nthreads && cpt_queue_drain(d, err))
		return -1;
	/* to wait for the end of threads takes its time, too */
	if (c->nthreads && !in_pause(d))
		stop_copiers(c);
	return 0;
}

void cpt_queue_free(struct cpt_dump_memory *m)
{
	struct cpt_copiers *c = m->copiers;

	free_runs(m->runs, m->nruns);
	if (!c)
		return;
	if (c->nthreads)
		stop_copiers(c);
	while (c->ndone)
		free_job(&c->done[--c->ndone]);
	while (c->nlate)
		free_job(&c->late[--c->nlate]);
	free(c->late);
	cpt_packer_free(c->packer);
	free(c);
	m->copiers = NULL;
}
