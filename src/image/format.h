/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * format.h - how an image lies on disk; doc/image.md tells it in words
 *
 * All numbers are little endian. An image is one preamble, then records; every
 * record starts at a multiple of 8, the bytes between payload and next record,
 * and between header and aligned data, are zero.
 */
#ifndef CPT_IMAGE_FORMAT_H
#define CPT_IMAGE_FORMAT_H

#include "image/hash.h"
#include "image/image.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the structures below are read and written as they lie in memory"
#endif

#define CPT_DISK_MAGIC "\x89" "CPTOOL\n"	/* not text, and broken by a copy that turns line ends */
#define CPT_DISK_VERSION 1
#define CPT_DISK_FEATURES 0ULL		/* all that this reader knows */
#define CPT_DISK_RECORD_MAGIC 0x52545043u	/* "CPTR" */

struct cpt_disk_preamble {
	uint8_t magic[8];
	uint32_t version;
	uint32_t reserved;		/* 0 */
	uint64_t features;		/* bits a reader must know */
	uint8_t id[CPT_IMG_ID];		/* random; seeds the hashes of all headers */
	uint64_t room[2];		/* 0 */
	uint64_t hash;			/* XXH3-64 of the bytes before */
};

enum cpt_disk_flag {
	CPT_DISK_CODEC	 = 0x00ff,	/* PAGES: enum cpt_codec */
	CPT_DISK_ALIGNED = 0x0100,	/* the payload starts at a multiple of 4096 */
};

struct cpt_disk_record {
	uint32_t magic;
	uint16_t type;			/* enum cpt_record */
	uint16_t flags;			/* enum cpt_disk_flag */
	uint32_t seq;			/* 0, 1, 2, … in the order of the file */
	uint32_t npages;		/* PAGES: how many, decoded; else 0 */
	uint64_t length;		/* of the payload, bytes */
	uint64_t key;			/* PAGES: first slot; BLOB: id; else 0 */
	uint64_t payload_hash;		/* XXH3-64 */
	uint64_t room[2];		/* 0 */
	uint64_t hash;			/* XXH3-64 of the bytes before, seeded from the image's id */
};

/* payload of CPT_REC_INDEX: one of these for each record before it */
struct cpt_disk_entry {
	uint64_t offset;
	uint16_t type;
	uint16_t flags;
	uint32_t npages;
};

/* payload of CPT_REC_COMMIT, the last 64 + 48 bytes of the file */
struct cpt_disk_commit {
	uint64_t records;		/* before this one */
	uint64_t slots;
	uint64_t index_offset;
	uint64_t bytes;			/* of the whole image */
	uint64_t frame_hash;		/* XXH3-64 of all record headers before this one, one after the other */
	uint64_t room;			/* 0 */
};

_Static_assert(sizeof(struct cpt_disk_preamble) == 64, "part of the format");
_Static_assert(sizeof(struct cpt_disk_record) == 64, "part of the format");
_Static_assert(sizeof(struct cpt_disk_entry) == 16, "part of the format");
_Static_assert(sizeof(struct cpt_disk_commit) == 48, "part of the format");

#define CPT_DISK_ALIGN(x) (((x) + 7) & ~7ULL)

/* a message is unpacked as a whole; more than this is no message */
#define CPT_DISK_MESSAGE_MAX (512ULL << 20)

/** cpt_disk_begin - a fresh preamble with a random id */
int cpt_disk_begin(struct cpt_disk_preamble *ret, struct cpt_err *err) CPT_CHECKED;
/** cpt_disk_seed - what the header hashes of an image are seeded with */
uint64_t cpt_disk_seed(const struct cpt_disk_preamble *p);
/** cpt_disk_seal - the hash of a header: a writer stores it, a reader compares */
uint64_t cpt_disk_seal(const struct cpt_disk_record *r, uint64_t seed);
/** cpt_disk_data - where the payload of a record that begins at @offset begins */
uint64_t cpt_disk_data(const struct cpt_disk_record *r, uint64_t offset);
/** cpt_disk_check_preamble - CPT_BAD_IMAGE says why not */
int cpt_disk_check_preamble(const struct cpt_disk_preamble *p, struct cpt_err *err) CPT_CHECKED;

/* is it a kind of record whose payload is a protobuf message? */
static inline bool cpt_disk_is_message(unsigned type)
{
	return type >= CPT_REC_HEADER && type <= CPT_REC_OBJECT;
}

#endif
