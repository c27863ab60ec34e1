/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kinds.c - the kinds of state in the order in which a dump looks at them */
#include "dump/kinds.h"

const struct cpt_dump_kind *const cpt_dump_kinds[] = {
	NULL,
};
