/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mem.c - memory that is there or the program is not; arenas */
#include "base/base.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

void *cpt_malloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		abort();
	return p;
}

void *cpt_calloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

void *cpt_realloc(void *old, size_t n, size_t size)
{
	void *p = reallocarray(old, n ? n : 1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

char *cpt_strdup(const char *s)
{
	size_t size = strlen(s) + 1;

	return memcpy(cpt_malloc(size), s, size);
}

/* ---- arenas ---------------------------------------------------------- */

#define BLOCK (64 * 1024 - 64)

struct cpt_arena_block {
	struct cpt_arena_block *next;
	size_t used, size;
	char data[] __attribute__((aligned(16)));
};

void *cpt_arena_alloc(struct cpt_arena *a, size_t size)
{
	struct cpt_arena_block *b = a->head;
	void *p;

	if (size > SIZE_MAX / 2)
		abort();
	size = (size + 15) & ~(size_t)15;
	if (!b || b->size - b->used < size) {
		size_t room = size > BLOCK / 4 ? size : BLOCK;

		b = cpt_calloc(1, sizeof(*b) + room);
		b->size = room;
		if (room == BLOCK || !a->head) {
			b->next = a->head;
			a->head = b;
		} else {		/* a large one: keep filling the head */
			b->next = a->head->next;
			a->head->next = b;
		}
	}
	p = b->data + b->used;
	b->used += size;
	return p;
}

void *cpt_arena_memdup(struct cpt_arena *a, const void *p, size_t size)
{
	void *copy = cpt_arena_alloc(a, size ? size : 1);

	if (size)
		memcpy(copy, p, size);
	return copy;
}

char *cpt_arena_strdup(struct cpt_arena *a, const char *s)
{
	return cpt_arena_memdup(a, s, strlen(s) + 1);
}

char *cpt_arena_printf(struct cpt_arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	p = cpt_arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void cpt_arena_free(struct cpt_arena *a)
{
	while (a->head) {
		struct cpt_arena_block *b = a->head;

		a->head = b->next;
		free(b);
	}
}

/* ---- scope guards ---------------------------------------------------- */

void cpt_auto_mem(void *p)
{
	free(*(void **)p);
}

void cpt_auto_file(void *f)
{
	if (*(FILE **)f)
		fclose(*(FILE **)f);
}

void cpt_auto_dir(void *d)
{
	if (*(DIR **)d)
		closedir(*(DIR **)d);
}

void cpt_auto_buf(struct cpt_buf *b)
{
	free(b->data);
}
