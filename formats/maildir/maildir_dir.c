/* The directory of a mailbox of a Dovecot Maildir, by its name. */
#include "maildir/maildir_dir.h"

#include <string.h>

void
maildir_dir(struct buf *out, bool fs, char sep, const char *name)
{
	if (strcmp(name, "INBOX") == 0) {
		buf_addc(out, '.');
		return;
	}
	if (!fs)
		buf_addc(out, '.');
	for (; *name != '\0'; name++)
		buf_addc(out, *name != sep ? *name : fs ? '/' : '.');
}

char
maildir_separator(struct uri *u, bool fs, struct err *e)
{
	const char *sep = uri_opt(u, "separator");

	if (sep == NULL)
		return fs ? '/' : '.';
	if (strcmp(sep, ".") == 0 || strcmp(sep, "/") == 0)
		return *sep;
	err_set(e, ERR_RUN, "separator=%s: must be . or /", sep);
	return '\0';
}
