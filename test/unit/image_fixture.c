/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "image_fixture.h"
#include "cgroups.pb-c.h"
#include "header.pb-c.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int fixture_make(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct fixture *f = cpt_calloc(1, sizeof(*f));

	snprintf(f->folder, sizeof(f->folder), "%.40s/cptool-unit-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(f->folder))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/image.cpt", f->folder);
	*state = f;
	return 0;
}

void fixture_other(const struct fixture *f, char *path)
{
	snprintf(path, FIXTURE_PATH, "%s/other.cpt", f->folder);
}

unsigned char *fixture_bytes(const char *path, size_t *size)
{
	CPT_AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char *bytes;
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	*size = (size_t)st.st_size;
	bytes = cpt_malloc(*size);
	assert_int_equal(cpt_pread_all(fd, bytes, *size, 0), 0);
	return bytes;
}

void fixture_put_bytes(const char *path, const void *bytes, size_t size)
{
	CPT_AUTO(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(cpt_pwrite_all(fd, bytes, size, 0), 0);
}

int fixture_try(const char *path, struct cpt_err *err)
{
	CPT_AUTO(img) struct cpt_img *img = NULL;

	if (cpt_img_open(path, &img, err))
		return -1;
	return cpt_img_check_pages(img, err);
}

unsigned fixture_files(const struct fixture *f)
{
	CPT_AUTO(dir) DIR *d = opendir(f->folder);
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	return n - 2;		/* . and .. */
}

int fixture_remove(void **state)
{
	struct fixture *f = *state;
	DIR *d = opendir(f->folder);
	struct dirent *e;

	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(f->folder);
	free(f);
	return 0;
}

void fixture_page(unsigned n, unsigned char *page)
{
	uint32_t x = n * 2654435761u + 1;

	for (unsigned i = 0; i < CPT_PAGE; i += 4) {
		x = x * 1664525u + 1013904223u;
		memcpy(page + i, &x, 4);
	}
}

void fixture_header(struct cpt_img_writer *w)
{
	Cpt__Header h = CPT__HEADER__INIT;

	h.has_version = true;
	h.version = 1;
	h.host = (char *)"unit";
	h.group = (char *)"/unit";
	ok(cpt_img_put(w, CPT_REC_HEADER, &h.base, err));
}

void fixture_fill(const struct cpt_img_span *s)
{
	unsigned char page[CPT_PAGE];

	for (unsigned i = 0; i < s->npages; i++) {
		fixture_page((unsigned)s->first_slot + i, page);
		assert_int_equal(cpt_pwrite_all(s->fd, page, CPT_PAGE,
						(off_t)(s->offset + i * CPT_PAGE)), 0);
	}
}

void fixture_group(struct cpt_img_writer *w, unsigned id)
{
	Cpt__Cgroup m = CPT__CGROUP__INIT;
	char text[32];

	snprintf(text, sizeof(text), "group number %u", id);
	m.has_id = true;
	m.id = id;
	m.path = id ? text : (char *)"";
	ok(cpt_img_put(w, CPT_REC_CGROUP, &m.base, err));
}

/* the way a task does it where that goes, else from memory */
static void put_pages(struct cpt_img_writer *w, unsigned first, unsigned n)
{
	CPT_AUTO(mem) unsigned char *data = NULL;
	struct cpt_img_span s;
	uint64_t slot;

	if (cpt_img_seekable(w)) {
		ok(cpt_img_span_open(w, n, &s, err));
		fixture_fill(&s);
		ok(cpt_img_span_close(w, &s, err));
		return;
	}
	data = cpt_malloc(n * CPT_PAGE);
	for (unsigned i = 0; i < n; i++)
		fixture_page(first + i, data + i * CPT_PAGE);
	ok(cpt_img_put_pages(w, data, n, &slot, err));
	assert_int_equal(slot, first);
}

void fixture_write(const char *path, unsigned groups, unsigned pages)
{
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;

	ok(cpt_img_create(path, &w, err));
	fixture_header(w);
	for (unsigned left = pages, n; left; left -= n) {
		n = CPT_MIN(left, (unsigned)CPT_IMG_SPAN_PAGES);
		put_pages(w, pages - left, n);
	}
	for (unsigned i = 0; i < groups; i++)
		fixture_group(w, i);
	ok(cpt_img_put_blob(w, 7, "hello world", 11, err));
	ok(cpt_img_commit(w, err));
}

void fixture_check_pages(const struct cpt_img *img, uint64_t n)
{
	unsigned char want[CPT_PAGE], have[CPT_PAGE];
	uint64_t contiguous;

	assert_int_equal(cpt_img_slots(img), n);
	for (uint64_t slot = 0; slot < n; slot++) {
		uint64_t at = cpt_img_locate(img, slot, &contiguous);

		assert_int_equal(at % CPT_PAGE, 0);
		assert_in_range(contiguous, 1, n - slot);
		assert_int_equal(cpt_pread_all(cpt_img_slot_fd(img, slot), have, CPT_PAGE, (off_t)at), 0);
		fixture_page((unsigned)slot, want);
		assert_memory_equal(have, want, CPT_PAGE);
	}
}
