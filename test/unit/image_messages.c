/* SPDX-License-Identifier: GPL-2.0-or-later */
/* image_messages.c - what messages say is checked before anybody acts on it, and can be shown */
#include "unit.h"

#include "image/kinds.h"
#include "image_fixture.h"
#include "unix.pb-c.h"

#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* ---- an image of one process, to be changed by the cases -------------------- */

struct world {
	Cpt__Header header;
	Cpt__Cgroup groups[2];
	Cpt__Object objects[3];
	Cpt__Mm mms[2];
	Cpt__Task tasks[3];
	Cpt__Thread threads[3], *leader[3], *leader2[2];
	Cpt__Vma vma, *vmas[1];
	Cpt__Pages pages;
	Cpt__Fd fd, *fds[1];
	Cpt__Files files;
	Cpt__UnixMessage queued, *queue[1];
	Cpt__UnixSocket socket;
	Cpt__Socket generic;
	Cpt__Regular regular;
	Cpt__Pipe pipe;
	uint64_t index[2], count[2], slot[2];
	uint8_t registers[16];
	uint32_t passed[2];
};

#define SET(m, field, value) ((m).has_##field = true, (m).field = (value))

static void init_records(struct world *w)
{
	w->header = (Cpt__Header)CPT__HEADER__INIT;
	w->header.host = (char *)"unit";
	SET(w->header, version, 1);
	for (unsigned i = 0; i < 2; i++) {
		w->groups[i] = (Cpt__Cgroup)CPT__CGROUP__INIT;
		w->groups[i].path = (char *)(i ? "sub" : "");
		SET(w->groups[i], id, i);
		w->mms[i] = (Cpt__Mm)CPT__MM__INIT;
		SET(w->mms[i], id, i + 10);
	}
	for (unsigned i = 0; i < 3; i++) {
		w->objects[i] = (Cpt__Object)CPT__OBJECT__INIT;
		SET(w->objects[i], id, i + 1);
		w->tasks[i] = (Cpt__Task)CPT__TASK__INIT;
		SET(w->tasks[i], pid, i + 100);
		SET(w->tasks[i], ppid, i ? 100 : 0);
		SET(w->tasks[i], state, CPT__TASK_STATE__ALIVE);
		SET(w->tasks[i], cgroup, i % 2);
		SET(w->tasks[i], mm, 10 + i % 2);
		w->threads[i] = (Cpt__Thread)CPT__THREAD__INIT;
		SET(w->threads[i], tid, i + 100);
		w->threads[i].has_gp_regs = true;
		w->threads[i].gp_regs.data = w->registers;
		w->threads[i].gp_regs.len = sizeof(w->registers);
		w->leader[i] = &w->threads[i];
		w->tasks[i].n_threads = 1;
		w->tasks[i].threads = &w->leader[i];
	}
}

static void init_details(struct world *w)
{
	w->vma = (Cpt__Vma)CPT__VMA__INIT;
	SET(w->vma, start, 0x7f0000000000);
	SET(w->vma, end, 0x7f0000010000);
	SET(w->vma, kind, CPT__VMA_KIND__VMA_FILE);
	SET(w->vma, object, 1);
	w->vmas[0] = &w->vma;
	w->mms[0].n_vmas = 1;
	w->mms[0].vmas = w->vmas;
	w->pages = (Cpt__Pages)CPT__PAGES__INIT;
	w->index[0] = 0x7f0000000;
	w->index[1] = w->index[0] + 4;
	w->count[0] = w->count[1] = 2;
	w->slot[0] = 2;
	w->pages.n_index = w->pages.n_count = w->pages.n_slot = 2;
	w->pages.index = w->index;
	w->pages.count = w->count;
	w->pages.slot = w->slot;
	w->mms[0].pages = &w->pages;
	w->fd = (Cpt__Fd)CPT__FD__INIT;
	SET(w->fd, fd, 0);
	SET(w->fd, object, 2);
	w->fds[0] = &w->fd;
	w->files = (Cpt__Files)CPT__FILES__INIT;
	w->files.n_fds = 1;
	w->files.fds = w->fds;
	w->tasks[0].files = &w->files;
	w->queued = (Cpt__UnixMessage)CPT__UNIX_MESSAGE__INIT;
	w->queued.n_objects = 2;
	w->queued.objects = w->passed;
	w->passed[0] = 1;
	w->passed[1] = 2;
	w->queue[0] = &w->queued;
	w->socket = (Cpt__UnixSocket)CPT__UNIX_SOCKET__INIT;
	w->socket.n_queue = 1;
	w->socket.queue = w->queue;
	w->generic = (Cpt__Socket)CPT__SOCKET__INIT;
	w->objects[2].unix_socket = &w->socket;
	w->objects[2].socket = &w->generic;
	SET(w->generic, family, AF_UNIX);
	SET(w->generic, type, SOCK_STREAM);
	w->regular = (Cpt__Regular)CPT__REGULAR__INIT;
	w->regular.path = (char *)"/file";
	SET(w->regular, mode, S_IFREG | 0644);
	w->objects[0].regular = &w->regular;
	w->pipe = (Cpt__Pipe)CPT__PIPE__INIT;
	w->objects[1].pipe = &w->pipe;
}

static void init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	init_records(w);
	init_details(w);
}

static void write_world(const struct fixture *f, const struct world *w)
{
	CPT_AUTO(img_writer) struct cpt_img_writer *img = NULL;
	struct cpt_img_span s;

	ok(cpt_img_create(f->path, &img, err));
	ok(cpt_img_put(img, CPT_REC_HEADER, &w->header.base, err));
	ok(cpt_img_span_open(img, 4, &s, err));
	fixture_fill(&s);
	ok(cpt_img_span_close(img, &s, err));
	for (unsigned i = 0; i < 3; i++) {
		ok(cpt_img_put(img, CPT_REC_TASK, &w->tasks[i].base, err));
		ok(cpt_img_put(img, CPT_REC_OBJECT, &w->objects[i].base, err));
	}
	for (unsigned i = 0; i < 2; i++) {
		ok(cpt_img_put(img, CPT_REC_CGROUP, &w->groups[i].base, err));
		ok(cpt_img_put(img, CPT_REC_MM, &w->mms[i].base, err));
	}
	ok(cpt_img_put_blob(img, 1, "blob", 4, err));
	ok(cpt_img_commit(img, err));
}

static void good(void **state)
{
	struct fixture *f = *state;
	struct world w;

	init(&w);
	write_world(f, &w);
	ok(cpt_image_verify(f->path, err));
}

#define REFUSED(change, why)						\
	do {								\
		struct world w;						\
									\
		init(&w);						\
		change;							\
		write_world(*state, &w);				\
		fails(cpt_image_verify(((struct fixture *)*state)->path, err), \
		      CPT_BAD_IMAGE, (why));				\
	} while (0)

static void dangling(void **state)
{
	REFUSED(w.vma.object = 4, "object: there is no object 4");
	REFUSED(w.vma.object = 0, "object: there is no object 0");
	REFUSED(w.fd.object = 99, "there is no object 99");
	REFUSED(w.passed[1] = 77, "objects: there is no object 77");
	REFUSED(SET(w.queued, sender, 9), "sender: there is no object 9");
	REFUSED((SET(w.socket, connected, true), SET(w.socket, peer, UINT32_MAX)), "peer: there is no object 4294967295");
	REFUSED(SET(w.mms[1], exe, 5), "exe: there is no object 5");
	REFUSED(w.tasks[1].ppid = 99, "ppid: there is no process 99");
	REFUSED(w.tasks[1].cgroup = 2, "there is no cgroup 2");
	REFUSED(w.tasks[2].mm = 12, "there is no address space 12");
}

static void ids(void **state)
{
	REFUSED(w.objects[1].id = 1, "object 1 is there twice");
	REFUSED(w.objects[2].id = 4, "no object 3, but a 4");
	REFUSED(w.groups[0].id = 2, "no cgroup 0, but a 1");
	REFUSED((w.tasks[1].pid = w.threads[1].tid = 100), "process 100 is there twice");
	REFUSED((w.leader2[0] = w.leader[0], w.leader2[1] = &w.threads[2], w.tasks[0].n_threads = 2,
		 w.tasks[0].threads = w.leader2), "process or thread 102 is there twice");
	REFUSED(w.mms[1].id = 10, "address space 10 is there twice");
}

static void families(void **state)
{
	REFUSED(w.tasks[0].ppid = 100, "its own ancestor");
	REFUSED(w.tasks[0].ppid = 101, "its own ancestor");
	REFUSED((w.tasks[1].ppid = 102, w.tasks[2].ppid = 101), "its own ancestor");
	REFUSED((w.tasks[0].state = CPT__TASK_STATE__ZOMBIE, w.tasks[0].n_threads = 0,
		 w.tasks[0].has_mm = false, w.tasks[0].files = NULL), "zombie and has children");
}

static void tasks(void **state)
{
	REFUSED(w.tasks[0].pid = 0, "process 0");
	REFUSED(w.tasks[0].pid = 1U << 22, "process 4194304");
	REFUSED(w.tasks[1].ppid = UINT32_MAX, "child of 4294967295");
	REFUSED(w.tasks[0].n_threads = 0, "no leading thread");
	REFUSED(w.threads[0].tid = 105, "no leading thread");
	REFUSED(w.tasks[0].has_mm = false, "no address space");
	REFUSED(w.tasks[2].state = CPT__TASK_STATE__ZOMBIE, "more than a zombie has");
	REFUSED(w.tasks[2].state = (Cpt__TaskState)3, "in state 3");
	REFUSED(SET(w.tasks[2], exit_signal, 65), "signals");
	REFUSED(w.threads[2].gp_regs.len = 0, "registers of 0 bytes");
	REFUSED(SET(w.threads[2], timeout_arg, 6), "argument 6");
}

static void objects(void **state)
{
	Cpt__Pidfd pidfd = CPT__PIDFD__INIT;
	uint32_t packets[2] = { 3, 4 };
	uint8_t bytes[200] = { 1 };

	REFUSED(w.objects[0].regular = NULL, "of 0 kinds");
	REFUSED(w.objects[0].pidfd = &pidfd, "of 2 kinds");
	REFUSED(w.objects[2].socket = NULL, "of 0 kinds");
	REFUSED(w.objects[1].socket = &w.generic, "of 2 kinds");
	REFUSED(w.generic.family = 2, "family");
	REFUSED(SET(w.objects[1], inode_of, 2), "comes later");
	REFUSED(SET(w.objects[1], position, UINT64_MAX), "position");
	REFUSED(w.regular.path = NULL, "no absolute path");
	REFUSED((w.pipe.n_packets = 2, w.pipe.packets = packets), "0 bytes in a pipe");
	REFUSED(SET(w.generic, shutdown, 4), "shut down");
	REFUSED((w.socket.has_name = true, w.socket.name.data = bytes, w.socket.name.len = 109),
		"name of 109 bytes");
	REFUSED(SET(w.fd, fd, UINT32_MAX), "number 4294967295");
	REFUSED(w.fd.has_object = false, "descriptor 0");
}

static void slots(void **state)
{
	REFUSED(w.slot[0] = 3, "2 pages from slot 3 of 4");
	REFUSED(w.slot[0] = 4, "from slot 4 of 4");
	REFUSED(w.slot[0] = UINT64_MAX, "slot");
	REFUSED(w.count[0] = UINT64_MAX, "run 0");
	REFUSED(w.count[0] = 5, "run 1");
	REFUSED(w.count[1] = 0, "run 1");
	REFUSED(w.index[0] = 1ULL << 52, "run 0");
	REFUSED(w.index[1] = w.index[0], "run 1");
	REFUSED(w.pages.n_slot = 1, "2 page runs, 2 lengths, 1 slots");
	REFUSED(w.pages.n_index = 0, "0 page runs");
}

static void headers(void **state)
{
	uint8_t id[CPT_IMG_ID] = { 0 };

	REFUSED(w.header.version = 99, "version 99");
	REFUSED(SET(w.header, features, 1), "features");
	REFUSED(SET(w.header, page_size, 16384), "pages of 16384 bytes");
	REFUSED(SET(w.header, freezer, 3), "freezer of version 3");
	REFUSED((w.header.has_id = true, w.header.id.data = id, w.header.id.len = 3), "id of 3 bytes");
	REFUSED((w.header.has_id = true, w.header.id.data = id, w.header.id.len = sizeof(id)),
		"of another image");
}

/* ---- bytes that are no message ------------------------------------------------- */

/* a group record with any payload: protobuf-c packs what it takes for a field that is not known */
static void write_raw(const struct fixture *f, const void *payload, size_t size)
{
	CPT_AUTO(img_writer) struct cpt_img_writer *img = NULL;
	ProtobufCMessageUnknownField *fields = cpt_calloc(size + 1, sizeof(*fields));
	Cpt__Cgroup raw = CPT__CGROUP__INIT;
	const unsigned char *p = payload;

	ok(cpt_img_create(f->path, &img, err));
	fixture_header(img);
	raw.base.n_unknown_fields = 1;
	raw.base.unknown_fields = fields;
	fields[0].tag = p[0] >> 3;
	fields[0].wire_type = (ProtobufCWireType)(p[0] & 7);
	fields[0].len = size - 1;
	fields[0].data = (uint8_t *)(uintptr_t)(p + 1);
	ok(cpt_img_put(img, CPT_REC_CGROUP, &raw.base, err));
	ok(cpt_img_commit(img, err));
	free(fields);
}

#define RAW(bytes, why)							\
	do {								\
		struct fixture *f = *state;				\
									\
		write_raw(f, (bytes), sizeof(bytes) - 1);		\
		ok(fixture_try(f->path, err));				\
		fails(cpt_image_verify(f->path, err), CPT_BAD_IMAGE, (why)); \
	} while (0)

static void no_messages(void **state)
{
	RAW("\x08", "makes no sense");			/* number without a value */
	RAW("\x08\xff\xff\xff", "makes no sense");
	RAW("\x12\x7f" "abc", "makes no sense");	/* string longer than the payload */
	RAW("\x12\xff\xff\xff\xff\x0f" "abc", "makes no sense");
	RAW("\x7a\x01" "x", "does not know");		/* field 15 */
	RAW("\x78\x01", "does not know");
}

/* ---- show ---------------------------------------------------------------------- */

static void collect(void *arg, const char *line)
{
	struct cpt_buf *b = arg;
	size_t n = strlen(line);

	assert_null(strchr(line, '\n'));
	for (const char *c = line; *c; c++)
		assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
	b->data = cpt_realloc(b->data, b->len + n + 2, 1);
	memcpy(b->data + b->len, line, n);
	b->len += n;
	b->data[b->len++] = '\n';
	b->data[b->len] = 0;
}

#define HOSTILE "a\x1b[31m\n\xff\xc3\xa4\xe2\x80\xae\""
#define CLEAN "a\\x1b[31m\\x0a\\xff\xc3\xa4\\xe2\\x80\\xae\""

static void write_hostile(struct fixture *f, struct world *w)
{
	static uint8_t id[CPT_IMG_ID] = { 0xab, 0xcd };

	init(w);
	w->header.host = (char *)HOSTILE;
	w->header.group = (char *)"/unit";
	w->header.has_id = true;
	w->header.id.data = id;
	w->header.id.len = sizeof(id);
	SET(w->header, created_ns, UINT64_MAX);
	w->tasks[0].state = (Cpt__TaskState)77;		/* shown though not sane */
	write_world(f, w);
}

static struct json_object *member(struct json_object *o, const char *name)
{
	struct json_object *m = NULL;

	if (!json_object_object_get_ex(o, name, &m))
		fail_msg("no %s", name);
	return m;
}

static void shown_as_json(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(buf) struct cpt_buf b = { 0 };
	struct json_object *o, *tasks;
	struct world w;

	write_hostile(f, &w);
	ok(cpt_image_show(f->path, true, (struct cpt_sink) { collect, &b }, err));
	o = json_tokener_parse(b.data);
	assert_non_null(o);
	assert_string_equal(json_object_get_string(member(member(o, "header"), "host")), CLEAN);
	assert_true(json_object_get_uint64(member(member(o, "header"), "created_ns")) == UINT64_MAX);
	assert_string_equal(json_object_get_string(member(member(o, "header"), "id")),
			    "abcd0000000000000000000000000000");
	assert_int_equal(json_object_get_int64(member(member(o, "image"), "pages")), 4);
	tasks = member(o, "tasks");
	assert_int_equal(json_object_array_length(tasks), 3);
	assert_int_equal(json_object_get_int(member(json_object_array_get_idx(tasks, 0), "state")), 77);
	assert_string_equal(json_object_get_string(member(json_object_array_get_idx(tasks, 1), "state")),
			    "ALIVE");
	assert_int_equal(json_object_array_length(member(o, "objects")), 3);
	assert_int_equal(json_object_get_int(member(json_object_array_get_idx(member(o, "blobs"), 0),
						    "bytes")), 4);
	json_object_put(o);
}

static void shown_to_people(void **state)
{
	struct fixture *f = *state;
	CPT_AUTO(buf) struct cpt_buf b = { 0 };
	struct world w;

	write_hostile(f, &w);
	ok(cpt_image_show(f->path, false, (struct cpt_sink) { collect, &b }, err));
	assert_non_null(strstr(b.data, "host    " CLEAN));
	assert_non_null(strstr(b.data, "group   /unit (freezer v0)"));
	assert_non_null(strstr(b.data, "holds   3 processes, 3 threads, 2 address spaces, 3 objects"));
	assert_non_null(strstr(b.data, "pages   4 (16.0 KiB)"));
	assert_non_null(strstr(b.data, "\n  vmas:\n    start: 0x7f0000000000\n"));
	assert_non_null(strstr(b.data, "  state: 77\n"));
	assert_non_null(strstr(b.data, "  state: ALIVE\n"));
	assert_non_null(strstr(b.data, "  id: 16 bytes: abcd"));
	assert_non_null(strstr(b.data, "\nBlob: 1, 4 bytes\n"));
}

static void not_shown(void **state)
{
	struct fixture *f = *state;
	struct cpt_sink nowhere = { NULL, NULL };

	fixture_put_bytes(f->path, "no image", 8);
	fails(cpt_image_show(f->path, false, nowhere, err), CPT_BAD_IMAGE, f->path);
	fails(cpt_image_verify(f->path, err), CPT_BAD_IMAGE, f->path);
	fixture_write(f->path, 1, 1);
	ok(cpt_image_show(f->path, false, nowhere, err));
	ok(cpt_image_show(f->path, true, nowhere, err));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(good),
		CASE(dangling),
		CASE(ids),
		CASE(families),
		CASE(slots),
		CASE(tasks),
		CASE(objects),
		CASE(headers),
		CASE(no_messages),
		CASE(shown_as_json),
		CASE(shown_to_people),
		CASE(not_shown),
	};

	return cmocka_run_group_tests_name("image_messages", tests, NULL, NULL);
}
