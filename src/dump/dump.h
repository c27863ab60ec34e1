/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dump.h - the door of this folder: cpt_dump() and cpt_check() of the public header */
#ifndef CPT_DUMP_H
#define CPT_DUMP_H

#include "cptool.h"

#endif
