/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay.c - run a fuzz target without a fuzzer: replay [-n ROUNDS] FILE…
 *
 * Each file as it is (a name ending in .hex: bytes in hexadecimal, # remarks),
 * then ROUNDS changed copies of it, the same ones every time.
 */
#include "base/base.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t random_state = 1;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static int digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* in place */
static void from_hex(struct cpt_buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i + 1 < b->len; i++) {
		if (b->data[i] == '#')
			while (i < b->len && b->data[i] != '\n')
				i++;
		if (i + 1 < b->len && isxdigit((unsigned char)b->data[i]) &&
		    isxdigit((unsigned char)b->data[i + 1])) {
			b->data[n++] = (char)(digit(b->data[i]) << 4 | digit(b->data[i + 1]));
			i++;
		}
	}
	b->len = n;
}

static void change(uint8_t *data, size_t *size)
{
	size_t at = next_random() % *size, n = 1 + next_random() % 8;

	n = CPT_MIN(n, *size - at);
	switch (next_random() % 5) {
	case 0:
		data[at] ^= (uint8_t)(1 << next_random() % 8);
		break;
	case 1:
		data[at] = (uint8_t)next_random();
		break;
	case 2:
		memset(data + at, next_random() % 2 ? 0xff : 0, n);
		break;
	case 3:			/* something from elsewhere */
		memmove(data + at, data + next_random() % (*size - n + 1), n);
		break;
	default:		/* a piece out of the middle */
		memmove(data + at, data + at + n, *size - at - n);
		*size -= n;
	}
}

static void rounds(const struct cpt_buf *b, unsigned n)
{
	while (n-- && b->len) {
		CPT_AUTO(mem) uint8_t *copy = cpt_malloc(b->len);
		size_t size = b->len;

		memcpy(copy, b->data, size);
		for (unsigned k = 1 + next_random() % 4; k-- && size;)
			change(copy, &size);
		LLVMFuzzerTestOneInput(copy, size);
	}
}

int main(int argc, char **argv)
{
	unsigned n = 0, files = 0;
	int first = 1;

	if (argc > 2 && !strcmp(argv[1], "-n")) {
		n = (unsigned)strtoul(argv[2], NULL, 10);
		first = 3;
	}
	for (int i = first; i < argc; i++) {
		CPT_AUTO(buf) struct cpt_buf b = { 0 };
		struct cpt_err err;
		size_t length = strlen(argv[i]);

		if (cpt_read_at(AT_FDCWD, argv[i], &b, &err)) {
			fprintf(stderr, "replay: %s\n", err.text);
			return 1;
		}
		if (length > 4 && !strcmp(argv[i] + length - 4, ".hex"))
			from_hex(&b);
		LLVMFuzzerTestOneInput((const uint8_t *)b.data, b.len);
		rounds(&b, n);
		files++;
	}
	printf("%u files, each as it is and changed in %u ways\n", files, n);
	return files ? 0 : 1;
}
