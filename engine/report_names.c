/* Mailbox names before and after. */
#include "report_names.h"

#include <string.h>
#include <strings.h>

#include "base/mutf7.h"
#include "text.h"

void
report_name(struct buf *out, const char *name, const char *target)
{
	buf_reset(out);
	/* All targets but this one spell names as IMAP does. */
	if (strncmp(target, "null:", 5) != 0 &&
	    mutf7_decode(out, name, strlen(name)) == 0)
		return;
	buf_reset(out);
	buf_adds(out, name);
}

bool
report_same_name(const char *old, const char *fresh)
{
	static const char separators[] = "/.\\";

	if (strcmp(old, fresh) == 0)
		return true;
	for (const char *sep = separators; *sep != '\0'; sep++) {
		const char *a = old, *b = fresh;

		if (strncasecmp(b, "INBOX", 5) == 0 && b[5] == *sep &&
		    strncasecmp(a, "INBOX/", 6) != 0)
			b += 6;
		while (*a != '\0' && (*a == *b || (*a == '/' && *b == *sep))) {
			a++;
			b++;
		}
		if (*a == '\0' && *b == '\0')
			return true;
	}
	return strcasecmp(old, "INBOX") == 0 && strcasecmp(fresh, "INBOX") == 0;
}

static void
put_row(FILE *out, enum format format, sqlite3_stmt *st, const char *fresh)
{
	const char *old = db_text(st, 2);
	bool same = report_same_name(old, fresh);

	if (format == FORMAT_CSV) {
		text_csv(out, db_text(st, 0), ',');
		text_csv(out, db_text(st, 1), ',');
		text_csv(out, old, ',');
		text_csv(out, fresh, ',');
		text_csv(out, same ? "no" : "yes", '\n');
	} else if (!same) {
		text_show(out, db_text(st, 0));
		fputs(": ", out);
		text_show(out, old);
		fputs(" -> ", out);
		text_show(out, fresh);
		putc('\n', out);
	}
}

int
report_names(struct db *db, FILE *out, enum format format,
    bool (*wanted)(const void *, const char *), const void *ctx,
    struct err *e)
{
	sqlite3_stmt *st;
	struct buf fresh;
	int rc;

	st = db_query(db, e, "SELECT account.name, ifnull(target_user, ''),"
	    " src_name, tgt_name, ifnull(account.target, '') FROM mailbox JOIN"
	    " account ON account.id = account_id WHERE tgt_name <> '' AND"
	    " mailbox.outcome <> 'gone' ORDER BY account.name, mailbox.id",
	    "");
	if (st == NULL)
		return -1;
	buf_init(&fresh, 1 << 16);
	if (format == FORMAT_CSV)
		fputs("\"account\",\"target_user\",\"old_name\",\"new_name\","
		    "\"changed\"\r\n", out);
	while ((rc = db_step(db, st, e)) == 1) {
		if (wanted != NULL && !wanted(ctx, db_text(st, 0)))
			continue;
		report_name(&fresh, db_text(st, 3), db_text(st, 4));
		put_row(out, format, st, fresh.ptr);
	}
	buf_release(&fresh);
	db_done(st);
	return rc;
}
