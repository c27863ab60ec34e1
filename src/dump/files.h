/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * files.h - what the files about descriptors share: a descriptor brought here,
 * the table of open file descriptions, the table of inodes
 */
#ifndef CPT_DUMP_FILES_H
#define CPT_DUMP_FILES_H

#include "dump/kinds.h"
#include "image/state.h"

#include <sys/stat.h>

/* a descriptor that was brought here to be looked at */
struct cpt_fd {
	struct cpt_task *t;	/* whose; NULL: it was queued in a socket */
	int number;		/* in @t */
	int fd;			/* here; borrowed */
	uint64_t file;		/* the kernel's address of its description (view.h); 0: not known */
	uint32_t flags;		/* fcntl(F_GETFL) */
	int64_t pos;		/* bytes */
	struct stat st;
	const char *link;	/* what /proc calls it; NULL: not read yet */
	const char *info;	/* of one without an inode of its own: its fdinfo */
};

/* what is known of an inode */
struct cpt_inode {
	dev_t dev;
	ino_t ino;
	struct cpt_inode *next;	/* with the same hash */
	Cpt__Object *first;	/* the object that carries what lies in it */
	const char *path;	/* one that leads to it, or NULL */
	bool reader, writer;	/* of a pipe: the group can */
	bool packets;		/* of a pipe: written with O_DIRECT */
};

/* an object, and a descriptor by which it can be had again */
struct cpt_description {
	Cpt__Object *img;
	struct cpt_task *t;	/* NULL: @fd is ours */
	int fd;			/* number in @t, or here */
	uint64_t ino;
	struct cpt_inode *inode;	/* NULL: of a kind without inodes of their own */
	void *own;		/* the kind's */
};

#define CPT_MESSAGE(d, type, init) ({						\
	type *msg_ = cpt_arena_new(&(d)->arena, type);				\
	init(msg_);								\
	msg_; })

/** cpt_refuse_fd - cpt_refuse that names the descriptor */
void cpt_refuse_fd(struct cpt_dump *d, const struct cpt_fd *f, const char *fmt, ...) CPT_PRINTF(3, 4);

/** cpt_dump_descriptor - the object behind a descriptor; looks at it when it is new */
int cpt_dump_descriptor(struct cpt_dump *d, struct cpt_fd *f, uint32_t *object,
			struct cpt_err *err) CPT_CHECKED;
/** cpt_socket_name - a socket's name for messages: an abstract one begins with @ */
const char *cpt_socket_name(struct cpt_dump *d, const void *name, size_t len);
/** cpt_dump_file_object - the object with this address, 0 when it is new */
uint32_t cpt_dump_file_object(struct cpt_dump *d, uint64_t file);
/** cpt_dump_examine - fill in the rest of a cpt_fd whose .fd, .t and .number are set */
int cpt_dump_examine(struct cpt_dump *d, struct cpt_fd *f, struct cpt_err *err) CPT_CHECKED;
/** cpt_fd_link - what /proc calls it; memory of the dump's */
const char *cpt_fd_link(struct cpt_dump *d, struct cpt_fd *f);
/** cpt_last_name - of a file that lost its name: what /proc shows, less " (deleted)" */
const char *cpt_last_name(struct cpt_dump *d, struct cpt_fd *f);
/** cpt_dump_inode - the entry for an inode, made when new */
struct cpt_inode *cpt_dump_inode(struct cpt_dump *d, const struct stat *st);

/** cpt_dump_described - the description of an object id, or NULL */
struct cpt_description *cpt_dump_described(struct cpt_dump *d, uint32_t id);
/** cpt_dump_nobjects - ids are below this */
uint32_t cpt_dump_nobjects(const struct cpt_dump *d);
/** cpt_dump_refetch - bring a description here again; the caller closes it */
int cpt_dump_refetch(struct cpt_dump *d, const struct cpt_description *desc, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_fd_object - the object behind a number of a process, 0 when it has none */
uint32_t cpt_dump_fd_object(const struct cpt_task *t, uint32_t fd);
/** cpt_dump_refuse_shared - refuse what kcmp @type says that two processes share */
int cpt_dump_refuse_shared(struct cpt_dump *d, struct cpt_task *t, int type, const char *what,
			   struct cpt_err *err) CPT_CHECKED;

/* one function a kind: fill @o, or refuse */
typedef int cpt_look_fn(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err);
cpt_look_fn cpt_look_regular, cpt_look_device, cpt_look_pipe, cpt_look_eventfd, cpt_look_epoll,
	cpt_look_timerfd, cpt_look_signalfd, cpt_look_memfd, cpt_look_pidfd, cpt_look_socket,
	cpt_look_unix, cpt_look_inet;
/** cpt_look_owner - F_SETOWN and F_SETSIG */
cpt_look_fn cpt_look_owner;

/* an order by kcmp(2) */
struct cpt_order {
	struct cpt_order_entry {
		pid_t pid;
		int fd;
		void *what;
	} *v;
	unsigned n, cap;
	struct cpt_order_entry *later;	/* told apart by address: in the order only once that is needed */
	unsigned nlater, cap_later;
};
/** cpt_order_place - find @e, or put it in; *@ret: the .what found, NULL when new */
int cpt_order_place(struct cpt_order *o, int kcmp_type, struct cpt_order_entry e,
		    void **ret, struct cpt_err *err) CPT_CHECKED;
/** cpt_dump_owner - who came before @t with what stands at @address in the kernel; NULL: nobody */
void *cpt_dump_owner(struct cpt_dump *d, uint64_t address, struct cpt_task *t);
/** cpt_dump_order - the order of processes by KCMP_FILES or KCMP_FS */
struct cpt_order *cpt_dump_order(struct cpt_dump *d, int kcmp_type);

#endif
