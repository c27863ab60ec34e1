/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sparse.c - pages into a file, but for those that are all zero
 *
 * A page of zeros becomes a hole: it reads as what it is, and costs neither
 * time nor room. Whoever tells it from others looks at its first bytes.
 */
#include "image/write.h"

static bool is_zero(const char *page)
{
	static const char zeros[64];

	return !memcmp(page, zeros, sizeof(zeros)) &&
	       !memcmp(page, page + sizeof(zeros), CPT_PAGE - sizeof(zeros));
}

uint32_t cpt_zero_pages(const void *pages, uint32_t npages)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < npages; i++)
		n += is_zero((const char *)pages + i * CPT_PAGE);
	return n;
}

int cpt_img_write_pages(struct cpt_img_writer *w, const void *pages, uint32_t npages, uint64_t offset,
			uint32_t *zero, struct cpt_err *err)
{
	const char *p = pages;
	uint32_t left_out = 0;

	for (uint32_t i = 0, n; i < npages; i += n) {
		bool hole = is_zero(p + i * CPT_PAGE);

		for (n = 1; i + n < npages && is_zero(p + (i + n) * CPT_PAGE) == hole; n++)
			;
		if (hole)
			left_out += n;
		else if (cpt_pwrite_all(w->out.fd, p + i * CPT_PAGE, n * CPT_PAGE, (off_t)(offset + i * CPT_PAGE)))
			return cpt_fail_sys(err, "write pages to %s", w->out.name);
	}
	w->out.holes += left_out * CPT_PAGE;
	*zero += left_out;
	return 0;
}
