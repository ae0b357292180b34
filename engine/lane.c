/* A lane: its stores, its notes, its sleep. */
#include "lane.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "batch.h"
#include "journal.h"
#include "once.h"
#include "user.h"

uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int
lane_init(struct lane *l, struct run *run, unsigned number, int cancel_fd,
    struct err *e)
{
	memset(l, 0, sizeof *l);
	l->run = run;
	l->number = number;
	l->cancel_fd = cancel_fd;
	arena_init(&l->listing);
	if (state_reader(run->state, &l->reader, e) == -1 ||
	    db_open(&l->scratch, NULL, DB_TEMP, e) == -1 ||
	    db_script(l->scratch, "CREATE TABLE gone (key BLOB PRIMARY KEY, uid"
	    ") WITHOUT ROWID;CREATE TABLE met (key BLOB PRIMARY KEY) WITHOUT"
	    " ROWID; CREATE TABLE seen (digest BLOB PRIMARY KEY,"
	    " n INTEGER) WITHOUT ROWID", e) == -1) {
		lane_release(l);
		return -1;
	}
	l->measure = measure_new();
	l->work = work_new();
	return 0;
}

void
lane_release(struct lane *l)
{
	lane_close_stores(l);
	db_close(&l->reader);
	db_close(&l->scratch);
	measure_free(&l->measure);
	work_free(&l->work);
	arena_release(&l->listing);
}

bool
lane_stopping(const struct lane *l)
{
	return atomic_load(&l->run->stop);
}

bool
lane_sleep(struct lane *l, uint64_t ms)
{
	struct pollfd p = { .fd = l->cancel_fd, .events = POLLIN };
	uint64_t end = now_ms() + ms, now;

	while (!lane_stopping(l) && (now = now_ms()) < end) {
		uint64_t left = end - now;

		/* Short waits, so that a stop is seen without a signal. */
		poll(&p, l->cancel_fd >= 0 ? 1 : 0, left > 200 ? 200 :
		    (int)left);
	}
	return !lane_stopping(l);
}

bool
lane_leaving(struct lane *l)
{
	return lane_stopping(l) || atomic_load(&l->run->paused) ||
	    atomic_load(&l->run->full) ||
	    host_leaves(&l->at[SIDE_SOURCE]) ||
	    host_leaves(&l->at[SIDE_TARGET]);
}

void
lane_pace(struct lane *l, enum side side, uint64_t bytes, uint64_t messages)
{
	uint64_t ms = host_pace(l->at[side].host, bytes, messages), slice;

	/* A plan goes on to the end of the account. */
	for (; ms > 0 && !(l->run->planning ? lane_stopping(l) :
	    lane_leaving(l)); ms -= slice) {
		slice = ms < 200 ? ms : 200;
		lane_sleep(l, slice);
	}
}

void
lane_proved(struct lane *l)
{
	host_proved(&l->at[SIDE_SOURCE]);
	host_proved(&l->at[SIDE_TARGET]);
}

void
lane_met(struct lane *l, uint64_t messages)
{
	atomic_fetch_add(&l->run->seen, messages);
	atomic_fetch_add(&l->account->met, messages);
	for (int side = SIDE_SOURCE; side <= SIDE_TARGET; side++)
		if (l->at[side].host != NULL)
			host_met(l->at[side].host, messages);
}

void
lane_note(struct lane *l, const char *kind, const char *where,
    const char *fmt, ...)
{
	struct row_issue *i;
	char text[480];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (l->notes == NULL)
		l->notes = changes_new(l->account->row.id, 0,
		    state_pass(l->run->state));
	/* The place is what tells two notes apart; the text changes. */
	i = changes_issue(l->notes, kind, NULL, 0, where != NULL ? where :
	    text, text);
	i->mailbox_id = l->mailbox_id;
	if (l->notes->arena.used > 256 * 1024)
		lane_flush_notes(l);
}

void
lane_flush_notes(struct lane *l)
{
	if (l->notes == NULL)
		return;
	if (l->account->row.id != 0) {
		l->notes->account_id = l->account->row.id;
		changes_post(l->run->state, &l->notes);
	}
	changes_free(l->notes);
	l->notes = NULL;
}

/* store_warn_fn of both stores. */
static void
store_warned(void *ctx, const char *mailbox, const char *where,
    const char *text)
{
	struct lane *l = ctx;

	if (l->probing)
		return;
	if (mailbox != NULL && l->mailbox_id == 0)
		lane_note(l, "warn", where, "%s: %s", mailbox, text);
	else
		lane_note(l, "warn", where, "%s", text);
}

/* store_first_fn of both stores: not while nobody is told. */
static bool
store_first(void *ctx, const char *what)
{
	const struct lane *l = ctx;

	return !l->probing && once_first(what);
}

/* store_trace_fn of both stores. */
static void
store_traced(void *ctx, const char *line)
{
	struct lane *l = ctx;

	log_trace(state_log(l->run->state), l->account->name, line);
}

/* A store was opened, which for servers is a login. */
static void
log_opened(struct lane *l, const char *side, const struct uri *uri)
{
	struct log *log = state_log(l->run->state);
	const struct log_about about = { .account = l->account->name,
	    .host = uri->host };
	char *text;

	if (log == NULL)
		return;
	text = uri_show(uri);
	log_event(log, LOG_ACCOUNT, uri->host != NULL ? "login" : "open",
	    &about, "%s %s", side, text);
	free(text);
}

static struct store_conf
conf_of(struct lane *l, struct uri *uri, const char *password)
{
	struct store_conf c = {
		.uri = uri, .password = password, .warn = store_warned,
		.warn_ctx = l, .first = store_first,
		.cancel_fd = l->cancel_fd,
		.look_only = l->run->planning, .made = user_made,
		.made_ctx = l,
	};

	if (l->account->trace) {
		c.trace = store_traced;
		c.trace_ctx = l;
	}

	return c;
}

/* Levels joined by a byte that no name has; a second mailbox of the same path
 * (the store has two spellings of it) adds its raw name. */
static const char *
folder_key(struct lane *l, size_t number)
{
	const struct folder_info *f = &l->folders[number];
	struct buf b;
	char *key;

	buf_init(&b, 1 << 16);
	for (size_t i = 0; i < f->npath; i++) {
		if (i > 0)
			buf_addc(&b, '\x1f');
		buf_adds(&b, f->path[i]);
	}
	for (size_t i = 0; i < number; i++)
		if (strcmp(l->folder_keys[i], b.ptr) == 0) {
			buf_addf(&b, "\x1e%s", f->raw_name);
			break;
		}
	key = arena_memdup0(&l->listing, b.ptr, b.len);
	buf_release(&b);
	return key;
}

/* A session of one side could not be opened; *e tells why. */
static int
not_opened(struct lane *l, enum side side, struct err *e)
{
	l->trouble = host_trouble(&l->at[side], e, true);
	return -1;
}

int
lane_open_source(struct lane *l, struct err *e)
{
	struct store_conf c = conf_of(l, l->account->src_uri,
	    l->account->src_password);

	if (l->src != NULL)
		return 0;
	host_opening(&l->at[SIDE_SOURCE]);
	if (source_open(&l->src, &c, e) == -1) {
		err_ctx(e, "source");
		return not_opened(l, SIDE_SOURCE, e);
	}
	host_opened(&l->at[SIDE_SOURCE]);
	log_opened(l, "source", c.uri);
	arena_reset(&l->listing);
	if (source_list(l->src, &l->listing, &l->folders, &l->nfolders, e) ==
	    -1) {
		lane_close_source(l);
		return err_ctx(e, "source");
	}
	l->folder_keys = arena_alloc(&l->listing, (l->nfolders + 1) *
	    sizeof *l->folder_keys);
	for (size_t i = 0; i < l->nfolders; i++)
		l->folder_keys[i] = folder_key(l, i);
	return 0;
}

/* What decides whether this target takes a message. */
static void
note_refusal_rule(struct lane *l, const struct target_caps *caps)
{
	if (caps->max_message == UNKNOWN64)
		snprintf(l->refusal_rule, sizeof l->refusal_rule, "%s, %s",
		    l->run->set->refusal_rule, target_identity(l->tgt));
	else
		snprintf(l->refusal_rule, sizeof l->refusal_rule, "%s, limit %"
		    PRIu64 ", %s", l->run->set->refusal_rule,
		    caps->max_message, target_identity(l->tgt));
}

int
lane_open_target(struct lane *l, struct err *e)
{
	struct store_conf c = conf_of(l, l->account->tgt_uri,
	    l->account->tgt_password);
	struct target_caps caps;

	if (l->tgt != NULL) {
		if (target_broken(l->tgt, e) == 0)
			return 0;
		lane_close_target(l);
	}
	host_opening(&l->at[SIDE_TARGET]);
	if (target_open(&l->tgt, &c, e) == -1) {
		err_ctx(e, "target");
		return not_opened(l, SIDE_TARGET, e);
	}
	host_opened(&l->at[SIDE_TARGET]);
	target_caps(l->tgt, &caps);
	measure_want_sha1(l->measure, (caps.bits & TGT_TELLS_SHA1) != 0);
	note_refusal_rule(l, &caps);
	log_opened(l, "target", c.uri);
	return 0;
}

int
lane_open_eyes(struct lane *l, bool fresh, struct err *e)
{
	struct berth *b = &l->at[SIDE_TARGET];
	struct store_conf c = conf_of(l, l->account->tgt_uri,
	    l->account->tgt_password);

	c.at_target = true;
	if (fresh)
		lane_close_eyes(l);
	if (l->eyes != NULL)
		return 0;
	if (l->tgt != NULL && host_second(b)) {
		host_opening(b);
		if (source_open(&l->eyes, &c, e) == 0) {
			host_opened(b);
			log_opened(l, "target, to look at it,", c.uri);
			return 0;
		}
		not_opened(l, SIDE_TARGET, e);
		if (!e->retry)
			return -1;
	}
	/* Maybe the server counts sessions: look with the only one. */
	lane_close_target(l);
	host_opening(b);
	if (source_open(&l->eyes, &c, e) == -1)
		return not_opened(l, SIDE_TARGET, e);
	l->trouble = TROUBLE_NONE;
	host_opened(b);
	log_opened(l, "target, to look at it,", c.uri);
	return 0;
}

int
lane_target_again(struct lane *l, struct err *e)
{
	if (l->tgt != NULL)
		return 0;
	lane_close_eyes(l);
	return lane_open_target(l, e) == -1 ? -1 : 1;
}

void
lane_close_source(struct lane *l)
{
	if (l->src != NULL)
		host_closed(&l->at[SIDE_SOURCE]);
	source_close(&l->src);
	l->folders = NULL;
	l->nfolders = 0;
}

void
lane_close_target(struct lane *l)
{
	if (l->tgt != NULL)
		host_closed(&l->at[SIDE_TARGET]);
	target_close(&l->tgt);
	lane_close_eyes(l);
}

void
lane_close_eyes(struct lane *l)
{
	if (l->eyes != NULL)
		host_closed(&l->at[SIDE_TARGET]);
	source_close(&l->eyes);
}

void
lane_close_stores(struct lane *l)
{
	lane_close_source(l);
	lane_close_target(l);
}
