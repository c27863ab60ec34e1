/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdso.h - the kernel's own mappings in this process: the same kernel gives the same to everybody */
#ifndef CPT_VDSO_H
#define CPT_VDSO_H

#include "base/base.h"

/** struct cpt_vdso - addresses; [vvar], [vvar_vclock], … and [vdso] stand next to each other and are one block */
struct cpt_vdso {
	uint64_t block, block_end;
	uint64_t text, text_end;	/* [vdso] itself, inside the block */
};
/** cpt_own_vdso - fails with CPT_UNSUPPORTED where the kernel gives none */
int cpt_own_vdso(struct cpt_vdso *ret, struct cpt_err *err) CPT_CHECKED;

#endif
