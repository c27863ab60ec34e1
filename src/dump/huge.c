/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * huge.c - huge pages that a snapshot has split are put together again
 *
 * The kernel splits one at the first write to it while a twin shares it, or
 * while it is write-protected. It would join them by itself in the course of
 * minutes; until then the program is slower, and so is the next twin.
 */
#include "dump/precopy.h"
#include "dump/scan.h"
#include "dump/twin.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25		/* Linux 6.1 */
#endif
#define HUGE_PAGE (2UL << 20)
#define LONG_NS 3000000			/* for one, which mostly takes 0.4 ms */
#define SPARE_BYTES (256ULL << 20)	/* of memory, to begin at all */

struct cpt_huge {
	int pidfd, pagemap;
	struct cpt_runs was;		/* in huge pages, before */
};

static int add(void *arg, uint64_t start, uint64_t end, struct cpt_err *err)
{
	(void)err;
	cpt_runs_add(arg, start, end, 0);
	return 0;
}

static bool private_memory(const struct cpt_vma *v)
{
	return !v->ino && !(v->flags & CPT_VM_SHARED) && v->path[0] != '[' && v->end - v->start >= HUGE_PAGE;
}

static int find(struct cpt_dump *d, pid_t pid, struct cpt_huge *h, struct cpt_err *err)
{
	struct cpt_vma v;
	char path[32], *text;
	int got;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	if (cpt_read_at(AT_FDCWD, path, &d->maps, err))
		return -1;
	text = d->maps.data;
	while ((got = cpt_parse_smaps(&text, &v, err)) > 0)
		if (private_memory(&v) && cpt_scan(h->pagemap, v.start, v.end, CPT_SCAN_HUGE, add, &h->was, err))
			return -1;
	return got;
}

static void forget(struct cpt_huge *h)
{
	free(h->was.v);
	if (h->pidfd >= 0)
		close(h->pidfd);
	if (h->pagemap >= 0)
		close(h->pagemap);
}

void cpt_huge_note(struct cpt_dump *d, pid_t pid)
{
	struct cpt_huge h = { .pidfd = cpt_pidfd_open(pid, 0), .was = { NULL, 0, 0 } };
	struct cpt_err ignored;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	h.pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (h.pidfd < 0 || h.pagemap < 0 || find(d, pid, &h, &ignored) || !h.was.n) {
		forget(&h);
		return;
	}
	CPT_GROW(d->huge, d->nhuge, d->cap_huge);
	d->huge[d->nhuge++] = h;
}

/*
 * false: the kernel has none left, or the process has ended. Or it took long:
 * whoever touches that memory waits for it, and then it is better left alone.
 */
static bool join(const struct cpt_huge *h, uint64_t at)
{
	struct iovec v = { (void *)(uintptr_t)at, HUGE_PAGE };
	uint64_t begin = cpt_now_ns();

	if (syscall(SYS_process_madvise, h->pidfd, &v, 1UL, MADV_COLLAPSE, 0u) < 0 &&
	    (errno == ENOMEM || errno == ESRCH || errno == ENOSYS || errno == EPERM))
		return false;
	return cpt_now_ns() - begin < LONG_NS;
}

static void mend(struct cpt_huge *h)
{
	struct cpt_runs is = { NULL, 0, 0 };
	struct cpt_err ignored;

	for (size_t i = 0; i < h->was.n; i++)
		if (cpt_scan(h->pagemap, h->was.v[i].start, h->was.v[i].end, CPT_SCAN_HUGE, add, &is, &ignored))
			goto out;
	cpt_runs_drop(&h->was, &is);
	for (size_t i = 0; i < h->was.n; i++)
		for (uint64_t at = h->was.v[i].start; at + HUGE_PAGE <= h->was.v[i].end; at += HUGE_PAGE)
			if (!join(h, at))
				goto out;
out:
	free(is.v);
}

void cpt_huge_mend(struct cpt_dump *d)
{
	if (d->nhuge && cpt_spare_memory(d) > SPARE_BYTES && cpt_dump_has_room(d, SPARE_BYTES))
		for (size_t i = 0; i < d->nhuge; i++)
			mend(&d->huge[i]);
	cpt_huge_free(d);
}

void cpt_huge_free(struct cpt_dump *d)
{
	for (size_t i = 0; i < d->nhuge; i++)
		forget(&d->huge[i]);
	free(d->huge);
	d->huge = NULL;
	d->nhuge = d->cap_huge = 0;
}
