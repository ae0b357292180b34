/*
 * UID lists: UIDs ascend, names are usable as C strings in a directory,
 * uidnext lies above the last; what was read, written as version 3, reads as
 * the same.  The input also as courierpop3dsizelist.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "maildir/maildir_uidlist.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct buf	 text;		/* as version 3 */
	uint32_t	 last;
	bool		 cr;		/* a CR that would be taken for CRLF */
};

static int
on_rec(void *ctx, const struct uidlist_rec *r, struct err *e)
{
	struct seen *s = ctx;

	(void)e;
	assert(r->uid > s->last && r->uid < UINT32_MAX);
	assert(r->nbase > 0 && memchr(r->base, '/', r->nbase) == NULL &&
	    memchr(r->base, '\0', r->nbase) == NULL);
	s->last = r->uid;
	s->cr |= r->base[r->nbase - 1] == '\r';
	buf_addf(&s->text, "%u ", r->uid);
	if (r->guid != NULL) {
		assert(memchr(r->guid, ' ', r->nguid) == NULL);
		buf_addc(&s->text, 'G');
		buf_add(&s->text, r->guid, r->nguid);
		buf_addc(&s->text, ' ');
	}
	/* A base name as the UIDL may hold blanks. */
	if (r->uidl != NULL) {
		buf_addc(&s->text, 'P');
		if (r->uidl != r->base)
			buf_add(&s->text, r->uidl, r->nuidl);
		buf_addc(&s->text, ' ');
	}
	if (r->order != 0)
		buf_addf(&s->text, "O%u ", r->order);
	buf_addc(&s->text, ':');
	buf_add(&s->text, r->base, r->nbase);
	buf_addc(&s->text, '\n');
	return 0;
}

static void
on_warn(void *ctx, unsigned long line, const char *text)
{
	(void)ctx;
	assert(line > 0 && text[0] != '\0');
}

static int
read_list(const char *p, size_t size, struct uidlist_head *h, struct seen *s)
{
	struct maildir_lines l;
	struct err e;
	int rc;

	s->last = 0;
	s->cr = false;
	buf_init(&s->text, 4 * size + 1000);
	maildir_lines_mem(&l, p, size);
	rc = uidlist_read(&l, h, on_rec, on_warn, s, &e);
	maildir_lines_end(&l);
	assert(rc == 0 || rc == 1);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *line, *base = NULL;
	struct uidlist_head h, h2;
	struct maildir_lines l;
	struct seen a, b;
	struct buf text;
	size_t len, nbase = 0;
	unsigned version;

	if (read_list(p, size, &h, &a) == 1 && !a.text.full &&
	    !a.cr) {
		assert(h.uidvalidity != 0 && h.uidnext > a.last);
		buf_init(&text, a.text.len + 100);
		buf_addf(&text, "3 V%u N%u%s%s\n", h.uidvalidity, h.uidnext,
		    h.guid[0] != '\0' ? " G" : "", h.guid);
		buf_add(&text, a.text.ptr, a.text.len);
		assert(read_list(text.ptr, text.len, &h2, &b) == 1);
		assert(h2.uidvalidity == h.uidvalidity &&
		    h2.uidnext == h.uidnext && strcmp(h.guid, h2.guid) == 0);
		assert(b.text.len == a.text.len && (b.text.len == 0 ||
		    memcmp(a.text.ptr, b.text.ptr, b.text.len) == 0));
		buf_release(&b.text);
		buf_release(&text);
	}
	buf_release(&a.text);

	buf_init(&text, 4096);
	for (version = 0; version <= 3; version++) {
		maildir_lines_mem(&l, p, size);
		while (maildir_lines_next(&l, &line, &len) == 1) {
			buf_reset(&text);
			if (sizelist_rec_parse(&base, &nbase, &text, version,
			    line, len) == 1) {
				assert(base == line && nbase > 0 &&
				    nbase < len && text.len > 0);
				assert(memchr(base, '/', nbase) == NULL);
				assert(memchr(text.ptr, ' ', text.len) ==
				    NULL);
			}
		}
	}
	buf_release(&text);
	return 0;
}
