/* Names of mailboxes in a Dovecot Maildir. */
#include "dovecot/dovecot_name.h"

#include <limits.h>
#include <string.h>

#include "imap/imap_name.h"

/* Dovecot makes directories with longer names of its own beside them, and
 * refuses a level of more. */
#define DIR_MAX	(NAME_MAX - 1)

/* A level as listescape stores it. */
static void
add_escaped(struct buf *out, const char *p, size_t len, bool fs)
{
	for (size_t i = 0; i < len; i++) {
		bool bad = p[i] == '\\' || (p[i] == '~' && i == 0) ||
		    (p[i] == '.' && !fs);

		if (bad)
			buf_addf(out, "\\%02x", (unsigned char)p[i]);
		else
			buf_addc(out, p[i]);
	}
}

/* Is there a level that is longer than a name may be? */
static bool
too_long(const struct dovecot_names *n, const char *name)
{
	size_t len, longest = 0;

	if (!n->fs)
		return strlen(name) + 1 > DIR_MAX;
	for (; *name != '\0'; name += len + (name[len] != '\0')) {
		len = strcspn(name, n->sep == '.' ? "." : "/");
		if (len > longest)
			longest = len;
	}
	return longest > DIR_MAX;
}

int
dovecot_name_make(const struct dovecot_names *n, struct buf *out,
    const char *const *path, size_t npath, bool *encoded, struct err *e)
{
	const struct imap_name_rules rules = {
		.dialect = IMAP_DOVECOT, .sep = '/', .prefix = "",
		.no_dot = !n->escape && (!n->fs || n->sep == '.'),
		.no_tilde = !n->escape, .no_maildir = n->fs,
	};
	size_t start = out->len, len;
	struct buf plain;
	const char *p;
	int rc;

	/* imap_name_make() refuses "/" in a level under any separator, so it
	 * can stand for ours. */
	buf_init(&plain, 8192);
	rc = imap_name_make(&rules, &plain, path, npath, encoded);
	for (p = plain.ptr; rc == 0 && *p != '\0';
	    p += len + (p[len] != '\0')) {
		len = strcspn(p, "/");
		if (p != plain.ptr)
			buf_addc(out, n->sep);
		if (n->escape)
			add_escaped(out, p, len, n->fs && n->sep != '.');
		else
			buf_add(out, p, len);
	}
	buf_release(&plain);
	if (rc == -1 || out->full || too_long(n, out->ptr + start))
		return err_set(e, ERR_MAILBOX, "its name is too long for a "
		    "Maildir on this file system");
	return 0;
}
