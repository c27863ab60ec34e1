/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fdinfo.h - values out of the lines of /proc/PID/fdinfo/N */
#ifndef CPT_DUMP_FDINFO_H
#define CPT_DUMP_FDINFO_H

#include "base/base.h"

#include <stdlib.h>

/** cpt_fdinfo_line - what follows @name at the start of a line, or NULL */
static inline const char *cpt_fdinfo_line(const char *info, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = info; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0)
			return line + len;
	}
	return NULL;
}

static inline bool cpt_fdinfo_number(const char *info, const char *name, int base, uint64_t *ret)
{
	const char *at = cpt_fdinfo_line(info, name);
	char *end;

	if (!at)
		return false;
	errno = 0;
	*ret = strtoull(at, &end, base);
	return end != at && !errno;
}

static inline bool cpt_fdinfo_hex(const char *info, const char *name, uint64_t *ret)
{
	return cpt_fdinfo_number(info, name, 16, ret);
}

#endif
