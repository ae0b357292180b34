/* Hosts: which there are, berths, caps, hold and probe. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/xmalloc.h"
#include "host_impl.h"
#include "lane.h"

#define PROBE_MAX_MS	60000
#define LINGER_MS	1000	/* a server may still count what was closed */
#define QUIET_MS	1000
#define ODD_MAX		2	/* then it is a cap that has become lower */
#define RELAPSE_MS	60000	/* so soon it is the same trouble */
#define AFTER_MS	500	/* a login that was not on its way before */

struct hosts *
hosts_new(const struct settings *set, host_say_fn *say, void *ctx)
{
	struct hosts *all = xcalloc(1, sizeof *all);

	all->set = set;
	all->say = say;
	all->say_ctx = ctx;
	uv_mutex_init(&all->mutex);
	return all;
}

void
hosts_free(struct hosts **ap)
{
	struct hosts *all = *ap;
	struct host *h, *next;

	if (all == NULL)
		return;
	for (h = all->first; h != NULL; h = next) {
		next = h->next;
		free(h->name);
		free(h->dir);
		free(h);
	}
	uv_mutex_destroy(&all->mutex);
	free(all);
	*ap = NULL;
}

void
hosts_signal(struct hosts *all, uv_cond_t *changed)
{
	all->changed = changed;
}

/* Which. */

static struct host *
get(struct hosts *all, const char *name, enum side side)
{
	const struct limits *limits = side == SIDE_SOURCE ?
	    all->set->source_limits : all->set->target_limits;
	struct host *h;

	for (h = all->first; h != NULL; h = h->next)
		if (h->side == side && strcmp(h->name, name) == 0)
			return h;
	h = xcalloc(1, sizeof *h);
	h->all = all;
	h->name = xstrdup(name);
	h->side = side;
	h->limits = limits != NULL && limits->n > 0 ? limits : NULL;
	h->limit = (struct limit){ .lanes = NO_LANES_LIMIT };
	if (h->limits != NULL)
		limits_at(h->limits, time(NULL), &h->limit);
	h->next = all->first;
	all->first = h;
	return h;
}

/* The top of the file system that holds a path, or would hold it. */
static char *
mount_of(const char *path)
{
	char *p = realpath(path, NULL), *copy, *slash;
	struct stat st, up;

	for (copy = xstrdup(path); p == NULL; p = realpath(copy, NULL)) {
		if ((slash = strrchr(copy, '/')) == NULL || slash == copy) {
			free(copy);
			return xstrdup("/");
		}
		*slash = '\0';
	}
	free(copy);
	if (stat(p, &st) == -1)
		return p;
	while ((slash = strrchr(p, '/')) != NULL && slash[1] != '\0') {
		char kept = slash == p ? slash[1] : *slash;
		char *end = slash == p ? slash + 1 : slash;

		*end = '\0';
		if (stat(p, &up) == -1 || up.st_dev != st.st_dev) {
			*end = kept;
			break;
		}
	}
	return p;
}

struct host *
hosts_get(struct hosts *all, const struct uri *u, enum side side)
{
	bool path = u->host == NULL && u->path != NULL && u->path[0] == '/';
	struct host *h;
	char *mount, name[400];
	bool known;

	if (u->host != NULL && u->port != 0 && u->port != 143 &&
	    u->port != 993)
		snprintf(name, sizeof name, "%.250s:%u", u->host, u->port);
	else if (u->host != NULL)
		snprintf(name, sizeof name, "%.250s", u->host);
	else if (path) {
		mount = mount_of(u->path);
		snprintf(name, sizeof name, "%.390s", mount);
		free(mount);
	} else
		snprintf(name, sizeof name, "%.40s:", u->scheme);
	if (u->host != NULL)
		for (char *p = name; *p != '\0'; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p = (char)(*p + 'a' - 'A');
	uv_mutex_lock(&all->mutex);
	h = get(all, name, side);
	known = h->dir != NULL || !path;
	if (!known) {
		h->dir = xstrdup(name);
		h->watched = side == SIDE_TARGET;
	}
	uv_mutex_unlock(&all->mutex);
	return h;
}

struct host *
hosts_disk(struct hosts *all, const char *dir)
{
	struct host *h;
	char name[400];

	/* Apart from what copies there: lanes hold no berth at it. */
	snprintf(name, sizeof name, "the state in %.300s", dir);
	uv_mutex_lock(&all->mutex);
	h = get(all, name, SIDE_TARGET);
	h->limits = NULL;
	h->limit.lanes = NO_LANES_LIMIT;
	h->watched = h->hidden = true;
	if (h->dir == NULL)
		h->dir = xstrdup(dir);
	uv_mutex_unlock(&all->mutex);
	return h;
}

const char *
host_name(const struct host *h)
{
	return h->name;
}

/* Hold. */

static void __attribute__((format(printf, 2, 3)))
say(struct host *h, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (h->all->say != NULL)
		h->all->say(h->all->say_ctx, h->name, text);
}

/* Half to one and a half. */
static uint64_t
jitter(uint64_t ms)
{
	return ms / 2 + (uint64_t)random() % (ms + 1);
}

void
host_put_on_hold(struct host *h, const char *why, uint64_t now)
{
	bool again = h->released_ms != 0 && now - h->released_ms <
	    RELAPSE_MS && h->proofs_before == atomic_load(&h->proofs);

	snprintf(h->why, sizeof h->why, "%s", why);
	if (h->held)
		return;
	h->held = true;
	h->holds++;
	h->hidden = false;
	/* One that answers and then gives nothing is still the same trouble. */
	if (again && h->probe_pause * 2 <= PROBE_MAX_MS)
		h->probe_pause *= 2;
	else if (!again) {
		h->since = now;
		h->probe_pause = h->all->set->probe_ms;
	}
	h->proofs_before = atomic_load(&h->proofs);
	h->probe_ms = now + jitter(h->probe_pause);
	/* What looked like a cap was the beginning of this. */
	cap_take_back(&h->cap, now);
	cap_take_back(&h->user, now);
	say(h, "on hold, one lane tries it from time to time: %s", why);
}

void
host_released(struct host *h, uint64_t now)
{
	h->held = h->low = h->sick = false;
	h->released_ms = now;
	say(h, "answers again after %" PRIu64 " s", (now - h->since) / 1000);
}

bool
host_held(struct host *h, uint64_t *since, char why[200])
{
	bool held;

	uv_mutex_lock(&h->all->mutex);
	held = h->held;
	if (since != NULL)
		*since = h->since;
	if (why != NULL)
		memcpy(why, h->why, sizeof h->why);
	uv_mutex_unlock(&h->all->mutex);
	return held;
}

bool
host_given_up(struct host *h)
{
	bool over;

	uv_mutex_lock(&h->all->mutex);
	over = h->given_up;
	uv_mutex_unlock(&h->all->mutex);
	return over;
}

bool
host_shut(struct host *h)
{
	bool shut;

	uv_mutex_lock(&h->all->mutex);
	shut = h->limit.lanes == 0;
	uv_mutex_unlock(&h->all->mutex);
	return shut;
}

/* Berths. */

static unsigned
used(const struct host *h)
{
	return h->lanes + h->seconds;
}

static void
not_before(uint64_t *due, uint64_t t)
{
	if (*due == 0 || t < *due)
		*due = t;
}

bool
host_room(struct host *h, unsigned mates, uint64_t now, uint64_t *due)
{
	bool room = false;

	uv_mutex_lock(&h->all->mutex);
	if (h->given_up || h->lanes >= h->limit.lanes)
		;
	else if (h->held) {
		room = !h->low && !h->probing &&
		    now >= h->probe_ms;
		if (!h->probing && !h->low)
			not_before(due, h->probe_ms);
	} else if (now < h->quiet_until || (h->odd > 0 && h->probing))
		not_before(due, h->quiet_until);
	else
		room = cap_allows(&h->cap, used(h), now) &&
		    cap_allows(&h->user, mates, now);
	uv_mutex_unlock(&h->all->mutex);
	return room;
}

void
host_enter(struct berth *b, struct host *h, unsigned mates, unsigned *mine)
{
	*b = (struct berth){ .host = h, .mine = mine };
	uv_mutex_lock(&h->all->mutex);
	if (h->held || h->odd > 0)
		h->probing = b->probes = true;
	b->grows = cap_take(&h->cap, used(h));
	b->user_grows = cap_take(&h->user, mates);
	h->lanes++;
	uv_mutex_unlock(&h->all->mutex);
}

/* The trial of one more is over.  Under the mutex. */
static void
end_growth(struct berth *b)
{
	if (b->grows)
		cap_left(&b->host->cap);
	if (b->user_grows)
		cap_left(&b->host->user);
	b->grows = b->user_grows = false;
	if (b->host->all->changed != NULL)
		uv_cond_broadcast(b->host->all->changed);
}

static void
end_second(struct berth *b)
{
	if (b->second)
		b->host->seconds--;
	b->second = false;
}

void
host_leave(struct berth *b)
{
	struct host *h = b->host;

	if (h == NULL)
		return;
	uv_mutex_lock(&h->all->mutex);
	end_growth(b);
	end_second(b);
	h->lanes--;
	h->leaving -= b->leaves;
	if (b->probes) {
		h->probing = false;
		if (h->held)
			h->probe_ms = now_ms() + jitter(h->probe_pause);
	}
	uv_mutex_unlock(&h->all->mutex);
	b->host = NULL;
}

void
host_opening(struct berth *b)
{
	if (b->host == NULL)
		return;
	uv_mutex_lock(&b->host->all->mutex);
	b->others = b->host->open;
	b->own = *b->mine;
	b->met = atomic_load(&b->host->met);
	uv_mutex_unlock(&b->host->all->mutex);
}

void
host_opened(struct berth *b)
{
	struct host *h = b->host;
	uint64_t now = now_ms(), raise;

	if (h == NULL)
		return;
	raise = h->all->set->cap_raise_ms;
	uv_mutex_lock(&h->all->mutex);
	b->sessions++;
	h->open++;
	h->opened_ms = now;
	h->odd = 0;
	++*b->mine;
	if (cap_worked(&h->cap, h->open, now, raise) == 1)
		say(h, "takes %u sessions at a time by now", h->open);
	if (cap_worked(&h->user, *b->mine, now, raise) == 1)
		say(h, "takes %u sessions of one account by now", *b->mine);
	end_growth(b);
	if (h->held && !h->low && !h->sick)
		host_released(h, now);
	if (b->probes && !h->held)
		h->probing = b->probes = false;
	uv_mutex_unlock(&h->all->mutex);
}

void
host_proved(struct berth *b)
{
	struct host *h = b->host;

	if (h == NULL)
		return;
	b->proved = true;
	atomic_fetch_add(&h->proofs, 1);
	if (!atomic_load(&h->held))
		return;
	uv_mutex_lock(&h->all->mutex);
	if (h->held && !h->low && (h->sick || b->probes))
		host_released(h, now_ms());
	uv_mutex_unlock(&h->all->mutex);
}

void
host_closed(struct berth *b)
{
	struct host *h = b->host;

	if (h == NULL || b->sessions == 0)
		return;
	uv_mutex_lock(&h->all->mutex);
	b->sessions--;
	h->open--;
	h->closed_ms = now_ms();
	--*b->mine;
	if (b->sessions <= 1)
		end_second(b);
	uv_mutex_unlock(&h->all->mutex);
}

bool
host_second(struct berth *b)
{
	struct host *h = b->host;
	uint64_t now = now_ms();
	bool room;

	if (h == NULL || b->second)
		return true;
	uv_mutex_lock(&h->all->mutex);
	room = !h->held && cap_allows(&h->cap, used(h), now) &&
	    cap_allows(&h->user, *b->mine, now);
	if (room) {
		b->grows = cap_take(&h->cap, used(h));
		b->user_grows = cap_take(&h->user, *b->mine);
		h->seconds++;
		b->second = true;
	}
	uv_mutex_unlock(&h->all->mutex);
	return room;
}

/* A session was refused while others work: of the account's own sessions, or
 * of all of them, there can be no more. */
static void
learn_cap(struct berth *b, const struct err *e, uint64_t now)
{
	struct host *h = b->host;
	uint64_t raise = h->all->set->cap_raise_ms;
	bool user = b->own > 0 && (b->own == b->others ||
	    (b->user_grows && !b->grows));
	struct cap *c = user ? &h->user : &h->cap;
	unsigned n = user ? b->own : b->others;

	/* They may have ended meanwhile; and so many did work. */
	if ((user ? b->user_grows : b->grows) && n < c->proven)
		n = c->proven;
	cap_refused(c, n, now, raise, now - h->closed_ms < LINGER_MS);
	h->cap_by = b->mine;
	say(h, "no more than %u sessions%s for now: %.200s", c->limit, user ?
	    " of one account" : "", e->text);
}

/* A session was refused, or met silence, while others work. */
static bool
is_cap(const struct berth *b, const struct err *e)
{
	const struct host *h = b->host;

	if (h->dir != NULL || b->others == 0 || (h->open == 0 &&
	    atomic_load(&h->met) == b->met))
		return false;
	return e->scope == ERR_HOST || (e->scope == ERR_ACCOUNT &&
	    (b->grows || b->user_grows || e->cause == CAUSE_LIMIT));
}

enum trouble
host_trouble(struct berth *b, const struct err *e, bool opening)
{
	struct host *h = b->host;
	enum trouble t = TROUBLE_NONE;
	uint64_t now = now_ms();

	if (h == NULL || e->cause == CAUSE_CANCELLED)
		return TROUBLE_NONE;
	uv_mutex_lock(&h->all->mutex);
	/* Whatever it says, it has answered. */
	if (opening && h->held && !h->low && !h->sick && e->scope < ERR_HOST)
		host_released(h, now);
	if (!e->retry || e->cause == CAUSE_AUTH || b->suspect)
		;
	else if (opening && is_cap(b, e)) {
		/* Where so many have worked before, it may be the beginning
		 * of the end: a moment shows. */
		if (b->grows || b->user_grows || e->cause == CAUSE_LIMIT ||
		    (h->odd >= ODD_MAX && now >= h->quiet_until))
			learn_cap(b, e, now);
		else if (now >= h->quiet_until) {
			h->odd++;
			h->quiet_until = now + QUIET_MS;
		}
		t = TROUBLE_CAP;
	} else if (e->scope == ERR_HOST) {
		if (b->probes && h->held && h->probe_pause < PROBE_MAX_MS)
			h->probe_pause *= 2;
		if (!h->held || opening)
			h->sick = !opening;
		host_put_on_hold(h, e->text, now);
		t = TROUBLE_HOLD;
	} else if (opening && e->scope == ERR_ACCOUNT &&
	    h->cap_by == b->mine) {
		/* It fails with room enough: it was the account, no cap. */
		cap_take_back(&h->cap, now);
		cap_take_back(&h->user, now);
		h->cap_by = NULL;
	}
	end_growth(b);
	if (opening && b->sessions <= 1)
		end_second(b);
	uv_mutex_unlock(&h->all->mutex);
	return t;
}

bool
host_refused(struct host *h, struct refusal *r)
{
	uint64_t now = now_ms();

	*r = (struct refusal){ .host = NULL };
	uv_mutex_lock(&h->all->mutex);
	if (h->opened_ms != 0)
		*r = (struct refusal){ .host = h, .ms = now,
		    .holds = h->holds };
	/* A hold shortly before is as good a reason as one after it. */
	if (h->released_ms != 0 && now - h->released_ms < RELAPSE_MS)
		r->holds--;
	uv_mutex_unlock(&h->all->mutex);
	return r->host != NULL;
}

bool
host_insists(const struct refusal *r)
{
	struct host *h = r->host;
	bool insists;

	uv_mutex_lock(&h->all->mutex);
	insists = !h->held && h->holds == r->holds &&
	    h->opened_ms > r->ms + AFTER_MS;
	uv_mutex_unlock(&h->all->mutex);
	return insists;
}

bool
host_leaves(struct berth *b)
{
	struct host *h = b->host;

	if (h == NULL || h->limits == NULL || b->leaves)
		return h != NULL && b->leaves;
	uv_mutex_lock(&h->all->mutex);
	if (h->lanes - h->leaving > h->limit.lanes) {
		h->leaving++;
		b->leaves = true;
	}
	uv_mutex_unlock(&h->all->mutex);
	return b->leaves;
}

uint64_t
host_pace(struct host *h, uint64_t bytes, uint64_t messages)
{
	uint64_t now = now_ms() * 1000, a, b;

	if (h == NULL || h->limits == NULL)
		return 0;
	uv_mutex_lock(&h->all->mutex);
	a = pace_take(&h->bytes, bytes, h->limit.bytes_s, 1000000, now);
	b = pace_take(&h->messages, messages, h->limit.messages_h,
	    (uint64_t)3600 * 1000000, now);
	uv_mutex_unlock(&h->all->mutex);
	return (a > b ? a : b) / 1000;
}

uint64_t
host_proofs(const struct host *h)
{
	return atomic_load(&h->proofs);
}

void
host_met(struct host *h, uint64_t messages)
{
	atomic_fetch_add(&h->met, messages);
}
