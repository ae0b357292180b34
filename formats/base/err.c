/* Error values: scope, cause, retry and text. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
err_clear(struct err *e)
{
	memset(e, 0, sizeof *e);
}

/* Control bytes in the text (a server's words, a file's name) become '?'. */
static void
clean(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

static void __attribute__((format(printf, 5, 0)))
fill(struct err *e, enum err_scope scope, bool retry, int sys,
    const char *fmt, va_list ap)
{
	char text[sizeof e->text];
	int n;

	n = vsnprintf(text, sizeof text, fmt, ap);
	if (sys != 0 && n >= 0 && (size_t)n < sizeof text) {
		char msg[128];

		snprintf(text + n, sizeof text - (size_t)n, ": %s",
		    strerror_r(sys, msg, sizeof msg));
	}
	clean(text);
	e->scope = scope;
	e->cause = CAUSE_OTHER;
	e->retry = retry;
	e->at_target = false;
	e->sys = sys;
	memcpy(e->text, text, sizeof text);
}

int
err_set(struct err *e, enum err_scope scope, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, scope, false, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_retry(struct err *e, enum err_scope scope, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, scope, true, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_sys(struct err *e, enum err_scope scope, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	fill(e, scope, saved == EIO || saved == ENOSPC || saved == EDQUOT ||
	    saved == ESTALE || saved == EMFILE || saved == ENFILE ||
	    saved == ETIMEDOUT || saved == ECONNREFUSED, saved, fmt, ap);
	va_end(ap);
	errno = saved;
	return -1;
}

int
err_ctx(struct err *e, const char *fmt, ...)
{
	char text[sizeof e->text];
	size_t n, k;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text - 2, fmt, ap);
	va_end(ap);
	clean(text);
	n = strlen(text);
	text[n++] = ':';
	text[n++] = ' ';
	k = strlen(e->text);
	if (k > sizeof text - 1 - n)
		k = sizeof text - 1 - n;
	memcpy(text + n, e->text, k);
	text[n + k] = '\0';
	memcpy(e->text, text, n + k + 1);
	return -1;
}
