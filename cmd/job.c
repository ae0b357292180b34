/* A job: settings, accounts and secrets from the command line. */
#include "job.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/xmalloc.h"
#include "order.h"
#include "pop3/pop3_session.h"
#include "runlog.h"

#define LANES_PER_ACCOUNT 2	/* while others wait for lanes */
#define PROBE_MS 1000
#define CAP_RAISE_MS	((uint64_t)10 * 60 * 1000)

void
job_release(struct job *j)
{
	for (size_t i = 0; i < j->n; i++)
		account_stores_release(&j->stores[i]);
	for (size_t i = 0; i < j->n && j->servers != NULL; i++) {
		uri_free(&j->servers[i].uri);
		secret_spec_release(&j->servers[i].spec);
	}
	free(j->servers);
	free(j->accounts);
	free(j->order);
	free(j->stores);
	free(j->selection_rule);
	people_free(&j->people);
	rules_free(&j->rules);
	secrets_free(&j->secrets);
	accounts_free(&j->list);
	log_free(&j->log);
	config_free(&j->cfg);
}

static unsigned
small(uint64_t n)
{
	return n > 1000000 ? 1000000 : (unsigned)n;
}

/* When the run has to end. */
static void
set_stop(struct settings *s, const struct config *c)
{
	uint64_t longest = config_num(c, CFG_MAX_TIME);

	s->stop_ms = longest == UINT64_MAX ? 0 : now_ms() + longest * 1000;
	if (config_isset(c, CFG_STOP_AT))
		s->stop_at = clock_next(time(NULL), (unsigned)config_num(c,
		    CFG_STOP_AT));
}

/* What the choice of messages depends on. */
static void
choose(struct job *j, enum cfg newer)
{
	const struct config *c = j->cfg;
	struct buf b;

	buf_init(&b, 1000);
	buf_addf(&b, "%s,%s,%s,%s,%s",
	    config_isset(c, newer) ? config_str(c, newer) : "",
	    config_isset(c, CFG_OLDER_THAN) ?
	    config_str(c, CFG_OLDER_THAN) : "",
	    config_isset(c, CFG_MAX_SIZE) ? config_str(c, CFG_MAX_SIZE) : "",
	    config_str(c, CFG_DELETED), config_str(c, CFG_HIDDEN));
	free(j->selection_rule);
	j->selection_rule = buf_detach(&b, NULL);
	j->set.selection_rule = j->selection_rule;
}

/* The values in force that the engine needs. */
static void
fill_settings(struct job *j)
{
	const struct config *c = j->cfg;
	struct settings *s = &j->set;

	j->rules = config_rules(c);
	s->rules = j->rules;
	s->lanes = small(config_num(c, CFG_LANES));
	for (int side = SIDE_SOURCE; side <= SIDE_TARGET; side++) {
		unsigned n = config_store_lanes(c, (enum side)side);

		if (n != 0 && n < s->lanes)
			s->lanes = n;
	}
	s->spread = !config_isset(c, CFG_LANES_PER_ACCOUNT);
	s->lanes_per_account = s->spread ? LANES_PER_ACCOUNT :
	    small(config_num(c, CFG_LANES_PER_ACCOUNT));
	s->settle_ms = config_num(c, CFG_SETTLE) * 1000;
	s->patience_s = small(config_num(c, CFG_PATIENCE));
	s->max_tries = small(config_num(c, CFG_MAX_RETRIES));
	s->min_free = config_num(c, CFG_MIN_FREE);
	s->repair = config_bool(c, CFG_REPAIR);
	s->retry_refused = config_bool(c, CFG_RETRY_REFUSED);
	s->remove_doubles = config_bool(c, CFG_REMOVE_DOUBLES);
	s->no_flag_sync = config_bool(c, CFG_NO_FLAG_SYNC);
	s->full = config_bool(c, CFG_FULL);
	s->delete = (enum delete)config_enum(c, CFG_DELETE);
	s->delete_limit = config_isset(c, CFG_DELETE_LIMIT) ?
	    config_num(c, CFG_DELETE_LIMIT) : UNKNOWN64;
	s->delete_mailboxes = config_bool(c, CFG_DELETE_MAILBOXES);
	s->restore_deleted = config_bool(c, CFG_RESTORE_DELETED);
	s->create_users = config_bool(c, CFG_CREATE_USERS);
	s->merge_existing = config_enum(c, CFG_EXISTING) == EXISTING_MERGE;
	s->empty_ok = config_enum(c, CFG_EMPTY) == EMPTY_OK;
	s->refuse_collisions = config_enum(c, CFG_COLLISIONS) ==
	    COLLISIONS_REFUSE;
	s->apply_renames = config_bool(c, CFG_APPLY_RENAMES);
	s->acl = config_enum(c, CFG_ACL) == ACL_YES;
	s->only_metadata = config_bool(c, CFG_ONLY_METADATA);
	s->count_bytes = config_bool(c, CFG_COUNT_BYTES);
	s->subscribe = (enum subscribe)config_enum(c, CFG_SUBSCRIBE);
	for (int side = SIDE_SOURCE; side <= SIDE_TARGET; side++)
		config_limits(c, (enum side)side, &j->limits[side]);
	s->source_limits = &j->limits[SIDE_SOURCE];
	s->target_limits = &j->limits[SIDE_TARGET];
	s->probe_ms = PROBE_MS;
	s->cap_raise_ms = CAP_RAISE_MS;
	set_stop(s, c);
	s->refusal_rule = s->repair ? "repair=yes" : "repair=no";
	choose(j, CFG_NEWER_THAN);
}

void
job_newest(struct job *j, bool only)
{
	const struct config *c = j->cfg;
	bool later = config_isset(c, CFG_NEWER_THAN) &&
	    config_num(c, CFG_NEWER_THAN) > config_num(c, CFG_NEWEST_FIRST);
	enum cfg newer = only && !later ? CFG_NEWEST_FIRST : CFG_NEWER_THAN;

	rules_set_newer(j->rules, config_isset(c, newer) ?
	    (int64_t)config_num(c, newer) : NO_DATE, newer == CFG_NEWEST_FIRST ?
	    "newest-first" : "newer-than");
	choose(j, newer);
}

void
job_again(struct job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		struct account *a = j->order[i];
		struct account as_loaded = { .name = a->name,
		    .target_user = a->target_user, .place = a->place,
		    .src_uri = a->src_uri, .tgt_uri = a->tgt_uri,
		    .src_password = a->src_password,
		    .tgt_password = a->tgt_password, .trace = a->trace,
		    .quota = a->quota, .shared = a->shared,
		    .expect = a->expect };

		*a = as_loaded;
	}
}

/* The POP3 server of row i, which will be account n. */
static int
fill_server(struct job *j, size_t i, const struct uri *server, struct err *e)
{
	struct job_server *s = &j->servers[j->n];

	return account_server(j->list, i, server, &s->uri, &s->spec, e) == -1 ||
	    pop3_check(s->uri, e) == -1 ||
	    secret_get(j->secrets, &s->spec, &s->password, e) == -1 ? -1 : 0;
}

static void
drop_server(struct job *j)
{
	if (j->servers == NULL)
		return;
	uri_free(&j->servers[j->n].uri);
	secret_spec_release(&j->servers[j->n].spec);
	memset(&j->servers[j->n], 0, sizeof *j->servers);
}

/* URIs and secrets of the selected accounts; mistakes are counted.  server: of
 * POP3, which is asked in place of the targets; or NULL. */
static size_t
fill_accounts(struct job *j, const struct uri *server, struct buf *errors)
{
	size_t total = accounts_count(j->list), bad = 0;
	struct err e;

	j->n = 0;
	j->accounts = xcalloc(total, sizeof *j->accounts);
	j->order = xcalloc(total, sizeof *j->order);
	j->stores = xcalloc(total, sizeof *j->stores);
	if (server != NULL)
		j->servers = xcalloc(total, sizeof *j->servers);
	j->secrets = secrets_new(2);
	for (size_t i = 0; i < total; i++) {
		struct account *a = &j->accounts[j->n];
		struct account_stores *s = &j->stores[j->n];
		const char *quota;

		if (!account_selected(j->list, i))
			continue;
		a->name = account_name(j->list, i);
		a->place = i;
		a->target_user = account_column(j->list, i, "target_user");
		if (account_stores(j->list, i, j->cfg, s, &e) == -1 ||
		    source_check(s->uri[SIDE_SOURCE], &e) == -1 ||
		    target_check(s->uri[SIDE_TARGET], &e) == -1 ||
		    secret_get(j->secrets, &s->secret[SIDE_SOURCE],
		    &a->src_password, &e) == -1 ||
		    (server != NULL ? fill_server(j, i, server, &e) :
		    secret_get(j->secrets, &s->secret[SIDE_TARGET],
		    &a->tgt_password, &e)) == -1) {
			complain(errors, a->name, "%s", e.text);
			bad++;
			drop_server(j);
			account_stores_release(s);
			memset(s, 0, sizeof *s);
			memset(a, 0, sizeof *a);
			continue;
		}
		quota = account_column(j->list, i, "quota");
		if (quota == NULL || *quota == '\0')
			quota = config_str(j->cfg, CFG_QUOTA);
		if (config_quota(quota, &a->quota) == -1)
			abort();	/* both were checked */
		a->shared = config_uri_get(s->uri[SIDE_TARGET], "shared") !=
		    NULL;
		if (a->shared)
			a->quota.mode = QUOTA_KEEP;
		a->src_uri = s->uri[SIDE_SOURCE];
		a->tgt_uri = s->uri[SIDE_TARGET];
		if (config_isset(j->cfg, CFG_NEWEST_FIRST) &&
		    strncmp(a->tgt_uri->scheme, "imap", 4) != 0 &&
		    strcmp(a->tgt_uri->scheme, "null") != 0) {
			complain(errors, a->name, "newest-first: a target "
			    "that keeps UIDs takes messages in their order "
			    "only");
			bad++;
		}
		j->order[j->n++] = a;
	}
	return bad;
}

int
job_load(struct job *j, const char *command, int argc, char **argv)
{
	struct uri *server = NULL;
	struct buf errors;
	size_t bad = 0;
	struct err e;
	int code;

	memset(j, 0, sizeof *j);
	code = opts_parse(command_find(command), argc, argv, &j->cfg);
	if (code != OPTS_GO)
		return code;
	buf_init(&errors, 1 << 20);
	if ((command_find(command)->mask & FOR_UIDL) != 0 &&
	    config_pop3(j->cfg, &server, &e) == -1) {
		complain(&errors, "", "%s", e.text);
		bad++;
	}
	bad += accounts_load(&j->list, j->cfg, fold_case, &errors);
	if (bad == 0)
		bad = order_check(j->cfg, j->list, &errors);
	if (bad == 0) {
		j->people = people_new(j->list, j->cfg);
		bad = fill_accounts(j, server, &errors);
	}
	uri_free(&server);
	if (bad == 0)
		bad = runlog_trace(j->cfg, j->accounts, j->n, &errors);
	if (config_enum(j->cfg, CFG_FORMAT) != FORMAT_TEXT &&
	    config_enum(j->cfg, CFG_FORMAT) != FORMAT_JSON &&
	    strcmp(command, "audit") != 0) {
		complain(&errors, config_where(j->cfg, CFG_FORMAT), "%s prints "
		    "text or json, and no %s", command, config_str(j->cfg,
		    CFG_FORMAT));
		bad++;
	}
	if (bad > 0)
		code = opts_complain(command, &errors, bad);
	else
		fill_settings(j);
	buf_release(&errors);
	return code;
}
