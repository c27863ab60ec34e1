/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* show_text.c - an image for people: a summary, then everything, indented */
#include "image/codec.h"
#include "image/fields.h"
#include "image/kinds.h"
#include "image/show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define BYTES_SHOWN 32			/* of a field of bytes */
#define VALUES_SHOWN 16			/* of a list of numbers */
#define STEP 2				/* columns */

/* ---- values ------------------------------------------------------------- */

static bool name_holds(const ProtobufCFieldDescriptor *f, const char *part)
{
	return strstr(f->name, part) != NULL;
}

static bool is_name(const ProtobufCFieldDescriptor *f, const char *name)
{
	return strcmp(f->name, name) == 0;
}

/* bits and addresses are read in hexadecimal */
static bool is_hex(const ProtobufCFieldDescriptor *f, uint64_t value)
{
	if (is_name(f, "flags") || is_name(f, "events") || name_holds(f, "mask"))
		return true;
	return value >> 32 && !name_holds(f, "_ns") && !name_holds(f, "size") &&
	       !name_holds(f, "position");
}

static void put_unsigned(FILE *to, const ProtobufCFieldDescriptor *f, uint64_t value)
{
	if (is_name(f, "mode") || is_name(f, "umask"))
		fprintf(to, "%#" PRIo64, value);
	else if (is_hex(f, value))
		fprintf(to, "%#" PRIx64, value);
	else
		fprintf(to, "%" PRIu64, value);
}

static void put_string(FILE *to, const char *s)
{
	CPT_AUTO(mem) char *clean = cpt_show_clean(s);

	fprintf(to, "\"%s\"", clean);
}

static void put_bytes(FILE *to, const ProtobufCBinaryData *b)
{
	CPT_AUTO(mem) char *hex = cpt_show_hex(b->data, b->len, BYTES_SHOWN);

	fprintf(to, "%zu bytes%s%s%s", b->len, b->len ? ": " : "", hex,
		b->len > BYTES_SHOWN ? "…" : "");
}

static void put_enum(FILE *to, const ProtobufCFieldDescriptor *f, int value)
{
	const char *name = cpt_enum_name(f, value);

	if (name)
		fputs(name, to);
	else
		fprintf(to, "%d", value);
}

static void put_value(FILE *to, const ProtobufCFieldDescriptor *f, const void *v)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		fprintf(to, "%" PRId32, *(const int32_t *)v);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		put_unsigned(to, f, *(const uint32_t *)v);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		fprintf(to, "%" PRId64, *(const int64_t *)v);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		put_unsigned(to, f, *(const uint64_t *)v);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		fprintf(to, "%g", (double)*(const float *)v);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		fprintf(to, "%g", *(const double *)v);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		fputs(*(const protobuf_c_boolean *)v ? "yes" : "no", to);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		put_enum(to, f, *(const int *)v);
		break;
	case PROTOBUF_C_TYPE_STRING:
		put_string(to, *(const char *const *)v);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		put_bytes(to, v);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:	/* has lines of its own */
	default:
		break;
	}
}

/* ---- messages ----------------------------------------------------------- */

static void put_line(struct cpt_sink out, unsigned column, const char *name, const char *value)
{
	cpt_show_line(out, "%*s%s: %s", (int)column, "", name, value);
}

static void show_values(struct cpt_sink out, unsigned column, const ProtobufCMessage *m,
			const ProtobufCFieldDescriptor *f)
{
	CPT_AUTO(mem) char *text = NULL;
	size_t n = cpt_field_count(m, f), size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		abort();
	for (size_t i = 0; i < CPT_MIN(n, (size_t)VALUES_SHOWN); i++) {
		if (i)
			fputc(' ', to);
		put_value(to, f, cpt_field_value(m, f, i));
	}
	if (n > VALUES_SHOWN)
		fprintf(to, " … (%zu in all)", n);
	fclose(to);
	put_line(out, column, f->name, text);
}

static void show_message(struct cpt_sink out, unsigned column, const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;

	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		size_t n = cpt_field_count(m, f);

		if (n && f->type != PROTOBUF_C_TYPE_MESSAGE)
			show_values(out, column, m, f);
		for (size_t k = 0; f->type == PROTOBUF_C_TYPE_MESSAGE && k < n; k++) {
			cpt_show_line(out, "%*s%s:", (int)column, "", f->name);
			show_message(out, column + STEP, cpt_field_message(m, f, k));
		}
	}
}

static int show_record(struct cpt_img *img, enum cpt_record type, size_t n, struct cpt_sink out,
		       struct cpt_err *err)
{
	struct cpt_arena arena = { 0 };
	const ProtobufCMessageDescriptor *d = cpt_kind_of(type);
	ProtobufCMessage *m;
	int rc = cpt_img_get(img, type, n, d, &arena, &m, err);

	if (!rc) {
		cpt_show_line(out, "%s", "");
		cpt_show_line(out, "%s:", d->short_name);
		show_message(out, STEP, m);
	}
	cpt_arena_free(&arena);
	return rc;
}

/* ---- summary ------------------------------------------------------------ */

static void put_size(char *to, size_t room, uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	unsigned unit = 0;

	while (value >= 1024 && unit + 1 < CPT_COUNT(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(to, room, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static void put_time(char *to, size_t room, uint64_t ns)
{
	time_t s = (time_t)(ns / 1000000000u);
	struct tm tm;

	if (!gmtime_r(&s, &tm) || !strftime(to, room, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(to, room, "at an unknown time");
}

static const char *or_unknown(const char *s)
{
	return s ? s : "?";
}

static void summary_of_origin(const Cpt__Header *h, struct cpt_sink out)
{
	CPT_AUTO(mem) char *host = cpt_show_clean(or_unknown(h->host));
	CPT_AUTO(mem) char *kernel = cpt_show_clean(or_unknown(h->kernel));
	CPT_AUTO(mem) char *arch = cpt_show_clean(or_unknown(h->arch));
	CPT_AUTO(mem) char *program = cpt_show_clean(or_unknown(h->program));
	CPT_AUTO(mem) char *group = cpt_show_clean(or_unknown(h->group));
	char when[64];

	put_time(when, sizeof(when), h->created_ns);
	cpt_show_line(out, "made    %s by cptool %s", when, program);
	cpt_show_line(out, "host    %s, Linux %s, %s", host, kernel, arch);
	cpt_show_line(out, "group   %s (freezer v%u%s)", group, h->freezer,
		      h->was_frozen ? ", was frozen" : "");
}

static int count_threads(struct cpt_img *img, size_t *ret, struct cpt_err *err)
{
	*ret = 0;
	for (size_t i = 0; i < cpt_img_count(img, CPT_REC_TASK); i++) {
		struct cpt_arena arena = { 0 };
		Cpt__Task *t;
		int rc = cpt_img_get(img, CPT_REC_TASK, i, &cpt__task__descriptor, &arena, &t, err);

		if (!rc)
			*ret += t->n_threads;
		cpt_arena_free(&arena);
		if (rc)
			return -1;
	}
	return 0;
}

static void summary_of_packed(const struct cpt_img *img, struct cpt_sink out)
{
	uint64_t plain = img->packed_slots * CPT_PAGE;
	char from[32], to[32];

	if (!img->packed_slots)
		return;
	put_size(from, sizeof(from), plain);
	put_size(to, sizeof(to), img->packed_bytes);
	cpt_show_line(out, "packed  %s of them by %s to %s (%.2f to 1)", from, cpt_codec_name(img->codec), to,
		      (double)plain / (double)img->packed_bytes);
}

static int summary(struct cpt_img *img, struct cpt_sink out, struct cpt_err *err)
{
	struct cpt_arena arena = { 0 };
	CPT_AUTO(mem) char *id = cpt_show_hex(img->preamble.id, CPT_IMG_ID, CPT_IMG_ID);
	char size[32], pages[32];
	size_t threads;
	Cpt__Header *h;

	if (count_threads(img, &threads, err) ||
	    cpt_img_get(img, CPT_REC_HEADER, 0, &cpt__header__descriptor, &arena, &h, err)) {
		cpt_arena_free(&arena);
		return -1;
	}
	put_size(size, sizeof(size), img->size);
	put_size(pages, sizeof(pages), img->slots * CPT_PAGE);
	cpt_show_line(out, "image   %s", id);
	summary_of_origin(h, out);
	cpt_show_line(out, "holds   %zu processes, %zu threads, %zu address spaces, %zu objects, %zu groups",
		      cpt_img_count(img, CPT_REC_TASK), threads, cpt_img_count(img, CPT_REC_MM),
		      cpt_img_count(img, CPT_REC_OBJECT), cpt_img_count(img, CPT_REC_CGROUP));
	cpt_show_line(out, "pages   %" PRIu64 " (%s)", img->slots, pages);
	summary_of_packed(img, out);
	cpt_show_line(out, "size    %" PRIu64 " bytes (%s) in %zu records", img->size, size,
		      img->nrecords);
	cpt_arena_free(&arena);
	return 0;
}

int cpt_show_text(struct cpt_img *img, struct cpt_sink out, struct cpt_err *err)
{
	if (summary(img, out, err))
		return -1;
	for (enum cpt_record type = CPT_REC_HEADER; cpt_kind_of(type); type++)
		for (size_t i = 0; i < cpt_img_count(img, type); i++)
			if (show_record(img, type, i, out, err))
				return -1;
	for (size_t i = 0; i < cpt_img_count(img, CPT_REC_BLOB); i++) {
		const struct cpt_disk_record *r = &img->records[img->by_type[CPT_REC_BLOB].at[i]].header;

		cpt_show_line(out, "%s", "");
		cpt_show_line(out, "Blob: %" PRIu64 ", %" PRIu64 " bytes", r->key, r->length);
	}
	return 0;
}
