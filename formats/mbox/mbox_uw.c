/*
 * The mail in a home directory as UW's programs and Pine keep it.
 *
 *	INBOX	~/mbox and what is in the spool, /var/mail/USER: UW's programs
 *		move mail from there to ~/mbox whenever they open INBOX, if
 *		~/mbox exists, and show both as one
 *	mailboxes at the top of the home
 *	mailboxes below ~/mail and ~/Mail
 *	mailboxes that ~/.mailboxlist names, wherever in the home
 *
 * Anything else in a home is not mail: of its top level only files that begin
 * as an mbox or mbx does are taken, not empty ones, and other directories are
 * not looked into.  Hidden names and links are left out.  What is no mailbox is
 * counted, in one line a directory; a link where mail is expected is named.
 *
 * Names are those that clients of UW's imapd use, mail/box.
 */
#include "mbox/mbox_uw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "mbox/mbox_subs.h"
#include "mbox/mbox_tree.h"
#include "mbox/mbox_tree_impl.h"

char *
uw_spool(const char *path, const char *user, const char *inbox)
{
	size_t end = strlen(path), start, n = strlen(UW_SPOOL);
	char *spool;

	if (inbox != NULL)
		return xstrdup(inbox);
	if (user != NULL) {
		path = user;
		start = 0;
		end = strlen(user);
	} else {
		while (end > 0 && path[end - 1] == '/')
			end--;
		for (start = end; start > 0 && path[start - 1] != '/';)
			start--;
	}
	if (start == end || memchr(path + start, '/', end - start) != NULL ||
	    (end - start <= 2 && memcmp(path + start, "..", end - start) == 0))
		return NULL;
	spool = xmalloc(n + end - start + 1);
	memcpy(spool, UW_SPOOL, n);
	memcpy(spool + n, path + start, end - start);
	spool[n + end - start] = '\0';
	return spool;
}

static void
drop(struct walk *w, size_t k)
{
	size_t left = w->n - k - 1;

	memmove(w->folders + k, w->folders + k + 1, left * sizeof *w->folders);
	memmove(w->devs + k, w->devs + k + 1, left * sizeof *w->devs);
	memmove(w->inos + k, w->inos + k + 1, left * sizeof *w->inos);
	w->n--;
}

/* The folder of that file; w->n: none. */
static size_t
find_file(const struct walk *w, const struct stat *st)
{
	size_t k;

	for (k = 0; k < w->n; k++)
		if (!w->folders[k].noselect && w->devs[k] == st->st_dev &&
		    w->inos[k] == st->st_ino)
			break;
	return k;
}

/* Adds the spool as a folder: 1, 0 there is none, -1. */
static int
add_spool(struct walk *w, const char *spool, struct stat *st)
{
	struct level top = { .raw = "" };
	struct safepath at;
	size_t n;

	if (mbox_tree_open(&at, w->rootfd, spool) == -1) {
		if (errno == ENOENT)
			return 0;
		safepath_error(w->e, ERR_ACCOUNT, spool);
		w->e->cause = CAUSE_OTHER;	/* the home is there */
		return err_ctx(w->e, "inbox");
	}
	*st = at.st;
	/* Listed already, when it lies in the home. */
	if ((n = find_file(w, st)) < w->n)
		drop(w, n);
	n = w->n;
	top.fd = at.dirfd;
	if (S_ISREG(st->st_mode))
		tree_file(w, &top, at.name);
	tree_level_done(&top);
	safepath_close(&at);
	if (w->n == n)
		return err_set(w->e, ERR_ACCOUNT, "inbox %s is not a mailbox",
		    spool);
	return 1;
}

/* ~/mbox, which was visited: its index, or w->n. */
static size_t
find_mbox(const struct walk *w)
{
	size_t k;

	for (k = 0; k < w->n; k++)
		if (!w->folders[k].noselect &&
		    strcmp(w->folders[k].raw_name, UW_MBOX) == 0)
			break;
	return k;
}

/* INBOX of what ~/mbox (listed as a folder, if it is one) and the spool are. */
static int
make_inbox(struct walk *w, const char *spool)
{
	const char **inbox = arena_alloc(w->a, sizeof *inbox);
	struct folder_info f;
	struct stat st;
	size_t k;
	int rc;

	*inbox = "INBOX";
	memset(&f, 0, sizeof f);
	k = find_mbox(w);
	if (k < w->n) {
		f = w->folders[k];
		drop(w, k);
	}
	if ((rc = add_spool(w, spool, &st)) == -1)
		return -1;
	if (rc == 0 && f.name == NULL) {
		source_warn(w->s, spool, "neither ~/" UW_MBOX " nor such a "
		    "file: no INBOX");
		return 0;
	}
	if (rc == 0) {
		memset(&st, 0, sizeof st);
		k = tree_add(w, &(struct level){ .raw = "" }, UW_MBOX, "INBOX",
		    &st);
		w->folders[k] = f;
	} else
		k = w->n - 1;
	w->folders[k].cookie = UW_INBOX | (f.name == NULL ? UW_NO_MBOX : 0);
	if (rc == 1 && f.name != NULL) {
		struct folder_info *g = &w->folders[k];

		g->bytes = f.bytes == UNKNOWN64 || g->bytes == UNKNOWN64 ?
		    UNKNOWN64 : f.bytes + g->bytes;
		if (g->refused == NULL)
			g->refused = f.refused;
	}
	tree_inbox(w, k, inbox);
	return 0;
}

int
uw_list(struct source *s, int homefd, const char *path, const char *spool,
    struct arena *a, struct folder_info **folders, size_t *n, struct err *e)
{
	struct walk w = { .s = s, .rootfd = homefd, .a = a, .e = e };
	struct level top = { .fd = homefd, .raw = "", .part = PART_HOME };
	int rc = -1;
	bool ok;

	*folders = NULL;
	*n = 0;
	w.wanted = mbox_wanted(homefd, a);
	ok = tree_visit(&w, &top);
	tree_level_done(&top);
	if (ok && make_inbox(&w, spool) == 0) {
		tree_finish(&w, path, folders, n);
		rc = 0;
	}
	tree_release(&w);
	return rc;
}
