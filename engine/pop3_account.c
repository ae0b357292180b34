/* One account of mailhaul uidl. */
#include "pop3_run.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/xmalloc.h"
#include "measure.h"
#include "pop3/pop3_session.h"
#include "pop3_rows.h"
#include "walk.h"

#define IDLE_MS		30000	/* then the server is told that we live */
#define SLICE_MS	200
#define DIGEST_KEY	64

/* An INBOX and what is known of its messages; all in the arena but the array
 * that grows. */
struct inbox {
	struct pop3_lane *l;
	struct pop3	*pop;
	struct source	*src;
	struct folder_info *folder;
	struct arena	 arena;		/* as long as the account */
	struct arena	 message;
	struct measure	*measure;
	struct pop3_head *head;
	struct pop3_mine *mine;
	struct digests	*digests;	/* of those without a key */
	const void	**keys;		/* NULL: by the digest */
	size_t		*key_lens;
	size_t		 n, cap;
	struct pop3_theirs *theirs;
	uint64_t	 spoke_ms;	/* with the server, last */
};

static void
no_warning(void *ctx, const char *mailbox, const char *where,
    const char *text)
{
	(void)ctx;
	(void)mailbox;
	(void)where;
	(void)text;	/* a copy tells of these */
}

/* Opening the server, or the source, has failed. */
static int
not_opened(struct pop3_lane *l, enum side side, struct err *e)
{
	l->refused[side] = e->cause == CAUSE_AUTH;
	l->trouble = host_trouble(&l->at[side], e, true);
	return -1;
}

static int
open_server(struct inbox *in, const struct store_conf *conf, struct err *e)
{
	struct pop3_lane *l = in->l;

	host_opening(&l->at[SIDE_SOURCE]);
	if (pop3_open(&in->pop, conf, e) == -1) {
		err_ctx(e, "POP3 server");
		return not_opened(l, SIDE_SOURCE, e);
	}
	host_opened(&l->at[SIDE_SOURCE]);
	l->opened[SIDE_SOURCE] = true;
	in->spoke_ms = now_ms();
	return 0;
}

/* The server has failed us in between. */
static int
server_failed(struct inbox *in, struct err *e)
{
	in->l->failed = SIDE_SOURCE;
	return err_ctx(e, "POP3 server");
}

static int
list_server(struct inbox *in, struct pop3_lists *lists, struct err *e)
{
	struct pop3_item *items;
	size_t n;

	if (pop3_list(in->pop, &in->arena, &items, &n, e) == -1)
		return server_failed(in, e);
	in->theirs = arena_zalloc(&in->arena, (n + 1) * sizeof *in->theirs);
	for (size_t i = 0; i < n; i++) {
		in->theirs[i].number = items[i].number;
		in->theirs[i].size = items[i].size;
		in->theirs[i].uidl = items[i].uidl;
	}
	lists->theirs = in->theirs;
	lists->ntheirs = n;
	host_proved(&in->l->at[SIDE_SOURCE]);
	return 0;
}

static int
open_source(struct inbox *in, struct source **srcp,
    const struct store_conf *conf, struct err *e)
{
	struct pop3_lane *l = in->l;
	struct folder_info *folders;
	size_t n;

	host_opening(&l->at[SIDE_TARGET]);
	if (source_open(srcp, conf, e) == -1) {
		err_ctx(e, "source");
		return not_opened(l, SIDE_TARGET, e);
	}
	host_opened(&l->at[SIDE_TARGET]);
	l->opened[SIDE_TARGET] = true;
	in->src = *srcp;
	if (source_list(in->src, &in->arena, &folders, &n, e) == -1)
		return err_ctx(e, "source");
	for (size_t i = 0; i < n && in->folder == NULL; i++)
		if (folders[i].npath == 1 && !folders[i].noselect &&
		    strcasecmp(folders[i].path[0], "INBOX") == 0)
			in->folder = &folders[i];
	if (in->folder == NULL)
		return err_set(e, ERR_ACCOUNT, "source: it has no INBOX");
	if (in->folder->refused != NULL)
		return err_set(e, ERR_ACCOUNT, "source: INBOX: %.300s",
		    in->folder->refused);
	return 0;
}

static bool
cancelled(const struct pop3_lane *l, uint64_t ms)
{
	struct pollfd p = { .fd = l->cancel_fd, .events = POLLIN };

	return poll(&p, 1, (int)ms) > 0;
}

/* What was read has to be paid for in time, where there are limits; and the
 * server must not think that we are dead. */
static int
pace(struct inbox *in, uint64_t bytes, struct err *e)
{
	struct pop3_lane *l = in->l;
	uint64_t ms = host_pace(l->at[SIDE_TARGET].host, bytes, 1), slice;

	for (;; ms -= slice) {
		if (now_ms() - in->spoke_ms > IDLE_MS) {
			if (pop3_noop(in->pop, e) == -1)
				return server_failed(in, e);
			in->spoke_ms = now_ms();
		}
		if (ms == 0)
			return 0;
		slice = ms < SLICE_MS ? ms : SLICE_MS;
		if (cancelled(l, slice)) {
			err_retry(e, ERR_RUN, "stopped");
			e->cause = CAUSE_CANCELLED;
			return -1;
		}
	}
}

/* 1: read; 0: it cannot be, alone. */
static int
read_head(struct inbox *in, const struct msg_meta *m, struct measured *md,
    struct pop3_mine *mine, struct err *e)
{
	struct content *c;
	bool empty;
	int rc;

	rc = source_content(in->src, m, &c, e);
	if (rc != 1)
		return rc == -1 && e->scope != ERR_MESSAGE ? -1 : 0;
	rc = 0;
	if (md != NULL && ((rc = measure_content(in->measure, c, NULL, md,
	    e)) == -1 || (rc = content_rewind(c, e)) == -1))
		goto out;
	rc = pop3_head_content(in->head, c, mine->head, &empty, e);
	mine->has_head = rc == 0 && !empty;
	if (rc == 0)
		rc = 1;
out:
	content_close(&c);
	return rc == -1 && e->scope == ERR_MESSAGE ? 0 : rc;
}

static void
grow(struct inbox *in)
{
	if (in->n < in->cap)
		return;
	in->cap = in->cap == 0 ? 256 : 2 * in->cap;
	in->mine = xreallocarray(in->mine, in->cap, sizeof *in->mine);
	in->digests = xreallocarray(in->digests, in->cap, sizeof *in->digests);
	in->keys = xreallocarray(in->keys, in->cap, sizeof *in->keys);
	in->key_lens = xreallocarray(in->key_lens, in->cap,
	    sizeof *in->key_lens);
}

/* Messages of a server are not fetched for their sizes. */
static bool
is_near(const struct inbox *in, const struct msg_meta *m)
{
	return in->l->shadow->tgt_uri->host == NULL || m->key == NULL ||
	    m->size == UNKNOWN64;
}

static int
take_message(struct inbox *in, const struct msg_meta *m, struct err *e)
{
	struct pop3_mine *mine;
	struct measured md;
	int rc = 0;

	grow(in);
	mine = &in->mine[in->n];
	memset(mine, 0, sizeof *mine);
	mine->crlf = mine->stored = m->size;
	if (is_near(in, m) && (rc = read_head(in, m, &md, mine, e)) == 1) {
		mine->crlf = md.size;
		mine->stored = md.raw_size;
		in->digests[in->n] = md.digests;
	}
	if (rc == -1)
		return -1;
	if (m->key != NULL) {
		in->key_lens[in->n] = strlen(m->key);
		in->keys[in->n] = arena_memdup0(&in->arena, m->key,
		    in->key_lens[in->n]);
	} else {
		in->keys[in->n] = NULL;
		in->key_lens[in->n] = rc == 1;
	}
	in->n++;
	return pace(in, rc == 1 ? md.raw_size : 0, e);
}

struct ordinal { const unsigned char *digest; size_t index; };

static int
cmp_ordinal(const void *va, const void *vb)
{
	const struct ordinal *a = va, *b = vb;
	int c = memcmp(a->digest, b->digest, DIGEST_LEN);

	return c != 0 ? c : a->index < b->index ? -1 : a->index > b->index;
}

/* The keys of messages that have none of their store's: as a copy makes them
 * (walk.c). */
static void
make_keys(struct inbox *in)
{
	struct ordinal *v = xcalloc(in->n + 1, sizeof *v);
	int64_t ordinal = 0;
	size_t n = 0;

	for (size_t i = 0; i < in->n; i++)
		if (in->keys[i] == NULL && in->key_lens[i] == 1)
			v[n++] = (struct ordinal){ in->digests[i].strict, i };
	qsort(v, n, sizeof *v, cmp_ordinal);
	for (size_t i = 0; i < n; i++) {
		char *key = arena_alloc(&in->arena, DIGEST_KEY);

		ordinal = i > 0 && memcmp(v[i].digest, v[i - 1].digest,
		    DIGEST_LEN) == 0 ? ordinal + 1 : 0;
		in->key_lens[v[i].index] = digest_key(&in->digests[v[i].index],
		    ordinal, key);
		in->keys[v[i].index] = key;
	}
	for (size_t i = 0; i < in->n; i++)
		if (in->keys[i] == NULL) {
			in->keys[i] = "";	/* it cannot be read */
			in->key_lens[i] = 0;
		}
	free(v);
}

static int
read_inbox(struct inbox *in, struct err *e)
{
	struct msg_meta m;
	enum delta delta;
	int rc;

	if (source_folder_open(in->src, in->folder, NULL, 0, &delta, e) == -1)
		return err_ctx(e, "source: INBOX");
	for (;;) {
		arena_reset(&in->message);
		rc = source_next(in->src, &in->message, &m, e);
		if (rc != 1)
			break;
		if ((rc = take_message(in, &m, e)) == -1)
			break;
	}
	source_folder_close(in->src);
	if (rc == -1)
		return err_ctx(e, "source: INBOX");
	make_keys(in);
	return 0;
}

/* pop3_lists.read */
static int
read_more(void *ctx, struct err *e)
{
	struct inbox *in = ctx;
	enum delta delta;
	struct msg_meta m;
	size_t i = 0;
	int rc;

	if (source_folder_open(in->src, in->folder, NULL, 0, &delta, e) == -1)
		return err_ctx(e, "source: INBOX");
	for (;; i++) {
		arena_reset(&in->message);
		if ((rc = source_next(in->src, &in->message, &m, e)) != 1)
			break;
		if (m.key == NULL || i >= in->n)
			continue;
		if (strlen(m.key) != in->key_lens[i] || memcmp(m.key,
		    in->keys[i], in->key_lens[i]) != 0) {
			rc = err_retry(e, ERR_ACCOUNT, "it changed while it "
			    "was read");
			break;
		}
		if (!in->mine[i].has_head && (rc = read_head(in, &m, NULL,
		    &in->mine[i], e)) == -1)
			break;
		if ((rc = pace(in, m.size != UNKNOWN64 ? m.size : 0, e)) == -1)
			break;
	}
	source_folder_close(in->src);
	return rc == -1 ? err_ctx(e, "source: INBOX") : 0;
}

struct asked { struct inbox *in; const size_t *which; };

static void
take_head(void *ctx, size_t i, const unsigned char *digest)
{
	struct asked *a = ctx;
	struct pop3_theirs *t = &a->in->theirs[a->which[i]];

	t->has_head = digest != NULL;
	if (digest != NULL)
		memcpy(t->head, digest, DIGEST_LEN);
}

/* pop3_lists.ask */
static int
ask_heads(void *ctx, const size_t *which, size_t n, struct err *e)
{
	struct inbox *in = ctx;
	struct asked a = { in, which };
	uint32_t *numbers = xcalloc(n + 1, sizeof *numbers);
	int rc;

	for (size_t i = 0; i < n; i++)
		numbers[i] = in->theirs[which[i]].number;
	rc = pop3_heads(in->pop, numbers, n, take_head, &a, e);
	in->spoke_ms = now_ms();
	free(numbers);
	return rc == -1 ? server_failed(in, e) : rc;
}

static void
tell(struct pop3_task *t, const struct pop3_lists *l)
{
	t->listed = l->ntheirs;
	t->inbox = l->nmine;
	t->joined = l->joined;
	t->by_headers = l->by_headers;
	t->unchecked = l->unchecked;
	t->reordered = l->reordered;
}

static int
work(struct inbox *in, struct pop3_task *t, const struct store_conf *server,
    const struct store_conf *from, struct source **src, struct err *e)
{
	struct pop3_result r = { .account = t->account->name };
	struct pop3_lists *l = &r.lists;
	char *shown;
	int rc;

	if (open_server(in, server, e) == -1 || list_server(in, l, e) == -1 ||
	    open_source(in, src, from, e) == -1 || read_inbox(in, e) == -1)
		return -1;
	l->mine = in->mine;
	l->nmine = in->n;
	l->ask = ask_heads;
	l->read = read_more;
	l->ctx = in;
	if (pop3_join(l, e) == -1)
		return -1;
	host_proved(&in->l->at[SIDE_TARGET]);
	r.taken = (int64_t)time(NULL);
	r.keys = in->keys;
	r.key_lens = in->key_lens;
	r.server = shown = uri_show(t->server);
	rc = pop3_put(in->l->run->state, &r, e);
	free(shown);
	if (rc == 0)
		tell(t, l);
	return rc;
}

int
pop3_account(struct pop3_lane *l, struct pop3_task *t, struct err *e)
{
	const struct store_conf server = { .uri = t->server,
	    .password = t->password, .warn = l->warn,
	    .warn_ctx = l->warn_ctx, .cancel_fd = l->cancel_fd };
	const struct store_conf from = { .uri = t->account->src_uri,
	    .password = t->account->src_password, .warn = no_warning,
	    .cancel_fd = l->cancel_fd };
	struct inbox in = { .l = l };
	struct source *src = NULL;
	int rc;

	arena_init(&in.arena);
	arena_init(&in.message);
	in.measure = measure_new();
	in.head = pop3_head_new();
	err_clear(e);
	l->failed = SIDE_TARGET;
	rc = work(&in, t, &server, &from, &src, e);
	if (src != NULL) {
		source_close(&src);
		host_closed(&l->at[SIDE_TARGET]);
	}
	if (in.pop != NULL) {
		pop3_close(&in.pop);
		host_closed(&l->at[SIDE_SOURCE]);
	}
	measure_free(&in.measure);
	pop3_head_free(&in.head);
	free(in.mine);
	free(in.digests);
	free(in.keys);
	free(in.key_lens);
	arena_release(&in.message);
	arena_release(&in.arena);
	return rc;
}
