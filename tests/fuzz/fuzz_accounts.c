/*
 * Account lists: every mistake is one line; what was read, written as plain
 * CSV, reads back to the same; columns stay one level of a path.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "base/mutf7.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const columns[] = {
	"name", "user", "target_user", "source_password", "target_password",
	"source", "target", "owner", "partition", "quota", "priority" };
#define NCOLUMNS (sizeof columns / sizeof columns[0])

static size_t
count_lines(const struct buf *b)
{
	size_t i, n = 0;

	for (i = 0; i < b->len; i++)
		n += b->ptr[i] == '\n';
	return n;
}

static void
put_field(struct buf *b, const char *s)
{
	buf_addc(b, '"');
	for (; *s != '\0'; s++) {
		if (*s == '"')
			buf_addc(b, '"');
		buf_addc(b, *s);
	}
	buf_addc(b, '"');
}

static const char *
value(const struct accounts *a, size_t i, size_t k)
{
	const char *s = account_column(a, i, columns[k]);

	return s != NULL ? s : "";
}

static void
write_and_read(const struct accounts *a)
{
	struct accounts *again;
	struct buf b, errors;
	size_t i, k;

	buf_init(&b, (size_t)1 << 26);
	buf_init(&errors, 1 << 20);
	for (k = 0; k < NCOLUMNS; k++)
		buf_addf(&b, "%s%s", k > 0 ? ";" : "", columns[k]);
	buf_adds(&b, "\r\n");
	for (i = 0; i < accounts_count(a); i++) {
		for (k = 0; k < NCOLUMNS; k++) {
			if (k > 0)
				buf_addc(&b, ';');
			put_field(&b, value(a, i, k));
		}
		buf_adds(&b, "\n");
	}
	if (!b.full) {
		if (accounts_read_text(&again, "again", b.ptr, b.len, true,
		    &errors) != 0) {
			fprintf(stderr, "%s", errors.ptr);
			abort();
		}
		assert(accounts_count(again) == accounts_count(a));
		for (i = 0; i < accounts_count(a); i++) {
			assert(strcmp(account_name(again, i),
			    account_name(a, i)) == 0);
			for (k = 0; k < NCOLUMNS; k++)
				assert(strcmp(value(again, i, k),
				    value(a, i, k)) == 0);
		}
		accounts_free(&again);
	}
	buf_release(&b);
	buf_release(&errors);
}

static void
check_row(const struct accounts *a, size_t i, const struct config *c)
{
	const char *user = account_column(a, i, "user"), *p;
	struct account_stores s;
	struct err e;
	size_t n = 0;

	assert(user != NULL && *user != '\0');
	assert(utf8_valid(user, strlen(user)));
	assert(account_column(a, i, "local") != NULL);
	assert(account_column(a, i, "domain") != NULL);
	assert(i == 0 || account_line(a, i) > account_line(a, i - 1));
	if (account_stores(a, i, c, &s, &e) == -1) {
		assert(e.text[0] != '\0');
		return;
	}
	if (*value(a, i, 5) == '\0') {
		for (p = s.uri[SIDE_SOURCE]->path; *p != '\0'; p++)
			n += *p == '/';
		assert(n == 3);
	}
	account_stores_release(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char job[] = "[source]\nuri = maildir:/srv/{user}/x\n"
	    "[target]\nuri = mem:{target_user}\n";
	struct config *c;
	struct accounts *a;
	struct buf errors;
	size_t bad, i;

	c = config_new();
	buf_init(&errors, 1 << 22);
	bad = config_read_text(c, "t.ini", NULL, job, sizeof job - 1, &errors);
	bad += config_finish(c, true, &errors);
	assert(bad == 0);
	bad = accounts_read_text(&a, "u.csv", (const char *)data, size, true,
	    &errors);
	assert(bad > 0 || a != NULL);
	if (a != NULL) {
		for (i = 0; i < accounts_count(a); i++)
			check_row(a, i, c);
		bad += accounts_check(a, c, fold_case, &errors);
		write_and_read(a);
	}
	assert(errors.full || count_lines(&errors) == bad);
	accounts_free(&a);
	config_free(&c);
	buf_release(&errors);
	return 0;
}
