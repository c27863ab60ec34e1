/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * epoll.c - registrations, made by a task that has the epoll
 *
 * The kernel knows a registration by number and description, so the task must
 * have the target under that number when it is added. Where the number is
 * closed or stands for something else by then, the target is put there for a
 * moment, before the task's own descriptors come.
 */
#include "restore/files.h"

#include <sys/epoll.h>

int cpt_open_epoll(struct cpt_restore *r, const Cpt__Object *o, int *fd, struct cpt_err *err)
{
	*fd = epoll_create1(EPOLL_CLOEXEC);
	if (*fd < 0)
		return cpt_fail_sys(err, "epoll_create1");
	return cpt_object_set_flags(*fd, o, 0, err);
}

static const Cpt__Fd *find_fd(const Cpt__Files *files, uint32_t number)
{
	size_t from = 0, to = files->n_fds;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (files->fds[mid]->fd == number)
			return files->fds[mid];
		if (files->fds[mid]->fd < number)
			from = mid + 1;
		else
			to = mid;
	}
	return NULL;
}

static size_t event(struct cpt_batch *b, const Cpt__EpollTarget *t)
{
	struct epoll_event e = { .events = t->events, .data.u64 = t->data };

	return cpt_batch_data(b, &e, sizeof(e));
}

/* the task has it under its number: after its descriptors are there */
static bool is_own(const Cpt__Files *files, const Cpt__EpollTarget *t)
{
	const Cpt__Fd *f = find_fd(files, t->fd);

	return f && f->object == t->object;
}

static void add_own(struct cpt_batch *b, uint32_t ep, const Cpt__EpollTarget *t)
{
	CPT_CALL(b, epoll_ctl, CPT_NUM(ep), CPT_NUM(EPOLL_CTL_ADD), CPT_NUM(t->fd), CPT_DATA(event(b, t)));
}

static int add_for_a_moment(struct cpt_restore *r, struct cpt_batch *b, const Cpt__Object *ep,
			    const Cpt__EpollTarget *t, struct cpt_err *err)
{
	int of = cpt_restore_object_fd(r, t->object), at = cpt_restore_object_fd(r, ep->id);
	size_t high[2];

	if (of < 0 || at < 0)
		return cpt_fail(err, CPT_BAD_IMAGE, "epoll %u watches object %u, which has no descriptor", ep->id, t->object);
	if ((int)t->fd == r->self_fd || (int)t->fd == r->image_fd)
		return cpt_fail(err, CPT_UNSUPPORTED, "epoll %u: number %u is needed for cptool itself", ep->id, t->fd);
	/* out of the way of the number wanted */
	for (int i = 0; i < 2; i++) {
		size_t low = cpt_restore_take(r, b, i ? of : at);

		high[i] = CPT_CALL(b, fcntl, CPT_RESULT(low), CPT_NUM(F_DUPFD_CLOEXEC), CPT_NUM(t->fd + 1));
		CPT_CALL(b, close, CPT_RESULT(low));
	}
	CPT_CALL(b, dup3, CPT_RESULT(high[1]), CPT_NUM(t->fd), CPT_NUM(O_CLOEXEC));
	CPT_CALL(b, epoll_ctl, CPT_RESULT(high[0]), CPT_NUM(EPOLL_CTL_ADD), CPT_NUM(t->fd), CPT_DATA(event(b, t)));
	CPT_CALL(b, close, CPT_NUM(t->fd));
	CPT_CALL(b, close, CPT_RESULT(high[0]));
	CPT_CALL(b, close, CPT_RESULT(high[1]));
	return 0;
}

/* does this task make the registrations of @ep? The first one that has it, or, of one in flight, the first of all */
static bool is_maker(struct cpt_restore *r, const struct cpt_rtask *t, uint32_t ep)
{
	return r->own->makers[ep] ? r->own->makers[ep] == t : t == r->order[0];
}

static void find_makers(struct cpt_restore *r)
{
	r->own->maker_fds = cpt_arena_array(&r->arena, uint32_t, r->nobjects);
	r->own->makers = cpt_arena_array(&r->arena, const struct cpt_rtask *, r->nobjects);
	for (unsigned i = 0; i < r->ntasks; i++) {
		const Cpt__Files *files = r->order[i]->img->files;

		for (size_t k = 0; files && k < files->n_fds; k++) {
			uint32_t id = files->fds[k]->object;

			if (id < r->nobjects && r->objects[id]->epoll && !r->own->makers[id]) {
				r->own->makers[id] = r->order[i];
				r->own->maker_fds[id] = files->fds[k]->fd;
			}
		}
	}
}

static int each(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, bool own, struct cpt_err *err)
{
	const Cpt__Files *files = t->img->files;

	if (!files)
		return 0;
	if (!r->own->makers)
		find_makers(r);
	for (unsigned n = 0; n < r->own->nepolls; n++) {
		const Cpt__Object *ep = r->objects[r->own->epolls[n]];
		const Cpt__Fd *at = NULL;

		if (!is_maker(r, t, ep->id))
			continue;
		if (r->own->makers[ep->id])
			at = find_fd(files, r->own->maker_fds[ep->id]);
		for (size_t k = 0; k < ep->epoll->n_targets; k++) {
			const Cpt__EpollTarget *target = ep->epoll->targets[k];
			bool direct = at && is_own(files, target);

			if (direct && own)
				add_own(b, at->fd, target);
			else if (!direct && !own && add_for_a_moment(r, b, ep, target, err))
				return -1;
		}
	}
	return 0;
}

static int build_before(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err)
{
	return r->own->nepolls ? each(r, t, b, false, err) : 0;
}

static int build_after(struct cpt_restore *r, struct cpt_rtask *t, struct cpt_batch *b, struct cpt_err *err)
{
	return r->own->nepolls ? each(r, t, b, true, err) : 0;
}

const struct cpt_restore_kind cpt_restore_epoll_before = {
	.name = "epoll",
	.build = build_before,
};

const struct cpt_restore_kind cpt_restore_epoll = {
	.name = "epoll",
	.build = build_after,
};
