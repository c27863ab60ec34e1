/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* restore.h - the door of this folder: cpt_restore() of the public header */
#ifndef CPT_RESTORE_H
#define CPT_RESTORE_H

#include "cptool.h"

#endif
