/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header.c - is the header sane? */
#include "image/format.h"
#include "image/kinds.h"

int cpt_check_header(const Cpt__Header *m, struct cpt_err *err)
{
	if (m->version > CPT_DISK_VERSION)
		return cpt_fail(err, CPT_BAD_IMAGE, "version %u; this cptool knows %u",
				m->version, CPT_DISK_VERSION);
	if (m->features & ~CPT_DISK_FEATURES)
		return cpt_fail(err, CPT_BAD_IMAGE, "needs features that this cptool lacks");
	if (m->has_page_size && m->page_size != CPT_PAGE)
		return cpt_fail(err, CPT_BAD_IMAGE, "pages of %u bytes; this cptool knows %lu",
				m->page_size, CPT_PAGE);
	if (m->has_id && m->id.len != CPT_IMG_ID)
		return cpt_fail(err, CPT_BAD_IMAGE, "an id of %zu bytes", m->id.len);
	if (m->has_base_id && (m->base_id.len != CPT_IMG_ID || !m->base_name || !*m->base_name))
		return cpt_fail(err, CPT_BAD_IMAGE, "an increment, but no image is named that it builds on");
	if (m->has_freezer && m->freezer != CPT_FREEZER_V1 && m->freezer != CPT_FREEZER_V2)
		return cpt_fail(err, CPT_BAD_IMAGE, "freezer of version %u", m->freezer);
	return 0;
}
