/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lazy.h - asking the process that brings in the pages of a group restored with --lazy
 *
 * It listens on a socket below /run/cptool that is named after the group's
 * folder, tells whoever connects how far it is, and closes the connection when
 * nothing depends on the image any more. If it had to end the group instead, a
 * file beside the socket says why.
 */
#ifndef CPT_LAZY_H
#define CPT_LAZY_H

#include "base/base.h"

#define CPT_RUN_FOLDER "/run/cptool"	/* only root can enter */
#define CPT_LAZY_NAME 80
#define CPT_LAZY_MAGIC "cptlazy"

/* what it says */
struct cpt_lazy_news {
	char magic[8];
	uint64_t total, left;		/* pages of the image that were, and are, to be brought in */
};

/** cpt_lazy_name - file name of the socket (@what "sock") or of the last word ("end") for a group's folder */
int cpt_lazy_name(const char *group, const char *what, char ret[CPT_LAZY_NAME], struct cpt_err *err) CPT_CHECKED;
/** cpt_lazy_ask - how far it is; 1, or 0 when there is nobody: all is in, or it was never lazy. -1: it does not answer. */
int cpt_lazy_ask(const char *group, struct cpt_lazy_news *ret, struct cpt_err *err) CPT_CHECKED;
/** cpt_lazy_wait - until nothing is missing any more, however long it takes; at once when there is nobody */
int cpt_lazy_wait(const char *group, struct cpt_err *err) CPT_CHECKED;
/** cpt_lazy_end - why the group had to end; "" if it had not */
void cpt_lazy_end(const char *group, char *ret, size_t size);
/** cpt_lazy_sweep - remove what restores that were killed, and ended groups of yesterday, have left in CPT_RUN_FOLDER */
void cpt_lazy_sweep(void);

#endif
