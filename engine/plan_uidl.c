/* What becomes of POP3 UIDLs, where the target makes them from UIDs. */
#include "plan_impl.h"

#include <inttypes.h>
#include <string.h>

/* How it looks, and how to have Cyrus make it. */
static const struct {
	const char	*text, *set;
} styles[] = {
	[UIDL_UNKNOWN] = { "unknown", NULL },
	[UIDL_OWN] = { "kept with each message", NULL },
	[UIDL_UPPER] = { "16 upper-case digits", "dovecot" },
	[UIDL_LOWER] = { "16 lower-case digits", "dovecot" },
	[UIDL_UID] = { "the UID", "uidonly" },
	[UIDL_VALIDITY_DOT_UID] = { "UIDVALIDITY.UID", "cyrus" },
	[UIDL_VALIDITY_DASH_UID] = { "UIDVALIDITY-UID", "courier" }
};

void
plan_uidls(struct plan_account *pa, const struct account_info *info,
    enum uidl_style to)
{
	enum uidl_style from = info->uidls;

	if (info->own_uidls > 0)
		plan_addf(&pa->warnings, &pa->arena, "uidl", NULL, "%" PRIu64
		    " messages of INBOX have POP3 UIDLs of their own, which "
		    "the target cannot hold: POP3 clients fetch them again",
		    info->own_uidls);
	else if (from == UIDL_OWN)
		plan_add(&pa->warnings, &pa->arena, "uidl", NULL, "POP3 UIDLs "
		    "are not made from UIDs at the source, and the target "
		    "cannot hold others: POP3 clients fetch again what they "
		    "left there");
	if (from == UIDL_UNKNOWN || from == UIDL_OWN)
		return;
	if (to == UIDL_UNKNOWN)
		plan_addf(&pa->warnings, &pa->arena, "uidl", NULL, "POP3 UIDLs "
		    "are %s at the source: to keep them the target's imapd.conf "
		    "needs \"uidl_format: %s\"%s", styles[from].text,
		    styles[from].set, from == UIDL_UPPER ? " (they come in "
		    "lower case then)" : "");
	else if (from == to)
		plan_addf(&pa->warnings, &pa->arena, "uidl", NULL, "POP3 UIDLs "
		    "stay as they are (%s, uidl_format: %s), as far as the "
		    "INBOX keeps its UIDs", styles[to].text, styles[to].set);
	else if (strcmp(styles[from].set, styles[to].set) == 0)
		plan_addf(&pa->warnings, &pa->arena, "uidl", NULL, "POP3 UIDLs "
		    "become lower-case digits (uidl_format: %s): if the old "
		    "server prints upper case (Dovecot's %%08Xu%%08Xv), POP3 "
		    "clients fetch again those in which there is a letter",
		    styles[to].set);
	else
		plan_addf(&pa->warnings, &pa->arena, "uidl", NULL, "POP3 UIDLs "
		    "change from %s to %s, and POP3 clients fetch everything "
		    "again: set \"uidl_format: %s\" in the target's imapd.conf "
		    "(it is now %s; it counts for all users)%s",
		    styles[from].text, styles[to].text, styles[from].set,
		    styles[to].set, from == UIDL_UPPER ? ", which differs only "
		    "in the case of letters" : "");
}
