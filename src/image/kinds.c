/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kinds.c - every message of an image unpacked and checked, the same for restore and verify */
#include "image/fields.h"
#include "image/kinds.h"
#include "image/read.h"

const ProtobufCMessageDescriptor *cpt_kind_of(enum cpt_record type)
{
	static const ProtobufCMessageDescriptor *const kinds[] = {
		[CPT_REC_HEADER] = &cpt__header__descriptor,
		[CPT_REC_CGROUP] = &cpt__cgroup__descriptor,
		[CPT_REC_TASK] = &cpt__task__descriptor,
		[CPT_REC_MM] = &cpt__mm__descriptor,
		[CPT_REC_OBJECT] = &cpt__object__descriptor,
	};

	return type < CPT_COUNT(kinds) ? kinds[type] : NULL;
}

/* one line for each kind; the wrapper gives the check a type that all share */
#define KINDS(X)							\
	X(cgroup, Cpt__Cgroup)						\
	X(cgroup_file, Cpt__CgroupFile)					\
	X(creds, Cpt__Creds)						\
	X(epoll_target, Cpt__EpollTarget)				\
	X(eventfd, Cpt__Eventfd)					\
	X(files, Cpt__Files)						\
	X(fs, Cpt__Fs)							\
	X(header, Cpt__Header)						\
	X(inet_socket, Cpt__InetSocket)					\
	X(limits, Cpt__Limits)						\
	X(lock, Cpt__Lock)						\
	X(memfd, Cpt__Memfd)						\
	X(misc, Cpt__Misc)						\
	X(mm, Cpt__Mm)							\
	X(object, Cpt__Object)						\
	X(owner, Cpt__Owner)						\
	X(pages, Cpt__Pages)						\
	X(pidfd, Cpt__Pidfd)						\
	X(pipe, Cpt__Pipe)						\
	X(regular, Cpt__Regular)					\
	X(sched, Cpt__Sched)						\
	X(seccomp_filter, Cpt__SeccompFilter)				\
	X(shared_memory, Cpt__SharedMemory)				\
	X(signals, Cpt__Signals)					\
	X(socket, Cpt__Socket)						\
	X(task, Cpt__Task)						\
	X(thread, Cpt__Thread)						\
	X(thread_misc, Cpt__ThreadMisc)					\
	X(thread_signals, Cpt__ThreadSignals)				\
	X(timerfd, Cpt__Timerfd)					\
	X(timers, Cpt__Timers)						\
	X(unix_message, Cpt__UnixMessage)				\
	X(unix_socket, Cpt__UnixSocket)

#define WRAP(kind, type)						\
	static int check_##kind(const ProtobufCMessage *m, struct cpt_err *err)	\
	{								\
		return cpt_check_##kind((const type *)m, err);		\
	}
KINDS(WRAP)

struct check {
	const ProtobufCMessageDescriptor *message;
	int (*check)(const ProtobufCMessage *m, struct cpt_err *err);
};

#define ROW(kind, type) { &cpt__##kind##__descriptor, check_##kind },
static const struct check checks[] = { KINDS(ROW) };

static int check_one(void *arg, const ProtobufCMessage *m, struct cpt_err *err)
{
	for (size_t i = 0; i < CPT_COUNT(checks); i++)
		if (checks[i].message == m->descriptor && checks[i].check(m, err))
			return -1;
	return cpt_refs_check(arg, m, err);
}

static int check_record(struct cpt_img *img, uint32_t record, struct cpt_refs *refs,
			struct cpt_err *err)
{
	struct cpt_found *f = &img->records[record];

	if (!cpt_message_walk(f->message, check_one, refs, err))
		return 0;
	return cpt_within(err, "%s: at byte %llu: %s", img->name,
			  (unsigned long long)f->offset, f->message->descriptor->short_name);
}

/* unpacked once; cpt_img_get() then gives what is there */
static int unpack_all(struct cpt_img *img, struct cpt_err *err)
{
	for (enum cpt_record type = CPT_REC_HEADER; cpt_kind_of(type); type++) {
		const struct cpt_found_list *list = &img->by_type[type];

		for (size_t n = 0; n < list->n; n++)
			if (cpt_img_get(img, type, n, cpt_kind_of(type), &img->arena,
					&img->records[list->at[n]].message, err))
				return -1;
	}
	return 0;
}

/* the header tells the id that the frame is bound to */
static int check_id(const struct cpt_img *img, struct cpt_err *err)
{
	const Cpt__Header *h = (const Cpt__Header *)img->records[0].message;

	if (h->has_id && memcmp(h->id.data, img->preamble.id, CPT_IMG_ID))
		return cpt_bad(img->name, img->records[0].offset, err,
			       "the header is that of another image");
	return 0;
}

int cpt_img_check_messages(struct cpt_img *img, struct cpt_err *err)
{
	CPT_AUTO(refs) struct cpt_refs *refs = NULL;

	if (unpack_all(img, err) || cpt_chain_open(img, err) || cpt_refs_collect(img, &refs, err))
		return -1;
	for (enum cpt_record type = CPT_REC_HEADER; cpt_kind_of(type); type++) {
		const struct cpt_found_list *list = &img->by_type[type];

		for (size_t n = 0; n < list->n; n++)
			if (check_record(img, list->at[n], refs, err))
				return -1;
	}
	return check_id(img, err) ? -1 : cpt_check_families(img, err);
}
