/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kinds.c - the kinds of state in the order in which a restore makes them */
#include "restore/kinds.h"

const struct cpt_restore_kind *const cpt_restore_kinds[] = {
	NULL,
};
