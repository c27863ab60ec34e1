/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reseal.h - make forged images whose hashes are right, to get at what lies behind them */
#ifndef CPT_TEST_RESEAL_H
#define CPT_TEST_RESEAL_H

#include "image/format.h"

/**
 * reseal - set all hashes, numbers and totals of an image in memory
 *
 * Follows the records as far as their lengths stay inside. What is not a
 * consequence of other bytes (types, flags, lengths, payloads) stays as it is.
 */
void reseal(unsigned char *image, size_t size);

/** record_at - the header of the @n-th record of an intact image */
struct cpt_disk_record *record_at(unsigned char *image, size_t size, unsigned n);

#endif
