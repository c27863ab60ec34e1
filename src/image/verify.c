/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify.c - all that can be said of an image without restoring it */
#include "image/image.h"

int cpt_image_verify(const char *image, struct cpt_err *err)
{
	CPT_AUTO(img) struct cpt_img *img = NULL;

	if (cpt_img_open(image ? image : "checkpoint.cpt", &img, err) ||
	    cpt_img_check_messages(img, err))	/* which opens what it builds on: all of that is checked too */
		return -1;
	return cpt_img_check_pages(img, err);
}
