/*
 * What is compared beside messages: subscriptions, special uses, the quota and
 * the rights that copy has given.
 */
#include "audit_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

#define QUOTA_UNIT	((int64_t)1 << 20)	/* bytes, the largest */

static int
tell_fact(struct audit_job *j, struct audit_box *b, enum verdict v,
    const char *cause, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

static int
tell_fact(struct audit_job *j, struct audit_box *b, enum verdict v,
    const char *cause, struct err *e, const char *fmt, ...)
{
	struct audit_row_difference d = { .account = (int64_t)j->a->place + 1,
	    .box = b != NULL ? b->result : 0, .verdict = v, .cause = cause,
	    .where = "", .message_id = "", .subject = "", .size = UNKNOWN64,
	    .diff = "" };
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	d.detail = text;
	if (VERDICTS_BAD >> v & 1)
		*(b != NULL ? &b->facts : &j->facts) += 1;
	return results_difference(j->audit->results, &d, e);
}

static bool
is_subscribed(const struct account_info *info, const struct folder_info *f)
{
	if (f->subscribed)
		return true;
	for (size_t i = 0; i < info->nsubscriptions; i++)
		if (strcmp(info->subscriptions[i], f->name) == 0)
			return true;
	return false;
}

/* Without the state and a list of the source nobody has wished for one. */
static bool
wants_subscription(const struct audit_job *j, const struct audit_box *b)
{
	return b->pair->subscribe && (b->state_id != 0 ||
	    j->a->info.has_subscriptions || j->audit->set->subscribe ==
	    SUBSCRIBE_ALL);
}

static int
check_quota(struct audit_job *j, struct err *e)
{
	int64_t given, there = (int64_t)j->a->view.quota_bytes;

	if (j->a->quota.mode == QUOTA_KEEP || j->audit->state_uri == NULL ||
	    j->released)
		return 0;
	if (db_number(j->l->reader, e, &given, -2, "SELECT given FROM"
	    " known.quota WHERE account_id = (SELECT id FROM known.account"
	    " WHERE name = ?1)", "s", j->a->name) == -1)
		return -1;
	/* Targets round it up, in units of their own. */
	if (given == -2 || given == there || (given > 0 && there > given &&
	    there - given < QUOTA_UNIT))
		return 0;
	if (there == (int64_t)UNKNOWN64)
		return tell_fact(j, NULL, V_ALTERED, "quota", e, "the target "
		    "has no quota, copy has given %" PRId64 " bytes", given);
	return tell_fact(j, NULL, V_ALTERED, "quota", e, "the quota is %"
	    PRId64 " bytes, copy has given %" PRId64, there, given);
}

/* A count that differs, where messages are not met. */
static int
check_counts(struct audit_job *j, struct audit_box *b, struct err *e)
{
	uint64_t s = b->counts.source, t = b->counts.target;

	if (j->audit->level != AUDIT_COUNTS || s == t)
		return 0;
	if (s > t)
		return tell_fact(j, b, V_MISSING, "count", e, "%" PRIu64
		    " messages at the source, %" PRIu64 " at the target: %"
		    PRIu64 " are missing", s, t, s - t);
	return tell_fact(j, b, V_EXTRA, "count", e, "%" PRIu64 " messages at "
	    "the source, %" PRIu64 " at the target: %" PRIu64 " too many", s,
	    t, t - s);
}

static int
check_box(struct audit_job *j, struct audit_box *b,
    const struct account_info *info, bool uses, struct err *e)
{
	const struct folder_info *t = b->folder[SIDE_TARGET];
	const struct pair *p = b->pair;

	if (check_counts(j, b, e) == -1)
		return -1;
	if (p == NULL)
		return 0;
	if (t == NULL)
		return tell_fact(j, b, j->released ? V_SINCE : V_MISSING,
		    "mailbox", e, "there is no such mailbox at the target");
	if (j->audit->level == AUDIT_COUNTS || j->released)
		return 0;
	if (wants_subscription(j, b) && !is_subscribed(info, t) &&
	    tell_fact(j, b, V_MISSING, "subscription", e, "it is not "
	    "subscribed") == -1)
		return -1;
	/* A target may have no way to mark one of this name. */
	if (uses && p->special_use != 0 && !(t->special_use &
	    p->special_use))
		for (unsigned use = 1; use <= USE_TRASH; use <<= 1)
			if (p->special_use & use && tell_fact(j, b, V_EXPECTED,
			    "special-use", e, "it is not marked as %s",
			    use_word(use)) == -1)
				return -1;
	return 0;
}

int
audit_facts(struct audit_job *j, struct err *e)
{
	bool uses = false;

	for (size_t i = 0; i < j->nlisting; i++)
		uses = uses || j->listing[i].special_use != 0;
	for (size_t i = 0; i < j->n; i++)
		if (check_box(j, &j->boxes[i], &j->info, uses, e) == -1)
			return -1;
	return j->audit->level == AUDIT_COUNTS ? 0 : check_quota(j, e);
}
