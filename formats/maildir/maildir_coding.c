/*
 * How folder names are written on disk.
 *
 * Names on disk are modified UTF-7 (Dovecot, Courier before 5) or UTF-8
 * (Courier 5, Dovecot by setting).  What speaks for UTF-8: a byte >= 0x80, an
 * '&' that modified UTF-7 does not allow, a file of courierimaphieracl/ (there
 * names are modified UTF-7 always) that is the encoded form of a name.  A name
 * with a proper shift speaks for modified UTF-7 and outweighs the first two:
 * then one name that is none is taken as it is, and told.
 *
 * With listescape "\xx" (two hex digits) in a level is one byte.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mutf7.h"
#include "base/xmalloc.h"
#include "maildir/maildir_impl.h"

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* listescape undone in out from start on; left alone if it makes no UTF-8. */
static void
unescape(struct buf *out, size_t start)
{
	size_t i, n = 0, len = out->len - start;
	char *p = out->ptr + start, *plain;
	int h, l;

	if (len == 0 || memchr(p, '\\', len) == NULL)
		return;
	plain = xmalloc(len);
	for (i = 0; i < len; i++) {
		if (p[i] == '\\' && len - i >= 3 && (h = hex(p[i + 1])) != -1 &&
		    (l = hex(p[i + 2])) != -1 && h + l > 0) {
			plain[n++] = (char)(h << 4 | l);
			i += 2;
		} else
			plain[n++] = p[i];
	}
	if (n < len && utf8_valid(plain, n)) {
		memcpy(p, plain, n);
		out->len = start + n;
		out->ptr[out->len] = '\0';
	}
	free(plain);
}

bool
maildir_decode_level(const struct maildir *m, struct buf *out, const char *p,
    size_t len)
{
	size_t start = out->len, i;
	bool proper = true;

	if (m->utf8 || mutf7_decode(out, p, len) == -1) {
		proper = m->utf8 && utf8_valid(p, len);
		if (utf8_valid(p, len))
			buf_add(out, p, len);
		else
			for (i = 0; i < len; i++)
				if ((unsigned char)p[i] >= 0x80 || p[i] == '%')
					buf_addf(out, "%%%02X",
					    (unsigned char)p[i]);
				else
					buf_addc(out, p[i]);
	}
	if (m->escaped)
		unescape(out, start);
	return proper;
}

/* What one name says about the coding. */
struct evidence {
	bool	 utf8, mutf7;
};

static void
weigh(const char *raw, struct evidence *ev)
{
	struct buf out;
	size_t len = strlen(raw), i;

	for (i = 0; i < len; i++)
		if ((unsigned char)raw[i] >= 0x80) {
			ev->utf8 |= utf8_valid(raw, len);
			return;
		}
	if (strchr(raw, '&') == NULL)
		return;
	buf_init(&out, (size_t)64 * 1024);
	if (mutf7_decode(&out, raw, len) == -1)
		ev->utf8 = true;
	else
		ev->mutf7 = true;
	buf_release(&out);
}

/* Has courierimaphieracl/ the modified UTF-7 form of a name that lies on disk
 * in UTF-8? */
static bool
courier5(struct maildir *m)
{
	bool found = false;
	struct buf name;
	size_t i;
	int fd;

	fd = maildir_open_dir(m->rootfd, "courierimaphieracl");
	if (fd == -1)
		return false;
	buf_init(&name, NAME_MAX);
	for (i = 0; i < m->nfolders && !found; i++) {
		const char *raw = m->folders[i].raw;

		buf_reset(&name);
		buf_addc(&name, '.');
		if (mutf7_encode(&name, raw, strlen(raw)) == 0 &&
		    strcmp(name.ptr + 1, raw) != 0)
			found = maildir_exists(fd, name.ptr + 1) ||
			    maildir_exists(fd, name.ptr);
	}
	buf_release(&name);
	close(fd);
	return found;
}

void
maildir_choose_coding(struct maildir *m)
{
	struct evidence ev = { false, false };
	size_t i;

	m->utf8 = m->names == NAMES_UTF8;
	if (m->names == NAMES_AUTO) {
		for (i = 0; i < m->nfolders; i++)
			weigh(m->folders[i].raw, &ev);
		m->utf8 = courier5(m) || (ev.utf8 && !ev.mutf7);
	}
	m->escaped = m->escapes == TRI_YES;
	for (i = 0; i < m->nfolders && m->escapes == TRI_AUTO; i++)
		m->escaped |= strstr(m->folders[i].raw, "\\2e") != NULL;
}
