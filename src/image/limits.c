/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* limits.c - are resource limits sane? */
#include "image/kinds.h"

#include <sys/resource.h>

int cpt_check_limits(const Cpt__Limits *m, struct cpt_err *err)
{
	if (m->n_soft != m->n_hard || m->n_soft > RLIM_NLIMITS)
		return cpt_fail(err, CPT_BAD_IMAGE, "%zu soft and %zu hard limits", m->n_soft, m->n_hard);
	for (size_t i = 0; i < m->n_soft; i++)
		if (m->soft[i] > m->hard[i])
			return cpt_fail(err, CPT_BAD_IMAGE, "soft limit %zu is above the hard one", i);
	return 0;
}
