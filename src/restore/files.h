/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * files.h - what the files about descriptors and objects share
 *
 * Every object is opened once, here in cptool; tasks take it over from there.
 * An object that carries an inode (a pipe, a memfd, a deleted file) also has a
 * descriptor of that inode, by which the other descriptions of it are opened.
 */
#ifndef CPT_RESTORE_FILES_H
#define CPT_RESTORE_FILES_H

#include "restore/kinds.h"
#include "image/state.h"

#include <fcntl.h>
#include <sys/syscall.h>

struct cpt_restore_objects {
	int *inodes;		/* by id: descriptor of the inode it carries, or -1 */
	int *others;		/* by id: a pipe's writing end, a socket's closed peer, or -1 */
	int *pairs;		/* by id: two descriptors of a nameless pair, 0: none; shared with helpers; or NULL */
	const struct cpt_rtask **makers;	/* by id of an epoll: who makes its registrations; NULL: not found yet */
	uint32_t *maker_fds;	/* its number there */
	uint32_t *epolls;	/* ids */
	unsigned nepolls;
	uint8_t *taken;		/* by id: those of the two that are an object's descriptor as well */
};

enum { CPT_TAKEN_INODE = 1, CPT_TAKEN_OTHER = 2 };

/* what open(2) and fcntl(F_SETFL) are told of the flags in the image */
#define CPT_OPEN_FLAGS ((uint32_t)(O_ACCMODE | O_APPEND | O_NONBLOCK | O_DSYNC | O_SYNC | O_DIRECT | O_LARGEFILE | \
				   O_DIRECTORY | O_NOATIME | O_PATH | O_NOFOLLOW))
#define CPT_SET_FLAGS ((uint32_t)(O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME))

/* one function a kind: cptool's descriptor of the object, in *@fd */
typedef int cpt_open_fn(struct cpt_restore *r, const Cpt__Object *o, int *fd, struct cpt_err *err);
cpt_open_fn cpt_open_regular, cpt_open_pipe, cpt_open_eventfd, cpt_open_epoll, cpt_open_timerfd, cpt_open_signalfd,
	cpt_open_memfd, cpt_open_unix, cpt_open_inet;

/** cpt_object_set_flags - what F_SETFL can set, if it is not so already (@now: flags it has) */
int cpt_object_set_flags(int fd, const Cpt__Object *o, uint32_t now, struct cpt_err *err) CPT_CHECKED;
/** cpt_object_reopen - a new description of the inode behind @fd, with the flags of @o */
int cpt_object_reopen(int fd, const Cpt__Object *o, struct cpt_err *err) CPT_CHECKED;
/** cpt_object_inode - the descriptor of the inode that @o is of: its own, or inode_of's; -1: none yet */
static inline int *cpt_object_inode(struct cpt_restore *r, const Cpt__Object *o)
{
	return &r->own->inodes[o->has_inode_of ? o->inode_of : o->id];
}

/** cpt_restore_options - set the socket's options */
int cpt_socket_options(int fd, const Cpt__Socket *s, struct cpt_err *err) CPT_CHECKED;
/** cpt_socket_make - a socket of that kind, options set, O_NONBLOCK as in @o */
int cpt_socket_make(const Cpt__Object *o, struct cpt_err *err) CPT_CHECKED;

/* parts of the kind "objects", in this order */
int cpt_regular_look(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err) CPT_CHECKED;
/** cpt_unix_look - can its name be given? cpt_unix_connect_all - names and connections; cpt_unix_fill - queues, shutdown */
void cpt_unix_look(struct cpt_restore *r, const Cpt__Object *o);
int cpt_unix_connect_all(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;
int cpt_unix_fill(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;
int cpt_memfd_late(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err) CPT_CHECKED;
int cpt_locks_late(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err) CPT_CHECKED;
int cpt_owner_late(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err) CPT_CHECKED;
/** cpt_pidfd_open_all - once all processes exist */
int cpt_pidfd_open_all(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;
/** cpt_object_name - for messages: what kind it is, and its path */
const char *cpt_object_name(struct cpt_restore *r, const Cpt__Object *o);

#endif
