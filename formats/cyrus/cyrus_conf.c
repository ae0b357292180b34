/* imapd.conf, read only. */
#include "cyrus/cyrus_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/xmalloc.h"

#define FILE_MAX	((size_t)1 << 20)
#define INCLUDES_MAX	16

struct entry { char *key, *val; };

struct cyrus_conf {
	struct entry	*e;
	size_t		 n, cap;
	unsigned	 files;
};

static bool
has(const struct cyrus_conf *c, const char *key)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->e[i].key, key) == 0)
			return true;
	return false;
}

static bool
blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The text between two points, without the blanks around it. */
static char *
trimmed(const char *p, const char *end)
{
	while (p < end && blank(*p))
		p++;
	while (p < end && blank(end[-1]))
		end--;
	return xmemdup0(p, (size_t)(end - p));
}

static void
put(struct cyrus_conf *c, char *key, char *val)
{
	for (char *p = key; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 'a' - 'A');
	if (has(c, key) && strcmp(key, "@include") != 0) {
		free(key);
		free(val);
		return;
	}
	if (c->n == c->cap) {
		c->cap = c->cap > 0 ? 2 * c->cap : 64;
		c->e = xreallocarray(c->e, c->cap, sizeof *c->e);
	}
	c->e[c->n++] = (struct entry){ key, val };
}

/* One line, joined with the next ones where it says so. */
static void
parse_line(struct cyrus_conf *c, const char *p, const char *end)
{
	const char *colon;

	while (p < end && blank(*p))
		p++;
	if (p == end || *p == '#')
		return;
	colon = memchr(p, ':', (size_t)(end - p));
	if (colon == NULL)
		return;
	put(c, trimmed(p, colon), trimmed(colon + 1, end));
}

static void
parse(struct cyrus_conf *c, const char *p, size_t len)
{
	const char *end = p + len;
	struct buf line;

	buf_init(&line, FILE_MAX);
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl != NULL ? nl : end;
		bool joins = stop > p && stop[-1] == '\\';

		buf_add(&line, p, (size_t)(stop - p) - joins);
		p = nl != NULL ? nl + 1 : end;
		if (joins && p < end)
			continue;
		parse_line(c, line.ptr, line.ptr + line.len);
		buf_reset(&line);
	}
	buf_release(&line);
}

struct cyrus_conf *
cyrus_conf_parse(const char *text, size_t len)
{
	struct cyrus_conf *c = xcalloc(1, sizeof *c);

	parse(c, text, len);
	return c;
}

static int
slurp(const char *file, struct buf *out, struct err *e)
{
	char chunk[16384];
	struct stat st;
	ssize_t n;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd == -1)
		return err_sys(e, ERR_ACCOUNT, "%s", file);
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(e, ERR_ACCOUNT, "%s is no file", file);
	}
	while ((n = read(fd, chunk, sizeof chunk)) > 0)
		if (buf_add(out, chunk, (size_t)n) == -1)
			break;
	if (n == -1)
		err_sys(e, ERR_ACCOUNT, "%s", file);
	else if (out->full)
		err_set(e, ERR_ACCOUNT, "%s is longer than any imapd.conf", file);
	close(fd);
	return n == 0 ? 0 : -1;
}

static int
read_file(struct cyrus_conf *c, const char *file, struct err *e)
{
	size_t seen = c->n;
	struct buf text;
	int rc;

	if (++c->files > INCLUDES_MAX)
		return err_set(e, ERR_ACCOUNT, "%s: too many @include", file);
	buf_init(&text, FILE_MAX);
	rc = slurp(file, &text, e);
	if (rc == 0)
		parse(c, text.ptr, text.len);
	buf_release(&text);
	for (size_t i = seen, n = c->n; i < n && rc == 0; i++)
		if (strcmp(c->e[i].key, "@include") == 0)
			rc = read_file(c, c->e[i].val, e);
	return rc;
}

int
cyrus_conf_read(struct cyrus_conf **cp, const char *file, struct err *e)
{
	struct cyrus_conf *c = xcalloc(1, sizeof *c);

	*cp = NULL;
	if (read_file(c, file, e) == -1) {
		cyrus_conf_free(&c);
		return -1;
	}
	if (!has(c, "configdirectory")) {
		cyrus_conf_free(&c);
		return err_set(e, ERR_ACCOUNT, "%s is no imapd.conf: it names no "
		    "configdirectory", file);
	}
	*cp = c;
	return 0;
}

void
cyrus_conf_free(struct cyrus_conf **cp)
{
	struct cyrus_conf *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n; i++) {
		free(c->e[i].key);
		free(c->e[i].val);
	}
	free(c->e);
	free(c);
}

const char *
cyrus_conf_get(const struct cyrus_conf *c, const char *key,
    const char *otherwise)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->e[i].key, key) == 0)
			return c->e[i].val;
	return otherwise;
}

bool
cyrus_conf_on(const struct cyrus_conf *c, const char *key, bool otherwise)
{
	const char *v = cyrus_conf_get(c, key, NULL);

	if (v == NULL)
		return otherwise;
	return v[0] == '1' || v[0] == 'y' || v[0] == 't' ||
	    strcasecmp(v, "on") == 0;
}

bool
cyrus_conf_nth(const struct cyrus_conf *c, size_t n, const char **key,
    const char **value)
{
	if (n >= c->n)
		return false;
	*key = c->e[n].key;
	*value = c->e[n].val;
	return true;
}

bool
cyrus_conf_partition(const struct cyrus_conf *c, size_t n, const char **name,
    const char **dir)
{
	static const char prefix[] = "partition-";
	const size_t len = sizeof prefix - 1;

	for (size_t i = 0; i < c->n; i++)
		if (strncmp(c->e[i].key, prefix, len) == 0 && n-- == 0) {
			*name = c->e[i].key + len;
			*dir = c->e[i].val;
			return true;
		}
	return false;
}
