/* What was assumed, and what is left to be done by hand. */
#include "report_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/xmalloc.h"
#include "report_names.h"

struct fact {
	const char	*sql;		/* how many; 0: nothing to tell */
	const char	*text;
	const char	*command;	/* behind "mailhaul", or NULL */
};

static const struct fact assumed[] = {
	{ "SELECT count(*) FROM mailbox WHERE outcome <> 'gone' AND"
	    " src_uidvalidity <> 0 AND src_uidvalidity = tgt_uidvalidity",
	    "mailboxes keep UIDs and UIDVALIDITY of the source: mail programs "
	    "download nothing again", NULL },
	{ "SELECT ifnull(sum(present), 0) FROM mailbox WHERE outcome <> 'gone'",
	    "messages were at the target before, and were recognised by their "
	    "content", NULL },
	{ "SELECT count(*) FROM issue WHERE kind = 'altered'",
	    "messages at the target were taken for the same although they are "
	    "not equal to the byte, but for what servers and tools change on "
	    "the way", NULL },
	{ "SELECT ifnull(sum(excluded), 0) FROM mailbox WHERE outcome <>"
	    " 'gone'", "messages were left out by rules", NULL },
	{ "SELECT ifnull(sum(stripped), 0) FROM mailbox WHERE outcome <>"
	    " 'gone'", "messages had fields of a mailbox file (Status, "
	    "X-UID...), which became flags and UIDs", NULL },
	{ "SELECT count(*) FROM issue WHERE kind = 'repaired'",
	    "messages were changed as little as needed for the target to take "
	    "them (--repair)", NULL },
	{ "SELECT count(*) FROM issue WHERE kind = 'date'",
	    "dates were changed to what the target can hold", NULL },
	{ "SELECT count(*) FROM issue WHERE kind = 'keywords'",
	    "messages lost keywords that the target cannot hold", NULL },
	{ "SELECT ifnull(sum(others), 0) FROM temp.told",
	    "messages at the target are not from the source, and were left as "
	    "they are", NULL },
};

static const struct fact by_hand[] = {
	{ "SELECT count(*) FROM account WHERE outcome <> 'done'",
	    "accounts are not complete: see what each says, then",
	    "copy --failed" },
	{ "SELECT count(*) FROM issue JOIN message ON message.mailbox_id ="
	    " issue.mailbox_id AND message.key = issue.key WHERE kind ="
	    " 'refused' AND message.outcome = 4 AND ifnull(rule, '') NOT LIKE"
	    " '%repair=yes%'", "messages were refused: what is wrong in their "
	    "form can be changed as little as needed", "copy --repair" },
	{ "SELECT count(*) FROM issue JOIN message ON message.mailbox_id ="
	    " issue.mailbox_id AND message.key = issue.key WHERE kind ="
	    " 'refused' AND message.outcome = 4 AND rule LIKE"
	    " '%repair=yes%'", "messages were refused even so: raise the "
	    "target's limits, or hand them over as files", NULL },
	{ "SELECT count(*) FROM issue WHERE kind = 'doubled'",
	    "messages were stored twice by the server", "copy "
	    "--remove-doubles" },
	{ "SELECT count(*) FROM quota JOIN account ON account.id = account_id"
	    " WHERE why IS NOT NULL", "quotas could not be given at the "
	    "target; the list has them", "report --quotas" },
	{ "SELECT count(*) FROM issue WHERE kind = 'access'",
	    "access rights or mailboxes of others did not come along as they "
	    "are: see the problems", NULL },
	{ "SELECT count(*) FROM issue WHERE kind = 'warn' AND reason LIKE"
	    " '%not carried over%'", "kinds of things besides mail stay at "
	    "the source (rules, addresses...): see the problems", NULL },
	{ "SELECT count(*) FROM mailbox WHERE outcome <> 'gone' AND"
	    " src_uidvalidity <> 0 AND tgt_uidvalidity <> 0 AND"
	    " src_uidvalidity <> tgt_uidvalidity", "mailboxes have new UIDs: "
	    "mail programs will download their mail once more; warn users with "
	    "much mail or a slow line", NULL },
	{ "SELECT count(*) FROM issue WHERE kind = 'unlisted'",
	    "accounts of the state are no longer in the list", NULL },
};

/* The command with the job or the state that this report is of. */
static const char *
command_line(struct report *r, const char *command)
{
	const struct report_call *call = &r->opt->call;
	size_t word = strcspn(command, " ");
	const char *file = call->job != NULL ? call->job : call->state;

	if (r->redact != NULL || file == NULL)
		return arena_printf(&r->arena, "mailhaul %s", command);
	return arena_printf(&r->arena, "mailhaul %.*s %s %s%s", (int)word,
	    command, call->job != NULL ? "--job" : "--state", file,
	    command + word);
}

static int
tell_facts(struct report *r, const struct fact *facts, size_t n,
    struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct rep_note note = { .text = facts[i].text };

		if (db_number(r->db, e, &note.n, 0, facts[i].sql, "") == -1)
			return -1;
		if (note.n == 0)
			continue;
		arena_reset(&r->arena);
		if (facts[i].command != NULL)
			note.command = command_line(r, facts[i].command);
		r->sink->note(r, &note);
	}
	return 0;
}

/* What the last pass was told to do. */
static int
tell_settings(struct report *r, struct err *e)
{
	sqlite3_stmt *st;
	int rc;

	st = db_query(r->db, e, "SELECT ifnull(settings, '') FROM pass ORDER"
	    " BY id DESC LIMIT 1", "");
	if (st == NULL)
		return -1;
	if ((rc = db_step(r->db, st, e)) == 1) {
		char *text = xstrdup(db_text(st, 0)), *line, *rest = text;

		while ((line = strsep(&rest, "\n")) != NULL) {
			struct rep_note note = { .n = -1 };
			char *value = strstr(line, " = ");

			if (value == NULL)
				continue;
			/* Values are names and paths as well. */
			if (r->redact != NULL)
				*value = '\0';
			arena_reset(&r->arena);
			note.text = arena_printf(&r->arena,
			    "the last pass had %s", line);
			r->sink->note(r, &note);
		}
		free(text);
	}
	db_done(st);
	return rc == -1 ? -1 : 0;
}

int
report_assumed(struct report *r, struct err *e)
{
	if (tell_facts(r, assumed, sizeof assumed / sizeof assumed[0], e) ==
	    -1)
		return -1;
	return tell_settings(r, e);
}

static int
count_renamed(struct report *r, int64_t *n, struct err *e)
{
	sqlite3_stmt *st;
	struct buf shown;
	int rc;

	*n = 0;
	st = db_query(r->db, e, "SELECT src_name, tgt_name,"
	    " ifnull(account.target, '') FROM mailbox JOIN account ON"
	    " account.id = account_id WHERE mailbox.outcome <> 'gone' AND"
	    " tgt_name <> ''", "");
	if (st == NULL)
		return -1;
	buf_init(&shown, (size_t)1 << 20);
	while ((rc = db_step(r->db, st, e)) == 1) {
		report_name(&shown, db_text(st, 1), db_text(st, 2));
		if (!report_same_name(db_text(st, 0), shown.ptr))
			(*n)++;
	}
	buf_release(&shown);
	db_done(st);
	return rc;
}

int
report_hand(struct report *r, struct err *e)
{
	struct rep_note note = { .text = "mailboxes have another name at the "
	    "target: tell their users; a letter for each is written by" };

	if (tell_facts(r, by_hand, sizeof by_hand / sizeof by_hand[0], e) ==
	    -1 || count_renamed(r, &note.n, e) == -1)
		return -1;
	if (note.n > 0) {
		arena_reset(&r->arena);
		note.command = command_line(r, "report --letters DIR");
		r->sink->note(r, &note);
	}
	return 0;
}
