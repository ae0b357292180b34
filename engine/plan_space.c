/* Room for what a copy makes grow. */
#include "plan_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/xmalloc.h"

#define STATE_ROW	700	/* bytes of a message in the state, about */

/* The deepest directory of a path that is there already; "" for none. */
static char *
existing_part(const char *path)
{
	char *dir = xstrdup(path), *slash;
	struct stat st;

	while (*dir != '\0' && (stat(dir, &st) == -1 ||
	    !S_ISDIR(st.st_mode))) {
		slash = strrchr(dir, '/');
		if (slash == NULL || slash == dir) {
			free(dir);
			return xstrdup(*path == '/' ? "/" : ".");
		}
		*slash = '\0';
	}
	return dir;
}

static struct plan_space *
add_space(struct plan *plan, const char *what, const char *dir)
{
	struct plan_space *s = arena_zalloc(&plan->arena, sizeof *s), **sp;
	struct statvfs fs;

	s->what = what;
	s->path = arena_strdup(&plan->arena, dir);
	s->free = s->inodes = UNKNOWN64;
	if (statvfs(dir, &fs) == 0) {
		s->free = (uint64_t)fs.f_bavail * fs.f_frsize;
		/* Some file systems have no fixed number. */
		if (fs.f_files != 0)
			s->inodes = fs.f_favail;
	}
	for (sp = &plan->spaces; *sp != NULL; sp = &(*sp)->next)
		;
	*sp = s;
	return s;
}

static void
judge(struct plan *plan, const struct plan_space *s, uint64_t keep)
{
	if (s->free != UNKNOWN64 && s->free < s->need + keep)
		plan_addf(&plan->problems, &plan->arena, "space", NULL,
		    "%s: %" PRIu64 " bytes are free in %s, about %" PRIu64
		    " are needed", s->what, s->free, s->path, s->need + keep);
	if (s->inodes != UNKNOWN64 && s->inodes < s->need_inodes)
		plan_addf(&plan->problems, &plan->arena, "space", NULL,
		    "%s: %" PRIu64 " files can be made in %s, about %" PRIu64
		    " are needed", s->what, s->inodes, s->path,
		    s->need_inodes);
}

/* What is left of an account, in bytes and messages. */
static void
left_of(const struct plan *plan, const struct plan_account *pa,
    uint64_t *bytes, uint64_t *messages)
{
	double total = (double)pa->size.messages, left;

	if (pa->uncounted > 0)
		total += (double)pa->size.crlf_bytes / plan->mean_size;
	left = total - (double)pa->done;
	if (left < 0)
		left = 0;
	*messages = (uint64_t)left;
	*bytes = total > 0 ? (uint64_t)((double)pa->size.crlf_bytes * left /
	    total) : 0;
}

/* Local targets, one line a file system. */
static void
add_targets(struct plan *plan)
{
	struct plan_space *found[64];
	dev_t devices[64];
	size_t n = 0, k;

	for (size_t i = 0; i < plan->n; i++) {
		const struct plan_account *pa = &plan->accounts[i];
		struct uri *u = pa->account->tgt_uri;
		uint64_t bytes, messages;
		const char *link;
		struct stat st;
		char *dir;

		if (u->host != NULL || u->path[0] != '/')
			continue;
		dir = existing_part(u->path);
		if (stat(dir, &st) == -1) {
			free(dir);
			continue;
		}
		for (k = 0; k < n; k++)
			if (devices[k] == st.st_dev)
				break;
		if (k == n && n < 64) {
			devices[n] = st.st_dev;
			found[n++] = add_space(plan, "target", dir);
		}
		left_of(plan, pa, &bytes, &messages);
		/* Links share the blocks of the source. */
		if ((link = uri_opt(u, "link")) != NULL &&
		    strcmp(link, "copy") != 0)
			bytes = 0;
		if (k < n) {
			found[k]->need += bytes;
			found[k]->need_inodes += messages + pa->nboxes * 6;
		}
		free(dir);
	}
	for (k = 0; k < n; k++)
		judge(plan, found[k], 0);
}

void
plan_spaces(struct plan *plan)
{
	uint64_t bytes, messages, sum = 0;
	struct plan_space *s;
	char *dir;

	dir = existing_part(plan->state_path);
	s = add_space(plan, "state", dir);
	free(dir);
	for (size_t i = 0; i < plan->n; i++) {
		left_of(plan, &plan->accounts[i], &bytes, &messages);
		sum += messages;
	}
	s->need = sum * STATE_ROW;
	s->need_inodes = 4;
	judge(plan, s, plan->set->min_free);
	add_targets(plan);
}
