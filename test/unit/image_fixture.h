/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_fixture.h - small images in a folder of their own, with pages of known content */
#ifndef CPT_TEST_IMAGE_FIXTURE_H
#define CPT_TEST_IMAGE_FIXTURE_H

#include "image/image.h"

#define FIXTURE_PATH 80

struct fixture {
	char folder[64];
	char path[FIXTURE_PATH];
};

int fixture_make(void **state);
int fixture_remove(void **state);
/** fixture_files - how many files are in the folder */
unsigned fixture_files(const struct fixture *f);

/** fixture_page - the content of page @n */
void fixture_page(unsigned n, unsigned char *page);
/** fixture_header - the header record */
void fixture_header(struct cpt_img_writer *w);
/** fixture_group - a group record; an image that is checked needs one with id 0 */
void fixture_group(struct cpt_img_writer *w, unsigned id);
/** fixture_write - header, @pages pages, @groups groups, blob 7 "hello world"; also to a pipe */
void fixture_write(const char *path, unsigned groups, unsigned pages);
/** fixture_other - a second name in the folder, FIXTURE_PATH bytes */
void fixture_other(const struct fixture *f, char *path);
/** fixture_bytes - the content of a file, malloc'd; fixture_put_bytes: make a file of them */
unsigned char *fixture_bytes(const char *path, size_t *size);
void fixture_put_bytes(const char *path, const void *bytes, size_t size);
/** fixture_try - open and check pages: what must refuse each damage */
int fixture_try(const char *path, struct cpt_err *err);
/** fixture_fill - pages [slot, slot + n) into a span, the way a task does */
void fixture_fill(const struct cpt_img_span *s);
/** fixture_check_pages - the image holds pages 0 to n - 1 of fixture_page, read by slot */
void fixture_check_pages(const struct cpt_img *img, uint64_t n);

#endif
