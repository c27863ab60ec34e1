/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image.c - the container: what is written is read, in every way there is to write it */
#include "unit.h"

#include "image/image.h"
#include "header.pb-c.h"
#include "image_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static void round_trip(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img) struct cpt_img *img = NULL;
	struct cpt_arena arena = { 0 };
	Cpt__Header *h;
	const void *data;
	size_t size;

	fixture_write(f, f->path, 3, 5);
	ok(cpt_img_open(f->path, &img, err));
	assert_int_equal(cpt_img_count(img, CPT_REC_HEADER), 1);
	assert_int_equal(cpt_img_count(img, CPT_REC_CGROUP), 3);
	assert_int_equal(cpt_img_slots(img), 5);
	ok(cpt_img_get(img, CPT_REC_HEADER, 0, &cpt__header__descriptor, &arena, &h, err));
	assert_string_equal(h->host, "unit");
	ok(cpt_img_blob(img, 7, &data, &size, err));
	assert_int_equal(size, 11);
	assert_memory_equal(data, "hello world", 11);
	fails(cpt_img_blob(img, 8, &data, &size, err), CPT_BAD_IMAGE, "no blob 8");
	fixture_check_pages(img, 5);
	ok(cpt_img_check_pages(img, err));
	cpt_arena_free(&arena);
}

static void private_and_durable(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	struct stat st;

	ok(cpt_img_create(f->path, &w, err));
	assert_int_equal(stat(cpt_img_temp(w), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(access(f->path, F_OK), -1);
	cpt_img_discard(CPT_TAKE(w, NULL));
	assert_int_equal(fixture_files(f), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(round_trip, fixture_make, fixture_remove),
		cmocka_unit_test_setup_teardown(private_and_durable, fixture_make, fixture_remove),
	};

	return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
