/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kinds.h - is what a message says sane?
 *
 * A kind of state has its check in <kind>.c beside this file: values in range,
 * arrays of one length, orders kept, nothing that restore would stumble over.
 * It sees one message and nothing else; what it refers to (objects, slots,
 * processes) is in the table of refs.c. A check is called for its message
 * wherever that stands. The text says what is wrong: "vma 3 overlaps the one
 * before"; the caller puts record and image before it.
 */
#ifndef CPT_IMAGE_KINDS_H
#define CPT_IMAGE_KINDS_H

#include "image/image.h"

#include "cgroups.pb-c.h"
#include "header.pb-c.h"
#include "mm.pb-c.h"
#include "objects.pb-c.h"
#include "tasks.pb-c.h"

int cpt_check_cgroup(const Cpt__Cgroup *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_cgroup_file(const Cpt__CgroupFile *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_creds(const Cpt__Creds *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_header(const Cpt__Header *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_limits(const Cpt__Limits *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_misc(const Cpt__Misc *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_mm(const Cpt__Mm *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_pages(const Cpt__Pages *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_object(const Cpt__Object *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_owner(const Cpt__Owner *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_lock(const Cpt__Lock *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_regular(const Cpt__Regular *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_memfd(const Cpt__Memfd *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_shared_memory(const Cpt__SharedMemory *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_files(const Cpt__Files *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_fs(const Cpt__Fs *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_socket(const Cpt__Socket *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_unix_socket(const Cpt__UnixSocket *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_unix_message(const Cpt__UnixMessage *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_inet_socket(const Cpt__InetSocket *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_pipe(const Cpt__Pipe *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_eventfd(const Cpt__Eventfd *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_epoll_target(const Cpt__EpollTarget *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_timerfd(const Cpt__Timerfd *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_pidfd(const Cpt__Pidfd *m, struct cpt_err *err) CPT_CHECKED;
/** cpt_check_path - absolute, short enough for the kernel */
int cpt_check_path(const char *path, struct cpt_err *err) CPT_CHECKED;
/** cpt_check_content - runs of pages that lie inside a file of @size bytes; the runs are sane by themselves */
int cpt_check_content(const Cpt__Pages *p, uint64_t size, struct cpt_err *err) CPT_CHECKED;
int cpt_check_sched(const Cpt__Sched *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_seccomp_filter(const Cpt__SeccompFilter *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_signals(const Cpt__Signals *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_task(const Cpt__Task *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_thread(const Cpt__Thread *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_thread_misc(const Cpt__ThreadMisc *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_thread_signals(const Cpt__ThreadSignals *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_timers(const Cpt__Timers *m, struct cpt_err *err) CPT_CHECKED;

/** cpt_check_families - all processes together; their messages are unpacked and sane */
int cpt_check_families(const struct cpt_img *img, struct cpt_err *err) CPT_CHECKED;

/** cpt_kind_of - the message of a type of record; NULL if its payload is none */
const ProtobufCMessageDescriptor *cpt_kind_of(enum cpt_record type);

/* ---- refs.c: what messages refer to ------------------------------------ */

struct cpt_refs;

/** cpt_refs_collect - the ids of all tasks, address spaces, objects and groups; each only once */
int cpt_refs_collect(struct cpt_img *img, struct cpt_refs **ret, struct cpt_err *err) CPT_CHECKED;
void cpt_refs_free(struct cpt_refs *refs);
static inline void cpt_auto_refs(struct cpt_refs **refs)
{
	cpt_refs_free(*refs);
}
/** cpt_refs_check - does all that this message names exist? Not the messages inside it */
int cpt_refs_check(const struct cpt_refs *refs, const ProtobufCMessage *m, struct cpt_err *err) CPT_CHECKED;

#endif
