/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hasher.c - the hash of page data that others wrote into the file */
#include "image/write.h"

int cpt_hash_pages(int fd, uint64_t data, struct cpt_disk_record *header,
		   uint64_t seed, uint64_t offset)
{
	CPT_AUTO(mem) char *chunk = cpt_malloc(CPT_HASH_CHUNK);
	int sys = cpt_hash_file(fd, data, header->length, chunk, &header->payload_hash);

	if (sys)
		return sys;
	header->hash = cpt_disk_seal(header, seed);
	return cpt_pwrite_all(fd, header, sizeof(*header), (off_t)offset) ? errno : 0;
}
