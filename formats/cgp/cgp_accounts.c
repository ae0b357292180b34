/* All accounts of a base directory, with their facts. */
#include "cgp/cgp_accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/safepath.h"
#include "base/xmalloc.h"
#include "cgp/cgp_file.h"
#include "cgp/cgp_impl.h"

struct named { char *user, *path; };

struct lister {
	const struct store_conf *conf;
	bool		 read_all;
	cgp_account_fn	*fn;
	void		*ctx;
	const char	*user;		/* of the account in hand */
	struct named	*all;		/* so far */
	size_t		 n, cap;
};

/* Whose it is stands before the mailbox. */
static void
on_warning(void *ctx, const char *mailbox, const char *where,
    const char *text)
{
	const struct lister *l = ctx;
	struct arena a;

	arena_init(&a);
	l->conf->warn(l->conf->warn_ctx, mailbox == NULL ? l->user :
	    arena_printf(&a, "%s/%s", l->user, mailbox), where, text);
	arena_release(&a);
}

const char *
cgp_account_kind_name(enum cgp_account_kind kind)
{
	static const char *const names[] = {
		"mail", "single-mailbox", "external INBOX", "shared", "system"
	};

	return names[kind];
}

/* Bytes of a content when every line ends in CR LF. */
static int
crlf_size(struct content *c, uint64_t *size, struct err *e)
{
	char chunk[16384], last = '\0';
	const char *p, *lf;
	ssize_t n;

	while ((n = content_read(c, chunk, sizeof chunk, e)) > 0) {
		*size += (uint64_t)n;
		for (p = chunk; (lf = memchr(p, '\n', (size_t)(chunk + n -
		    p))) != NULL; p = lf + 1)
			if ((lf > chunk ? lf[-1] : last) != '\r')
				(*size)++;
		last = chunk[n - 1];
	}
	return n == -1 ? -1 : 0;
}

/* One message into the sums. */
static int
add_message(struct lister *l, struct source *s, const struct msg_meta *m,
    struct cgp_account *x, struct err *e)
{
	struct content *c;
	uint64_t size = 0;
	int rc;

	if (!l->read_all) {
		x->messages++;
		x->bytes += m->size;
		return 0;
	}
	rc = source_content(s, m, &c, e);
	if (rc == 0)
		return 0;		/* gone meanwhile */
	if (rc == 1) {
		rc = crlf_size(c, &size, e);
		content_close(&c);
	}
	if (rc == -1) {
		x->unreadable++;
		source_warn(s, m->where, "%s", e->text);
		return e->scope == ERR_MESSAGE ? 0 : -1;
	}
	x->messages++;
	x->bytes += m->size;
	x->crlf_bytes += size;
	return 0;
}

/* A mailbox that cannot be read, or stops being it, is told and counted. */
static void
add_mailbox(struct lister *l, struct source *s, struct folder_info *f,
    struct cgp_account *x)
{
	struct msg_meta m;
	struct arena a;
	enum delta d;
	struct err e;
	int rc;

	if (f->noselect)
		return;
	x->mailboxes++;
	if (f->refused != NULL) {	/* was told */
		x->unreadable++;
		return;
	}
	if (source_folder_open(s, f, NULL, 0, &d, &e) == -1) {
		x->unreadable++;
		on_warning(l, f->name, NULL, e.text);
		return;
	}
	arena_init(&a);
	while ((rc = source_next(s, &a, &m, &e)) == 1) {
		rc = add_message(l, s, &m, x, &e);
		arena_reset(&a);
		if (rc == -1)
			break;
	}
	if (rc == -1) {
		x->unreadable++;
		source_warn(s, NULL, "%s", e.text);
	}
	source_folder_close(s);
	arena_release(&a);
}

/* Settings */

static bool
named(const struct dict_value *v, const char *mode)
{
	size_t i;

	if (v == NULL)
		return true;
	if (v->type == DICT_STRING)
		return strcasecmp(v->p, "All") == 0 ||
		    strcasecmp(v->p, mode) == 0;
	for (i = 0; v->type == DICT_ARRAY && i < v->n; i++)
		if (v->items[i].value.type == DICT_STRING &&
		    strcasecmp(v->items[i].value.p, mode) == 0)
			return true;
	return false;
}

static enum cgp_account_kind
kind_of(const struct cgp *c)
{
	const struct dict_value *inbox = dict_get(c->info, "INBOX");
	const char *name = c->place.name;

	if (strcmp(name, "pbx") == 0 || strcmp(name, "ivr") == 0)
		return CGP_ACCOUNT_SYSTEM;
	if (strcmp(name, "public") == 0 || dict_string(dict_get(inbox,
	    "Access"), "anyone") != NULL)
		return CGP_ACCOUNT_SHARED;
	if (dict_bool(cgp_setting(&c->defaults, "ExternalINBOX"),
	    "ExternalINBOX") == 1)
		return CGP_ACCOUNT_EXTERNAL;
	return c->place.single != NULL ? CGP_ACCOUNT_SINGLE :
	    CGP_ACCOUNT_MAIL;
}

static void
add_settings(struct cgp *c, struct cgp_account *x)
{
	const struct dict_value *v;

	x->kind = kind_of(c);
	v = cgp_setting(&c->defaults, "AccessModes");
	x->pop = named(dict_get(v, "AccessModes"), "POP");
	x->imap = named(dict_get(v, "AccessModes"), "IMAP");
	v = dict_get(c->info, "#LastLogin");
	if (v == NULL)
		v = dict_get(c->info, "LastLogin");
	x->last_login = v != NULL && v->type == DICT_TIME &&
	    v->number != INT64_MIN && v->number != INT64_MAX ? v->number :
	    NO_DATE;
}

/* Accounts */

static void
remember(struct lister *l, const char *user, const char *path)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 256 : 2 * l->cap;
		l->all = xreallocarray(l->all, l->cap, sizeof *l->all);
	}
	l->all[l->n].user = xstrdup(user);
	l->all[l->n++].path = xstrdup(path);
}

static int
cmp_named(const void *va, const void *vb)
{
	const struct named *a = va, *b = vb;
	int c = strcasecmp(a->user, b->user);

	return c != 0 ? c : strcmp(a->path, b->path);
}

/* Two of one name, which are met one after the other in foldered domains. */
static void
tell_doubles(struct lister *l)
{
	char text[600];

	if (l->n > 0)
		qsort(l->all, l->n, sizeof *l->all, cmp_named);
	for (size_t i = 0; i < l->n; i++) {
		const struct named *x = &l->all[i];

		if (i > 0 && strcasecmp(x[-1].user, x->user) == 0) {
			snprintf(text, sizeof text, "%.200s lies in %.200s as "
			    "well: neither is copied before one of them is "
			    "gone", x->user, x[-1].path);
			l->conf->warn(l->conf->warn_ctx, NULL, x->path, text);
		}
	}
	for (size_t i = 0; i < l->n; i++) {
		free(l->all[i].user);
		free(l->all[i].path);
	}
	free(l->all);
}

static int
on_place(void *ctx, struct cgp_place *p, struct err *e)
{
	struct lister *l = ctx;
	struct cgp_account x = { .quota = UNKNOWN64 };
	struct store_conf conf = *l->conf;
	struct account_info info;
	struct folder_info *folders;
	struct source *s;
	struct arena a;
	size_t n, i;
	int rc;

	arena_init(&a);
	conf.warn = on_warning;
	conf.warn_ctx = l;
	x.user = p->domain != NULL ? arena_printf(&a, "%s@%s", p->name,
	    p->domain) : arena_strdup(&a, p->name);
	x.path = arena_strdup(&a, p->path);
	l->user = x.user;
	remember(l, x.user, x.path);
	if (cgp_open_place(&s, &conf, p, e) == -1) {
		arena_release(&a);
		return -1;
	}
	if (source_list(s, &a, &folders, &n, e) == -1 ||
	    source_account_facts(s, &a, &info, e) == -1) {
		on_warning(l, NULL, NULL, e->text);
		x.unreadable++;
		n = 0;
	} else
		x.quota = info.quota_bytes;
	add_settings((struct cgp *)s, &x);
	for (i = 0; i < n; i++)
		add_mailbox(l, s, &folders[i], &x);
	if (!l->read_all || x.unreadable > 0)
		x.crlf_bytes = UNKNOWN64;
	rc = l->fn(l->ctx, &x, e);
	source_close(&s);
	arena_release(&a);
	return rc;
}

static void
on_tell(void *ctx, const char *where, const char *text)
{
	struct lister *l = ctx;

	l->conf->warn(l->conf->warn_ctx, NULL, where, text);
}

int
cgp_accounts(const struct store_conf *conf, bool read_all, cgp_account_fn *fn,
    void *ctx, struct err *e)
{
	struct lister l = { .conf = conf, .read_all = read_all, .fn = fn,
	    .ctx = ctx };
	const char *path = conf->uri->path;
	struct safepath at;
	int rc;

	if (source_check(conf->uri, e) == -1)
		return -1;
	if (safepath_open(&at, AT_FDCWD, path, false) == -1)
		return safepath_error(e, ERR_RUN, path);
	if (!S_ISDIR(at.st.st_mode) || !cgp_is_base(at.fd))
		rc = err_set(e, ERR_RUN, "%s has neither Accounts/ nor "
		    "Domains/: no base directory of CommuniGate", path);
	else
		rc = cgp_each(at.fd, uri_opt(conf->uri, "main-domain"),
		    on_place, on_tell, &l, e);
	safepath_close(&at);
	tell_doubles(&l);
	return rc;
}
