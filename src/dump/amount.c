/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* amount.c - about how many bytes there will be to copy: for the progress, asked before the group stands still */
#include "dump/engine.h"

#include "base/procfs.h"

#include <fcntl.h>
#include <stdio.h>

/* What the memory controller of v2 knows; memory that relatives share counts once. 0: it is not there */
static uint64_t by_controller(const struct cpt_group *g)
{
	CPT_AUTO(buf) struct cpt_buf text = { NULL, 0, 0 };
	unsigned long long bytes;
	struct cpt_err ignored;
	const char *at;

	if (cpt_read_at(g->fd, "memory.stat", &text, &ignored))
		return 0;
	at = strstr(text.data, "anon ");
	return at && sscanf(at, "anon %llu", &bytes) == 1 ? bytes : 0;
}

static uint64_t of_process(pid_t pid, struct cpt_buf *text)
{
	unsigned long long size, resident, shared;
	struct cpt_err ignored;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	if (cpt_read_at(AT_FDCWD, path, text, &ignored) ||
	    sscanf(text->data, "%llu %llu %llu", &size, &resident, &shared) != 3 || resident < shared)
		return 0;
	return (resident - shared) * CPT_PAGE;
}

uint64_t cpt_dump_amount(const struct cpt_group *g)
{
	CPT_AUTO(grouptree) struct cpt_grouptree tree = { NULL, 0 };
	CPT_AUTO(buf) struct cpt_buf text = { NULL, 0, 0 };
	uint64_t bytes = by_controller(g);
	struct cpt_err ignored;

	if (bytes || cpt_group_list(g, &tree, &ignored))
		return bytes;
	for (unsigned i = 0; i < tree.ngroups; i++)
		for (unsigned k = 0; k < tree.groups[i].nprocs; k++)
			bytes += of_process(tree.groups[i].procs[k], &text);
	return bytes;
}
