/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unix.h - what the files about unix sockets share */
#ifndef CPT_RESTORE_UNIX_H
#define CPT_RESTORE_UNIX_H

#include "restore/files.h"

#include <sys/socket.h>

/** cpt_unix_has_path - bound to a path, not to an abstract name */
bool cpt_unix_has_path(const Cpt__UnixSocket *u);
/** cpt_unix_name - its full path; an abstract name begins with @ */
const char *cpt_unix_name(struct cpt_restore *r, const Cpt__UnixSocket *u);
/** cpt_unix_at_name - @act is bind or connect; @folder: where a relative path begins, or NULL */
int cpt_unix_at_name(int fd, const ProtobufCBinaryData *name, const char *folder,
		     int (*act)(int fd, const struct sockaddr *a, socklen_t len), struct cpt_err *err) CPT_CHECKED;
/** cpt_unix_bind_name - with its file, unless that is stale: then only the socket knows the name */
int cpt_unix_bind_name(struct cpt_restore *r, int fd, const Cpt__UnixSocket *u, struct cpt_err *err) CPT_CHECKED;
/** cpt_unix_private_path - make the folders of a path in a private root, go to where a relative one begins */
int cpt_unix_private_path(const Cpt__UnixSocket *u, struct cpt_err *err) CPT_CHECKED;

/** cpt_unix_is_pair - a nameless pair that socketpair(2) makes; true for the lower id of the two, or the only one left */
bool cpt_unix_is_pair(const struct cpt_restore *r, const Cpt__Object *o);

/* ---- peers.c ----------------------------------------------------------- */

/** cpt_unix_as_peer - call @act as the process that the peer of @u is known to be; as cptool when that can't be */
typedef int cpt_peer_fn(void *arg, struct cpt_err *err);
int cpt_unix_as_peer(const Cpt__UnixSocket *u, cpt_peer_fn *act, void *arg, struct cpt_err *err) CPT_CHECKED;
/** cpt_unix_in_private - call @act where the root is empty and private; it may bind any path there */
int cpt_unix_in_private(cpt_peer_fn *act, void *arg, struct cpt_err *err) CPT_CHECKED;
/** cpt_unix_make_pairs - all nameless pairs, into r->own->pairs; before any object is opened */
int cpt_unix_make_pairs(struct cpt_restore *r, struct cpt_err *err) CPT_CHECKED;
void cpt_unix_free_pairs(struct cpt_restore *r);

#endif
