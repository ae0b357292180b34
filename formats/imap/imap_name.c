/* Mailbox names: a path of UTF-8 levels to what a server can hold, and back.
 * The rules are in the header. */
#include "imap/imap_name.h"

#include <string.h>
#include <strings.h>

#include "base/mutf7.h"

#define NAME_MAX_BYTES 4000	/* no server holds more */

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

static int
hex_value(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* Bytes of the UTF-8 sequence at p, 0 when it is none. */
static size_t
sequence(const char *p)
{
	size_t n = (unsigned char)*p < 0x80 ? 1 : (unsigned char)*p < 0xe0 ? 2 :
	    (unsigned char)*p < 0xf0 ? 3 : 4;

	return strnlen(p, n) == n && utf8_valid(p, n) ? n : 0;
}

static bool
refused_ascii(const struct imap_name_rules *r, char c)
{
	if ((unsigned char)c < 0x20 || c == 0x7f || c == '/' || c == r->sep)
		return true;
	switch (r->dialect) {
	case IMAP_DOVECOT:
		return c == '.' && r->no_dot;
	case IMAP_CYRUS:
		return strchr("!\"%;<>\\^`{|}", c) != NULL ||
		    (r->old_cyrus && strchr("()*?[]", c) != NULL);
	case IMAP_COURIER:
	case IMAP_OTHER:
	default:
		return strchr("\"%*\\", c) != NULL;
	}
}

static bool
first_level_taken(const struct imap_name_rules *r, const char *level)
{
	if (r->others == NULL || r->prefix[0] != '\0')
		return false;
	for (size_t i = 0; i < r->others->n; i++) {
		const char *o = r->others->w[i];
		const char *end = r->sep != '\0' ? strchr(o, r->sep) : NULL;
		size_t n = end != NULL ? (size_t)(end - o) : strlen(o);

		if (strlen(level) == n && strncasecmp(o, level, n) == 0)
			return true;
	}
	return false;
}

static bool
starts(const char *s, const char *what)
{
	return strncmp(s, what, strlen(what)) == 0;
}

/* Must the first byte of this level be escaped, because of the whole? */
static bool
escape_first(const struct imap_name_rules *r, const char *level, size_t i,
    bool below_inbox)
{
	/* {"INBOX"} itself does not come here. */
	if (strcasecmp(level, "INBOX") == 0 && (i == 0 || (i == 1 &&
	    below_inbox)))
		return true;
	if (i == 0 && first_level_taken(r, level))
		return true;
	switch (r->dialect) {
	case IMAP_DOVECOT:
		if (strcmp(level, ".") == 0 || strcmp(level, "..") == 0)
			return true;
		if (level[0] == '~' && i == 0 && r->no_tilde)
			return true;
		if (r->no_dbox && strcmp(level, "dbox-Mails") == 0)
			return true;
		return r->no_maildir && (strcmp(level, "cur") == 0 ||
		    strcmp(level, "new") == 0 || strcmp(level, "tmp") == 0 ||
		    starts(level, "dovecot.index") ||
		    starts(level, "dovecot-keywords") ||
		    starts(level, "dovecot-uidlist") || (i == 0 && (starts(level, "dovecot") ||
		    strcmp(level, "subscriptions") == 0 ||
		    strcmp(level, "maildirfolder") == 0 ||
		    strcmp(level, "maildirsize") == 0)));
	case IMAP_CYRUS:
		return i == 0 && (level[0] == '~' || level[0] == '$');
	case IMAP_COURIER:
	case IMAP_OTHER:
	default:
		return level[0] == '~' || level[0] == '#' || level[0] == '&' ||
		    strcmp(level, ".") == 0 || strcmp(level, "..") == 0;
	}
}

static void
escape(struct buf *out, char c)
{
	buf_addf(out, "=%02X", (unsigned)(unsigned char)c);
}

/* Appends a level with its escapes, still in UTF-8. */
static void
add_level(const struct imap_name_rules *r, struct buf *out, const char *level,
    size_t i, bool below_inbox, bool *encoded)
{
	bool first = escape_first(r, level, i, below_inbox);

	if (level[0] == '\0') {
		buf_adds(out, "=00");
		*encoded = true;
		return;
	}
	for (const char *p = level; *p != '\0';) {
		size_t n = sequence(p);
		bool bad = n == 0 || (p == level && first);

		if (n == 1)
			bad |= refused_ascii(r, *p) || (*p == '=' &&
			    is_hex(p[1]) && is_hex(p[2]));
		else if (n == 2 && (unsigned char)p[0] == 0xc2 &&
		    (unsigned char)p[1] < 0xa0)
			bad = true;	/* a C1 control */
		if (!bad)
			buf_add(out, p, n);
		else {
			*encoded = true;
			for (size_t k = 0; k < (n == 0 ? 1 : n); k++)
				escape(out, p[k]);
		}
		p += n == 0 ? 1 : n;
	}
}

int
imap_name_make(const struct imap_name_rules *r, struct buf *out,
    const char *const *path, size_t npath, bool *encoded)
{
	struct buf utf8;
	bool inbox = strcmp(path[0], "INBOX") == 0;
	int rc = 0;

	*encoded = false;
	if (npath > 1 && r->sep == '\0')
		return -1;
	buf_init(&utf8, NAME_MAX_BYTES);
	if (inbox && npath == 1) {
		buf_release(&utf8);
		return buf_adds(out, r->root != NULL ? r->root : "INBOX");
	}
	buf_adds(out, r->prefix);
	for (size_t i = 0; i < npath && rc == 0; i++) {
		buf_reset(&utf8);
		if (i == 0 && inbox)
			buf_adds(&utf8, "INBOX");
		else
			add_level(r, &utf8, path[i], i, inbox, encoded);
		if (i > 0)
			buf_addc(out, r->sep);
		if (utf8.full || mutf7_encode(out, utf8.ptr, utf8.len) == -1)
			rc = -1;
	}
	buf_release(&utf8);
	return rc == -1 || out->full || out->len > NAME_MAX_BYTES ? -1 : 0;
}

/* The bytes of an escaped level, NUL behind them. */
static int
undo_level(struct buf *out, const char *p, size_t len)
{
	if (len == 3 && memcmp(p, "=00", 3) == 0)
		return buf_addc(out, '\0');
	for (size_t i = 0; i < len; i++) {
		char c = p[i];

		if (c == '=' && len - i > 2 && is_hex(p[i + 1]) &&
		    is_hex(p[i + 2])) {
			c = (char)(hex_value(p[i + 1]) << 4 |
			    hex_value(p[i + 2]));
			i += 2;
		}
		if (c == '\0')
			return -1;
		buf_addc(out, c);
	}
	return buf_addc(out, '\0');
}

int
imap_name_undo(const struct imap_name_rules *r, const char *name,
    struct buf *out, size_t *npath)
{
	size_t start = out->len, plen = strlen(r->prefix);
	const char *path[256], *p = name;
	struct buf level, again;
	bool encoded;
	int rc = -1;

	*npath = 0;
	if (strcmp(name, r->root != NULL ? r->root : "INBOX") == 0) {
		*npath = 1;
		buf_adds(out, "INBOX");
		return buf_addc(out, '\0');
	}
	if (strncmp(p, r->prefix, plen) != 0)
		return -1;
	p += plen;
	buf_init(&level, NAME_MAX_BYTES);
	buf_init(&again, 2 * NAME_MAX_BYTES);
	for (;;) {
		const char *end = r->sep != '\0' ? strchr(p, r->sep) : NULL;
		size_t n = end != NULL ? (size_t)(end - p) : strlen(p);

		buf_reset(&level);
		if (*npath == 255 || mutf7_decode(&level, p, n) == -1 ||
		    undo_level(out, level.ptr, level.len) == -1)
			goto out;
		(*npath)++;
		if (end == NULL)
			break;
		p = end + 1;
	}
	/* Only what we would write ourselves. */
	p = out->ptr + start;
	for (size_t i = 0; i < *npath; i++) {
		path[i] = p;
		p += strlen(p) + 1;
	}
	if (imap_name_make(r, &again, path, *npath, &encoded) == 0 &&
	    strcmp(again.ptr, name) == 0)
		rc = 0;
out:
	buf_release(&level);
	buf_release(&again);
	if (rc == -1)
		*npath = 0;
	return rc;
}

void
imap_name_read(const struct imap_name_rules *r, struct arena *a,
    const char *name, const char *const **pathp, size_t *npath, bool *raw)
{
	size_t n = 1, plen = strlen(r->prefix);
	const char **path, *p = name;
	struct buf level;

	*raw = false;
	if (r->root != NULL && strcmp(name, r->root) == 0) {
		path = arena_alloc(a, sizeof *path);
		path[0] = "INBOX";
		*pathp = path;
		*npath = 1;
		return;
	}
	if (plen > 0 && strncmp(p, r->prefix, plen) == 0 && p[plen] != '\0')
		p += plen;
	for (const char *q = p; *q != '\0'; q++)
		if (r->sep != '\0' && *q == r->sep)
			n++;
	path = arena_alloc(a, n * sizeof *path);
	*npath = n;
	buf_init(&level, 1 << 16);
	for (size_t i = 0; i < n; i++) {
		const char *end = r->sep != '\0' ? strchr(p, r->sep) : NULL;
		size_t len = end != NULL ? (size_t)(end - p) : strlen(p);

		buf_reset(&level);
		if (mutf7_decode(&level, p, len) == -1) {
			/* UTF-8 from a server that speaks it, or nonsense. */
			*raw = true;
			path[i] = arena_memdup0(a, p, len);
		} else
			path[i] = arena_memdup0(a, level.ptr, level.len);
		if (i == 0 && len == 5 && strcasecmp(path[i], "INBOX") == 0 &&
		    p == name)
			path[i] = "INBOX";
		p += len + 1;
	}
	buf_release(&level);
	*pathp = path;
}
