/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * epoll.c - what is registered, as fdinfo tells; which object that is, kcmp(2)
 *
 * A registration is known by the number it was made with and by description.
 * The number may be closed or stand for something else by now, as long as the
 * description lives on in another descriptor.
 */
#include "dump/files.h"
#include "dump/fdinfo.h"
#include "dump/table.h"

#include <linux/kcmp.h>
#include <stdio.h>

static unsigned count_targets(const char *info)
{
	unsigned n = 0;

	while ((info = cpt_fdinfo_line(info, "tfd:")))
		n++;
	return n;
}

int cpt_look_epoll(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *o, struct cpt_err *err)
{
	unsigned n = count_targets(f->info);
	const char *line = f->info;
	uint64_t *inos = cpt_arena_array(&d->arena, uint64_t, n + 1);
	Cpt__Epoll *e = CPT_MESSAGE(d, Cpt__Epoll, cpt__epoll__init);

	o->epoll = e;
	e->targets = cpt_arena_array(&d->arena, Cpt__EpollTarget *, n + 1);
	while (e->n_targets < n && (line = cpt_fdinfo_line(line, "tfd:"))) {
		Cpt__EpollTarget *t = CPT_MESSAGE(d, Cpt__EpollTarget, cpt__epoll_target__init);
		unsigned events;
		unsigned long long data, ino;
		int fd;

		if (sscanf(line, "%d events: %x data: %llx pos:%*d ino:%llx", &fd, &events, &data, &ino) != 4 || fd < 0) {
			cpt_refuse_fd(d, f, "epoll: what is registered in it can't be read");
			return 0;
		}
		CPT_SET(t, fd, (uint32_t)fd);
		CPT_SET(t, events, events);
		CPT_SET(t, data, data);
		inos[e->n_targets] = ino;
		e->targets[e->n_targets++] = t;
	}
	cpt_dump_described(d, o->id)->own = inos;
	return 0;
}

/* is this descriptor what the @off-th registration with number @number stands for? */
static bool is_target(const struct cpt_description *ep, pid_t pid, int fd, uint32_t number, uint32_t off)
{
	struct kcmp_epoll_slot slot = { .efd = (uint32_t)ep->fd, .tfd = number, .toff = off };

	return cpt_kcmp(pid, ep->t ? ep->t->pid : getpid(), KCMP_EPOLL_TFD, (unsigned long)fd,
			(unsigned long)&slot) == 0;
}

static uint32_t find_target(struct cpt_dump *d, const struct cpt_description *ep,
			    const Cpt__EpollTarget *t, uint32_t off, uint64_t ino)
{
	uint32_t id = ep->t ? cpt_dump_fd_object(ep->t, t->fd) : 0;

	if (id && is_target(ep, ep->t->pid, (int)t->fd, t->fd, off))
		return id;
	for (id = 1; id < cpt_dump_nobjects(d); id++) {
		const struct cpt_description *c = cpt_dump_described(d, id);

		if (c->fd >= 0 && c->ino == ino && is_target(ep, c->t ? c->t->pid : getpid(), c->fd, t->fd, off))
			return id;
	}
	return 0;
}

static void name_targets(struct cpt_dump *d, const struct cpt_description *ep)
{
	const uint64_t *inos = ep->own;
	const Cpt__Epoll *e = ep->img->epoll;
	struct cpt_table seen = { 0 };	/* how often a number has come up, plus one */

	for (size_t i = 0; i < e->n_targets; i++) {
		Cpt__EpollTarget *t = e->targets[i];
		uintptr_t off = (uintptr_t)cpt_table_get(&seen, t->fd);

		CPT_SET(t, object, find_target(d, ep, t, (uint32_t)(off ? off - 1 : 0), inos[i]));
		cpt_table_put(&seen, t->fd, (void *)(off ? off + 1 : 2));
		if (!t->object)
			cpt_refuse(d, ep->t, "fd %d: epoll watches a file that nobody in the group has open (added as fd %u)",
				   ep->fd, t->fd);
	}
	free(seen.slots);
}

static int name_all(struct cpt_dump *d, struct cpt_err *err)
{
	for (uint32_t id = 1; id < cpt_dump_nobjects(d); id++)
		if (cpt_dump_described(d, id)->img->epoll)
			name_targets(d, cpt_dump_described(d, id));
	return 0;
}

const struct cpt_dump_kind cpt_dump_epoll = {
	.name = "epoll",
	.group = name_all,
};
