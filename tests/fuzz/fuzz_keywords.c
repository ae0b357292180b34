/*
 * Keyword files: dovecot-keywords written again from what was read gives the
 * same; Courier's list gives numbers of the table only, from memory and from a
 * file alike.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "maildir/maildir_keywords.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
on_keywords(void *ctx, const char *base, size_t nbase,
    const uint16_t *numbers, size_t n, struct err *e)
{
	const struct keyword_table *t = ctx;
	size_t i;

	(void)e;
	assert(nbase > 0 && memchr(base, '\0', nbase) == NULL);
	for (i = 0; i < n; i++)
		assert(numbers[i] < t->n);
	return 0;
}

static void
dovecot(const char *p, size_t size)
{
	char *a[DOVECOT_KEYWORDS], *b[DOVECOT_KEYWORDS];
	struct buf text;
	bool cr = false;
	int i, k;

	dovecot_keywords_parse(a, p, size);
	buf_init(&text, size + 1000);
	for (i = 0; i < DOVECOT_KEYWORDS; i++)
		if (a[i] != NULL) {
			buf_addf(&text, "%d %s\n", i, a[i]);
			/* Written, it is taken for CRLF. */
			cr |= a[i][strlen(a[i]) - 1] == '\r';
			for (k = 0; k < i; k++)
				assert(a[k] == NULL ||
				    strcasecmp(a[k], a[i]) != 0);
		}
	k = (int)dovecot_keywords_parse(b, text.ptr, text.len);
	assert(cr || k == 0);
	for (i = 0; i < DOVECOT_KEYWORDS; i++) {
		assert(cr || (a[i] == NULL) == (b[i] == NULL));
		assert(cr || a[i] == NULL || strcmp(a[i], b[i]) == 0);
		free(a[i]);
		free(b[i]);
	}
	buf_release(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keyword_table t = { NULL, 0, 0 };
	const char *p = (const char *)data, *base;
	struct maildir_lines l;
	uint16_t numbers[50];
	uint64_t newer;
	struct err e;
	size_t bad, n, i;
	char *name;

	dovecot(p, size);
	maildir_lines_mem(&l, p, size);
	assert(courier_keywords_list(&l, &t, on_keywords, &t, &bad, &e) == 0);
	maildir_lines_end(&l);
	courier_keywords_file(&t, p, size, numbers, 50, &n);
	assert(n <= 50);
	for (i = 0; i < n; i++)
		assert(numbers[i] < t.n && t.names[numbers[i]][0] != '\0');
	keyword_table_release(&t);

	name = malloc(size + 1);
	assert(name != NULL);
	if (size > 0)
		memcpy(name, p, size);
	name[size] = '\0';
	if (courier_keywords_name(name, &base, &newer) == 1)
		assert(base[0] != '\0' && newer > 0);
	free(name);
	return 0;
}
