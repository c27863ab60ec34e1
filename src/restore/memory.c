/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory.c - content of shared memory and of files, out of the page store */
#include "restore/engine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define COPY (256 * 1024)

static int copy_run(struct cpt_restore *r, int fd, uint64_t at, uint64_t slot, uint64_t count,
		    uint64_t size, char *buf, struct cpt_err *err)
{
	while (count) {
		uint64_t together, offset = cpt_img_locate(r->img, slot, &together);
		uint64_t n = CPT_MIN(count, together);
		size_t bytes;

		n = CPT_MIN(n, (uint64_t)(COPY / CPT_PAGE));
		bytes = n * CPT_PAGE;
		if (cpt_pread_all(cpt_img_slot_fd(r->img, slot), buf, bytes, (off_t)offset))
			return cpt_fail_sys(err, "read the image");
		if (at >= size)
			return cpt_fail(err, CPT_BAD_IMAGE, "pages behind the end of a file");
		if (cpt_pwrite_all(fd, buf, CPT_MIN((uint64_t)bytes, size - at), (off_t)at))
			return cpt_fail_sys(err, "write content");
		r->stats.pages_read += n;
		at += bytes;
		slot += n;
		count -= n;
	}
	return 0;
}

int cpt_restore_file_pages(struct cpt_restore *r, int fd, const Cpt__Pages *pages, struct cpt_err *err)
{
	CPT_AUTO(mem) char *buf = cpt_malloc(COPY);
	struct stat st;

	if (fstat(fd, &st))
		return cpt_fail_sys(err, "look at a file");
	for (size_t i = 0; pages && i < pages->n_index; i++)
		if (copy_run(r, fd, pages->index[i] * CPT_PAGE, pages->slot[i], pages->count[i],
			     (uint64_t)st.st_size, buf, err))
			return -1;
	return 0;
}

/* Anonymous shared memory is a file without a name; /proc/self/map_files gives it a descriptor. */
static int make_shared(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	uint64_t size = CPT_PAGE_ALIGN(o->shared_memory->size);
	char path[80], *at;
	int fd, saved;

	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return cpt_fail_sys(err, "make %llu bytes of shared memory", (unsigned long long)size);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)(uintptr_t)at,
		 (unsigned long)(uintptr_t)at + size);
	fd = open(path, O_RDWR | O_CLOEXEC);
	saved = errno;
	munmap(at, size);
	if (fd < 0)
		return cpt_fail_errno(err, saved, "open %s", path);
	r->object_fds[o->id] = fd;
	return cpt_restore_file_pages(r, fd, o->shared_memory->pages, err);
}

int cpt_restore_shared_memory(struct cpt_restore *r, struct cpt_err *err)
{
	for (unsigned i = 1; i < r->nobjects; i++)
		if (r->objects[i] && r->objects[i]->shared_memory && make_shared(r, r->objects[i], err))
			return cpt_within(err, "object %u", i);
	return 0;
}
