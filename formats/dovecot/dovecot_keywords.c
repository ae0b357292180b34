/*
 * dovecot-keywords: lines "<number> <name>" for the letters a to z of file
 * names.  Names are compared without case.  A 27th keyword has no letter:
 * Dovecot keeps such in its index only, so it cannot be written here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/xmalloc.h"
#include "dovecot/dovecot_impl.h"

#define FILE_NAME	"dovecot-keywords"
#define FILE_LIMIT	((size_t)256 * 1024)

static void
forget(struct box *b)
{
	for (size_t i = 0; i < DOVECOT_KEYWORDS; i++) {
		free(b->letters[i]);
		b->letters[i] = NULL;
	}
	b->letters_there = false;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int
keywords_read(struct box *b, struct err *e)
{
	struct buf text;
	struct stat st;
	ssize_t n = 1;
	int fd;

	fd = openat(b->fd, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
	    O_NONBLOCK);
	if (fd == -1 && errno == ENOENT) {
		forget(b);
		return 0;
	}
	if (fd == -1 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size > FILE_LIMIT) {
		if (fd != -1)
			close(fd);
		return err_set(e, ERR_MAILBOX, FILE_NAME " is not what "
		    "Dovecot writes");
	}
	if (b->letters_there && same_file(&st, &b->letters_st)) {
		close(fd);
		return 0;
	}
	forget(b);
	buf_init(&text, FILE_LIMIT);
	while (n > 0 && text.len < FILE_LIMIT &&
	    buf_reserve(&text, 4096) == 0) {
		n = read(fd, text.ptr + text.len, 4096);
		if (n > 0)
			text.len += (size_t)n;
	}
	close(fd);
	if (n >= 0)
		dovecot_keywords_parse(b->letters, text.ptr, text.len);
	buf_release(&text);
	if (n == -1)
		return dovecot_sys(e, "read " FILE_NAME);
	b->letters_st = st;
	b->letters_there = true;
	return 0;
}

/* What Dovecot lets a keyword be made of. */
static bool
is_keyword(const char *w)
{
	if (*w == '\0' || strlen(w) > 255)
		return false;
	for (; *w != '\0'; w++)
		if (*w <= 0x20 || *w >= 0x7f || strchr("(){%*\"]\\", *w) !=
		    NULL)
			return false;
	return true;
}

static int
letter_of(const struct box *b, const char *w)
{
	for (int i = 0; i < DOVECOT_KEYWORDS; i++)
		if (b->letters[i] != NULL && strcasecmp(b->letters[i], w) == 0)
			return i;
	return -1;
}

void
keywords_learn(struct box *b, const char *const *words, size_t n, bool *added)
{
	for (size_t i = 0; i < n; i++) {
		if (!is_keyword(words[i]) || letter_of(b, words[i]) != -1)
			continue;
		for (int k = 0; k < DOVECOT_KEYWORDS; k++)
			if (b->letters[k] == NULL && (b->letters_used &
			    UINT32_C(1) << k) == 0) {
				b->letters[k] = xstrdup(words[i]);
				*added = true;
				break;
			}
	}
}

int
keywords_write(struct dovecot *dv, struct err *e)
{
	struct box *b = &dv->box;
	struct buf text;
	int rc;

	buf_init(&text, FILE_LIMIT);
	for (int i = 0; i < DOVECOT_KEYWORDS; i++)
		if (b->letters[i] != NULL)
			buf_addf(&text, "%d %s\n", i, b->letters[i]);
	rc = dovecot_replace(dv, b->tmp, b->fd, FILE_NAME, text.ptr, text.len,
	    e);
	buf_release(&text);
	/* What is in memory now is what is in the file. */
	b->letters_there = rc == 0 && fstatat(b->fd, FILE_NAME,
	    &b->letters_st, AT_SYMLINK_NOFOLLOW) == 0;
	return rc;
}

void
keywords_info(const struct box *b, unsigned flags, const char *const *words,
    size_t n, uint32_t keep, struct buf *out, bool *dropped)
{
	bool set[DOVECOT_KEYWORDS] = { false };
	int k;

	/* In the order of ASCII, as Dovecot writes them. */
	buf_adds(out, ":2,");
	if (flags & MSG_DRAFT)
		buf_addc(out, 'D');
	if (flags & MSG_FLAGGED)
		buf_addc(out, 'F');
	if (flags & MSG_ANSWERED)
		buf_addc(out, 'R');
	if (flags & MSG_SEEN)
		buf_addc(out, 'S');
	if (flags & MSG_DELETED)
		buf_addc(out, 'T');
	for (size_t i = 0; i < n; i++) {
		k = is_keyword(words[i]) ? letter_of(b, words[i]) : -1;
		if (k == -1)
			*dropped = true;
		else
			set[k] = true;
	}
	for (k = 0; k < DOVECOT_KEYWORDS; k++)
		if (set[k] || (keep & UINT32_C(1) << k) != 0)
			buf_addc(out, (char)('a' + k));
}
