/* The options of a URI, and opening an account. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/safepath.h"
#include "base/xmalloc.h"
#include "cgp/cgp_file.h"
#include "cgp/cgp_impl.h"
#include "cgp/cgp_source.h"

static int
choice(struct uri *uri, const char *key, const char *const *words,
    struct err *e)
{
	const char *val = uri_opt(uri, key);
	char all[100] = "";
	int i;

	if (val == NULL)
		return 0;
	for (i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], val) == 0)
			return i;
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s",
		    i > 0 ? ", " : "", words[i]);
	}
	return err_set(e, ERR_RUN, "%s=%s: must be one of %s", key, val, all);
}

/* "utc", "+hhmm", "-hhmm" */
static int
read_zone(const char *val, int *minutes, struct err *e)
{
	size_t i;

	*minutes = 0;
	if (val == NULL || strcmp(val, "utc") == 0)
		return 0;
	for (i = 1; strlen(val) == 5 && i < 5; i++)
		if (val[i] < '0' || val[i] > '9')
			break;
	if (i != 5 || (val[0] != '+' && val[0] != '-') || val[3] > '5')
		return err_set(e, ERR_RUN, "zone=%s: must be utc, or +hhmm "
		    "or -hhmm", val);
	*minutes = ((val[1] - '0') * 10 + val[2] - '0') * 60 +
	    (val[3] - '0') * 10 + val[4] - '0';
	if (*minutes > 14 * 60)
		return err_set(e, ERR_RUN, "zone=%s: there is no such zone",
		    val);
	if (val[0] == '-')
		*minutes = -*minutes;
	return 0;
}

/* What a URI says, without opening anything. */
static int
read_uri(struct cgp *c, struct uri *u, struct err *e)
{
	static const char *const dialects[] = { "auto", "cgp", "plain", NULL };
	static const char *const servers[] = {
		"stopped", "live", "snapshot", NULL
	};
	static const char *const nonmail[] = { "exclude", "include", NULL };
	const char *table;
	int dialect, server, other;

	if (u->host != NULL || u->path == NULL || u->path[0] == '\0')
		return err_set(e, ERR_RUN, "cgp: needs a path, as in "
		    "cgp:/var/CommuniGate?account=anna@example.net");
	if ((dialect = choice(u, "dialect", dialects, e)) == -1 ||
	    (server = choice(u, "server", servers, e)) == -1 ||
	    (other = choice(u, "nonmail", nonmail, e)) == -1 ||
	    read_zone(uri_opt(u, "zone"), &c->zone, e) == -1)
		return -1;
	c->dialect = (enum cgp_dialect)dialect;
	c->running_ok = server > 0;
	c->live = server == 1;
	c->nonmail = other == 1;
	c->account = uri_opt(u, "account");
	c->main_domain = uri_opt(u, "main-domain");
	c->external = uri_opt(u, "inbox");
	if (c->account != NULL && c->account[0] == '\0')
		return err_set(e, ERR_RUN, "account= is empty");
	if (c->external != NULL && c->external[0] != '/')
		return err_set(e, ERR_RUN, "inbox=%s: must be an absolute "
		    "path", c->external);
	table = uri_opt(u, "flag-letters");
	return cgp_flags_parse(&c->flags, table != NULL ? table :
	    CGP_FLAG_LETTERS, e);
}

int
cgp_check(struct uri *u, struct err *e)
{
	struct cgp c;
	int rc;

	memset(&c, 0, sizeof c);
	rc = read_uri(&c, u, e);
	cgp_flags_release(&c.flags);
	return rc;
}

/* Opening */

static int
open_account(struct cgp *c, const char *path, struct err *e)
{
	struct safepath at;
	int rc;

	if (safepath_open(&at, AT_FDCWD, path, false) == -1)
		return safepath_error(e, ERR_ACCOUNT, path);
	if (!S_ISDIR(at.st.st_mode)) {
		safepath_close(&at);
		return err_set(e, ERR_ACCOUNT, "%s is no directory", path);
	}
	close(at.dirfd);
	if (c->account != NULL && !cgp_is_base(at.fd)) {
		close(at.fd);
		err_set(e, ERR_ACCOUNT, "%s has neither Accounts/ nor "
		    "Domains/: no base directory of CommuniGate", path);
		e->cause = CAUSE_MISSING;
		return -1;
	}
	if (c->account != NULL) {
		rc = cgp_find(at.fd, c->account, c->main_domain, &c->arena,
		    &c->place, e);
		close(at.fd);
		return rc == -1 ? err_ctx(e, "%s", path) : 0;
	}
	if (cgp_is_base(at.fd)) {
		close(at.fd);
		return err_set(e, ERR_ACCOUNT, "%s holds a whole server: say "
		    "account=NAME@DOMAIN (account={user} in a job)", path);
	}
	cgp_here(at.fd, path, &c->arena, &c->place);
	return 0;
}

void
cgp_close(struct source *s)
{
	struct cgp *c = (struct cgp *)s;

	cgp_place_release(&c->place);
	cgp_flags_release(&c->flags);
	arena_release(&c->arena);
	arena_release(&c->tree);
	buf_release(&c->box.watch);
	free(c->folders);
	free(c);
}

/* With the options of the URI, and no account yet; NULL: *e. */
static struct cgp *
new_source(const struct store_conf *conf, struct err *e)
{
	struct cgp *c = xcalloc(1, sizeof *c);

	c->s.conf = *conf;
	c->box.fd = -1;
	cgp_place_init(&c->place);
	arena_init(&c->arena);
	arena_init(&c->tree);
	buf_init(&c->box.watch, 4096);
	if (read_uri(c, conf->uri, e) == -1) {
		cgp_close(&c->s);
		return NULL;
	}
	snprintf(c->shape, sizeof c->shape, "%d%+d%d", c->dialect, c->zone,
	    c->external != NULL);
	return c;
}

int
cgp_open_place(struct source **sp, const struct store_conf *conf,
    struct cgp_place *place, struct err *e)
{
	struct cgp *c = new_source(conf, e);

	if (c == NULL)
		return -1;
	c->s.ops = &cgp_source;
	c->place = *place;
	cgp_place_init(place);
	*sp = &c->s;
	return 0;
}

int
cgp_open_source(struct source **sp, const struct store_conf *conf,
    struct err *e)
{
	struct cgp *c = new_source(conf, e);

	if (c == NULL)
		return -1;
	if (open_account(c, conf->uri->path, e) == -1)
		goto failed;
	if (c->place.basefd != -1 && cgp_is_running(c->place.basefd)) {
		if (!c->running_ok) {
			err_set(e, ERR_ACCOUNT, "the server of this base "
			    "directory is running (there is ProcessID): stop "
			    "it, or say server=live, or server=snapshot for "
			    "a copy that was taken while it ran");
			goto failed;
		}
		source_warn(&c->s, "ProcessID", "the server of this base "
		    "directory is running, or was when it was copied: what "
		    "changes while it is read comes with the next pass");
	}
	*sp = &c->s;
	return 0;
failed:
	cgp_close(&c->s);
	return -1;
}
