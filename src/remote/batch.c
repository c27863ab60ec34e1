/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* batch.c - batches being built: calls, their data, references between them */
#include "remote/remote.h"

#include <stdlib.h>

void cpt_batch_reset(struct cpt_batch *b)
{
	b->ncalls = 0;
	b->ndata = 0;
	b->npointers = 0;
}

void cpt_batch_free(struct cpt_batch *b)
{
	free(b->calls);
	free(b->names);
	free(b->kinds);
	free(b->data);
	free(b->pointers);
	memset(b, 0, sizeof(*b));
}

size_t cpt_batch_data(struct cpt_batch *b, const void *from, size_t size)
{
	size_t at = (b->ndata + 15) & ~(size_t)15, end = at + size;

	if (end >= b->cap_data) {
		b->cap_data = CPT_MAX(2 * b->cap_data, end + 4096);
		b->data = cpt_realloc(b->data, b->cap_data, 1);
	}
	memset(b->data + b->ndata, 0, at - b->ndata);
	if (from)
		memcpy(b->data + at, from, size);
	else
		memset(b->data + at, 0, size);
	b->ndata = end;
	return at;
}

size_t cpt_batch_string(struct cpt_batch *b, const char *s)
{
	return cpt_batch_data(b, s, strlen(s) + 1);
}

void cpt_batch_pointer(struct cpt_batch *b, size_t at, size_t to)
{
	CPT_GROW(b->pointers, b->npointers, b->cap_pointers);
	b->pointers[b->npointers++] = (struct cpt_pointer){ at, to };
}

size_t cpt_batch_call(struct cpt_batch *b, const char *name, uint32_t nr, bool may_fail,
		      const struct cpt_arg *args, unsigned nargs)
{
	struct cpt_call *c;
	uint32_t kinds = 0;

	CPT_GROW(b->names, b->ncalls, b->cap_names);
	CPT_GROW(b->kinds, b->ncalls, b->cap_kinds);
	CPT_GROW(b->calls, b->ncalls, b->cap);
	c = &b->calls[b->ncalls];
	*c = (struct cpt_call){ .nr = nr, .flags = may_fail, .ret = CPT_CALL_NOT_RUN };
	for (unsigned i = 0; i < nargs; i++) {
		c->arg[i] = args[i].value;
		kinds |= (uint32_t)args[i].kind << (4 * i);
	}
	b->names[b->ncalls] = name;
	b->kinds[b->ncalls] = kinds;
	return b->ncalls++;
}
