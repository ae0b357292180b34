/* The report of one account, in plain words. */
#include "report_account.h"

#include <inttypes.h>
#include <string.h>

#include "report_impl.h"
#include "report_names.h"
#include "text.h"

struct facts {
	int64_t	 id, source, counts[OUTCOMES], mailboxes, left_out;
	char	 outcome[32], error[600], stage[32], source_uri[1000],
		 target_uri[1000];
	bool	 repaired;	/* --repair was in force at the refusals */
};

static int
read_facts(struct db *db, const char *name, struct facts *f, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	memset(f, 0, sizeof *f);
	st = db_query(db, e, "SELECT account.id, account.outcome,"
	    " ifnull(account.error, ''), stage, ifnull(account.source, ''),"
	    " ifnull(account.target, ''), sum(m.source), sum(m.copied),"
	    " sum(m.present), sum(m.excluded), sum(m.refused), sum(m.failed),"
	    " sum(m.vanished), count(m.id), sum(m.outcome IN ('failed',"
	    " 'unreadable')) FROM account LEFT JOIN mailbox AS m ON"
	    " m.account_id = account.id AND m.outcome <> 'gone' WHERE"
	    " account.name = ?1 GROUP BY account.id", "s", name);
	if (st == NULL)
		return -1;
	if ((rc = db_step(db, st, e)) == 1) {
		f->id = sqlite3_column_int64(st, 0);
		snprintf(f->outcome, sizeof f->outcome, "%s", db_text(st, 1));
		snprintf(f->error, sizeof f->error, "%s", db_text(st, 2));
		snprintf(f->stage, sizeof f->stage, "%s", db_text(st, 3));
		snprintf(f->source_uri, sizeof f->source_uri, "%s",
		    db_text(st, 4));
		snprintf(f->target_uri, sizeof f->target_uri, "%s",
		    db_text(st, 5));
		f->source = sqlite3_column_int64(st, 6);
		for (int i = 1; i < OUTCOMES; i++)
			f->counts[i] = sqlite3_column_int64(st, 6 + i);
		f->mailboxes = sqlite3_column_int64(st, 13);
		f->left_out = sqlite3_column_int64(st, 14);
	}
	db_done(st);
	if (rc == 0)
		return err_set(e, ERR_ACCOUNT, "the state knows no account "
		    "%.100s", name);
	if (rc == -1)
		return -1;
	int64_t n;
	if (db_number(db, e, &n, 0, "SELECT count(*) FROM message JOIN mailbox"
	    " ON mailbox.id = mailbox_id WHERE account_id = ?1 AND"
	    " message.outcome = 4 AND rule LIKE 'repair=yes%'", "i", f->id) ==
	    -1)
		return -1;
	f->repaired = n > 0;
	return 0;
}

/* What the outcome means. */
static const char *
in_words(const struct facts *f, long running)
{
	static const struct { const char *outcome, *words; } table[] = {
		{ "new", "no pass has begun it" },
		{ "partial", "some mailboxes are not complete" },
		{ "failed", "it could not be copied to its end" },
		{ "stopped", "the last pass ended before it was complete" },
		{ "empty", "nothing was found at the source" }
	};

	if (strcmp(f->outcome, "running") == 0)
		return running != 0 ? "it is being copied now" :
		    "the last pass was cut off while it was being copied";
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (strcmp(f->outcome, table[i].outcome) == 0)
			return table[i].words;
	if (f->counts[OUT_REFUSED] > 0)
		return "everything is at the target but for what it refused";
	return "everything that was to be copied is at the target";
}

static void
field(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%-9s ", name);
	text_show(out, value);
	putc('\n', out);
}

static void
put_head(FILE *out, const char *name, const struct facts *f, long running)
{
	field(out, "account", name);
	field(out, "source", f->source_uri);
	field(out, "target", f->target_uri);
	field(out, "stage", f->stage);
	fprintf(out, "outcome   %s: %s\n", f->outcome, in_words(f, running));
	if (f->error[0] != '\0')
		field(out, "", f->error);
	fprintf(out, "messages  %" PRId64 " at the source", f->source);
	for (int i = 1; i < OUTCOMES; i++)
		if (f->counts[i] > 0)
			fprintf(out, ", %" PRId64 " %s", f->counts[i],
			    outcome_name((enum outcome)i));
	putc('\n', out);
}

static int
put_mailboxes(struct db *db, FILE *out, const struct facts *f, struct err *e)
{
	sqlite3_stmt *st;
	struct buf name;
	int rc;

	st = db_query(db, e, "SELECT outcome, source, copied, present,"
	    " excluded, refused, failed, vanished, src_name, tgt_name,"
	    " ifnull(error, '') FROM mailbox WHERE account_id = ?1 ORDER BY"
	    " outcome = 'gone', id", "i", f->id);
	if (st == NULL)
		return -1;
	buf_init(&name, 1 << 16);
	fprintf(out, "\n%-10s %8s %8s %8s %8s %7s %6s %8s  %s\n", "mailboxes",
	    "source", "copied", "present", "excluded", "refused", "failed",
	    "vanished", "old name -> new name");
	while ((rc = db_step(db, st, e)) == 1) {
		fprintf(out, "%-10s", db_text(st, 0));
		for (int i = 1; i <= OUTCOMES; i++)
			fprintf(out, " %*" PRId64, i < 5 ? 8 : i == 5 ? 7 :
			    i == 6 ? 6 : 8,
			    (int64_t)sqlite3_column_int64(st, i));
		fputs("  ", out);
		text_show(out, db_text(st, 8));
		if (*db_text(st, 9) != '\0') {
			fputs(" -> ", out);
			report_name(&name, db_text(st, 9), f->target_uri);
			text_show(out, name.ptr);
		}
		if (*db_text(st, 10) != '\0') {
			fputs(": ", out);
			text_show(out, db_text(st, 10));
		}
		putc('\n', out);
	}
	db_done(st);
	buf_release(&name);
	return rc;
}

/* One message, or one note about a mailbox, with all that is known. */
static void
put_issue(FILE *out, sqlite3_stmt *st)
{
	const char *box = db_text(st, 0), *where = db_text(st, 1);
	const char *reason = db_text(st, 5);
	int64_t size = sqlite3_column_int64(st, 4);

	fputs("  ", out);
	text_show(out, *box != '\0' ? box : "the account");
	if (*where != '\0' && strcmp(where, reason) != 0) {
		fputs(", ", out);
		text_show(out, where);
	}
	fputs(": ", out);
	text_show(out, reason);
	fprintf(out, " (pass %" PRId64 ")\n",
	    (int64_t)sqlite3_column_int64(st, 6));
	if (size < 0 && *db_text(st, 2) == '\0' && *db_text(st, 3) == '\0')
		return;
	fputs("     ", out);
	if (size >= 0)
		fprintf(out, " %" PRId64 " bytes", size);
	if (*db_text(st, 3) != '\0') {
		fputs(" Subject: ", out);
		text_show(out, db_text(st, 3));
	}
	if (*db_text(st, 2) != '\0') {
		fputs(" Message-ID: ", out);
		text_show(out, db_text(st, 2));
	}
	putc('\n', out);
}

/* All issues of a kind under a title; what was refused only while it is. */
static int
put_issues(struct db *db, FILE *out, int64_t account, const char *kind,
    const char *title, struct err *e)
{
	sqlite3_stmt *st;
	bool any = false;
	int rc;

	st = db_query(db, e, "SELECT ifnull(src_name, ''),"
	    " ifnull(message_where, ''), ifnull(message_id, ''),"
	    " ifnull(subject, ''), ifnull(size, -1), ifnull(reason, ''),"
	    " issue.pass FROM issue LEFT JOIN mailbox ON mailbox.id ="
	    " issue.mailbox_id WHERE issue.account_id = ?1 AND kind = ?2 AND"
	    " NOT (kind = 'refused' AND NOT EXISTS (SELECT 1 FROM message"
	    " WHERE message.mailbox_id = issue.mailbox_id AND message.key ="
	    " issue.key AND message.outcome = 4)) ORDER BY src_name, issue.id",
	    "is", account, kind);
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		if (!any)
			fprintf(out, "\n%s\n", title);
		any = true;
		put_issue(out, st);
	}
	db_done(st);
	return rc;
}

/* Kinds without a title here are listed under their own name. */
static int
put_all_issues(struct db *db, FILE *out, int64_t account, struct err *e)
{
	/* In this order; what has no place here comes behind. */
	static const char *const kinds[] = { "refused", "failed", "vanished",
	    "lost", "repaired", "altered", "keywords", "date", "conflict",
	    "doubled", "removed", "renamed", "excluded", "created", "access",
	    "warn" };
	bool bad;
	sqlite3_stmt *st;
	int rc;

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (put_issues(db, out, account, kinds[i],
		    report_kind(kinds[i], &bad), e) == -1)
			return -1;
	st = db_query(db, e, "SELECT DISTINCT kind FROM issue WHERE account_id"
	    " = ?1 ORDER BY kind", "i", account);
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1) {
		char kind[40], title[48];

		snprintf(kind, sizeof kind, "%s", db_text(st, 0));
		snprintf(title, sizeof title, "%s:", kind);
		if (report_kind(kind, &bad) == NULL && put_issues(db, out,
		    account, kind, title, e) == -1) {
			rc = -1;
			break;
		}
	}
	db_done(st);
	return rc;
}

static void
put_time(FILE *out, int64_t t)
{
	char text[40];

	fputs(report_time(text, sizeof text, t), out);
}

static int
put_history(struct db *db, FILE *out, int64_t account, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(db, e, "SELECT pass, begun, ifnull(ended, 0),"
	    " ifnull(outcome, ''), ifnull(error, ''), source, copied, present,"
	    " excluded, refused, failed, vanished FROM history WHERE"
	    " account_id = ?1 ORDER BY pass", "i", account);
	if (st == NULL)
		return -1;
	fputs("\npasses over it:\n", out);
	while ((rc = db_step(db, st, e)) == 1) {
		int64_t ended = sqlite3_column_int64(st, 2);

		fprintf(out, "  pass %" PRId64 ", ",
		    (int64_t)sqlite3_column_int64(st, 0));
		put_time(out, sqlite3_column_int64(st, 1));
		if (ended == 0) {
			fputs(": begun, and has no end\n", out);
			continue;
		}
		fputs(" to ", out);
		put_time(out, ended);
		fprintf(out, ": %s, source %" PRId64, db_text(st, 3),
		    (int64_t)sqlite3_column_int64(st, 5));
		for (int i = 1; i < OUTCOMES; i++)
			if (sqlite3_column_int64(st, 5 + i) > 0)
				fprintf(out, ", %s %" PRId64,
				    outcome_name((enum outcome)i),
				    (int64_t)sqlite3_column_int64(st, 5 + i));
		if (*db_text(st, 4) != '\0') {
			fputs(": ", out);
			text_show(out, db_text(st, 4));
		}
		putc('\n', out);
	}
	db_done(st);
	return rc;
}

/* A word for a shell. */
static void
put_word(FILE *out, const char *s)
{
	bool bare = *s != '\0';

	for (const char *p = s; *p != '\0'; p++)
		bare = bare && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM"
		    "NOPQRSTUVWXYZ0123456789@%+=:,./_-", *p) != NULL;
	putc(' ', out);
	if (bare) {
		fputs(s, out);
		return;
	}
	putc('\'', out);
	for (; *s != '\0'; s++) {
		char one[2] = { *s, '\0' };
		size_t n = text_shown(s);

		if (*s == '\'')
			fputs("'\\''", out);
		else if (n > 1) {
			fwrite(s, 1, n, out);
			s += n - 1;
		} else
			text_show(out, one);
	}
	putc('\'', out);
}

static void
put_command(FILE *out, const char *name, const struct report_call *call,
    const char *more)
{
	fputs("      mailhaul copy", out);
	if (call->job != NULL) {
		fputs(" --job", out);
		put_word(out, call->job);
		fputs(" --only", out);
		put_word(out, name);
		fprintf(out, "%s\n", more);
		return;
	}
	fputs(" --state", out);
	put_word(out, call->state);
	fprintf(out, "%s ...\n      (with the job, or the source and target, "
	    "of the copy in place of the dots)\n", more);
}

struct step { const char *words, *option; };

/* What helps when the account as a whole has not ended well; words of ours in
 * its error tell which option it is about. */
static struct step
step_of_outcome(const struct facts *f, long running)
{
	if (strcmp(f->outcome, "running") == 0 && running != 0)
		return (struct step){ "wait until the copy has ended", NULL };
	if (strstr(f->error, "empty=ok") != NULL)
		return (struct step){ "see that the source is the right one "
		    "and its disk is mounted; if it is right so:",
		    " --empty ok" };
	if (strstr(f->error, "existing=merge") != NULL)
		return (struct step){ "see that the target user is the right "
		    "one; if it is right so:", " --existing merge" };
	if (strstr(f->error, "create-users") != NULL)
		return (struct step){ "make the user at the target, or let "
		    "the copy do it:", " --create-users" };
	if (strcmp(f->outcome, "failed") == 0 ||
	    strcmp(f->outcome, "empty") == 0)
		return (struct step){ "mend what the reason above says, "
		    "then:", "" };
	return (struct step){ "go on:", "" };
}

static void
put_next(FILE *out, const char *name, const struct facts *f,
    const struct report_call *call)
{
	bool any = false;

	fputs("\nwhat to do next:\n", out);
	if (strcmp(f->outcome, "done") != 0) {
		struct step s = step_of_outcome(f, call->running);

		fprintf(out, "  - %s\n", s.words);
		if (s.option != NULL)
			put_command(out, name, call, s.option);
		any = true;
	}
	if (f->counts[OUT_REFUSED] > 0 && !f->repaired) {
		fputs("  - what was refused because of its form can be changed "
		    "as little as needed:\n", out);
		put_command(out, name, call, " --repair");
		any = true;
	} else if (f->counts[OUT_REFUSED] > 0) {
		fputs("  - what is still refused has to be taken by other "
		    "means (a larger limit at the\n    target, or the file "
		    "itself): the messages are listed above\n", out);
		any = true;
	}
	if (!any) {
		fputs("  - nothing; when there is new mail at the source:\n",
		    out);
		put_command(out, name, call, "");
	}
}

int
report_account(struct db *db, FILE *out, const char *name,
    const struct report_call *call, struct err *e)
{
	struct facts f;

	if (read_facts(db, name, &f, e) == -1)
		return -1;
	put_head(out, name, &f, call->running);
	if (put_mailboxes(db, out, &f, e) == -1 ||
	    put_all_issues(db, out, f.id, e) == -1 ||
	    put_history(db, out, f.id, e) == -1)
		return -1;
	put_next(out, name, &f, call);
	return 0;
}
