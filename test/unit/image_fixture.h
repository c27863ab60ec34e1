/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_fixture.h - small images in a folder of their own, with pages of known content */
#ifndef CPT_TEST_IMAGE_FIXTURE_H
#define CPT_TEST_IMAGE_FIXTURE_H

#include "image/image.h"

struct fixture {
	char folder[64];
	char path[80];
};

int fixture_make(void **state);
int fixture_remove(void **state);
/** fixture_files - how many files are in the folder */
unsigned fixture_files(const struct fixture *f);

/** fixture_page - the content of page @n */
void fixture_page(unsigned n, unsigned char *page);
/** fixture_header - the header record */
void fixture_header(struct cpt_img_writer *w);
/** fixture_write - header, @messages messages, @pages pages, blob 7 "hello world" */
void fixture_write(struct fixture *f, const char *path, unsigned messages, unsigned pages);
/** fixture_fill - pages [slot, slot + n) into a span, the way a task does */
void fixture_fill(const struct cpt_img_span *s);
/** fixture_check_pages - the image holds pages 0 to n - 1 of fixture_page, read by slot */
void fixture_check_pages(const struct cpt_img *img, uint64_t n);

#endif
