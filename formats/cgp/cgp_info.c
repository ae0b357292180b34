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

#include "acl.h"
#include "base/mutf7.h"
#include "base/xmalloc.h"
#include "cgp/cgp_file.h"
#include "cgp/cgp_impl.h"
#include "cgp/cgp_name.h"

#define SUBS_MAX	((size_t)50000)
#define ACCESS_MAX	((size_t)10000)	/* of a mailbox */

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

/* An account by its whole name; "anyone" and the like stay what they are. */
static const char *
whole_name(struct cgp *c, const char *name, size_t len)
{
	const char *s = arena_memdup0(&c->tree, name, len);

	if (c->place.domain == NULL || strchr(s, '@') != NULL ||
	    strcasecmp(s, "anyone") == 0 || strchr("+-#", s[0]) != NULL)
		return s;
	return arena_printf(&c->tree, "%s@%s", s, c->place.domain);
}

/* Rights of others over a mailbox; what cannot be read is told. */
static void
take_access(struct cgp *c, struct cgp_folder *f,
    const struct dict_value *access)
{
	struct acl_entry *acl;
	char rights[ACL_MAX];
	size_t i;

	if (access == NULL || access->type != DICT_DICT || access->n == 0)
		return;
	acl = arena_alloc(&c->tree, access->n * sizeof *acl);
	for (i = 0; i < access->n && f->nacl < ACCESS_MAX; i++) {
		const struct dict_value *v = &access->items[i].value;
		const char *who = access->items[i].key;

		rights[0] = '\0';
		if (v->type == DICT_STRING && strlen(v->p) == v->len)
			acl_rights(v->p, rights);
		if (rights[0] == '\0' || who[0] == '\0') {
			source_warn(&c->s, arena_printf(&c->tree,
			    "access rights of %s", f->name), "of %s: not "
			    "understood, not carried over: %s",
			    cgp_show(&c->tree, who), v->type == DICT_STRING ?
			    cgp_show(&c->tree, v->p) : "no letters");
			continue;
		}
		acl[f->nacl].who = whole_name(c, who, strlen(who));
		acl[f->nacl++].rights = arena_strdup(&c->tree, rights);
	}
	f->acl = acl;
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
		take_access(c, f, dict_get(v, "Access"));
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

/* "~ACCOUNT/MAILBOX": one of another account, once. */
static void
add_foreign(struct cgp *c, const char *name)
{
	size_t len = strcspn(name + 1, "/"), i;
	const char *rest = name + 1 + len;
	struct foreign_box *f;

	for (i = 0; i < c->nforeign; i++)
		if (strcmp(c->foreign[i].name, name) == 0)
			return;
	if (len == 0 || c->nforeign == c->foreign_room)
		return;
	f = &c->foreign[c->nforeign++];
	f->name = arena_strdup(&c->tree, name);
	f->owner = whole_name(c, name + 1, len);
	f->box = *rest == '\0' || rest[1] == '\0' ? "INBOX" :
	    decoded(c, rest + 1);
}

static bool
is_name(const struct dict_value *v)
{
	return v->type == DICT_STRING && v->len > 0 &&
	    strlen(v->p) == v->len;
}

/* Aliases are mailboxes that a user sees under a name of his own; those of
 * other accounts count as subscriptions. */
static void
apply_aliases(struct cgp *c, const struct dict_value *aliases)
{
	size_t i, own = 0;

	if (aliases == NULL || aliases->type != DICT_DICT)
		return;
	for (i = 0; i < aliases->n; i++) {
		const struct dict_value *v = &aliases->items[i].value;

		if (is_name(v) && v->p[0] == '~')
			add_foreign(c, v->p);
		else
			own++;
	}
	if (own > 0)
		source_warn(&c->s, "MailboxAliases", "%zu other names of "
		    "mailboxes are not carried over", own);
}

static void
apply_subscriptions(struct cgp *c)
{
	const struct dict_value *v = find_subscriptions(c);
	const struct dict_value *aliases = dict_get(c->info,
	    "#MailboxAliases");
	struct cgp_folder *f;
	size_t i;

	c->nsubs = c->nforeign = 0;
	c->has_subs = v != NULL;
	c->foreign_room = (v != NULL ? v->n : 0) +
	    (aliases != NULL ? aliases->n : 0);
	if (c->foreign_room > SUBS_MAX)
		c->foreign_room = SUBS_MAX;
	c->foreign = arena_alloc(&c->tree, c->foreign_room *
	    sizeof *c->foreign + 1);
	apply_aliases(c, aliases);
	if (v == NULL)
		return;
	c->subs = arena_alloc(&c->tree, v->n * sizeof *c->subs + 1);
	for (i = 0; i < v->n && c->nsubs < SUBS_MAX; i++) {
		const struct dict_value *x = &v->items[i].value;

		if (!is_name(x))
			continue;
		if (x->p[0] == '~') {
			add_foreign(c, x->p);
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

void
cgp_info_account(struct cgp *c, struct arena *a, struct account_info *info)
{
	const struct dict_value *v;
	struct foreign_box *foreign;
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
	foreign = arena_alloc(a, c->nforeign * sizeof *foreign + 1);
	for (i = 0; i < c->nforeign; i++) {
		foreign[i].name = arena_strdup(a, c->foreign[i].name);
		foreign[i].owner = arena_strdup(a, c->foreign[i].owner);
		foreign[i].box = arena_strdup(a, c->foreign[i].box);
	}
	info->foreign = foreign;
	info->nforeign = c->nforeign;
	cgp_left_tell(c);
}
