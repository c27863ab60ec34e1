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
int cpt_check_sched(const Cpt__Sched *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_seccomp_filter(const Cpt__SeccompFilter *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_signals(const Cpt__Signals *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_thread_misc(const Cpt__ThreadMisc *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_thread_signals(const Cpt__ThreadSignals *m, struct cpt_err *err) CPT_CHECKED;
int cpt_check_timers(const Cpt__Timers *m, struct cpt_err *err) CPT_CHECKED;

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
