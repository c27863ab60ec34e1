/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * objects.c - the table of objects: each open file description once, however
 * many descriptors, processes and sockets in flight show it
 *
 * Two descriptors of one description agree in inode, flags and position, so
 * only those that do are compared with kcmp(2). What is only mapped has no
 * description of its own: it is known by inode and mode.
 */
#include "dump/files.h"
#include "dump/sockets.h"
#include "dump/table.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <sys/resource.h>

struct cpt_objects {
	struct cpt_description *v;	/* by id - 1 */
	uint32_t n, cap;
	struct cpt_table by_key;	/* struct cpt_order of descriptions */
	struct cpt_table by_inode;	/* struct cpt_inode */
	struct cpt_table by_file;	/* Cpt__Object, by the address of the description */
	struct cpt_table by_path;	/* struct plain: mapped files, folders */
	struct cpt_table unix_by_ino;	/* struct cpt_unix_diag */
	struct cpt_dump_sockets *sockets;
	struct cpt_order files, fs;	/* processes */
	struct cpt_table owners;	/* struct cpt_task, by the address of what it may not share */
	struct cpt_order **orders;
	size_t norders, cap_orders;
	Cpt__Object *spare;		/* room for the next description */
	unsigned kept, may_keep;	/* copies of the tasks' descriptors, in the orders */
	int infos, links;		/* /proc/self/fdinfo, /proc/self/fd */
	struct cpt_buf info;
};

/* an object that stands for an inode, not for a description */
struct plain {
	dev_t dev;
	ino_t ino;
	uint32_t flags;
	uint32_t id;
	struct plain *next;
};

static struct cpt_objects *objects(struct cpt_dump *d)
{
	struct rlimit limit;

	if (!d->objects) {
		d->objects = cpt_calloc(1, sizeof(*d->objects));
		rlim_t others = 4096 + (rlim_t)CPT_FDS_EACH * d->ntasks;

		if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur > others)
			d->objects->may_keep = (unsigned)CPT_MIN(limit.rlim_cur - others, (rlim_t)65536);
		d->objects->infos = open("/proc/self/fdinfo", O_PATH | O_DIRECTORY | O_CLOEXEC);
		d->objects->links = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	return d->objects;
}

/* All have been told apart; a copy held longer would keep pipes and sockets from ending. */
static void close_kept(struct cpt_objects *o)
{
	for (size_t i = 0; o->kept && i < o->norders; i++)
		for (unsigned k = 0; k < o->orders[i]->n; k++) {
			struct cpt_order_entry *e = &o->orders[i]->v[k];
			const Cpt__Object *img = e->what;

			if (e->pid == getpid() && o->v[img->id - 1].t)
				close(e->fd);
		}
	o->kept = 0;
}

void cpt_dump_objects_free(struct cpt_dump *d)
{
	struct cpt_objects *o = d->objects;

	if (!o)
		return;
	close_kept(o);
	for (uint32_t i = 0; i < o->n; i++)
		if (!o->v[i].t && o->v[i].fd >= 0)
			close(o->v[i].fd);
	for (size_t i = 0; i < o->norders; i++) {
		free(o->orders[i]->v);
		free(o->orders[i]->later);
		free(o->orders[i]);
	}
	if (o->infos >= 0)
		close(o->infos);
	if (o->links >= 0)
		close(o->links);
	free(o->files.v);
	free(o->fs.v);
	free(o->orders);
	free(o->v);
	free(o->by_key.slots);
	free(o->by_file.slots);
	free(o->owners.slots);
	free(o->by_inode.slots);
	free(o->by_path.slots);
	free(o->unix_by_ino.slots);
	free(o->info.data);
	free(o);
	d->objects = NULL;
}

/* ---- objects by id --------------------------------------------------- */

Cpt__Object *cpt_dump_new_object(struct cpt_dump *d)
{
	struct cpt_objects *o = objects(d);
	Cpt__Object *img = CPT_MESSAGE(d, Cpt__Object, cpt__object__init);

	CPT_GROW(o->v, o->n, o->cap);
	o->v[o->n++] = (struct cpt_description){ .img = img, .fd = -1 };
	CPT_SET(img, id, o->n);
	return img;
}

uint32_t cpt_dump_nobjects(const struct cpt_dump *d)
{
	return d->objects ? d->objects->n + 1 : 1;
}

struct cpt_description *cpt_dump_described(struct cpt_dump *d, uint32_t id)
{
	struct cpt_objects *o = objects(d);

	return id && id <= o->n ? &o->v[id - 1] : NULL;
}

int cpt_dump_refetch(struct cpt_dump *d, const struct cpt_description *desc, struct cpt_err *err)
{
	int fd = desc->t ? cpt_pidfd_getfd(desc->t->pidfd, desc->fd) : fcntl(desc->fd, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return cpt_fail_sys(err, "take descriptor %d of process %d", desc->fd,
				    desc->t ? desc->t->pid : getpid());
	return fd;
}

struct cpt_dump_sockets **cpt_dump_sockets(struct cpt_dump *d)
{
	return &objects(d)->sockets;
}

struct cpt_table *cpt_dump_unix_table(struct cpt_dump *d)
{
	return &objects(d)->unix_by_ino;
}

static int write_objects(struct cpt_dump *d, struct cpt_err *err)
{
	struct cpt_objects *o = objects(d);

	close_kept(o);
	for (uint32_t i = 0; i < o->n; i++)
		if (cpt_img_put(d->img, CPT_REC_OBJECT, &o->v[i].img->base, err))
			return -1;
	return 0;
}

const struct cpt_dump_kind cpt_dump_objects = {
	.name = "objects",
	.write = write_objects,
};

/* ---- inodes ---------------------------------------------------------- */

struct cpt_inode *cpt_dump_inode(struct cpt_dump *d, const struct stat *st)
{
	struct cpt_objects *o = objects(d);
	uint64_t key = cpt_table_mix(st->st_ino, st->st_dev);
	struct cpt_inode *first = cpt_table_get(&o->by_inode, key), *i;

	for (i = first; i; i = i->next)
		if (i->ino == st->st_ino && i->dev == st->st_dev)
			return i;
	i = cpt_arena_new(&d->arena, struct cpt_inode);
	i->dev = st->st_dev;
	i->ino = st->st_ino;
	i->next = first;
	cpt_table_put(&o->by_inode, key, i);
	return i;
}

/* ---- descriptors ----------------------------------------------------- */

void cpt_refuse_fd(struct cpt_dump *d, const struct cpt_fd *f, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (f->t && f->number >= 0)
		cpt_refuse(d, f->t, "fd %d: %s", f->number, text);
	else if (f->t)
		cpt_refuse(d, f->t, "%s", text);
	else
		cpt_refuse(d, NULL, "a descriptor queued in a socket: %s", text);
}

const char *cpt_socket_name(struct cpt_dump *d, const void *name, size_t len)
{
	char *s = cpt_arena_alloc(&d->arena, len + 1);

	memcpy(s, name, len);
	for (size_t i = 0; i < len; i++)
		if (!s[i] || (unsigned char)s[i] < ' ')
			s[i] = i ? '?' : '@';
	return len ? s : "without a name";
}

const char *cpt_fd_link(struct cpt_dump *d, struct cpt_fd *f)
{
	char name[16], link[PATH_MAX + 16];
	ssize_t n;

	if (f->link)
		return f->link;
	snprintf(name, sizeof(name), "%d", f->fd);
	n = readlinkat(objects(d)->links, name, link, sizeof(link) - 1);
	if (n < 0 || n == sizeof(link) - 1)
		n = 0;
	link[n] = 0;
	return f->link = cpt_arena_strdup(&d->arena, link);
}

int cpt_dump_examine(struct cpt_dump *d, struct cpt_fd *f, struct cpt_err *err)
{
	struct cpt_objects *o = objects(d);
	char name[16];
	int flags;

	if (fstat(f->fd, &f->st))
		return cpt_fail_sys(err, "fstat");
	flags = fcntl(f->fd, F_GETFL);
	if (flags < 0)
		return cpt_fail_sys(err, "fcntl(F_GETFL)");
	f->flags = (uint32_t)flags;
	f->pos = S_ISREG(f->st.st_mode) || S_ISDIR(f->st.st_mode) || S_ISBLK(f->st.st_mode) ?
			 lseek(f->fd, 0, SEEK_CUR) : 0;
	if (f->pos < 0)
		f->pos = 0;
	if (f->st.st_mode & S_IFMT)
		return 0;
	snprintf(name, sizeof(name), "%d", f->fd);
	if (cpt_read_at(o->infos, name, &o->info, err))
		return cpt_within(err, "/proc/self/fdinfo");
	f->info = o->info.data;
	return 0;
}

/* what two descriptors of one description have in common; cheap */
static uint64_t description_key(const struct cpt_fd *f)
{
	uint64_t key = cpt_table_mix(f->st.st_ino, f->st.st_dev);
	const char *id = f->info ? strstr(f->info, "eventfd-id:") : NULL;

	key = cpt_table_mix(key, f->flags);
	key = cpt_table_mix(key, (uint64_t)f->pos);
	if (id)
		key = cpt_table_mix(key, strtoull(id + 11, NULL, 10));
	return key;
}

void *cpt_dump_owner(struct cpt_dump *d, uint64_t address, struct cpt_task *t)
{
	struct cpt_table *owners = &objects(d)->owners;
	void *first = cpt_table_get(owners, cpt_table_address(address));

	if (!first)
		cpt_table_put(owners, cpt_table_address(address), t);
	return first;
}

struct cpt_order *cpt_dump_order(struct cpt_dump *d, int kcmp_type)
{
	return kcmp_type == KCMP_FILES ? &objects(d)->files : &objects(d)->fs;
}

static struct cpt_order *order_of(struct cpt_objects *o, uint64_t key)
{
	struct cpt_order *order = cpt_table_get(&o->by_key, key);

	if (order)
		return order;
	order = cpt_calloc(1, sizeof(*order));
	CPT_GROW(o->orders, o->norders, o->cap_orders);
	o->orders[o->norders++] = order;
	cpt_table_put(&o->by_key, key, order);
	return order;
}

static int look_anon(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *img, struct cpt_err *err)
{
	static const struct {
		const char *sign;	/* a line of fdinfo that no other kind has */
		cpt_look_fn *look;
	} kinds[] = {
		{ "\neventfd-count:", cpt_look_eventfd },
		{ "\nclockid:", cpt_look_timerfd },
		{ "\nsigmask:", cpt_look_signalfd },
		{ "\nPid:", cpt_look_pidfd },
		{ "\ntfd:", cpt_look_epoll },
	};
	const char *link;

	for (size_t i = 0; i < CPT_COUNT(kinds); i++)
		if (strstr(f->info, kinds[i].sign))
			return kinds[i].look(d, f, img, err);
	link = cpt_fd_link(d, f);
	if (strcmp(link, "anon_inode:[eventpoll]") == 0)
		return cpt_look_epoll(d, f, img, err);
	cpt_refuse_fd(d, f, "%s can't be dumped yet", link);
	return 0;
}

static int look_by_type(struct cpt_dump *d, struct cpt_fd *f, Cpt__Object *img, struct cpt_err *err)
{
	if (f->flags & O_PATH)
		return cpt_look_regular(d, f, img, err);
	switch (f->st.st_mode & S_IFMT) {
	case S_IFREG:
		if (f->st.st_nlink == 0 && strncmp(cpt_fd_link(d, f), "/memfd:", 7) == 0)
			return cpt_look_memfd(d, f, img, err);
		return cpt_look_regular(d, f, img, err);
	case S_IFDIR:
		return cpt_look_regular(d, f, img, err);
	case S_IFIFO:
		return cpt_look_pipe(d, f, img, err);
	case S_IFSOCK:
		return cpt_look_socket(d, f, img, err);
	case 0:
		return look_anon(d, f, img, err);
	default:
		return cpt_look_device(d, f, img, err);
	}
}

static int look_new(struct cpt_dump *d, struct cpt_fd *f, struct cpt_description *desc, struct cpt_err *err)
{
	Cpt__Object *img = desc->img;	/* @desc may move while others are looked at */

	desc->ino = f->st.st_ino;
	CPT_SET(img, flags, f->flags);
	if (f->pos)
		CPT_SET(img, position, (uint64_t)f->pos);
	if (f->st.st_mode & S_IFMT)
		desc->inode = cpt_dump_inode(d, &f->st);
	if (!S_ISREG(f->st.st_mode) && !S_ISDIR(f->st.st_mode) && !(f->flags & O_PATH) &&
	    cpt_look_owner(d, f, img, err))
		return -1;
	if (look_by_type(d, f, img, err))
		return cpt_within(err, "fd %d", f->number);
	return 0;
}

/*
 * The order's entry for a new descriptor. While there is room, a copy of it is
 * kept here: kcmp of this process with itself is asked of no security module
 * and ten times faster. One that only a socket shows is kept for the whole dump.
 */
static int order_entry(struct cpt_dump *d, const struct cpt_fd *f, struct cpt_order_entry *e, struct cpt_err *err)
{
	struct cpt_objects *o = objects(d);

	if (!o->spare)
		o->spare = CPT_MESSAGE(d, Cpt__Object, cpt__object__init);
	e->what = o->spare;
	if (f->t && o->kept < o->may_keep && (e->fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3)) >= 0) {
		e->pid = getpid();
		o->kept++;
		return 0;
	}
	if (f->t) {
		e->pid = f->t->pid;
		e->fd = f->number;
		return 0;
	}
	e->pid = getpid();
	e->fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3);
	if (e->fd < 0)
		return cpt_fail_sys(err, "keep a descriptor that was queued in a socket");
	return 0;
}

uint32_t cpt_dump_file_object(struct cpt_dump *d, uint64_t file)
{
	const Cpt__Object *known = cpt_table_get(&objects(d)->by_file, cpt_table_address(file));

	return known ? known->id : 0;
}

/* The address says that it is new. One without an address may still come and have to be compared with it. */
static void note_address(struct cpt_dump *d, struct cpt_order *order, const struct cpt_fd *f)
{
	struct cpt_objects *o = objects(d);

	if (!o->spare)
		o->spare = CPT_MESSAGE(d, Cpt__Object, cpt__object__init);
	CPT_GROW(order->later, order->nlater, order->cap_later);
	order->later[order->nlater++] = (struct cpt_order_entry){ f->t->pid, f->number, o->spare };
	cpt_table_put(&o->by_file, cpt_table_address(f->file), o->spare);
}

static int place(struct cpt_order *order, struct cpt_order_entry e, void **known, struct cpt_err *err)
{
	while (order->nlater) {
		if (cpt_order_place(order, KCMP_FILE, order->later[--order->nlater], known, err))
			return -1;
		if (*known)
			return cpt_fail(err, CPT_SYSTEM, "two descriptions at different addresses are the same");
	}
	return cpt_order_place(order, KCMP_FILE, e, known, err);
}

int cpt_dump_descriptor(struct cpt_dump *d, struct cpt_fd *f, uint32_t *object, struct cpt_err *err)
{
	struct cpt_objects *o = objects(d);
	struct cpt_order *order = order_of(o, description_key(f));
	struct cpt_order_entry e = { 0, -1, NULL };
	struct cpt_description *desc;
	void *known = NULL;

	if (f->file)
		note_address(d, order, f);
	else if (order_entry(d, f, &e, err) || place(order, e, &known, err))
		return -1;
	if (known) {
		*object = ((Cpt__Object *)known)->id;
		o->kept -= f->t && e.pid == getpid();
		if (e.pid == getpid())
			close(e.fd);
		return 0;
	}
	CPT_GROW(o->v, o->n, o->cap);
	desc = &o->v[o->n++];
	*desc = (struct cpt_description){ .img = o->spare, .t = f->t, .fd = f->t ? f->number : e.fd };
	CPT_SET(o->spare, id, o->n);
	o->spare = NULL;
	*object = o->n;
	return look_new(d, f, desc, err);
}

/* ---- what is mapped, or only a path ---------------------------------- */

static struct plain *plain_of(struct cpt_dump *d, const struct stat *st, uint32_t flags)
{
	struct cpt_objects *o = objects(d);
	uint64_t key = cpt_table_mix(cpt_table_mix(st->st_ino, st->st_dev), flags);
	struct plain *first = cpt_table_get(&o->by_path, key), *p;

	for (p = first; p; p = p->next)
		if (p->ino == st->st_ino && p->dev == st->st_dev && p->flags == flags)
			return p;
	p = cpt_arena_new(&d->arena, struct plain);
	*p = (struct plain){ .dev = st->st_dev, .ino = st->st_ino, .flags = flags, .next = first };
	cpt_table_put(&o->by_path, key, p);
	return p;
}

/* @link below /proc/PID leads to a file; its object, made when new */
static int plain_object(struct cpt_dump *d, struct cpt_task *t, const char *link, uint32_t flags,
			uint32_t *object, struct cpt_err *err)
{
	struct cpt_fd f = { .t = t, .number = -1, .flags = flags };
	struct plain *p;
	Cpt__Object *img;

	if (fstatat(t->proc, link, &f.st, 0))
		return cpt_fail_sys(err, "stat /proc/%d/%s", t->pid, link);
	p = plain_of(d, &f.st, flags);
	*object = p->id;
	if (p->id)
		return 0;
	img = cpt_dump_new_object(d);
	*object = p->id = img->id;
	if (!S_ISREG(f.st.st_mode) && !S_ISDIR(f.st.st_mode)) {
		f.link = "a device";
		cpt_refuse_fd(d, &f, "%s: a mapped device can't be dumped", link);
		return 0;
	}
	/* a folder named by its path only is opened here so as well */
	CPT_AUTO(fd) int fd = openat(t->proc, link, flags & O_PATH ? O_PATH | O_CLOEXEC : O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cpt_fail_sys(err, "open /proc/%d/%s", t->pid, link);
	f.fd = fd;
	return look_new(d, &f, cpt_dump_described(d, img->id), err);
}

int cpt_dump_mapped(struct cpt_dump *d, struct cpt_task *t, uint64_t start, uint64_t end,
		    bool write, uint32_t *object, struct cpt_err *err)
{
	char link[60];

	snprintf(link, sizeof(link), "map_files/%lx-%lx", (unsigned long)start, (unsigned long)end);
	return plain_object(d, t, link, write ? O_RDWR : O_RDONLY, object, err);
}

int cpt_dump_path(struct cpt_dump *d, struct cpt_task *t, const char *link,
		  uint32_t *object, struct cpt_err *err)
{
	/* the program file is mapped as well: one object for both */
	bool program = strcmp(link, "exe") == 0;

	return plain_object(d, t, link, program ? O_RDONLY : O_PATH | O_DIRECTORY, object, err);
}
