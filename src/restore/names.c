/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * names.c - the names of unix sockets
 *
 * A socket file left over from the group as it was is put aside; the undo
 * guard brings it back if the restore fails, and it goes when all is well.
 * A socket whose file is gone gets its name in a root that nobody else sees.
 */
#include "restore/files.h"
#include "restore/unix.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

bool cpt_unix_has_path(const Cpt__UnixSocket *u)
{
	return u->name.len && u->name.data[0];
}

const char *cpt_unix_name(struct cpt_restore *r, const Cpt__UnixSocket *u)
{
	char *s = cpt_arena_alloc(&r->arena, u->name.len + 1);

	if (u->name.len)
		memcpy(s, u->name.data, u->name.len);
	if (u->name.len && !s[0])
		s[0] = '@';
	if (!u->folder || s[0] == '/' || s[0] == '@')
		return s;
	return cpt_arena_printf(&r->arena, "%s/%s", u->folder, s);
}

static socklen_t address(const ProtobufCBinaryData *name, struct sockaddr_un *a)
{
	size_t len = CPT_MIN(name->len, sizeof(a->sun_path));

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (len)
		memcpy(a->sun_path, name->data, len);
	if (len && a->sun_path[0] && len < sizeof(a->sun_path))
		len++;			/* paths end with a zero byte */
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

/* bind or connect in the folder in which it was bound: the name is relative as it was */
int cpt_unix_at_name(int fd, const ProtobufCBinaryData *name, const char *folder,
		     int (*act)(int fd, const struct sockaddr *a, socklen_t len), struct cpt_err *err)
{
	struct sockaddr_un a;
	socklen_t len = address(name, &a);
	CPT_AUTO(fd) int back = -1;
	int e;

	if (folder) {
		back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (back < 0 || chdir(folder))
			return cpt_fail_sys(err, "go to %s", folder);
	}
	e = act(fd, (struct sockaddr *)&a, len) ? errno : 0;
	if (back >= 0 && fchdir(back))
		return cpt_fail_sys(err, "go back from %s", folder);
	return e ? cpt_fail_errno(err, e, "%s", act == bind ? "bind" : "connect") : 0;
}

/* does somebody answer at that path? */
static bool in_use(const char *path, int type)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	CPT_AUTO(fd) int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || strlen(path) >= sizeof(a.sun_path))
		return false;
	memcpy(a.sun_path, path, strlen(path) + 1);
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EAGAIN || errno == EPROTOTYPE;
}

void cpt_unix_look(struct cpt_restore *r, const Cpt__Object *o)
{
	const Cpt__UnixSocket *u = o->unix_socket;
	const char *path;
	struct stat st;

	if (!cpt_unix_has_path(u) || u->stale)
		return;
	path = cpt_unix_name(r, u);
	if (u->folder && stat(u->folder, &st))
		cpt_missing(r, "%s, in which unix socket %s was bound, is gone; put it back", u->folder, path);
	if (lstat(path, &st))
		return;
	if (!S_ISSOCK(st.st_mode))
		cpt_missing(r, "%s is in the way of a unix socket; move it", path);
	else if (in_use(path, (int)o->socket->type))
		cpt_missing(r, "unix socket %s is used by another program now; end that first", path);
}

static int put_aside(struct cpt_restore *r, const char *path, struct cpt_err *err)
{
	const char *aside;
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : cpt_fail_sys(err, "look at %s", path);
	aside = cpt_arena_printf(&r->arena, "%s.cptool-%d", path, getpid());
	if (cpt_guard_add(&r->guard, CPT_UNDO_RENAME, aside, path, err))
		return -1;
	if (rename(path, aside))
		return cpt_fail_sys(err, "put %s aside", path);
	return 0;
}

static int bind_path(struct cpt_restore *r, int fd, const Cpt__UnixSocket *u, struct cpt_err *err)
{
	const char *path = cpt_unix_name(r, u);

	if (put_aside(r, path, err) || cpt_guard_add(&r->guard, CPT_UNDO_UNLINK, path, NULL, err))
		return -1;
	if (cpt_unix_at_name(fd, &u->name, u->folder, bind, err))
		return cpt_within(err, "unix socket %s", path);
	if (chown(path, u->uid, u->gid) || chmod(path, u->mode & 07777))
		return cpt_fail_sys(err, "unix socket %s: set its owner and mode", path);
	return 0;
}

/* ---- a name without a file ------------------------------------------------ */

int cpt_unix_private_path(const Cpt__UnixSocket *u, struct cpt_err *err)
{
	char path[200] = "";

	memcpy(path, u->name.data, CPT_MIN(u->name.len, sizeof(path) - 1));
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(path, 0700) && errno != EEXIST)
			return cpt_fail_sys(err, "mkdir %s in a private root", path);
		*slash = '/';
	}
	return 0;
}

struct nameless {
	int fd;
	const Cpt__UnixSocket *u;
};

static int bind_private(void *arg, struct cpt_err *err)
{
	const struct nameless *n = arg;

	if (cpt_unix_private_path(n->u, err))
		return -1;
	return cpt_unix_at_name(n->fd, &n->u->name, NULL, bind, err);
}

int cpt_unix_bind_name(struct cpt_restore *r, int fd, const Cpt__UnixSocket *u, struct cpt_err *err)
{
	struct nameless n = { fd, u };
	int e;

	if (!cpt_unix_has_path(u))
		e = cpt_unix_at_name(fd, &u->name, NULL, bind, err);
	else if (u->stale)
		e = cpt_unix_in_private(bind_private, &n, err);
	else
		return bind_path(r, fd, u, err);
	return e ? cpt_within(err, "unix socket %s", cpt_unix_name(r, u)) : 0;
}
