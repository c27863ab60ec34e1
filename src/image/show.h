/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* show.h - what the two ways to show an image share */
#ifndef CPT_IMAGE_SHOW_H
#define CPT_IMAGE_SHOW_H

#include "image/read.h"

#include <stdio.h>

/** cpt_show_line - one formatted line to @out */
void cpt_show_line(struct cpt_sink out, const char *fmt, ...) CPT_PRINTF(2, 3);

/**
 * cpt_show_clean - @s as valid UTF-8 without control characters, malloc'd
 *
 * What is neither comes as \xNN, so that no image writes to a terminal.
 */
char *cpt_show_clean(const char *s);
/** cpt_show_hex - at most @max bytes in hexadecimal, malloc'd */
char *cpt_show_hex(const uint8_t *bytes, size_t size, size_t max);

/** cpt_show_types - the records' names in the plural, by type: "tasks"; NULL: no message */
extern const char *const cpt_show_types[CPT_REC_COMMIT + 1];

/** cpt_show_json - one document; line by line, so that a large image needs little memory */
int cpt_show_json(struct cpt_img *img, struct cpt_sink out, struct cpt_err *err) CPT_CHECKED;
/** cpt_show_text - a summary, then every message, indented */
int cpt_show_text(struct cpt_img *img, struct cpt_sink out, struct cpt_err *err) CPT_CHECKED;

#endif
