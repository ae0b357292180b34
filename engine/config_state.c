/* Where the state of a run lies. */
#include "config_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xmalloc.h"

/* What a file name can say of a store, in at most 40 bytes, and a '-'. */
static void
add_hint(struct buf *b, const struct uri *u)
{
	const char *s = u->host != NULL ? u->host : u->path;
	size_t n = strlen(s), start = b->len;

	if (u->host == NULL && n > 40)
		s += n - 40;
	for (; *s != '\0' && b->len < start + 40; s++)
		if ((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
		    (*s >= 'A' && *s <= 'Z'))
			buf_addc(b, *s);
		else if (b->len > start && b->ptr[b->len - 1] != '-')
			buf_addc(b, '-');
	if (b->len > start && b->ptr[b->len - 1] != '-')
		buf_addc(b, '-');
}

/* FNV-1a over an identity and its NUL. */
static uint64_t
hash(uint64_t h, const struct uri *u)
{
	char *id = config_identity(u, NULL);
	const char *p;

	for (p = id != NULL ? id : ""; ; p++) {
		h = (h ^ (unsigned char)*p) * 0x100000001b3;
		if (*p == '\0')
			break;
	}
	free(id);
	return h;
}

/* Where states of runs without a job lie. */
static void
add_state_home(struct buf *b)
{
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (xdg != NULL && *xdg == '/')
		buf_addf(b, "%s/mailhaul", xdg);
	else if (geteuid() == 0)
		buf_adds(b, "/var/lib/mailhaul");
	else
		buf_addf(b, "%s/.local/state/mailhaul",
		    home != NULL && *home == '/' ? home : "");
}

void
config_finish_state(struct config *c)
{
	const struct uri *src = c->stores[SIDE_SOURCE].uri;
	const struct uri *tgt = c->stores[SIDE_TARGET].uri;
	struct buf b;
	size_t n;

	if (config_isset(c, CFG_STATE)) {
		c->state = xstrdup(config_str(c, CFG_STATE));
		return;
	}
	buf_init(&b, SIZE_MAX / 4);
	if (c->job != NULL) {
		n = strlen(c->job);
		if (n > 4 && strcmp(c->job + n - 4, ".ini") == 0 &&
		    c->job[n - 5] != '/')
			n -= 4;
		buf_add(&b, c->job, n);
		buf_adds(&b, ".db");
		c->state = buf_detach(&b, NULL);
	} else if (src != NULL && tgt != NULL) {
		add_state_home(&b);
		c->state_dir = xstrdup(b.ptr);
		buf_addc(&b, '/');
		add_hint(&b, src);
		add_hint(&b, tgt);
		buf_addf(&b, "%016llx.db", (unsigned long long)
		    hash(hash(0xcbf29ce484222325, src), tgt));
		c->state = buf_detach(&b, NULL);
	}
	buf_release(&b);
}

const char *
config_state(const struct config *c)
{
	return c->state;
}

int
config_state_dir(const struct config *c, struct err *e)
{
	char *p, *dir;
	int rc = 0;

	if (c->state_dir == NULL)
		return 0;
	dir = xstrdup(c->state_dir);
	for (p = dir + 1; rc == 0 && p != NULL; ) {
		if ((p = strchr(p, '/')) != NULL)
			*p = '\0';
		if (mkdir(dir, 0700) == -1 && errno != EEXIST)
			rc = err_sys(e, ERR_RUN, "make the directory %s for "
			    "the state (or give --state FILE)", dir);
		if (p != NULL)
			*p++ = '/';
	}
	free(dir);
	return rc;
}
