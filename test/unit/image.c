/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image.c - the container: what is written is read, in every way there is to write it */
#include "unit.h"

#include "cgroups.pb-c.h"
#include "header.pb-c.h"
#include "image/hash.h"
#include "image_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void round_trip(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img) struct cpt_img *img = NULL;
	struct cpt_arena arena = { 0 };
	Cpt__Header *h;
	const void *data;
	size_t size;

	fixture_write(f->path, 3, 5);
	ok(cpt_img_open(f->path, &img, err));
	assert_int_equal(cpt_img_count(img, CPT_REC_HEADER), 1);
	assert_int_equal(cpt_img_count(img, CPT_REC_CGROUP), 3);
	assert_int_equal(cpt_img_count(img, CPT_REC_TASK), 0);
	ok(cpt_img_get(img, CPT_REC_HEADER, 0, &cpt__header__descriptor, &arena, &h, err));
	assert_string_equal(h->host, "unit");
	fails(cpt_img_get(img, CPT_REC_HEADER, 1, &cpt__header__descriptor, &arena, &h, err),
	      CPT_BAD_IMAGE, "no Header number 1");
	ok(cpt_img_blob(img, 7, &data, &size, err));
	assert_int_equal(size, 11);
	assert_memory_equal(data, "hello world", 11);
	fails(cpt_img_blob(img, 8, &data, &size, err), CPT_BAD_IMAGE, "no blob 8");
	fixture_check_pages(img, 5);
	ok(cpt_img_check_pages(img, err));
	ok(cpt_img_check_start(img, err));
	ok(cpt_img_check_messages(img, err));
	ok(cpt_img_check_finish(img, err));
	cpt_arena_free(&arena);
}

/* enough for threads that hash and check, and for all widths of the index */
static void many_pages(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img) struct cpt_img *img = NULL;

	fixture_write(f->path, 1, 9 * CPT_IMG_SPAN_PAGES + 3);
	ok(cpt_img_open(f->path, &img, err));
	fixture_check_pages(img, 9 * CPT_IMG_SPAN_PAGES + 3);
	ok(cpt_img_check_start(img, err));
	ok(cpt_img_check_finish(img, err));
	/* given up half way: the threads end */
	ok(cpt_img_check_start(img, err));
}

static void no_pages_no_groups(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img) struct cpt_img *img = NULL;

	fixture_write(f->path, 0, 0);
	ok(cpt_img_open(f->path, &img, err));
	assert_int_equal(cpt_img_slots(img), 0);
	ok(cpt_img_check_pages(img, err));
	assert_int_equal(cpt_img_size(img) % 8, 0);
}

static void spans_out_of_order(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	CPT_AUTO(img) struct cpt_img *img = NULL;
	struct cpt_img_span s[5];

	ok(cpt_img_create(f->path, &w, err));
	fixture_header(w);
	for (unsigned i = 0; i < 5; i++) {
		ok(cpt_img_span_open(w, i + 1, &s[i], err));
		fixture_group(w, i);
	}
	fails(cpt_img_commit(w, err), CPT_USAGE, "5 spans are open");
	for (unsigned i = 0; i < 5; i++) {
		fixture_fill(&s[(i * 3 + 1) % 5]);
		ok(cpt_img_span_close(w, &s[(i * 3 + 1) % 5], err));
	}
	fails(cpt_img_span_close(w, &s[0], err), CPT_USAGE, "not open");
	ok(cpt_img_commit(w, err));
	fails(cpt_img_commit(w, err), CPT_USAGE, "written already");
	ok(cpt_img_open(f->path, &img, err));
	fixture_check_pages(img, 1 + 2 + 3 + 4 + 5);
	ok(cpt_img_check_pages(img, err));
	assert_memory_equal(cpt_img_id(img), cpt_img_writer_id(w), CPT_IMG_ID);
}

static void hundred_thousand_records(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	CPT_AUTO(img) struct cpt_img *img = NULL;
	struct cpt_arena arena = { 0 };
	Cpt__Cgroup *m;
	const void *data;
	size_t size;

	ok(cpt_img_create(f->path, &w, err));
	fixture_header(w);
	for (unsigned i = 0; i < 50000; i++) {
		fixture_group(w, i);
		ok(cpt_img_put_blob(w, 49999 - i, &i, i % 5, err));
	}
	ok(cpt_img_commit(w, err));
	ok(cpt_img_open(f->path, &img, err));
	ok(cpt_img_check_messages(img, err));
	assert_int_equal(cpt_img_count(img, CPT_REC_CGROUP), 50000);
	for (unsigned i = 0; i < 50000; i += 777) {
		ok(cpt_img_get(img, CPT_REC_CGROUP, i, &cpt__cgroup__descriptor, &arena, &m, err));
		assert_int_equal(m->id, i);
		ok(cpt_img_blob(img, 49999 - i, &data, &size, err));
		assert_int_equal(size, i % 5);
		assert_memory_equal(data, &i, i % 5);
	}
	cpt_arena_free(&arena);
}

/* more than the reader's window, so that it comes in pieces */
static void large_records(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	CPT_AUTO(img) struct cpt_img *img = NULL;
	size_t size = (5 << 20) + 3, size_read;
	CPT_AUTO(mem) unsigned char *bytes = cpt_calloc(size, 1);
	const void *data;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(i >> 5);
	ok(cpt_img_create(f->path, &w, err));
	fixture_header(w);
	ok(cpt_img_put_blob(w, 1, bytes, size, err));
	ok(cpt_img_put_blob(w, 2, NULL, 0, err));
	ok(cpt_img_commit(w, err));
	ok(cpt_img_open(f->path, &img, err));
	ok(cpt_img_blob(img, 1, &data, &size_read, err));
	assert_int_equal(size_read, size);
	assert_memory_equal(data, bytes, size);
	ok(cpt_img_blob(img, 2, &data, &size_read, err));
	assert_int_equal(size_read, 0);
}

static void hashed_by_the_caller(void **state)
{
	struct fixture *f = *state;

	for (int wrong = 0; wrong < 2; wrong++) {
		CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
		unsigned char page[CPT_PAGE];
		struct cpt_img_span s;

		fixture_page(0, page);
		ok(cpt_img_create(f->path, &w, err));
		fixture_header(w);
		ok(cpt_img_span_open(w, 1, &s, err));
		fixture_fill(&s);
		ok(cpt_img_span_close_hashed(w, &s, cpt_hash(page, CPT_PAGE) ^ (unsigned)wrong, err));
		ok(cpt_img_commit(w, err));
		if (wrong)
			fails(fixture_try(f->path, err), CPT_BAD_IMAGE, "damaged pages");
		else
			ok(fixture_try(f->path, err));
	}
}

static void order_is_kept(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	Cpt__Cgroup m = CPT__CGROUP__INIT;
	struct cpt_img_span s;

	ok(cpt_img_create(f->path, &w, err));
	fails(cpt_img_put(w, CPT_REC_CGROUP, &m.base, err), CPT_USAGE, "does not belong here");
	fails(cpt_img_put_blob(w, 1, "", 0, err), CPT_USAGE, "first record");
	fails(cpt_img_span_open(w, 1, &s, err), CPT_USAGE, "does not belong here");
	fails(cpt_img_commit(w, err), CPT_USAGE, "not complete");
	fixture_header(w);
	fails(cpt_img_put(w, CPT_REC_HEADER, &m.base, err), CPT_USAGE, "does not belong here");
	fails(cpt_img_put(w, CPT_REC_INDEX, &m.base, err), CPT_USAGE, "does not belong here");
	fails(cpt_img_span_open(w, 0, &s, err), CPT_USAGE, "0 pages");
	fails(cpt_img_span_open(w, CPT_IMG_SPAN_PAGES + 1, &s, err), CPT_USAGE, "1025 pages");
	ok(cpt_img_commit(w, err));
	ok(fixture_try(f->path, err));
}

/* ---- names and files ------------------------------------------------------ */

static void private_until_complete(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	struct stat st;

	ok(cpt_img_create(f->path, &w, err));
	assert_int_equal(cpt_img_temp(w)[0], '/');
	assert_int_equal(stat(cpt_img_temp(w), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(access(f->path, F_OK), -1);
	fixture_header(w);
	cpt_img_discard(CPT_TAKE(w, NULL));
	assert_int_equal(fixture_files(f), 0);
	cpt_img_discard(NULL);
	cpt_img_close(NULL);
}

static void replaces_what_was_there(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	char link[FIXTURE_PATH];
	struct stat st;

	fixture_put_bytes(f->path, "old", 3);
	fixture_other(f, link);
	assert_int_equal(symlink("image.cpt", link), 0);
	ok(cpt_img_create(link, &w, err));
	fixture_header(w);
	cpt_img_discard(CPT_TAKE(w, NULL));
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, 3);
	fixture_write(link, 1, 1);
	assert_int_equal(fixture_files(f), 2);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	ok(fixture_try(f->path, err));
}

static void names(void **state)
{
	struct fixture *f = *state;
	struct cpt_img_writer *w = NULL;
	struct cpt_img *img = NULL;
	char name[400];
	int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	fails(cpt_img_create(f->folder, &w, err), CPT_USAGE, "is a folder");
	fails(cpt_img_create("", &w, err), CPT_USAGE, "not the name of a file");
	snprintf(name, sizeof(name), "%s/none/x.cpt", f->folder);
	fails(cpt_img_create(name, &w, err), CPT_SYSTEM, "No such file");
	snprintf(name, sizeof(name), "%s/%0255d", f->folder, 1);
	fixture_write(name, 1, 1);		/* the longest name there can be */
	ok(fixture_try(name, err));
	snprintf(name, sizeof(name), "%s/%0256d", f->folder, 1);
	fails(cpt_img_create(name, &w, err), CPT_SYSTEM, "File name too long");
	fails(cpt_img_open(f->path, &img, err), CPT_SYSTEM, "No such file");
	fails(cpt_img_open(f->folder, &img, err), CPT_SYSTEM, "Is a directory");
	assert_int_equal(chdir(f->folder), 0);
	fixture_write("relative.cpt", 1, 1);
	ok(fixture_try("./relative.cpt", err));
	assert_int_equal(fchdir(cwd), 0);
	close(cwd);
	assert_int_equal(fixture_files(f), 2);
}

/* ---- streams --------------------------------------------------------------- */

/* a child that ends with 0 if @run does not fail an assertion */
static pid_t child(void (*run)(void *), void *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		run(arg);
		_exit(0);
	}
	return pid;
}

static int reap(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void write_stdout(void *arg)
{
	int *pipe = arg;

	if (dup2(pipe[1], STDOUT_FILENO) < 0)
		_exit(9);
	close(pipe[0]);
	close(pipe[1]);
	fixture_write("-", 3, 2 * CPT_IMG_SPAN_PAGES + 1);
}

/* takes both ends */
static void through(int p[2])
{
	CPT_AUTO(img) struct cpt_img *img = NULL;
	int saved = dup(STDIN_FILENO);
	pid_t writer;

	writer = child(write_stdout, p);
	close(p[1]);
	assert_true(dup2(p[0], STDIN_FILENO) >= 0);
	close(p[0]);
	ok(cpt_img_open("-", &img, err));
	if (saved >= 0)
		dup2(saved, STDIN_FILENO);
	close(saved);
	assert_int_equal(reap(writer), 0);
	fixture_check_pages(img, 2 * CPT_IMG_SPAN_PAGES + 1);
	ok(cpt_img_check_pages(img, err));
	ok(cpt_img_check_messages(img, err));
	assert_int_equal(cpt_img_count(img, CPT_REC_CGROUP), 3);
}

static void through_a_pipe(void **state)
{
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	through(p);
}

static void through_a_socket(void **state)
{
	int p[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
	through(p);
}

/* a file on standard input is used where it lies */
static void from_a_file_on_stdin(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(img) struct cpt_img *img = NULL;
	CPT_AUTO(fd) int saved = dup(STDIN_FILENO);
	CPT_AUTO(fd) int fd = -1;
	struct stat a, b;

	fixture_write(f->path, 1, 2);
	fd = open(f->path, O_RDONLY | O_CLOEXEC);
	assert_true(dup2(fd, STDIN_FILENO) >= 0);
	ok(cpt_img_open("-", &img, err));
	if (saved >= 0)
		dup2(saved, STDIN_FILENO);
	assert_int_equal(fstat(fd, &a) | fstat(cpt_img_fd(img), &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	fixture_check_pages(img, 2);
}

static void write_garbage(void *arg)
{
	int *pipe = arg;
	char bytes[4096] = "garbage";

	close(pipe[0]);
	signal(SIGPIPE, SIG_IGN);
	while (!cpt_write_all(pipe[1], bytes, sizeof(bytes)))
		;			/* ends when the reader closes */
}

static void endless_garbage_on_a_pipe(void **state)
{
	struct cpt_img *img = NULL;
	char name[32];
	pid_t writer;
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	writer = child(write_garbage, p);
	close(p[1]);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", p[0]);
	fails(cpt_img_open(name, &img, err), CPT_BAD_IMAGE, "not an image");
	close(p[0]);
	assert_int_equal(reap(writer), 0);
}

static void stream_has_no_spans(void **state)
{
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	struct cpt_img_span s;

	ok(cpt_img_create("/dev/null", &w, err));
	fixture_header(w);
	assert_false(cpt_img_seekable(w));
	assert_null(cpt_img_temp(w));
	fails(cpt_img_span_open(w, 1, &s, err), CPT_USAGE, "out of order");
	ok(cpt_img_commit(w, err));
}

/* ---- what fails -------------------------------------------------------------- */

static void full_device(void **state)
{
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	unsigned char page[CPT_PAGE] = { 0 };
	uint64_t slot;

	ok(cpt_img_create("/dev/full", &w, err));
	fixture_header(w);
	fails(cpt_img_put_pages(w, page, 1, &slot, err), CPT_SYSTEM,
	      "/dev/full: No space left on device");
	fails(cpt_img_commit(w, err), CPT_SYSTEM, "could not be written");
}

static void closed_pipe(void **state)
{
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	char name[32];
	int p[2];

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", p[1]);
	ok(cpt_img_create(name, &w, err));
	close(p[0]);
	fixture_header(w);
	fails(cpt_img_commit(w, err), CPT_SYSTEM, "Broken pipe");
	close(p[1]);
	signal(SIGPIPE, SIG_DFL);
}

/* 0: written; else failed with EFBIG */
static int write_limited(const char *path, struct cpt_err *err)
{
	CPT_AUTO(img_writer) struct cpt_img_writer *w = NULL;
	CPT_AUTO(mem) unsigned char *data = cpt_calloc(20, CPT_PAGE);
	uint64_t slot;

	if (cpt_img_create(path, &w, err))
		return -1;
	fixture_header(w);
	for (unsigned i = 0; i < 10; i++)
		if (cpt_img_put_pages(w, data, 20, &slot, err))
			return -1;
	return cpt_img_commit(w, err);
}

static void full_disk(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_IGN);
	limit.rlim_max = old.rlim_max;
	for (limit.rlim_cur = 0; ; limit.rlim_cur += 5000) {
		struct cpt_err err = { 0 };
		int rc;

		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		rc = write_limited(f->path, &err);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		if (!rc)
			break;
		assert_int_equal(err.sys, EFBIG);
		assert_non_null(strstr(err.text, f->path));
		assert_int_equal(fixture_files(f), 0);
		assert_in_range(limit.rlim_cur, 0, 1 << 20);
	}
	assert_in_range(limit.rlim_cur, 10 * 20 * CPT_PAGE, 1 << 20);
	signal(SIGXFSZ, SIG_DFL);
	ok(fixture_try(f->path, err));
}

static void write_with_fault(void *arg)
{
	struct fixture *f = arg;
	struct cpt_err err = { 0 };

	_exit(write_limited(f->path, &err) ? 1 : 0);
}

/* every step that can fail fails once: nothing is left behind */
static void faults(void **state)
{
	struct fixture *f = *state;
	int status = 0, n = 0;

	do {
		char number[16];

		snprintf(number, sizeof(number), "%d", ++n);
		setenv("CPT_FAULT", number, 1);
		status = reap(child(write_with_fault, f));
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		assert_int_equal(fixture_files(f), status ? 0 : 1);
	} while (status);
	unsetenv("CPT_FAULT");
	assert_in_range(n, 10, 100);
	ok(fixture_try(f->path, err));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(faults),		/* first: the fault counter is asked once per process */
		CASE(round_trip),
		CASE(many_pages),
		CASE(no_pages_no_groups),
		CASE(spans_out_of_order),
		CASE(hundred_thousand_records),
		CASE(large_records),
		CASE(hashed_by_the_caller),
		CASE(order_is_kept),
		CASE(private_until_complete),
		CASE(replaces_what_was_there),
		CASE(names),
		CASE(through_a_pipe),
		CASE(through_a_socket),
		CASE(from_a_file_on_stdin),
		CASE(endless_garbage_on_a_pipe),
		CASE(stream_has_no_spans),
		CASE(full_device),
		CASE(closed_pipe),
		CASE(full_disk),
	};

	return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
