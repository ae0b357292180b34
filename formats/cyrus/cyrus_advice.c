/*
 * What imapd.conf means for a copy: for the plan, settings that matter, with
 * what to set; for the report, what is left to be run afterwards.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cyrus/cyrus_impl.h"

static void
say(const struct cyrus *c, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
say(const struct cyrus *c, const char *where, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	c->conf.warn(c->conf.warn_ctx, NULL, where, text);
}

static const char *
get(const struct cyrus *c, const char *key, const char *otherwise)
{
	return cyrus_conf_get(c->file, key, otherwise);
}

static bool
on(const struct cyrus *c, const char *key)
{
	return cyrus_conf_on(c->file, key, false);
}

/* Configurations of which the plan has told, as long as we run. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct imap_words told;

static bool
first_time(const char *file)
{
	bool first;

	pthread_mutex_lock(&mutex);
	first = !imap_words_has(&told, file);
	imap_words_add(&told, file);
	pthread_mutex_unlock(&mutex);
	return first;
}

enum uidl_style
cyrus_uidls(const struct cyrus *c)
{
	static const struct {
		const char *name;
		enum uidl_style style;
	} formats[] = {
		{ "cyrus", UIDL_VALIDITY_DOT_UID }, { "uidonly", UIDL_UID },
		{ "dovecot", UIDL_LOWER }, { "courier",
		    UIDL_VALIDITY_DASH_UID }
	};

	for (size_t i = 0; c->file != NULL && i < sizeof formats / sizeof
	    formats[0]; i++)
		if (strcmp(get(c, "uidl_format", "cyrus"), formats[i].name) ==
		    0)
			return formats[i].style;
	return UIDL_UNKNOWN;
}

/* Settings that concern every account; once for a configuration. */
static void
tell_settings(const struct cyrus *c)
{
	const char *v = get(c, "autocreate_quota", "-1");

	if (v[0] != '-')
		say(c, "autocreate_quota", "autocreate_quota: %.20s: a user "
		    "who logs in before his mail is copied gets mailboxes "
		    "with numbers of their own; set it to -1 until all are "
		    "copied, then back", v);
	if (strcmp(get(c, "delete_mode", "delayed"), "delayed") == 0)
		say(c, "delete_mode", "delete_mode: delayed: mailboxes that "
		    "are deleted stay on the disk as DELETED...; for "
		    "rehearsals set immediate, then back");
	if (on(c, "sync_log") && !on(c, "sync_log_chain"))
		say(c, "sync_log", "sync_log: yes: what is copied is not "
		    "logged for a replica (sync_log_chain: no); run "
		    "sync_client -u for the copied users afterwards");
	if (on(c, "conversations"))
		say(c, "conversations", "conversations: yes: what is copied "
		    "gets its threads by ctl_conversationsdb -b USER "
		    "afterwards");
	if (on(c, "archive_enabled"))
		say(c, "archive_enabled", "archive_enabled: yes: mail older "
		    "than archive_after goes to the archive partition at "
		    "once");
	v = get(c, "uidl_format", "cyrus");
	say(c, "uidl_format", "uidl_format: %.20s: POP3 UIDLs will be %s; "
	    "clients download again what had others", v,
	    strcmp(v, "uidonly") == 0 ? "the UID" :
	    strcmp(v, "dovecot") == 0 ? "16 lower-case digits, UID and "
	    "UIDVALIDITY (%08xv%08xu of Dovecot)" :
	    strcmp(v, "courier") == 0 ? "UIDVALIDITY-UID" :
	    "UIDVALIDITY.UID");
	say(c, "munge8bit", "munge8bit, maxmessagesize, quotas in force and "
	    "limits of logins mean nothing for this way of copying; what was "
	    "set for it is put back when all is copied");
}

/* Nothing of another host's file can be read. */
static void
tell_remote(const struct cyrus *c)
{
	say(c, "imapd.conf", "imapd.conf of %.100s cannot be read from here; "
	    "what matters there: autocreate_quota (-1 until all are copied), "
	    "delete_mode (immediate for rehearsals), maxlogins_per_host, "
	    "maxlogins_per_user and maxchild of the imap service (a session "
	    "for each lane)", c->conf.uri->host);
	say(c, "afterwards", "when all is copied, still to be run by an "
	    "administrator there: sync_client -u if there is a replica, "
	    "ctl_conversationsdb -b with conversations: yes, squatter -u with "
	    "a search_engine; and what was set is put back");
}

/* What concerns this user. */
static void
tell_user(const struct cyrus *c)
{
	if (c->names.rules.sep == '.' && strchr(c->names.user, '.') != NULL)
		say(c, "unixhierarchysep", "unixhierarchysep: no: Cyrus 3.6 "
		    "lists no mailboxes for users with dots in their names; "
		    "set it to yes");
	if (strchr(c->names.user, '@') != NULL &&
	    strchr(c->names.inbox, '@') != NULL)
		say(c, "virtdomains", "virtdomains: off: Cyrus lists no "
		    "mailboxes for users with \"@\" in their names; set it to "
		    "userid");
}

void
cyrus_advise(const struct cyrus *c, const char *file)
{
	struct buf b;

	tell_user(c);
	if (c->conf.look_only) {
		if (first_time(c->file != NULL ? file : c->conf.uri->host))
			(c->file != NULL ? tell_settings : tell_remote)(c);
		return;
	}
	if (c->file == NULL)
		return;
	if (c->disks != NULL)
		say(c, "fsync", "fsync=batch: file systems were synced after "
		    "each batch of messages, instead of each file; start Cyrus "
		    "when all is copied");
	buf_init(&b, 380);
	if (on(c, "conversations"))
		buf_addf(&b, "; ctl_conversationsdb -b %s", c->names.user);
	if (on(c, "sync_log") && !on(c, "sync_log_chain"))
		buf_addf(&b, "; sync_client -u %s", c->names.user);
	if (strcmp(get(c, "search_engine", "none"), "none") != 0)
		buf_addf(&b, "; squatter -u %s", c->names.user);
	if (b.len > 0)
		say(c, "afterwards", "when all is copied, still to be run by "
		    "an administrator: %s", b.ptr + 2);
	buf_release(&b);
}
