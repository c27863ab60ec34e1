/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unit.h - what unit tests share; needs no root, touches only a folder of its own */
#ifndef CPT_TEST_UNIT_H
#define CPT_TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

/* a call that must succeed; its error text is shown if it does not */
#define ok(call)								\
	do {									\
		struct cpt_err err_ = { 0 };					\
		struct cpt_err *err __attribute__((unused)) = &err_;		\
										\
		if (call)							\
			fail_msg("%s: %s", #call, err_.text);			\
	} while (0)

/* a call that must fail in this way, with a text that holds @part */
#define fails(call, expected, part)						\
	do {									\
		struct cpt_err err_ = { 0 };					\
		struct cpt_err *err __attribute__((unused)) = &err_;		\
										\
		if (!(call))							\
			fail_msg("%s succeeded", #call);			\
		if (err_.fault != (expected) || !strstr(err_.text, (part)))	\
			fail_msg("%s: fault %d: %s", #call, (int)err_.fault,	\
				 err_.text);					\
	} while (0)

#endif
