/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sockopts.h - the socket options that are carried, in the order in which they are set
 *
 * Each can be read with getsockopt(2) and set again with the value read, on a
 * socket that is not bound yet. What differs from a new socket's is stored.
 */
#ifndef CPT_IMAGE_SOCKOPTS_H
#define CPT_IMAGE_SOCKOPTS_H

#include "base/base.h"

/* sockets that have an option */
enum cpt_sockopt_of {
	CPT_OF_UNIX = 1,
	CPT_OF_IPV4 = 2,
	CPT_OF_IPV6 = 4,
	CPT_OF_TCP = 8,
	CPT_OF_UDP = 16,
};
#define CPT_OF_IP (CPT_OF_IPV4 | CPT_OF_IPV6)
#define CPT_OF_ALL (CPT_OF_UNIX | CPT_OF_IP)

struct cpt_sockopt {
	int level, name;
	unsigned size;		/* bytes; of a string: at most */
	unsigned of;		/* enum cpt_sockopt_of, or-ed: any of them */
};
#define CPT_SOCKOPT_MAX_SIZE 16
extern const struct cpt_sockopt cpt_sockopts[];
extern const unsigned cpt_nsockopts;

/** cpt_sockopt_kind - enum cpt_sockopt_of bits of a socket; 0: a kind that is not carried */
unsigned cpt_sockopt_kind(uint32_t family, uint32_t type, uint32_t protocol);

#endif
