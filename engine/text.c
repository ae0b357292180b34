/* Texts that people write: files, quotes, mistakes. */
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mutf7.h"

#define READ_STEP	((size_t)65536)

int
text_read(const char *path, struct buf *b, mode_t *mode)
{
	struct stat st;
	ssize_t n = -1;
	int fd, saved;

	*mode = 0;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) == -1)
		return -1;
	if (fstat(fd, &st) == 0) {
		*mode = st.st_mode;
		if (S_ISREG(st.st_mode) && st.st_size > 0)
			buf_reserve(b, (size_t)st.st_size + READ_STEP);
		while (!b->full && buf_reserve(b, READ_STEP) == 0 &&
		    (n = read(fd, b->ptr + b->len, READ_STEP)) > 0)
			b->len += (size_t)n;
		if (b->len > 0)
			b->ptr[b->len] = '\0';
		if (b->full) {
			errno = EFBIG;
			n = -1;
		}
	}
	saved = errno;
	close(fd);
	errno = saved;
	return n == -1 ? -1 : 0;
}

const char *
text_start(const char *p, size_t len)
{
	if (len >= 2 && (memcmp(p, "\xff\xfe", 2) == 0 ||
	    memcmp(p, "\xfe\xff", 2) == 0))
		return NULL;
	return len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0 ? p + 3 : p;
}

int
text_quoted(const char **p, struct buf *b)
{
	for (++*p; **p != '"'; ++*p) {
		if (**p == '\\' && ((*p)[1] == '"' || (*p)[1] == '\\'))
			++*p;
		if (**p == '\0')
			return -1;
		buf_addc(b, **p);
	}
	++*p;
	return 0;
}

bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

void
vcomplain(struct buf *errors, const char *where, const char *fmt, va_list ap)
{
	size_t start = errors->len;
	char text[1024];

	vsnprintf(text, sizeof text, fmt, ap);
	buf_addf(errors, "%s%s%s", where, *where != '\0' ? ": " : "", text);
	for (; start < errors->len; start++)
		if ((unsigned char)errors->ptr[start] < 0x20 ||
		    errors->ptr[start] == 0x7f)
			errors->ptr[start] = '?';
	buf_addc(errors, '\n');
}

void
complain(struct buf *errors, const char *where, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vcomplain(errors, where, fmt, ap);
	va_end(ap);
}

size_t
text_shown(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t n, left = strnlen(s, 4);

	if (*u < 0x80)
		return *u >= 0x20 && *u != 0x7f;
	for (n = 2; n <= 4 && n <= left; n++)
		if (utf8_valid(s, n))
			break;
	if (n > 4 || n > left)
		return 0;
	if (u[0] == 0xc2 && u[1] < 0xa0)
		return 0;	/* C1 controls */
	if (u[0] == 0xe2 && ((u[1] == 0x80 && u[2] >= 0xa8 && u[2] <= 0xae) ||
	    (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9)))
		return 0;	/* ends of lines, and bidirectional marks */
	return n;
}

void
text_show(FILE *out, const char *s)
{
	while (*s != '\0') {
		size_t n = text_shown(s);

		if (n > 0)
			fwrite(s, 1, n, out);
		else {
			fprintf(out, "\\x%02x", (unsigned char)*s);
			n = 1;
		}
		s += n;
	}
}

void
text_csv(FILE *out, const char *s, char end)
{
	const char *first = s + strspn(s, " ");

	putc('"', out);
	/* Spreadsheets run what begins like this. */
	if (*first != '\0' && strchr("=+-@\t\r\n|", *first) != NULL)
		putc('\'', out);
	while (*s != '\0') {
		size_t n = text_shown(s);

		if (*s == '"')
			fputs("\"\"", out);
		else if (n > 0)
			fwrite(s, 1, n, out);
		else
			fprintf(out, "\\x%02x", (unsigned char)*s);
		s += n > 0 ? n : 1;
	}
	fprintf(out, end == ',' ? "\"," : "\"\r\n");
}
