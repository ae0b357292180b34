/* What is left out of an adopted account, and what is told of the rest. */
#include "adopt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "account.h"

static const char before[] = "adopt-before", twice[] = "duplicates";

const char *
adopt_rule(const struct walk *w, const struct row_message *r)
{
	const struct settings *set = w->l->run->set;

	if (strcmp(r->rule, twice) == 0)
		return set->skip_duplicates ? twice : NULL;
	return set->adopt_before != NO_DATE && !set->fill && r->date <
	    set->adopt_before ? before : NULL;
}

/* Is an equal copy there, that was not sent by us? */
static int
has_twin(struct walk *w, const struct measured *md, bool *twin,
    struct err *e)
{
	int64_t n;

	if (db_number(w->l->reader, e, &n, 0, "SELECT EXISTS (SELECT 1 FROM"
	    " message WHERE mailbox_id = ?1 AND strict = ?2 AND outcome = 2)",
	    "ib", w->p->id, md->digests.strict, (size_t)DIGEST_LEN) == -1)
		return -1;
	*twin = n != 0;
	return 0;
}

static void
put_row(struct walk *w, const struct msg_meta *m, const void *key,
    size_t key_len, const struct measured *md, const char *rule)
{
	struct changes *c = walk_changes(w);
	struct row_message *r = changes_message(c);
	struct digests *d = arena_alloc(&c->arena, sizeof *d);
	char id[200], subject[200];
	struct row_issue *i;

	*d = md->digests;
	r->digests = d;
	r->key = arena_memdup0(&c->arena, key, key_len);
	r->key_len = key_len;
	r->size = m->size == UNKNOWN64 ? md->raw_size : m->size;
	r->crlf_size = md->size;
	r->src_uid = m->uid;
	r->src_flags = m->flags;
	r->date = m->date;
	r->outcome = OUT_EXCLUDED;
	r->oddities = m->oddities | md->oddities;
	r->rule = rule;
	if (rule != before)
		return;
	i = changes_issue(c, "missing", key, key_len, m->where, "is older than "
	    "adopt-before, and the target lacks it: it is missing, or its user "
	    "has deleted it (--fill copies it)");
	header_brief(w->keep.ptr, w->keep.len, id, sizeof id, subject,
	    sizeof subject);
	i->message_id = arena_strdup(&c->arena, id);
	i->subject = arena_strdup(&c->arena, subject);
	i->size = md->size;
}

int
adopt_leaves_out(struct walk *w, const struct msg_meta *m, const void *key,
    size_t key_len, const struct measured *md, const char **rule,
    struct err *e)
{
	const struct settings *set = w->l->run->set;
	bool twin;

	*rule = NULL;
	if (has_twin(w, md, &twin, e) == -1)
		return -1;
	if (twin && set->skip_duplicates)
		*rule = twice;
	else if (set->adopt_before != NO_DATE && m->date != NO_DATE &&
	    m->date < set->adopt_before && !set->fill)
		*rule = before;
	else
		w->twins += twin;
	if (*rule != NULL)
		put_row(w, m, key, key_len, md, *rule);
	return 0;
}

static void
date_text(int64_t date, char *out, size_t size)
{
	time_t t = (time_t)date;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(out, size,
	    "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		snprintf(out, size, "%" PRId64, date);
}

int
adopt_date(struct walk *w, const struct msg_meta *m, const void *key,
    size_t key_len, uint32_t uid, struct err *e)
{
	char there[40], here[40], text[160];
	int64_t date;

	if (m->date == NO_DATE || m->date_origin == DATE_NONE)
		return 0;
	if (db_number(w->l->reader, e, &date, NO_DATE, "SELECT date FROM extra"
	    " WHERE mailbox_id = ?1 AND uid = ?2", "ii", w->p->id,
	    (int64_t)uid) == -1)
		return -1;
	if (date == NO_DATE || date == m->date)
		return 0;
	date_text(date, there, sizeof there);
	date_text(m->date, here, sizeof here);
	snprintf(text, sizeof text, "its date at the target is %s, at the "
	    "source %s", there, here);
	changes_issue(walk_changes(w), "other-date", key, key_len, m->where,
	    text);
	return 0;
}

void
adopt_tell(struct walk *w)
{
	if (w->twins > 0)
		lane_note(w->l, "duplicates", NULL, "%" PRIu64 " messages "
		    "equal others of the mailbox that the target had only "
		    "once: they were copied (--duplicates skip leaves them "
		    "out)", w->twins);
}
