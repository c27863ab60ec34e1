/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pager.c - the process that brings in the pages of a lazy restore
 *
 * Pages come by records of the image, since that is what a hash covers: read
 * into memory of its own, checked, copied from there (UFFDIO_COPY). One record
 * after the other in the order of the file, which a thread reads ahead; and
 * before all others the one that somebody waits for. Whatever the program does
 * with its mappings meanwhile the kernel tells in order, and it waits until it
 * has been heard: forks, moves, and ranges that it gives up.
 *
 * A record that can't be read, or is not what it was, ends the group.
 */
#include "restore/lazy.h"

#include "base/procfs.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define PIECE 128			/* pages copied before somebody who waits is looked for */
#define STUCK_MAX 10			/* looks at a page that stands nowhere */
#define NO_MEMORY_MAX 1000		/* tries, a hundredth of a second each */

/* a part of the image: pages that stand together there and in an address space */
struct part {
	uint64_t slot, count, number;
	uint32_t mm;			/* index into r->lazy.v */
};

/* an address space now: one that was restored, or made by a fork since */
struct space {
	int uffd;
	pid_t pid;			/* 0: not known … */
	int pidfd;			/* … and -1 */
	const struct cpt_lazy_mm *mm;
	uint64_t *missing;		/* a bit for each number */
	uint64_t left;
	struct cpt_layout layout;
	unsigned stuck;
	/* a fork and a move that overlap can be told in either order */
	bool doubtful;			/* so its layout may be the other one's */
	unsigned moves;			/* since nothing was under way */
	struct space *young;		/* forked since then */
};

/* pages of one record */
struct record {
	struct cpt_img_reader *reader;
	uint64_t first;
	uint32_t npages;		/* 0: none */
	size_t part;			/* the first that may have something missing */
};

struct fault {
	struct space *space;
	uint64_t page;
};

struct pager {
	struct cpt_restore *r;
	struct cpt_pager_shared *shared;
	struct part *parts;		/* ascending by slot */
	size_t nparts;
	struct space **spaces;
	size_t nspaces, cap_spaces;
	struct space **complete;	/* all is in, the descriptor is closed */
	size_t ncomplete, cap_complete;
	struct fault *faults;
	size_t nfaults, cap_faults;
	struct record asked, next;	/* being copied: for somebody who waits; in the order of the file */
	size_t cursor;			/* all before this part is in */
	int epoll, listener, ready;
	int guard;			/* pidfd */
	int *clients;
	size_t nclients, cap_clients;
	uint64_t left;
	unsigned no_memory;
	bool huge_for_all;
	bool quiet_down;		/* the kernel asks for a moment */
	bool hold;			/* for tests: only what is asked for, until somebody waits for all of it */
	char socket[CPT_LAZY_NAME];
	struct cpt_err err;
	/* the thread that reads ahead */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct record ahead;
	enum { IDLE, READING, READY, FAILED } state;
	struct cpt_err ahead_err;
};

/* ---- numbers and slots ------------------------------------------------- */

static bool is_missing(const struct space *s, uint64_t number)
{
	return s->missing[number / 64] >> number % 64 & 1;
}

static void set_in(struct pager *p, struct space *s, uint64_t number, uint64_t count)
{
	for (uint64_t end = number + count; number < end; number++)
		if (is_missing(s, number)) {
			s->missing[number / 64] &= ~(1ULL << number % 64);
			s->left--;
			p->left--;
		}
}

/* the first missing one in [number, end), or end */
static uint64_t next_missing(const struct space *s, uint64_t number, uint64_t end)
{
	while (number < end) {
		uint64_t rest = s->missing[number / 64] >> number % 64;

		if (rest)
			return CPT_MIN(number + (uint64_t)__builtin_ctzll(rest), end);
		number = (number / 64 + 1) * 64;
	}
	return end;
}

static uint64_t slot_of(const struct cpt_lazy_mm *m, uint64_t number)
{
	size_t low = 0, high = m->nruns;

	while (high - low > 1) {	/* the last that begins at or before it */
		size_t mid = low + (high - low) / 2;

		if (m->runs[mid].number <= number)
			low = mid;
		else
			high = mid;
	}
	return m->runs[low].slot + (number - m->runs[low].number);
}

static size_t first_part(const struct pager *p, uint64_t slot)
{
	size_t low = 0, high = p->nparts;

	while (low < high) {		/* the first that ends behind it */
		size_t mid = low + (high - low) / 2;

		if (p->parts[mid].slot + p->parts[mid].count <= slot)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool holds(const struct record *rec, uint64_t slot)
{
	return rec->npages && slot >= rec->first && slot - rec->first < rec->npages;
}

/* ---- address spaces ---------------------------------------------------- */

static int watch(struct pager *p, int fd, void *what)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = what };

	return epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e);
}

static int add_space(struct pager *p, struct space *s)
{
	if (watch(p, s->uffd, s))
		return cpt_fail_sys(&p->err, "watch a userfaultfd");
	CPT_GROW(p->spaces, p->nspaces, p->cap_spaces);
	p->spaces[p->nspaces++] = s;
	p->left += s->left;
	return 0;
}

/* It is gone, or has all its pages. With its last descriptor nothing waits there any more. */
static void drop_space(struct pager *p, struct space *s)
{
	size_t k = 0;

	p->left -= s->left;
	for (size_t i = 0; i < p->nspaces; i++) {
		if (p->spaces[i]->young == s)
			p->spaces[i]->young = NULL;
		if (p->spaces[i] != s)
			p->spaces[k++] = p->spaces[i];
	}
	p->nspaces = k;
	k = 0;
	for (size_t i = 0; i < p->nfaults; i++)
		if (p->faults[i].space != s)
			p->faults[k++] = p->faults[i];
	p->nfaults = k;
	close(s->uffd);
	free(s->missing);
	s->missing = NULL;
	if (s->pidfd >= 0 && !s->left) {
		CPT_GROW(p->complete, p->ncomplete, p->cap_complete);
		p->complete[p->ncomplete++] = s;
		return;
	}
	if (s->pidfd >= 0)
		close(s->pidfd);
	free(s->layout.v);
	free(s);
}

static int first_space(struct pager *p, struct cpt_lazy_mm *m)
{
	struct space *s = cpt_calloc(1, sizeof(*s));

	s->uffd = m->uffd;
	s->pid = m->task->pid;
	s->pidfd = cpt_pidfd_open(s->pid, 0);
	s->mm = m;
	s->missing = cpt_calloc(m->numbers / 64 + 1, sizeof(*s->missing));
	for (size_t i = 0; i < m->nruns; i++)
		for (uint64_t k = m->runs[i].number, end = k + m->runs[i].count; k < end; k++)
			s->missing[k / 64] |= 1ULL << k % 64;
	s->left = m->pages;
	for (size_t i = 0; i < m->nranges; i++)
		cpt_layout_add(&s->layout, m->ranges[i].page, m->ranges[i].count, m->ranges[i].number);
	return add_space(p, s);
}

/* ---- what the program does --------------------------------------------- */

/* A child finds no content in a mapping that is to be wiped on fork; the kernel does not tell. */
static int refuse_wiped(struct pager *p, pid_t pid)
{
	CPT_AUTO(buf) struct cpt_buf buf = { 0 };
	struct cpt_err ignored;
	struct cpt_vma v;
	char path[40], *text;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	if (cpt_read_at(AT_FDCWD, path, &buf, &ignored))
		return 0;		/* it has ended */
	text = buf.data;
	while (cpt_parse_smaps(&text, &v, &ignored) > 0)
		if (v.flags & CPT_VM_UFFD && v.flags & CPT_VM_WIPEONFORK)
			return cpt_fail(&p->err, CPT_UNSUPPORTED,
					"process %d forked after MADV_WIPEONFORK of memory that a lazy restore had not brought in yet", pid);
	return 0;
}

static int look_for_wiped(struct pager *p, const struct space *s)
{
	CPT_AUTO(grouptree) struct cpt_grouptree tree = { 0 };
	struct cpt_err ignored;

	if (!s->left)
		return 0;
	if (s->pid)
		return refuse_wiped(p, s->pid);
	if (cpt_group_list(&p->r->group, &tree, &ignored))
		return 0;
	for (unsigned g = 0; g < tree.ngroups; g++)
		for (unsigned i = 0; i < tree.groups[g].nprocs; i++)
			if (refuse_wiped(p, tree.groups[g].procs[i]))
				return -1;
	return 0;
}

static int forked(struct pager *p, struct space *s, int uffd)
{
	struct space *c = cpt_calloc(1, sizeof(*c));
	size_t words = s->mm->numbers / 64 + 1;

	c->uffd = uffd;
	c->pidfd = -1;
	c->mm = s->mm;
	c->missing = cpt_malloc(words * sizeof(*c->missing));
	memcpy(c->missing, s->missing, words * sizeof(*c->missing));
	c->left = s->left;
	cpt_layout_copy(&c->layout, &s->layout);
	c->doubtful = s->moves > 0;
	s->young = c;
	return add_space(p, c) || look_for_wiped(p, s) ? -1 : 0;
}

/* these addresses are given up: what was to come there is wanted no more */
static void given_up(struct pager *p, struct space *s, uint64_t page, uint64_t end)
{
	for (size_t i = 0; i < s->layout.n; i++) {
		const struct cpt_area *a = &s->layout.v[i];
		uint64_t from = CPT_MAX(a->page, page), to = CPT_MIN(a->page + a->count, end);

		if (from < to)
			set_in(p, s, a->number + (from - a->page), to - from);
	}
}

static void moved(struct pager *p, struct space *s, uint64_t from, uint64_t to, uint64_t count)
{
	given_up(p, s, to, to + count);
	cpt_layout_move(&s->layout, from, to, count);
	s->moves++;
	if (s->young)
		s->young->doubtful = true;
}

/* nothing is under way in @s: what it told so far was in order */
static void settled(struct space *s)
{
	s->moves = 0;
	s->young = NULL;
	s->stuck = 0;
}

static int take_message(struct pager *p, struct space *s, const struct uffd_msg *m)
{
	uint64_t start, end;

	switch (m->event) {
	case UFFD_EVENT_PAGEFAULT:
		CPT_GROW(p->faults, p->nfaults, p->cap_faults);
		p->faults[p->nfaults++] = (struct fault){ s, m->arg.pagefault.address / CPT_PAGE };
		return 0;
	case UFFD_EVENT_FORK:
		return forked(p, s, (int)m->arg.fork.ufd);
	case UFFD_EVENT_REMAP:
		moved(p, s, m->arg.remap.from / CPT_PAGE, m->arg.remap.to / CPT_PAGE, m->arg.remap.len / CPT_PAGE);
		return 0;
	case UFFD_EVENT_REMOVE:
	case UFFD_EVENT_UNMAP:
		start = m->arg.remove.start / CPT_PAGE;
		end = m->arg.remove.end / CPT_PAGE;
		given_up(p, s, start, end);
		if (m->event == UFFD_EVENT_UNMAP)
			cpt_layout_cut(&s->layout, start, end - start);
		return 0;
	default:
		return cpt_fail(&p->err, CPT_SYSTEM, "the kernel tells of an event %u that nobody asked for", m->event);
	}
}

static int hear(struct pager *p, struct space *s)
{
	struct uffd_msg m[16];
	ssize_t n = read(s->uffd, m, sizeof(m));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : cpt_fail_sys(&p->err, "read a userfaultfd");
	for (size_t i = 0; i < (size_t)n / sizeof(m[0]); i++)
		if (take_message(p, s, &m[i]))
			return -1;
	return 0;
}

/* ---- copying ----------------------------------------------------------- */

enum copied { COPIED, GONE, WAIT, BROKEN };

/* what an ioctl that brings a page in has said */
static enum copied judge(struct pager *p, struct space *s, uint64_t number, uint64_t count, uint64_t done)
{
	int sys = errno;

	if (done) {
		set_in(p, s, number, done);
		s->stuck = p->no_memory = 0;
		return COPIED;
	}
	switch (sys) {
	case EEXIST:			/* a guard region: it gave up the page without a word */
		set_in(p, s, number, 1);
		return COPIED;
	case ESRCH:
		drop_space(p, s);
		return GONE;
	case EAGAIN:
		p->quiet_down = true;
		return WAIT;
	case ENOENT:			/* it is being moved; or its mapping was not handed on to this child */
		if (count > 1)
			return WAIT;
		if (s->stuck++ < STUCK_MAX) {
			p->quiet_down = true;
			return WAIT;
		}
		if (s->doubtful) {
			cpt_fail(&p->err, CPT_SYSTEM, "a process moved memory while another thread of it forked, before all its pages were in");
			return BROKEN;
		}
		set_in(p, s, number, 1);
		return COPIED;
	case ENOMEM:			/* the group is at its limit */
		p->quiet_down = true;
		if (p->no_memory++ < NO_MEMORY_MAX) {
			cpt_sleep_us(10000);
			return WAIT;
		}
		break;
	}
	cpt_fail_errno(&p->err, sys, "bring in a page");
	return BROKEN;
}

/* up to @count pages that stand together in the record, in @s and in its bits */
static enum copied copy(struct pager *p, struct space *s, const struct record *rec, uint64_t number, uint64_t count,
			uint64_t slot)
{
	const struct cpt_area *a = cpt_layout_of(&s->layout, number);
	const char *pages = cpt_img_reader_pages(rec->reader);
	enum copied got;

	if (!a) {
		set_in(p, s, number, 1);
		return COPIED;
	}
	count = CPT_MIN(count, a->number + a->count - number);
	for (;; count /= 2) {
		struct uffdio_copy c = {
			.dst = (a->page + (number - a->number)) * CPT_PAGE,
			.src = (uintptr_t)pages + (slot - rec->first) * CPT_PAGE,
			.len = count * CPT_PAGE,
		};
		int rc = ioctl(s->uffd, UFFDIO_COPY, &c), sys = errno;

		if (!rc)
			settled(s);	/* the kernel refuses while something is under way */
		errno = sys;
		got = judge(p, s, number, count, !rc ? count : c.copy > 0 ? (uint64_t)c.copy / CPT_PAGE : 0);
		if (got != WAIT || p->quiet_down || count == 1)
			return got;	/* else it stands in several mappings */
	}
}

/* Something of the record, for anybody. False: nothing of it is missing. */
static bool copy_some(struct pager *p, struct record *rec)
{
	uint64_t end = rec->first + rec->npages;

	for (; rec->npages && rec->part < p->nparts && p->parts[rec->part].slot < end; rec->part++) {
		const struct part *t = &p->parts[rec->part];
		uint64_t from = CPT_MAX(t->slot, rec->first), to = CPT_MIN(t->slot + t->count, end);
		uint64_t number = t->number + (from - t->slot), last = number + (to - from);

		for (size_t i = 0; i < p->nspaces; i++) {
			struct space *s = p->spaces[i];
			uint64_t at, n = 1;

			if (s->mm != &p->r->lazy.v[t->mm])
				continue;
			at = next_missing(s, number, last);
			if (at == last)
				continue;
			while (n < PIECE && at + n < last && is_missing(s, at + n))
				n++;
			copy(p, s, rec, at, n, from + (at - number));
			return true;
		}
	}
	rec->npages = 0;
	return false;
}

/* ---- reading ahead ----------------------------------------------------- */

static void *read_ahead(void *arg)
{
	struct pager *p = arg;
	uint64_t one = 1;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		int rc;

		while (p->state != READING)
			pthread_cond_wait(&p->changed, &p->lock);
		pthread_mutex_unlock(&p->lock);
		rc = cpt_img_reader_read(p->ahead.reader, p->r->img, p->ahead.first, &p->ahead_err);
		pthread_mutex_lock(&p->lock);
		p->state = rc ? FAILED : READY;
		pthread_cond_signal(&p->changed);
		if (write(p->ready, &one, sizeof(one)) < 0)
			abort();	/* the guard ends the group */
	}
	return NULL;
}

static void open_record(struct pager *p, struct record *rec, uint64_t slot)
{
	cpt_img_record(p->r->img, slot, &rec->first, &rec->npages);
	rec->part = first_part(p, rec->first);
}

/* is anything of it missing anywhere? */
static bool is_wanted(const struct pager *p, const struct part *t)
{
	for (size_t i = 0; i < p->nspaces; i++) {
		const struct space *s = p->spaces[i];

		if (s->mm == &p->r->lazy.v[t->mm] && next_missing(s, t->number, t->number + t->count) < t->number + t->count)
			return true;
	}
	return false;
}

/* the slot of the first page from @cursor on that is missing somewhere; the cursor moves there */
static bool find_wanted(const struct pager *p, size_t *cursor, uint64_t *slot)
{
	for (; *cursor < p->nparts; (*cursor)++) {
		const struct part *t = &p->parts[*cursor];
		uint64_t first = t->number + t->count;

		if (!is_wanted(p, t))
			continue;
		for (size_t i = 0; i < p->nspaces; i++)
			if (p->spaces[i]->mm == &p->r->lazy.v[t->mm])
				first = CPT_MIN(first, next_missing(p->spaces[i], t->number, t->number + t->count));
		*slot = t->slot + (first - t->number);
		return true;
	}
	return false;
}

/* what comes after the record at work; it may be wanted no more when it is there, which harms nobody */
static void order_ahead(struct pager *p)
{
	size_t cursor = p->cursor;
	uint64_t slot;

	if (p->state != IDLE)
		return;
	if (p->next.npages)
		cursor = first_part(p, p->next.first + p->next.npages);
	if (!find_wanted(p, &cursor, &slot))
		return;
	if (p->next.npages && slot < p->next.first + p->next.npages && slot >= p->next.first)
		slot = p->next.first + p->next.npages;	/* a part that reaches beyond it */
	pthread_mutex_lock(&p->lock);
	open_record(p, &p->ahead, slot);
	p->state = READING;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

/* wait until the thread is done with what it reads */
static int await_ahead(struct pager *p)
{
	pthread_mutex_lock(&p->lock);
	while (p->state == READING)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
	if (p->state != FAILED)
		return 0;
	p->err = p->ahead_err;
	return -1;
}

/* the record read ahead is the one at work */
static void take_ahead(struct pager *p)
{
	struct record was = p->next;

	p->next = p->ahead;
	p->ahead = was;
	p->ahead.npages = 0;
	p->state = IDLE;
}

/* ---- somebody waits ----------------------------------------------------- */

static void wake(struct space *s, uint64_t page)
{
	struct uffdio_range range = { page * CPT_PAGE, CPT_PAGE };

	ioctl(s->uffd, UFFDIO_WAKE, &range);	/* it looks again; whether anybody waits or not */
}

/* a page that is in no image: zeros */
static int give_zeros(struct pager *p, struct fault f)
{
	struct uffdio_zeropage z = { .range = { f.page * CPT_PAGE, CPT_PAGE } };

	if (f.space->doubtful && !cpt_layout_at(&f.space->layout, f.page))
		return cpt_fail(&p->err, CPT_SYSTEM, "a process moved memory while another thread of it forked, before all its pages were in");
	if (!ioctl(f.space->uffd, UFFDIO_ZEROPAGE, &z))
		return 0;
	if (errno == ESRCH) {
		drop_space(p, f.space);
		return 0;
	}
	if (errno == EAGAIN || errno == ENOMEM) {
		p->quiet_down = true;
		CPT_GROW(p->faults, p->nfaults, p->cap_faults);
		p->faults[p->nfaults++] = f;
		return 0;
	}
	wake(f.space, f.page);
	return 0;
}

/* the record with @slot, read now if it is not there */
static struct record *fetch(struct pager *p, uint64_t slot)
{
	if (holds(&p->asked, slot))
		return &p->asked;
	if (holds(&p->next, slot))
		return &p->next;
	if (p->state != IDLE && holds(&p->ahead, slot)) {
		if (await_ahead(p))
			return NULL;
		return &p->ahead;
	}
	p->asked.npages = 0;
	if (cpt_img_reader_read(p->asked.reader, p->r->img, slot, &p->err))
		return NULL;
	open_record(p, &p->asked, slot);
	return &p->asked;
}

static int answer(struct pager *p, struct fault f)
{
	const struct cpt_area *a = cpt_layout_at(&f.space->layout, f.page);
	uint64_t number = a ? a->number + (f.page - a->page) : 0, slot;
	const struct record *rec;
	enum copied got;

	if (!a || !is_missing(f.space, number))
		return give_zeros(p, f);
	slot = slot_of(f.space->mm, number);
	rec = fetch(p, slot);
	if (!rec)
		return -1;
	got = copy(p, f.space, rec, number, 1, slot);
	if (got == WAIT) {
		CPT_GROW(p->faults, p->nfaults, p->cap_faults);
		p->faults[p->nfaults++] = f;
	} else if (got == COPIED) {
		wake(f.space, f.page);
	}
	return got == BROKEN ? -1 : 0;
}

/* those that wait now; who must wait longer comes to the end */
static int answer_all(struct pager *p)
{
	for (size_t n = p->nfaults; n && p->nfaults; n--) {
		struct fault f = p->faults[0];

		p->nfaults--;
		memmove(p->faults, p->faults + 1, p->nfaults * sizeof(*p->faults));
		if (answer(p, f))
			return -1;
	}
	return 0;
}

/* ---- who asks ---------------------------------------------------------- */

static void tell(struct pager *p, int client)
{
	struct cpt_lazy_news news = { .magic = CPT_LAZY_MAGIC, .total = CPT_MAX(p->r->lazy.pages, p->left), .left = p->left };
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &len) || peer.uid != geteuid() ||
	    send(client, &news, sizeof(news), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(news)) {
		close(client);
		return;
	}
	CPT_GROW(p->clients, p->nclients, p->cap_clients);
	p->clients[p->nclients++] = client;
	if (p->hold && watch(p, client, &p->hold))
		p->hold = false;
}

/* those that did not want to wait */
static void forget_clients(struct pager *p)
{
	size_t k = 0;
	char word;

	for (size_t i = 0; i < p->nclients; i++)
		if (!recv(p->clients[i], &word, 1, MSG_DONTWAIT | MSG_PEEK))
			close(p->clients[i]);
		else
			p->clients[k++] = p->clients[i];
	p->nclients = k;
}

/* those that want to wait say so */
static void look_for_waiting(struct pager *p)
{
	char word;

	for (size_t i = 0; i < p->nclients; i++)
		if (recv(p->clients[i], &word, 1, MSG_DONTWAIT) == 1)
			p->hold = false;
	forget_clients(p);
}

static void greet(struct pager *p)
{
	int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);

	forget_clients(p);
	if (client >= 0)
		tell(p, client);
}

static int listen_for_clients(struct pager *p)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char last[CPT_LAZY_NAME];

	if (mkdir(CPT_RUN_FOLDER, 0700) && errno != EEXIST)
		return cpt_fail_sys(&p->err, "make " CPT_RUN_FOLDER);
	if (cpt_lazy_name(p->r->group.path, "sock", p->socket, &p->err) ||
	    cpt_lazy_name(p->r->group.path, "end", last, &p->err))
		return -1;
	memcpy(a.sun_path, p->socket, sizeof(p->socket));
	unlink(last);
	unlink(p->socket);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->listener < 0 || bind(p->listener, (const struct sockaddr *)&a, sizeof(a)) || listen(p->listener, 16))
		return cpt_fail_sys(&p->err, "listen at %s", p->socket);
	return watch(p, p->listener, &p->listener);
}

/* ---- the guard --------------------------------------------------------- */

static int start_guard(struct pager *p)
{
	CPT_AUTO(fd) int self = -1;
	pid_t pid;

	pid = (pid_t)syscall(SYS_getpid);
	self = cpt_pidfd_open(pid, 0);
	if (self < 0)
		return cpt_fail_sys(&p->err, "pidfd");
	pid = cpt_pager_guard_start(&p->r->group, self, p->shared, &p->err);
	if (pid < 0)
		return -1;
	CPT_TAKE(self, -1);		/* the guard's: it is the same table */
	p->guard = cpt_pidfd_open(pid, 0);
	return p->guard < 0 || watch(p, p->guard, &p->guard) ? cpt_fail_sys(&p->err, "pidfd of the guard") : 0;
}

/* Somebody has killed it. Without one, our own death would give wrong pages. */
static int replace_guard(struct pager *p)
{
	if (p->state != IDLE && await_ahead(p))
		return -1;
	close(p->guard);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return start_guard(p);
}

/* ---- all together ------------------------------------------------------ */

static int hear_all(struct pager *p, int wait_ms)
{
	struct epoll_event e[32];
	int n = epoll_wait(p->epoll, e, CPT_COUNT(e), wait_ms);
	uint64_t count;

	if (n < 0)
		return errno == EINTR ? 0 : cpt_fail_sys(&p->err, "epoll_wait");
	for (int i = 0; i < n; i++) {
		if (e[i].data.ptr == &p->listener)
			greet(p);
		else if (e[i].data.ptr == &p->hold)
			look_for_waiting(p);
		else if (e[i].data.ptr == &p->guard && replace_guard(p))
			return -1;
		else if (e[i].data.ptr == &p->ready && read(p->ready, &count, sizeof(count)) < 0)
			continue;
		for (size_t k = 0; k < p->nspaces; k++)
			if (p->spaces[k] == e[i].data.ptr) {
				if (hear(p, p->spaces[k]))
					return -1;
				break;
			}
	}
	return 0;
}

static void drop_complete(struct pager *p)
{
	for (size_t i = p->nspaces; i-- > 0;)
		if (!p->spaces[i]->left)
			drop_space(p, p->spaces[i]);
}

/* One step of the work that nobody waits for. False: there is none until the thread has read. */
static bool go_on(struct pager *p)
{
	uint64_t slot;

	if (copy_some(p, &p->asked))
		return true;
	if (copy_some(p, &p->next)) {
		order_ahead(p);
		return true;
	}
	pthread_mutex_lock(&p->lock);
	if (p->state == READY)
		take_ahead(p);
	pthread_mutex_unlock(&p->lock);
	if (!p->next.npages && p->state == IDLE && !find_wanted(p, &p->cursor, &slot))
		return false;		/* nothing is missing */
	order_ahead(p);
	return p->next.npages;
}

static int serve(struct pager *p)
{
	bool busy = true;

	while (p->nspaces) {
		if (p->quiet_down) {
			cpt_sleep_us(50);
			p->quiet_down = false;
			busy = true;
		}
		if (hear_all(p, busy || p->nfaults ? 0 : -1) || answer_all(p))
			return -1;
		if (p->state == FAILED)
			return await_ahead(p);
		if (p->err.fault)
			return -1;
		busy = !p->hold && go_on(p);
		drop_complete(p);
	}
	return 0;
}

/* ---- beginning --------------------------------------------------------- */

static int by_slot(const void *a, const void *b)
{
	uint64_t x = ((const struct part *)a)->slot, y = ((const struct part *)b)->slot;

	return (x > y) - (x < y);
}

static void make_parts(struct pager *p)
{
	const struct cpt_lazy *l = &p->r->lazy;
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += l->v[i].nruns;
	p->parts = cpt_malloc(n * sizeof(*p->parts));
	for (size_t i = 0; i < l->n; i++)
		for (size_t k = 0; k < l->v[i].nruns; k++) {
			const struct cpt_lazy_run *u = &l->v[i].runs[k];

			p->parts[p->nparts++] = (struct part){ u->slot, u->count, u->number, (uint32_t)i };
		}
	qsort(p->parts, p->nparts, sizeof(*p->parts), by_slot);
}

static int begin(struct pager *p)
{
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	p->hold = getenv("CPT_LAZY_HOLD");
	p->huge_for_all = cpt_huge_for_all();
	p->asked.reader = cpt_img_reader_new();
	p->next.reader = cpt_img_reader_new();
	p->ahead.reader = cpt_img_reader_new();
	make_parts(p);
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	p->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->epoll < 0 || p->ready < 0 || watch(p, p->ready, &p->ready))
		return cpt_fail_sys(&p->err, "epoll");
	for (size_t i = 0; i < p->r->lazy.n; i++)
		if (first_space(p, &p->r->lazy.v[i]))
			return -1;
	p->shared = mmap(NULL, sizeof(*p->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p->shared == MAP_FAILED)
		return cpt_fail_sys(&p->err, "mmap");
	if (listen_for_clients(p) || start_guard(p))
		return -1;
	if (pthread_create(&p->thread, NULL, read_ahead, p))
		return cpt_fail(&p->err, CPT_SYSTEM, "start a thread");
	return 0;
}

static int by_fd(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Nothing of cptool's but what is needed: it is to outlive it, and nobody's pipe must wait for it. */
static int close_others(struct cpt_restore *r, int told)
{
	size_t files = cpt_img_fds(r->img, NULL, 0), n = files + r->lazy.n + 2;
	CPT_AUTO(mem) int *keep = cpt_malloc(n * sizeof(*keep));
	int from = 3, null = open("/dev/null", O_RDWR);

	for (int fd = 0; fd < 3 && null >= 0; fd++)
		if (dup2(null, fd) < 0)
			return -1;
	cpt_img_fds(r->img, keep, files);
	for (size_t i = 0; i < r->lazy.n; i++)
		keep[files + i] = r->lazy.v[i].uffd;
	keep[n - 2] = r->group.fd;
	keep[n - 1] = told;
	qsort(keep, n, sizeof(*keep), by_fd);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] > from)
			syscall(SYS_close_range, (unsigned)from, (unsigned)keep[i] - 1, 0u);
		from = CPT_MAX(from, keep[i] + 1);
	}
	syscall(SYS_close_range, (unsigned)from, ~0u, 0u);
	return 0;
}

static void end(struct pager *p, int rc)
{
	struct stat st;

	if (rc)
		cpt_pager_end_group(&p->r->group, p->err.text);
	__atomic_store_n(&p->shared->done, 1, __ATOMIC_RELEASE);
	for (size_t i = 0; i < p->ncomplete; i++)	/* nobody waits for anything any more */
		cpt_huge_again(p->complete[i]->pidfd, p->complete[i]->mm, &p->complete[i]->layout, p->huge_for_all);
	if (!stat(p->socket, &st))
		unlink(p->socket);
	_exit(0);			/* with the guard the clients' connections end */
}

static _Noreturn void pager(struct cpt_restore *r, int told)
{
	struct pager p = { .r = r, .epoll = -1, .listener = -1, .ready = -1, .guard = -1 };
	int rc;

	setsid();
	prctl(PR_SET_NAME, "cptool-lazy");
	cpt_set_log(CPT_LOG_WARN, (struct cpt_sink){ NULL, NULL });
	cpt_restore_scratch_free(r);
	if (close_others(r, told) || chdir("/") || begin(&p)) {
		if (write(told, &p.err, sizeof(p.err)) < 0)
			_exit(2);
		_exit(1);
	}
	if (write(told, &p.err, sizeof(p.err)) < 0)
		_exit(1);		/* cptool is gone, and the group with it */
	close(told);
	rc = serve(&p);
	end(&p, rc);
	_exit(0);
}

/* It is to be nobody's child here: cptool adopts orphans while it restores. */
static pid_t fork_away(struct cpt_restore *r, int told)
{
	sigset_t all, old;
	int adopts = 0;
	pid_t pid;

	prctl(PR_GET_CHILD_SUBREAPER, &adopts);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	sigfillset(&all);		/* no handler of cptool's may run there */
	sigprocmask(SIG_BLOCK, &all, &old);
	pid = fork();
	if (!pid) {
		if (fork())
			_exit(0);
		pager(r, told);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	sigprocmask(SIG_SETMASK, &old, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, adopts);
	return pid;
}

int cpt_pager_start(struct cpt_restore *r, struct cpt_err *err)
{
	struct cpt_err said = { 0 };
	int pipe[2], rc;

	cpt_lazy_sweep();
	if (pipe2(pipe, O_CLOEXEC))
		return cpt_fail_sys(err, "pipe");
	rc = fork_away(r, pipe[1]) < 0 ? cpt_fail_sys(err, "fork") : 0;
	close(pipe[1]);
	if (!rc && (cpt_read_all(pipe[0], &said, sizeof(said)) || said.fault)) {
		*err = said;
		rc = said.fault ? -1 : cpt_fail(err, CPT_SYSTEM, "the process that is to bring in pages has died");
	}
	close(pipe[0]);
	return rc;
}
