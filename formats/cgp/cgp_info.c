/*
 * What settings tell of an account and its mailboxes.
 *
 *	account.settings	quota, rules, ExternalINBOX, ...
 *	account.info		MAILBOX = { UIDValidity; UIDNext; Class;
 *				Access = { IDENTIFIER = LETTERS; }; ... };
 *				"#Viewer" = { SentBox = NAME; ... };
 *				some "#" key with "ubscri" in it: (NAME, ...)
 *	account.prefs		the *Box keys in older versions
 *	account.subscription	(NAME, ...), if there is such a file
 *	Settings/WebUserPrefs.settings of the domain and of the server: the
 *				defaults of the *Box keys
 *
 * The shape of account.info is partly a guess, so every key is optional, and
 * names of mailboxes are taken as on disk or in UTF-8.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mutf7.h"
#include "base/xmalloc.h"
#include "cgp/cgp_file.h"
#include "cgp/cgp_impl.h"
#include "cgp/cgp_name.h"

#define SUBS_MAX	((size_t)50000)

/* NAME.EXT of a single-mailbox account, else account.EXT. */
static struct dict_value *
read_own(struct cgp *c, const char *ext)
{
	const char *file = arena_printf(&c->tree, "%s.%s",
	    c->place.single != NULL ? c->place.single : "account", ext);
	struct dict_value *v;
	struct err e;

	if (cgp_read_dict(c->place.dirfd, file, &c->tree, &v, &e) == -1)
		source_warn(&c->s, file, "%s; %s", e.text, v != NULL &&
		    v->n > 0 ? "what stands before that is used" :
		    "done without");
	return v;
}

void
cgp_info_read(struct cgp *c)
{
	c->settings = read_own(c, "settings");
	c->info = read_own(c, "info");
	c->prefs = read_own(c, "prefs");
	cgp_defaults_read(&c->place, c->settings, &c->tree, &c->defaults);
	if (dict_bool(cgp_setting(&c->defaults, "ExternalINBOX"),
	    "ExternalINBOX") == 1 && c->external == NULL)
		source_warn(&c->s, "ExternalINBOX", "INBOX of this account "
		    "lies outside of the base directory, usually in "
		    "/var/mail: give it as inbox=FILE");
}

/* Mailboxes */

static const struct dict_value *
entry_of(const struct cgp *c, const struct cgp_folder *f)
{
	const struct dict_value *v = dict_get(c->info, f->raw);

	if (v == NULL)
		v = dict_get(c->info, f->name);
	/* The only mailbox of an account may have the file for itself. */
	if (v == NULL && c->place.single != NULL)
		v = c->info;
	return v;
}

static uint32_t
uid_key(const struct dict_value *v, const char *key)
{
	int64_t n;

	return dict_number(v, key, &n) == 1 && n > 0 && n <= UINT32_MAX ?
	    (uint32_t)n : 0;
}

void
cgp_acl_rights(const char *letters, char out[16])
{
	static const char order[] = "lrswipkxtea";
	bool has[sizeof order] = { false };
	size_t i, n = 0;
	const char *p;

	out[0] = '\0';
	for (; *letters != '\0'; letters++) {
		/* Creating and deleting were one right each, now they are
		 * two. */
		const char *means = *letters == 'c' ? "kx" :
		    *letters == 'd' ? "te" : NULL;
		char one[2] = { *letters, '\0' };

		for (means = means != NULL ? means : one; *means != '\0';
		    means++) {
			if ((p = strchr(order, *means)) == NULL)
				return;
			has[p - order] = true;
		}
	}
	for (i = 0; order[i] != '\0'; i++)
		if (has[i])
			out[n++] = order[i];
	out[n] = '\0';
}

/* Targets cannot be given rights yet: they are listed. */
static void
tell_access(struct cgp *c, const struct cgp_folder *f,
    const struct dict_value *access)
{
	char rights[16];
	struct buf b;
	size_t i;

	if (access == NULL || access->type != DICT_DICT || access->n == 0)
		return;
	buf_init(&b, 300);
	for (i = 0; i < access->n; i++) {
		const struct dict_value *v = &access->items[i].value;

		rights[0] = '\0';
		if (v->type == DICT_STRING)
			cgp_acl_rights(v->p, rights);
		buf_addf(&b, "%s%s %s", i > 0 ? ", " : "",
		    cgp_show(&c->tree, access->items[i].key),
		    rights[0] != '\0' ? rights : "(not understood)");
	}
	source_warn(&c->s, arena_printf(&c->tree, "access rights of %s",
	    f->name), "not carried over: %s%s", b.ptr, b.full ? ", ..." : "");
	buf_release(&b);
}

static void
apply_entry(struct cgp *c, struct cgp_folder *f)
{
	const struct dict_value *v = entry_of(c, f);
	const char *class;

	if (v == NULL || f->external)
		return;
	f->uidvalidity = uid_key(v, "UIDValidity");
	f->uidnext = uid_key(v, "UIDNext");
	class = dict_string(v, "Class");
	if (class != NULL && class[0] != '\0')
		f->other = strncasecmp(class, "IPF.Note", 8) != 0;
	if (!f->noselect && f->refused == NULL)
		tell_access(c, f, dict_get(v, "Access"));
}

/* The folder of a name as settings spell it; NULL: there is none. */
static struct cgp_folder *
folder_named(struct cgp *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->nfolders; i++)
		if (strcmp(c->folders[i].raw, name) == 0 ||
		    strcmp(c->folders[i].name, name) == 0)
			return &c->folders[i];
	return NULL;
}

/* The *Box preferences: the account's, its domain's, the server's. */
static void
apply_boxes(struct cgp *c)
{
	static const struct { const char *key; unsigned use; } boxes[] = {
		{ "DraftsBox", USE_DRAFTS }, { "SentBox", USE_SENT },
		{ "TrashBox", USE_TRASH }, { "JunkBox", USE_JUNK },
		{ "ArchiveBox", USE_ARCHIVE }, { "NotesBox", 0 },
		{ "CalendarBox", 0 }, { "TasksBox", 0 }, { "ContactsBox", 0 }
	};
	const struct dict_value *from[6];
	struct dict_value *v;
	const int dirs[2] = { c->place.domfd, c->place.basefd };
	size_t i, k, n = 0;
	struct err e;

	from[n++] = dict_get(c->info, "#Viewer");
	from[n++] = c->prefs;
	from[n++] = c->settings;
	for (i = 0; i < 2; i++) {
		int fd = dirs[i] != -1 ? cgp_open_dir(dirs[i], "Settings") : -1;

		if (fd == -1)
			continue;
		cgp_read_dict(fd, "WebUserPrefs.settings", &c->tree, &v, &e);
		close(fd);
		from[n++] = v;
	}
	for (i = 0; i < sizeof boxes / sizeof boxes[0]; i++) {
		const char *name = NULL;
		struct cgp_folder *f;

		for (k = 0; k < n && name == NULL; k++) {
			name = dict_string(from[k], boxes[i].key);
			if (name != NULL && (name[0] == '\0' ||
			    strcasecmp(name, "default") == 0))
				name = NULL;
		}
		if (name == NULL || (f = folder_named(c, name)) == NULL)
			continue;
		f->use |= boxes[i].use;
		if (boxes[i].use == 0 && dict_string(entry_of(c, f),
		    "Class") == NULL)
			f->other = true;
	}
}

/* Subscriptions */

/* A list of names under some key of account.info, or in a file. */
static const struct dict_value *
find_subscriptions(struct cgp *c)
{
	static const char *const files[] = { "subscription", "subscriptions" };
	const struct dict_value *v;
	size_t i;

	for (i = 0; c->info != NULL && i < c->info->n; i++) {
		v = &c->info->items[i].value;
		if (c->info->type == DICT_DICT && v->type == DICT_ARRAY &&
		    c->info->items[i].key[0] == '#' &&
		    strcasestr(c->info->items[i].key, "ubscri") != NULL)
			return v;
	}
	for (i = 0; i < 2; i++)
		if ((v = read_own(c, files[i])) != NULL &&
		    v->type == DICT_ARRAY)
			return v;
	return NULL;
}

/* In UTF-8, for people and for comparing. */
static const char *
decoded(struct cgp *c, const char *name)
{
	const char *q;
	struct buf b;
	char *s;

	buf_init(&b, 1 << 16);
	for (;; name = q + 1) {
		q = name + strcspn(name, "/");
		cgp_level(&b, name, (size_t)(q - name));
		if (*q == '\0')
			break;
		buf_addc(&b, '/');
	}
	s = arena_memdup0(&c->tree, b.ptr, b.len);
	buf_release(&b);
	return s;
}

static void
apply_subscriptions(struct cgp *c)
{
	const struct dict_value *v = find_subscriptions(c);
	struct cgp_folder *f;
	size_t i;

	c->nsubs = 0;
	c->has_subs = v != NULL;
	if (v == NULL)
		return;
	c->subs = arena_alloc(&c->tree, v->n * sizeof *c->subs + 1);
	for (i = 0; i < v->n && c->nsubs < SUBS_MAX; i++) {
		const struct dict_value *x = &v->items[i].value;

		if (x->type != DICT_STRING || x->len == 0 ||
		    strlen(x->p) != x->len)
			continue;
		if (x->p[0] == '~') {
			source_warn(&c->s, arena_printf(&c->tree,
			    "subscription %s", cgp_show(&c->tree, x->p)),
			    "a mailbox of another account: not carried over");
			continue;
		}
		f = folder_named(c, x->p);
		if (f == NULL && strcasecmp(x->p, "INBOX") == 0)
			f = folder_named(c, "INBOX");
		if (f != NULL)
			f->subscribed = true;
		c->subs[c->nsubs++] = f != NULL ? f->name :
		    decoded(c, x->p);
	}
}

void
cgp_info_apply(struct cgp *c)
{
	size_t i;

	for (i = 0; i < c->nfolders; i++)
		apply_entry(c, &c->folders[i]);
	apply_boxes(c);
	apply_subscriptions(c);
}

/* The account */

static void
tell_left_behind(struct cgp *c)
{
	static const struct { const char *key, *what; } timers[] = {
		{ "DeleteMessagesAfter", "deletes old mail" },
		{ "ArchiveMessagesAfter", "moves old mail" },
		{ "EmptyTrash", "empties the trash" },
		{ "EmptyJunk", "empties the junk" }
	};
	const struct dict_value *v, *at;
	const char *value;
	size_t i;

	v = dict_get(c->settings, "Rules");
	if (v != NULL && v->type == DICT_ARRAY && v->n > 0)
		source_warn(&c->s, "Rules", "%zu mail rules are not carried "
		    "over", v->n);
	v = dict_get(c->info, "#MailboxAliases");
	if (v != NULL && v->n > 0)
		source_warn(&c->s, "MailboxAliases", "%zu mailbox aliases are "
		    "not carried over", v->n);
	for (i = 0; i < sizeof timers / sizeof timers[0]; i++) {
		at = cgp_setting(&c->defaults, timers[i].key);
		value = dict_string(at, timers[i].key);
		if (value != NULL && strcasecmp(value, "never") != 0 &&
		    strcasecmp(value, "NO") != 0 && strcmp(value, "0") != 0)
			source_warn(&c->s, timers[i].key, "the server %s by "
			    "itself (%s): switch it off until the move is "
			    "over, else counts drift", timers[i].what,
			    cgp_show(&c->tree, value));
	}
}

void
cgp_info_account(struct cgp *c, struct arena *a, struct account_info *info)
{
	const struct dict_value *v;
	const char **subs;
	uint64_t bytes;
	size_t i;

	v = cgp_setting(&c->defaults, "MaxAccountSize");
	if (dict_size(v, "MaxAccountSize", &bytes) == 1)
		info->quota_bytes = bytes == UINT64_MAX ? UNKNOWN64 : bytes;
	info->has_subscriptions = c->has_subs;
	info->nsubscriptions = c->nsubs;
	subs = arena_alloc(a, c->nsubs * sizeof *subs + 1);
	for (i = 0; i < c->nsubs; i++)
		subs[i] = arena_strdup(a, c->subs[i]);
	info->subscriptions = subs;
	tell_left_behind(c);
}
