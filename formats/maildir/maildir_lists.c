/* Records of the lists that a listing is joined from. */
#include "maildir/maildir_lists.h"

#include <endian.h>
#include <string.h>

const char *const maildir_place[] = { "cur", "new" };

void
rec_put_u32(struct buf *b, uint32_t v)
{
	v = htobe32(v);
	buf_add(b, &v, sizeof v);
}

void
rec_put_u64(struct buf *b, uint64_t v)
{
	v = htobe64(v);
	buf_add(b, &v, sizeof v);
}

void
rec_put_str(struct buf *b, const char *p, size_t len)
{
	buf_add(b, p, len);
	buf_addc(b, '\0');
}

uint32_t
rec_get_u32(struct rec_reader *r)
{
	uint32_t v;

	if (r->left < sizeof v) {
		r->bad = true;
		return 0;
	}
	memcpy(&v, r->p, sizeof v);
	r->p += sizeof v;
	r->left -= sizeof v;
	return be32toh(v);
}

uint64_t
rec_get_u64(struct rec_reader *r)
{
	uint64_t high = rec_get_u32(r);

	return high << 32 | rec_get_u32(r);
}

unsigned char
rec_get_u8(struct rec_reader *r)
{
	if (r->left < 1) {
		r->bad = true;
		return 0;
	}
	r->left--;
	return *r->p++;
}

const char *
rec_get_str(struct rec_reader *r, size_t *len)
{
	const unsigned char *s = r->p;
	const unsigned char *nul = r->left > 0 ? memchr(s, 0, r->left) : NULL;

	if (nul == NULL) {
		r->bad = true;
		*len = 0;
		return "";
	}
	*len = (size_t)(nul - s);
	r->p = nul + 1;
	r->left -= *len + 1;
	return (const char *)s;
}

/* FNV-1a, folded once more: names differ mostly at their ends. */
static uint64_t
hash(const char *p, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; len > 0; len--, p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	return h ^ h >> 29;
}

uint64_t
lists_begin(struct lists *l, const char *base, size_t nbase)
{
	buf_reset(&l->rec);
	rec_put_str(&l->rec, base, nbase);
	return hash(base, nbase);
}

int
lists_end(struct lists *l, struct spill *s, uint64_t key, struct err *e)
{
	if (l->rec.full)
		return 0;	/* a UIDL of 60 kB: do without */
	return spill_put(s, key, l->rec.ptr, l->rec.len, e);
}
