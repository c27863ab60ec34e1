/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* creds.c - are credentials sane? */
#include "image/kinds.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

#define GROUPS_MAX 65536

int cpt_check_creds(const Cpt__Creds *m, struct cpt_err *err)
{
	if (m->n_uids != 4 || m->n_gids != 4)
		return cpt_fail(err, CPT_BAD_IMAGE, "%zu user and %zu group ids, 4 of each there are", m->n_uids, m->n_gids);
	if (m->n_groups > GROUPS_MAX)
		return cpt_fail(err, CPT_BAD_IMAGE, "%zu supplementary groups", m->n_groups);
	if (m->effective & ~m->permitted || m->ambient & ~(m->permitted & m->inheritable))
		return cpt_fail(err, CPT_BAD_IMAGE, "capabilities in force that are not permitted");
	if (m->seccomp > SECCOMP_MODE_FILTER || (m->n_filters != 0) != (m->seccomp == SECCOMP_MODE_FILTER))
		return cpt_fail(err, CPT_BAD_IMAGE, "seccomp mode %u with %zu filters", m->seccomp, m->n_filters);
	return 0;
}

int cpt_check_seccomp_filter(const Cpt__SeccompFilter *m, struct cpt_err *err)
{
	size_t len = m->program.len;

	if (!len || len % sizeof(struct sock_filter) || len / sizeof(struct sock_filter) > BPF_MAXINSNS)
		return cpt_fail(err, CPT_BAD_IMAGE, "a seccomp filter of %zu bytes", len);
	if (m->flags & ~SECCOMP_FILTER_FLAG_LOG)
		return cpt_fail(err, CPT_BAD_IMAGE, "a seccomp filter with flags %#x", m->flags);
	return 0;
}
