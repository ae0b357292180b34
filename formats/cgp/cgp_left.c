/*
 * What an account has and nobody moves, with counts.
 *
 *	account.settings	Rules: #Vacation, those that send mail on, ...
 *	account.dst		string lists and contact data
 *	account.web/		files
 *	account.rpopids/, Settings/RPOP.data of the domain	other servers'
 *				mailboxes that are polled
 *	Settings/Aliases.data	other names of the account: NAME = ACCOUNT, or
 *				ACCOUNT = (NAME, ...), or ((NAME, ACCOUNT), ...)
 *	Settings/LISTS/NAME.list, LISTS/NAME.list	mailing lists, whose
 *				archive is a mailbox of the owner by that name
 *
 * Shapes of these files are guesses but for the rules: a count of none says
 * nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cgp/cgp_file.h"
#include "cgp/cgp_impl.h"
#include "cgp/cgp_name.h"

#define WEB_DEPTH	30
#define WEB_FILES	((uint64_t)1000000)	/* no more are counted */

/* Rules */

static bool
names_action(const struct dict_value *v)
{
	static const char *const words[] = { "redirectto", "mirrorto",
	    "forwardto" };
	char squeezed[20];
	size_t n = 0;

	if (v->type != DICT_STRING)
		return false;
	/* Spellings differ in case and blanks. */
	for (size_t i = 0; i < v->len && n < sizeof squeezed - 1; i++)
		if (v->p[i] != ' ')
			squeezed[n++] = v->p[i];
	squeezed[n] = '\0';
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcasecmp(squeezed, words[i]) == 0)
			return true;
	return false;
}

/* An action of the rule, (NAME, PARAMETER), sends mail on. */
static bool
sends_on(const struct dict_value *rule)
{
	for (size_t i = 0; i < rule->n; i++) {
		const struct dict_value *list = &rule->items[i].value;

		for (size_t k = 0; list->type == DICT_ARRAY && k < list->n;
		    k++) {
			const struct dict_value *x = &list->items[k].value;

			if (x->type == DICT_ARRAY && x->n > 0 &&
			    names_action(&x->items[0].value))
				return true;
		}
	}
	return false;
}

static bool
is_vacation(const struct dict_value *rule)
{
	for (size_t i = 0; i < rule->n && i < 2; i++) {
		const struct dict_value *x = &rule->items[i].value;

		if (x->type == DICT_STRING && x->p[0] == '#' &&
		    strcasecmp(x->p, "#Vacation") == 0)
			return true;
	}
	return false;
}

static void
tell_rules(struct cgp *c)
{
	const struct dict_value *v = dict_get(c->settings, "Rules");
	size_t on = 0, vacations = 0;

	if (v == NULL || v->type != DICT_ARRAY || v->n == 0)
		return;
	for (size_t i = 0; i < v->n; i++) {
		const struct dict_value *rule = &v->items[i].value;

		if (rule->type != DICT_ARRAY)
			continue;
		vacations += is_vacation(rule);
		on += sends_on(rule);
	}
	source_warn(&c->s, "Rules", "%zu mail rules are not carried over",
	    v->n);
	if (vacations > 0)
		source_warn(&c->s, "Vacation", "%zu of the rules answers while "
		    "the user is away", vacations);
	if (on > 0)
		source_warn(&c->s, "Forwards", "%zu of the rules send mail on "
		    "to other addresses", on);
}

/* Files of the account */

/* Files and bytes below a directory, which is closed. */
static void
add_files(int fd, int depth, uint64_t *files, uint64_t *bytes)
{
	struct dirent *d;
	struct stat st;
	DIR *dir;
	int sub;

	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return;
	}
	while (*files < WEB_FILES && (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0 || fstatat(dirfd(dir),
		    d->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1)
			continue;
		if (S_ISREG(st.st_mode)) {
			++*files;
			*bytes += (uint64_t)st.st_size;
		} else if (S_ISDIR(st.st_mode) && depth < WEB_DEPTH &&
		    (sub = cgp_open_dir(dirfd(dir), d->d_name)) != -1)
			add_files(sub, depth + 1, files, bytes);
	}
	closedir(dir);
}

static void
tell_files(struct cgp *c)
{
	uint64_t files = 0, bytes = 0;
	struct dict_value *v;
	struct err e;
	int fd;

	if (c->place.single != NULL)
		return;
	if ((fd = cgp_open_dir(c->place.dirfd, "account.web")) != -1)
		add_files(fd, 0, &files, &bytes);
	if (files > 0)
		source_warn(&c->s, "account.web", "%" PRIu64 " files of %"
		    PRIu64 " bytes are not carried over", files, bytes);
	if (cgp_read_dict(c->place.dirfd, "account.dst", &c->tree, &v, &e) ==
	    1 && v->n > 0)
		source_warn(&c->s, "account.dst", "%zu lists of the data set "
		    "(addresses answered, contacts) are not carried over",
		    v->n);
}

/* Settings of the domain */

static struct dict_value *
read_of_domain(struct cgp *c, const char *file)
{
	struct dict_value *v = NULL;
	struct err e;
	int fd;

	if (c->place.domfd == -1 || (fd = cgp_open_dir(c->place.domfd,
	    "Settings")) == -1)
		return NULL;
	if (cgp_read_dict(fd, file, &c->tree, &v, &e) == -1)
		source_warn(&c->s, file, "%s: what it says of this account "
		    "is not known", e.text);
	close(fd);
	return v;
}

static bool
is_account(const struct cgp *c, const struct dict_value *v)
{
	return v->type == DICT_STRING && strlen(v->p) == v->len &&
	    strcasecmp(v->p, c->place.name) == 0;
}

static void
tell_aliases(struct cgp *c)
{
	static const char *const files[] = { "Aliases.data", "aliases.data" };
	const struct dict_value *v = NULL, *x;
	size_t n = 0;

	for (size_t i = 0; i < 2 && v == NULL; i++)
		v = read_of_domain(c, files[i]);
	for (size_t i = 0; v != NULL && i < v->n; i++) {
		x = &v->items[i].value;
		if (v->type == DICT_DICT && x->type == DICT_ARRAY) {
			if (strcasecmp(v->items[i].key, c->place.name) == 0)
				n += x->n;
		} else if (v->type == DICT_DICT)
			n += is_account(c, x);
		else if (x->type == DICT_ARRAY && x->n == 2)
			n += is_account(c, &x->items[1].value);
	}
	if (n > 0)
		source_warn(&c->s, "Aliases", "%zu other addresses of this "
		    "account are not carried over", n);
}

static void
tell_polled(struct cgp *c)
{
	const struct dict_value *v, *x = NULL;
	size_t n = 0;

	v = dict_get(c->settings, "RPOP");
	if (v == NULL)
		v = dict_get(c->info, "#RPOP");
	if (v != NULL)
		n = v->n;
	if (n == 0 && (v = read_of_domain(c, "RPOP.data")) != NULL)
		x = dict_get(v, c->place.name);
	if (x != NULL)
		n = x->type == DICT_DICT || x->type == DICT_ARRAY ? x->n : 1;
	if (n > 0)
		source_warn(&c->s, "RPOP", "%zu mailboxes of other servers are "
		    "polled into this account: that is not carried over", n);
	else if (c->place.single == NULL && cgp_exists(c->place.dirfd,
	    "account.rpopids"))
		source_warn(&c->s, "RPOP", "mailboxes of other servers have "
		    "been polled into this account: that is not carried over");
}

static void
tell_lists(struct cgp *c)
{
	static const char *const dirs[] = { "Settings/LISTS", "LISTS" };
	size_t n = 0;
	int fd;

	for (size_t i = 0; i < 2 && c->place.domfd != -1; i++) {
		fd = cgp_open_dir_at(c->place.domfd, dirs[i]);
		for (size_t k = 0; fd != -1 && k < c->nfolders; k++)
			if (c->folders[k].npath == 1)
				n += cgp_exists(fd, arena_printf(&c->tree,
				    "%s.list", c->folders[k].raw));
		if (fd != -1)
			close(fd);
	}
	if (n > 0)
		source_warn(&c->s, "LISTS", "%zu mailing lists have their "
		    "archive here: the lists are not carried over", n);
}

/* The server's own hand */

static void
tell_timers(struct cgp *c)
{
	static const struct { const char *key, *what; } timers[] = {
		{ "DeleteMessagesAfter", "deletes old mail" },
		{ "ArchiveMessagesAfter", "moves old mail" },
		{ "EmptyTrash", "empties the trash" },
		{ "EmptyJunk", "empties the junk" }
	};
	const struct dict_value *at;
	const char *value;

	for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
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
cgp_left_tell(struct cgp *c)
{
	tell_rules(c);
	tell_aliases(c);
	tell_polled(c);
	tell_lists(c);
	tell_files(c);
	tell_timers(c);
}
