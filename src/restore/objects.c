/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * objects.c - every object opened once, here in cptool, before a task exists
 *
 * Two steps come after that: names of unix sockets, which other programs may
 * see, when all else went well; and, when all tasks stand, what would be in
 * their way before: queues, seals, locks, owners.
 */
#include "restore/files.h"
#include "restore/unix.h"

#include <stdio.h>
#include <sys/resource.h>

const char *cpt_object_name(struct cpt_restore *r, const Cpt__Object *o)
{
	if (o->regular)
		return o->regular->path ? o->regular->path : "?";
	if (o->memfd)
		return cpt_arena_printf(&r->arena, "memfd %s", o->memfd->name ? o->memfd->name : "?");
	return cpt_arena_printf(&r->arena, "%s", o->pipe ? "pipe" : o->unix_socket ? "unix socket" :
				o->inet_socket ? "socket" : o->epoll ? "epoll" : o->eventfd ? "eventfd" :
				o->timerfd ? "timerfd" : o->signalfd ? "signalfd" : o->pidfd ? "pidfd" : "object");
}

int cpt_object_set_flags(int fd, const Cpt__Object *o, uint32_t now, struct cpt_err *err)
{
	if ((o->flags & CPT_SET_FLAGS) == (now & CPT_SET_FLAGS))
		return 0;
	if (fcntl(fd, F_SETFL, o->flags & CPT_SET_FLAGS))
		return cpt_fail_sys(err, "fcntl(F_SETFL, 0%o)", o->flags);
	return 0;
}

int cpt_object_reopen(int fd, const Cpt__Object *o, struct cpt_err *err)
{
	char path[40];
	int got;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	got = open(path, (int)(o->flags & CPT_OPEN_FLAGS & ~(uint32_t)(O_NOFOLLOW | O_DIRECTORY)) | O_CLOEXEC);
	if (got < 0)
		return cpt_fail_sys(err, "open it once more with flags 0%o", o->flags);
	return got;
}

static cpt_open_fn *opener(const Cpt__Object *o)
{
	if (o->regular)
		return cpt_open_regular;
	if (o->pipe)
		return cpt_open_pipe;
	if (o->eventfd)
		return cpt_open_eventfd;
	if (o->epoll)
		return cpt_open_epoll;
	if (o->timerfd)
		return cpt_open_timerfd;
	if (o->signalfd)
		return cpt_open_signalfd;
	if (o->memfd)
		return cpt_open_memfd;
	if (o->unix_socket)
		return cpt_open_unix;
	if (o->inet_socket)
		return cpt_open_inet;
	return NULL;		/* shared memory is the engine's, pidfds come later */
}

/* ---- look: can it be done here? --------------------------------------- */

/* what a further description of an inode names must carry one of its kind */
static int check_carrier(const struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	const Cpt__Object *c = o->has_inode_of ? r->objects[o->inode_of] : NULL;

	if (!c || (opener(c) == opener(o) && !c->has_inode_of && (!o->regular || (o->regular->carried && c->regular->carried))))
		return 0;
	return cpt_fail(err, CPT_BAD_IMAGE, "object %u is said to be of the inode of object %u, which carries none of its kind",
			o->id, c->id);
}

/*
 * A table of descriptors that grows while threads share it waits for them all
 * to pass through the kernel, each time: it gets its size while we are alone.
 */
static void reserve_numbers(unsigned n)
{
	int high = fcntl(0, F_DUPFD_CLOEXEC, (int)n);

	if (high >= 0)
		close(high);
}

/* descriptors that are held beside those of the objects */
static unsigned count_extra(const Cpt__Object *o)
{
	if (o->has_inode_of)
		return 0;
	if (o->unix_socket)
		return o->unix_socket->connected && !o->unix_socket->has_peer;
	return o->memfd || o->pipe || (o->regular && o->regular->carried);
}

static int look(struct cpt_restore *r, struct cpt_err *err)
{
	struct rlimit files;
	unsigned needed = r->nobjects + 64;

	for (unsigned id = 1; id < r->nobjects; id++) {
		const Cpt__Object *o = r->objects[id];

		if (check_carrier(r, o, err) || (o->regular && cpt_regular_look(r, o, err)))
			return -1;
		if (o->unix_socket)
			cpt_unix_look(r, o);
		needed += count_extra(o);
	}
	if (!getrlimit(RLIMIT_NOFILE, &files) && needed > files.rlim_max)
		cpt_missing(r, "%u open files are needed at a time, the limit is %llu; raise it (ulimit -Hn)",
			    needed, (unsigned long long)files.rlim_max);
	reserve_numbers(needed);
	return 0;
}

/* ---- prepare ---------------------------------------------------------- */

static void make_room(struct cpt_restore *r)
{
	r->own = cpt_arena_new(&r->arena, struct cpt_restore_objects);
	r->own->inodes = cpt_arena_array(&r->arena, int, r->nobjects);
	r->own->others = cpt_arena_array(&r->arena, int, r->nobjects);
	r->own->taken = cpt_arena_array(&r->arena, uint8_t, r->nobjects);
	r->own->epolls = cpt_arena_array(&r->arena, uint32_t, r->nobjects);
	for (unsigned id = 0; id < r->nobjects; id++) {
		r->own->inodes[id] = r->own->others[id] = -1;
		if (id && r->objects[id]->epoll && r->objects[id]->epoll->n_targets)
			r->own->epolls[r->own->nepolls++] = id;
	}
}

static int open_one(struct cpt_restore *r, const Cpt__Object *o, struct cpt_err *err)
{
	cpt_open_fn *open_it = opener(o);
	int *fd = &r->object_fds[o->id];

	if (!open_it || *fd >= 0)	/* a socket made together with its peer */
		return 0;
	if (open_it(r, o, fd, err))
		return cpt_within(err, "object %u (%s)", o->id, cpt_object_name(r, o));
	if (o->position && lseek(*fd, (off_t)o->position, SEEK_SET) < 0)
		return cpt_fail_sys(err, "object %u (%s): seek to %llu", o->id, cpt_object_name(r, o),
				    (unsigned long long)o->position);
	return 0;
}

static int prepare(struct cpt_restore *r, struct cpt_err *err)
{
	make_room(r);
	if (cpt_unix_make_pairs(r, err))
		return -1;
	for (unsigned id = 1; id < r->nobjects; id++)
		if (open_one(r, r->objects[id], err))
			return -1;
	cpt_unix_free_pairs(r);
	return cpt_unix_connect_all(r, err);
}

/* ---- late ------------------------------------------------------------- */

void cpt_restore_objects_free(struct cpt_restore *r)
{
	if (!r->own)
		return;
	cpt_unix_free_pairs(r);
	for (unsigned id = 0; id < r->nobjects; id++) {
		if (r->own->inodes[id] >= 0 && !(r->own->taken[id] & CPT_TAKEN_INODE))
			close(r->own->inodes[id]);
		if (r->own->others[id] >= 0 && !(r->own->taken[id] & CPT_TAKEN_OTHER))
			close(r->own->others[id]);
	}
	r->own = NULL;
}

static int late(struct cpt_restore *r, struct cpt_err *err)
{
	if (cpt_unix_fill(r, err))
		return -1;
	for (unsigned id = 1; id < r->nobjects; id++) {
		const Cpt__Object *o = r->objects[id];

		if (cpt_memfd_late(r, o, err) || cpt_locks_late(r, o, err) || cpt_owner_late(r, o, err))
			return cpt_within(err, "object %u (%s)", id, cpt_object_name(r, o));
	}
	return 0;
}

const struct cpt_restore_kind cpt_restore_objects = {
	.name = "objects",
	.look = look,
	.prepare = prepare,
	.late = late,
};
