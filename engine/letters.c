/* Letters to users. */
#include "letters.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "report_impl.h"
#include "report_names.h"
#include "text.h"

#define NAME_BYTES	180	/* of a file's name; a longer one has an id */

/* What the letter of an account is about. */
struct letter {
	struct db *db;
	FILE	*out;
	int64_t	 id;
	const char *name, *user, *target, *outcome;
	int64_t	 messages, mailboxes, missing, new_uids, left;
};

static void
file_name(struct buf *out, const char *account, int64_t id)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@+-_.";

	for (const char *p = account; *p != '\0' && out->len < NAME_BYTES; p++)
		if (strchr(plain, *p) != NULL && (*p != '.' || out->len > 0))
			buf_addc(out, *p);
		else
			buf_addf(out, "%%%02X", (unsigned char)*p);
	if (out->len >= NAME_BYTES)
		buf_addf(out, "-%" PRId64, id);
	buf_adds(out, ".txt");
}

/* The host that a program has to be told, "" when the URI has none. */
static void
put_host(FILE *out, const char *target)
{
	struct arena a;
	const char *host, *text;

	arena_init(&a);
	if ((host = strstr(target, "://")) != NULL) {
		host += 3;
		text = arena_memdup0(&a, host, strcspn(host, "/?"));
		while (strchr(text, '@') != NULL)
			text = strchr(text, '@') + 1;
		fputs(" on ", out);
		text_show(out, text);
	}
	arena_release(&a);
}

static void
put_head(struct letter *l)
{
	FILE *out = l->out;

	fputs("Your mailbox has moved\n======================\n\nAccount: ",
	    out);
	text_show(out, l->name);
	fputs("\nNew:     ", out);
	text_show(out, *l->user != '\0' ? l->user : l->name);
	put_host(out, l->target);
	fprintf(out, "\n\n%" PRId64 " messages in %" PRId64 " mailboxes are at "
	    "the new server.\n", l->messages, l->mailboxes);
	if (strcmp(l->outcome, "done") != 0)
		fputs("The move is not complete yet: more will come.\n", out);
	else if (l->missing == 0)
		fputs("Nothing is missing.\n", out);
	else
		fprintf(out, "%" PRId64 " messages could not be moved, see "
		    "below; they are still in the old mailbox.\n", l->missing);
}

static int
put_renamed(struct letter *l, struct err *e)
{
	sqlite3_stmt *st;
	struct buf shown;
	bool any = false;
	int rc;

	st = db_query(l->db, e, "SELECT src_name, tgt_name FROM mailbox WHERE"
	    " account_id = ?1 AND outcome <> 'gone' AND tgt_name <> '' ORDER"
	    " BY src_name", "i", l->id);
	if (st == NULL)
		return -1;
	buf_init(&shown, (size_t)1 << 20);
	while ((rc = db_step(l->db, st, e)) == 1) {
		report_name(&shown, db_text(st, 1), l->target);
		if (report_same_name(db_text(st, 0), shown.ptr))
			continue;
		if (!any)
			fputs("\nMailboxes with a new name\n"
			    "-------------------------\n\n", l->out);
		any = true;
		fputs("  ", l->out);
		text_show(l->out, db_text(st, 0));
		fputs("\n    is now  ", l->out);
		text_show(l->out, shown.ptr);
		putc('\n', l->out);
	}
	buf_release(&shown);
	db_done(st);
	return rc;
}

static int
put_missing(struct letter *l, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(l->db, e, "SELECT src_name, ifnull(subject, ''),"
	    " ifnull(issue.size, -1), ifnull(reason, ''), ifnull(message_where,"
	    " '') FROM issue JOIN message ON message.mailbox_id ="
	    " issue.mailbox_id AND message.key = issue.key JOIN mailbox ON"
	    " mailbox.id = issue.mailbox_id WHERE issue.account_id = ?1 AND"
	    " kind IN ('refused', 'failed') AND message.outcome IN (4, 5)"
	    " ORDER BY src_name, issue.id", "i", l->id);
	if (st == NULL)
		return -1;
	if (l->missing > 0)
		fputs("\nMessages that were not moved\n"
		    "----------------------------\n\n", l->out);
	while ((rc = db_step(l->db, st, e)) == 1) {
		const char *subject = db_text(st, 1);
		int64_t size = sqlite3_column_int64(st, 2);
		char bytes[24];
		bool cut;
		size_t n = report_cut(subject, 200, &cut);

		fputs("  In ", l->out);
		text_show(l->out, db_text(st, 0));
		if (n > 0) {
			struct buf s;

			buf_init(&s, 1024);
			buf_add(&s, subject, n);
			fputs(": \"", l->out);
			text_show(l->out, s.ptr);
			fputs(cut ? "...\"" : "\"", l->out);
			buf_release(&s);
		} else {
			fputs(": ", l->out);
			text_show(l->out, db_text(st, 4));
		}
		if (size >= 0)
			fprintf(l->out, ", %s", report_bytes(bytes,
			    sizeof bytes, size));
		fputs("\n    ", l->out);
		text_show(l->out, db_text(st, 3));
		putc('\n', l->out);
	}
	db_done(st);
	return rc;
}

static void
put_advice(struct letter *l)
{
	FILE *out = l->out;

	fputs("\nWhat to do in your mail program\n"
	    "-------------------------------\n\n", out);
	if (l->new_uids > 0)
		fputs("  - It will download your mail once more, as the new "
		    "server numbers it anew.\n    Let it do that where the "
		    "line is fast.  If it shows messages twice or not\n    at "
		    "all, remove the account from the program and add it "
		    "again.\n", out);
	else
		fputs("  - Messages have kept their numbers: it should go on "
		    "as before, without\n    downloading your mail again.\n",
		    out);
	fputs("  - If a mailbox does not show, update the list of mailboxes "
	    "there, or\n    subscribe to it.\n", out);
	if (l->left > 0)
		fputs("  - Rules, forwards or addresses that the old server "
		    "kept for you have not\n    moved: ask your administrator, "
		    "or set them up anew.\n", out);
	if (l->missing > 0)
		fputs("  - If you need one of the messages above, ask your "
		    "administrator soon: it is\n    still at the old "
		    "server.\n", out);
}

static int
put_letter(struct letter *l, struct err *e)
{
	if (db_number(l->db, e, &l->missing, 0, "SELECT ifnull(sum(refused +"
	    " failed), 0) FROM mailbox WHERE account_id = ?1 AND outcome <>"
	    " 'gone'", "i", l->id) == -1 ||
	    db_number(l->db, e, &l->messages, 0, "SELECT ifnull(sum(copied +"
	    " present), 0) FROM mailbox WHERE account_id = ?1 AND outcome <>"
	    " 'gone'", "i", l->id) == -1 ||
	    db_number(l->db, e, &l->mailboxes, 0, "SELECT count(*) FROM"
	    " mailbox WHERE account_id = ?1 AND outcome NOT IN ('gone',"
	    " 'excluded')", "i", l->id) == -1 ||
	    db_number(l->db, e, &l->new_uids, 0, "SELECT count(*) FROM mailbox"
	    " WHERE account_id = ?1 AND outcome <> 'gone' AND"
	    " ifnull(src_uidvalidity, 0) <> ifnull(tgt_uidvalidity, 0)", "i",
	    l->id) == -1 ||
	    db_number(l->db, e, &l->left, 0, "SELECT count(*) FROM issue WHERE"
	    " account_id = ?1 AND kind = 'warn' AND reason LIKE '%not carried"
	    " over%'", "i", l->id) == -1)
		return -1;
	put_head(l);
	if (put_renamed(l, e) == -1 || put_missing(l, e) == -1)
		return -1;
	put_advice(l);
	return 0;
}

/* Under another name first: what reads it meets a whole letter. */
static int
write_letter(struct letter *l, int dir, struct err *e)
{
	struct buf name, temporary;
	int fd, rc = -1;

	buf_init(&name, 1024);
	buf_init(&temporary, 1024);
	file_name(&name, l->name, l->id);
	buf_addf(&temporary, ".letter-%ld", (long)getpid());
	unlinkat(dir, temporary.ptr, 0);	/* of one that was killed */
	fd = openat(dir, temporary.ptr, O_WRONLY | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1 || (l->out = fdopen(fd, "w")) == NULL) {
		err_sys(e, ERR_ACCOUNT, "%s", temporary.ptr);
		if (fd != -1) {
			unlinkat(dir, temporary.ptr, 0);
			close(fd);
		}
		goto out;
	}
	rc = put_letter(l, e);
	if ((ferror(l->out) != 0) | (fclose(l->out) != 0) && rc == 0)
		rc = err_sys(e, ERR_ACCOUNT, "%s", temporary.ptr);
	if (rc == 0 && renameat(dir, temporary.ptr, dir, name.ptr) == -1)
		rc = err_sys(e, ERR_ACCOUNT, "%s", name.ptr);
	if (rc == -1)
		unlinkat(dir, temporary.ptr, 0);
out:
	buf_release(&name);
	buf_release(&temporary);
	return rc;
}

int
letters_write(struct db *db, const char *path, size_t *n, struct err *e)
{
	sqlite3_stmt *st;
	int dir, rc;

	*n = 0;
	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		return err_sys(e, ERR_ACCOUNT, "%s", path);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir == -1)
		return err_sys(e, ERR_ACCOUNT, "%s", path);
	st = db_query(db, e, "SELECT id, name, ifnull(target_user, ''),"
	    " ifnull(target, ''), outcome FROM account ORDER BY name", "");
	if (st == NULL) {
		close(dir);
		return -1;
	}
	while ((rc = db_step(db, st, e)) == 1) {
		struct letter l = { .db = db,
		    .id = sqlite3_column_int64(st, 0), .name = db_text(st, 1),
		    .user = db_text(st, 2), .target = db_text(st, 3),
		    .outcome = db_text(st, 4) };

		if (write_letter(&l, dir, e) == -1) {
			err_ctx(e, "%s", path);
			rc = -1;
			break;
		}
		(*n)++;
	}
	db_done(st);
	close(dir);
	return rc;
}
