/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdso.c - where the kernel has put its mappings in this process */
#include "base/vdso.h"

#include "base/procfs.h"

#include <fcntl.h>

int cpt_own_vdso(struct cpt_vdso *ret, struct cpt_err *err)
{
	CPT_AUTO(buf) struct cpt_buf buf = { NULL, 0, 0 };
	struct cpt_vma v;
	char *text;
	int got;

	memset(ret, 0, sizeof(*ret));
	if (cpt_read_at(AT_FDCWD, "/proc/self/maps", &buf, err))
		return -1;
	text = buf.data;
	while ((got = cpt_parse_smaps(&text, &v, err)) > 0) {
		if (strncmp(v.path, "[v", 2) || strcmp(v.path, "[vsyscall]") == 0)
			continue;
		if (!ret->block)
			ret->block = v.start;
		ret->block_end = v.end;
		if (strcmp(v.path, "[vdso]") == 0) {
			ret->text = v.start;
			ret->text_end = v.end;
		}
	}
	if (got < 0)
		return -1;
	return ret->text ? 0 : cpt_fail(err, CPT_UNSUPPORTED, "this kernel gives programs no vdso");
}
