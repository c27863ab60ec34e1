/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sockets.h - what the files about sockets share */
#ifndef CPT_DUMP_SOCKETS_H
#define CPT_DUMP_SOCKETS_H

#include "dump/files.h"
#include "dump/table.h"

/* what sock_diag says of a unix socket */
struct cpt_unix_diag {
	uint32_t ino;
	uint32_t peer;		/* inode; 0: none, or closed */
	bool has_peer;
	uint8_t type, state;	/* TCP_… */
	uint8_t shutdown;	/* 1: reading, 2: writing */
	uint32_t rqueue, wqueue;
	uint32_t vfs_dev, vfs_ino;	/* of the bound path; 0: none */
};

/* arena memory, one of a dump */
struct cpt_dump_sockets {
	uint64_t netns;			/* cookie of cptool's own; 0: not asked yet */
	struct values *fresh;
};
/** cpt_dump_sockets, cpt_dump_unix_table - where the dump keeps them: objects.c */
struct cpt_dump_sockets **cpt_dump_sockets(struct cpt_dump *d);
struct cpt_table *cpt_dump_unix_table(struct cpt_dump *d);

/** cpt_unix_diag - what is known of a unix socket; all are listed the first time; NULL in *@ret: the kernel does not know it */
int cpt_unix_diag(struct cpt_dump *d, uint64_t ino, const struct cpt_unix_diag **ret, struct cpt_err *err) CPT_CHECKED;

#endif
