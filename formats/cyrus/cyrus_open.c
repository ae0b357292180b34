/*
 * Opening: what a URI says, which transport, whose names.
 *
 *	cyrus:USER?conf=FILE[&libexec=DIR]		a private sync_server
 *	cyrus://ADMIN@HOST[:PORT]/USER[?...]		an admin's IMAP session
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/xmalloc.h"
#include "cyrus/cyrus_impl.h"
#include "imap/imap_session.h"

#define DEFAULT_CONF	"/etc/imapd.conf"

char
cyrus_transport(struct uri *u)
{
	const char *v = uri_opt(u, "transport");

	return v == NULL ? 'a' : v[0];
}

static int
check_transport(struct uri *u, struct err *e)
{
	const char *v = uri_opt(u, "transport");

	if (v == NULL || strcmp(v, "auto") == 0 || strcmp(v, "sync") == 0)
		return 0;
	if (strcmp(v, "imap") != 0)
		return err_set(e, ERR_RUN, "transport=%.40s: auto, sync or "
		    "imap", v);
	if (u->host != NULL)
		return 0;
	return err_set(e, ERR_RUN, "transport=imap needs a host: "
	    "cyrus://ADMIN@HOST/USER");
}

/* One of two words. */
static int
check_word(struct uri *u, const char *key, const char *one, const char *other,
    struct err *e)
{
	const char *v = uri_opt(u, key);

	if (v == NULL || strcmp(v, one) == 0 || strcmp(v, other) == 0)
		return 0;
	return err_set(e, ERR_RUN, "%s=%.40s: %s or %s", key, v, one, other);
}

/* What only one of the two kinds has. */
static int
check_options(struct uri *u, struct err *e)
{
	static const char *const local[] = { "conf", "libexec", "fsync" };
	static const char *const remote[] = {
		"tls", "tls-min", "ca", "pin", "verify", "cert", "key", "auth",
		"timeout"
	};
	const char *const *bad = u->host != NULL ? local : remote;
	size_t n = u->host != NULL ? sizeof local / sizeof *local :
	    sizeof remote / sizeof *remote;

	for (size_t i = 0; i < u->nopts; i++)
		for (size_t k = 0; k < n; k++)
			if (strcmp(u->opts[i].key, bad[k]) == 0)
				return err_set(e, ERR_RUN, "%s= means nothing "
				    "for cyrus:%s", bad[k], u->host != NULL ?
				    "//HOST" : "USER");
	return 0;
}

int
cyrus_imap_uri(struct uri **up, struct uri *u, bool as_admin, struct err *e)
{
	static const char *const ours[] = {
		"conf", "libexec", "transport", "fsync", "inbox"
	};
	struct buf b;
	int rc;

	buf_init(&b, 4000);
	buf_addf(&b, "imap://%s%s%s%s%s", u->user != NULL ? u->user : "",
	    u->user != NULL ? "@" : "", strchr(u->host, ':') != NULL ? "[" :
	    "", u->host, strchr(u->host, ':') != NULL ? "]" : "");
	if (u->port != 0)
		buf_addf(&b, ":%u", u->port);
	rc = uri_parse(up, b.ptr, e);
	buf_release(&b);
	for (size_t i = 0; rc == 0 && i < u->nopts; i++) {
		bool own = false;

		for (size_t k = 0; k < sizeof ours / sizeof *ours; k++)
			own = own || strcmp(u->opts[i].key, ours[k]) == 0;
		if (!own)
			uri_set(*up, u->opts[i].key, u->opts[i].val);
	}
	if (rc == 0 && !as_admin)
		uri_set(*up, "authzid", u->path != NULL ? u->path : "");
	return rc;
}

int
cyrus_check(struct uri *u, struct err *e)
{
	struct uri *imap;
	int rc;

	if (u->path == NULL || u->path[0] == '\0')
		return err_set(e, ERR_RUN, "cyrus: needs a user, as in "
		    "cyrus:USER?conf=/etc/imapd.conf or "
		    "cyrus://ADMIN@HOST/USER");
	if (check_transport(u, e) == -1 || check_options(u, e) == -1 ||
	    check_word(u, "fsync", "each", "batch", e) == -1 ||
	    check_word(u, "inbox", "anew", "keep", e) == -1)
		return -1;
	if (u->host == NULL)
		return 0;
	if (cyrus_imap_uri(&imap, u, true, e) == -1)
		return -1;
	rc = imap_session_check(imap, e);
	uri_free(&imap);
	return rc;
}

/* How this server spells the user's mailboxes. */
static int
local_names(struct cyrus *c, const char *user, struct err *e)
{
	const char *virt = cyrus_conf_get(c->file, "virtdomains", "off");
	bool off = strcasecmp(virt, "off") == 0 ||
	    strcasecmp(virt, "no") == 0 || virt[0] == '0' ||
	    virt[0] == 'f' || virt[0] == 'n';

	if (cyrus_names_init(&c->names, user, cyrus_conf_on(c->file,
	    "unixhierarchysep", true), !off, cyrus_conf_get(c->file,
	    "defaultdomain", NULL)) == -1)
		return err_set(e, ERR_ACCOUNT, "\"%.100s\" is no user name "
		    "that Cyrus could have", user);
	return 0;
}

static const char *
conf_file(struct uri *u)
{
	const char *file = uri_opt(u, "conf");

	return file != NULL ? file : DEFAULT_CONF;
}

void
cyrus_advise_once(const struct cyrus *c)
{
	cyrus_advise(c, conf_file(c->conf.uri));
}

/* A child whose files are synced together. */
static int
open_batch(struct cyrus *c, const char *file, struct err *e)
{
	const char *libexec = uri_opt(c->conf.uri, "libexec");
	char library[PATH_MAX];
	bool looks = c->conf.look_only;

	if (cyrus_nosync_find(library, sizeof library, e) == -1 ||
	    cyrus_alone(&c->conf, c->file, file, libexec, e) == -1 ||
	    (!looks && cyrus_disks_open(&c->disks, c->file, e) == -1) ||
	    sync_open_child(&c->y, &c->conf, c->file, file, libexec,
	    looks ? NULL : library, e) == -1)
		return -1;
	return looks ? 0 : cyrus_nosync_check(sync_child_pid(c->y->child),
	    e);
}

static int
open_local(struct cyrus *c, bool target, struct err *e)
{
	struct uri *u = c->conf.uri;
	const char *file = conf_file(u), *v = uri_opt(u, "fsync");
	int rc;

	if (cyrus_conf_read(&c->file, file, e) == -1 ||
	    local_names(c, u->path, e) == -1)
		return -1;
	if (target && v != NULL && strcmp(v, "batch") == 0)
		rc = open_batch(c, file, e);
	else
		rc = sync_open_child(&c->y, &c->conf, c->file, file,
		    uri_opt(u, "libexec"), NULL, e);
	return rc == -1 ? -1 : 1;
}

/* 1; 0: the login is none that may replicate; -1. */
static int
open_remote(struct cyrus *c, const char *user, struct err *e)
{
	struct imap_session *s;
	char sep;

	if (imap_session_open(&s, &c->conf, true, e) == -1)
		return -1;
	if (s->dialect != IMAP_CYRUS) {
		imap_session_close(&s);
		return err_set(e, ERR_ACCOUNT, "%.100s is no Cyrus",
		    c->conf.uri->host);
	}
	sep = s->sep;
	if (cyrus_names_init(&c->names, user, sep != '.', true, NULL) == -1) {
		imap_session_close(&s);
		return err_set(e, ERR_ACCOUNT, "\"%.100s\" is no user name "
		    "that Cyrus could have", user);
	}
	if (sync_open_imap(&c->y, &c->conf, s, e) == 0)
		return 1;
	return e->retry || e->cause == CAUSE_CANCELLED ? -1 : 0;
}

/* The partition for new mailboxes: as asked, as configured, or where the user
 * has his mail already. */
static int
find_partition(struct cyrus *c, struct err *e)
{
	const char *name = uri_opt(c->conf.uri, "partition"), *dir;
	struct cyrus_box b;
	int rc = 1;

	if (name != NULL && name[0] == '\0')
		name = NULL;
	cyrus_box_init(&b);
	if (name == NULL) {
		cyrus_lock(c, false);
		rc = cyrus_box_get(c->y, c->names.inbox, c->names.user, false,
		    NULL, NULL, &b, e);
		cyrus_unlock(c);
	}
	if (name == NULL && rc == 1)
		name = b.partition;
	if (name == NULL && c->file != NULL)
		name = cyrus_conf_get(c->file, "defaultpartition", NULL);
	if (name == NULL && (c->file == NULL ||
	    !cyrus_conf_partition(c->file, 0, &name, &dir)))
		name = "default";
	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789-_.") != strlen(name) ||
	    strlen(name) >= sizeof c->partition)
		rc = err_set(e, ERR_ACCOUNT, "partition=%.60s: no such name",
		    name);
	else
		snprintf(c->partition, sizeof c->partition, "%s", name);
	cyrus_box_release(&b);
	return rc == -1 ? -1 : 1;
}

/* A partition that is not there would end the child. */
static int
check_partition(struct cyrus *c, struct err *e)
{
	const char *name, *dir;

	if (c->file == NULL)
		return 1;
	for (size_t i = 0; cyrus_conf_partition(c->file, i, &name, &dir); i++)
		if (strcmp(name, c->partition) == 0)
			return 1;
	return err_set(e, ERR_ACCOUNT, "partition=%.60s: Cyrus' configuration "
	    "has no such partition", c->partition);
}

int
cyrus_connect(struct cyrus *c, const struct store_conf *conf, bool target,
    struct err *e)
{
	int rc;

	memset(c, 0, sizeof *c);
	c->conf = *conf;
	if (uri_opt(conf->uri, "inbox") != NULL)
		c->keep_inbox = strcmp(uri_opt(conf->uri, "inbox"), "keep") ==
		    0;
	if (cyrus_check(conf->uri, e) == -1)
		return -1;
	if (conf->uri->host != NULL) {
		if (cyrus_imap_uri(&c->uri, conf->uri, true, e) == -1)
			return -1;
		c->conf.uri = c->uri;
		rc = open_remote(c, conf->uri->path, e);
	} else
		rc = open_local(c, target, e);
	if (rc == 1)
		rc = find_partition(c, e);
	if (rc == 1)
		rc = check_partition(c, e);
	if (rc == 1 && target)
		rc = cyrus_probe(c->y, c->partition, e);
	if (rc != 1)
		cyrus_disconnect(c);
	return rc;
}

void
cyrus_disconnect(struct cyrus *c)
{
	sync_close(&c->y);
	cyrus_disks_close(&c->disks);
	cyrus_conf_free(&c->file);
	cyrus_names_release(&c->names);
	uri_free(&c->uri);
}
