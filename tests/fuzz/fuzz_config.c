/*
 * Job files: every mistake is one line, and what --show-config prints of a
 * right one is a job file that says the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config *
load(const char *p, size_t size)
{
	struct config *c = config_new();
	struct buf errors;
	size_t bad, i, lines = 0;

	buf_init(&errors, 1 << 22);
	bad = config_read_text(c, "t.ini", NULL, p, size, &errors);
	bad += config_finish(c, false, &errors);
	for (i = 0; i < errors.len; i++) {
		lines += errors.ptr[i] == '\n';
		assert(errors.ptr[i] == '\n' ||
		    (unsigned char)errors.ptr[i] >= 0x20);
	}
	assert(errors.full || lines == bad);
	buf_release(&errors);
	if (bad > 0)
		config_free(&c);
	return c;
}

static char *
show(const struct config *c)
{
	size_t len;
	char *p;
	FILE *f = open_memstream(&p, &len);

	assert(f != NULL);
	config_show(c, f);
	fclose(f);
	return p;
}

/* Comments tell where a value comes from: they may differ. */
static void
strip_comments(char *p)
{
	char *to = p, *nl;

	for (; *p != '\0'; p = nl + 1) {
		nl = strchr(p, '\n');
		assert(nl != NULL);
		if (*p != '#') {
			memmove(to, p, (size_t)(nl + 1 - p));
			to += nl + 1 - p;
		}
	}
	*to = '\0';
}

/* What a job file cannot say, because a line has no place for it. */
static bool
can_be_shown(const struct config *c)
{
	const struct uri *u;
	const char *p;
	size_t i, n;
	int side;

	for (side = SIDE_SOURCE; side <= SIDE_TARGET; side++) {
		if ((u = config_store(c, (enum side)side)) == NULL)
			continue;
		for (i = 0; i < u->nopts; i++) {
			p = u->opts[i].val;
			n = strlen(p);
			if (n > 0 && (strchr(" \t", p[0]) != NULL ||
			    strchr(" \t", p[n - 1]) != NULL))
				return false;
			/* It is not shown. */
			if (strcmp(u->opts[i].key, "secret-command") == 0)
				return false;
		}
		for (p = u->path; *p != '\0'; p++)
			if ((unsigned char)*p < 0x20 || *p == 0x7f)
				return false;
	}
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *c, *again;
	struct rules *r;
	char *one, *two;

	if ((c = load((const char *)data, size)) == NULL)
		return 0;
	r = config_rules(c);
	rules_free(&r);
	if (can_be_shown(c)) {
		one = show(c);
		again = load(one, strlen(one));
		assert(again != NULL);
		two = show(again);
		strip_comments(one);
		strip_comments(two);
		assert(strcmp(one, two) == 0);
		config_free(&again);
		free(one);
		free(two);
	}
	config_free(&c);
	return 0;
}
