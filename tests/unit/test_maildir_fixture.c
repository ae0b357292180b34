/*
 * The Maildir fixtures against what their maker says is in them.  Run from
 * the top of the tree; needs python3.  "test_maildir_fixture PATH [OPTION=VAL]"
 * prints the table of any Maildir instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/uri.h"
#include "base/xmalloc.h"
#include "measure.h"
#include "source.h"

static const char generator[] = "fixtures/maildir/make-maildirs.py";
static char top[] = "/tmp/test-maildir.XXXXXX";
static bool verbose;

static void
warn(void *ctx, const char *mailbox, const char *where, const char *text)
{
	(void)ctx;
	if (verbose)
		fprintf(stderr, "warn: %s: %s: %s\n",
		    mailbox != NULL ? mailbox : "-",
		    where != NULL ? where : "-", text);
}

static int
run(const char *const *argv)
{
	extern char **environ;
	char *args[8];
	pid_t pid;
	int i, status;

	for (i = 0; argv[i] != NULL; i++)
		args[i] = xstrdup(argv[i]);
	args[i] = NULL;
	if (posix_spawnp(&pid, args[0], NULL, NULL, args, environ) != 0 ||
	    waitpid(pid, &status, 0) == -1)
		status = -1;
	while (i > 0)
		free(args[--i]);
	return status;
}

static void
show(struct buf *out, const char *s)
{
	if (s == NULL || *s == '\0')
		buf_addc(out, '-');
	for (; s != NULL && *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f ||
		    *s == '\\')
			buf_addf(out, "\\%02x", (unsigned char)*s);
		else
			buf_addc(out, *s);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
show_list(struct buf *out, const char **w, size_t n)
{
	size_t i;

	if (n == 0)
		buf_addc(out, '-');
	else
		qsort(w, n, sizeof *w, by_name);
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(out, ',');
		show(out, w[i]);
	}
}

static void
show_message(struct buf *out, struct source *s, struct measure *me,
    const struct folder_info *f, const struct msg_meta *m)
{
	static const struct { unsigned bit; const char *name; } flags[] = {
		{ MSG_ANSWERED, "answered" }, { MSG_DELETED, "deleted" },
		{ MSG_DRAFT, "draft" }, { MSG_FLAGGED, "flagged" },
		{ MSG_SEEN, "seen" }
	};
	const char *words[100];
	struct content *c;
	struct measured d;
	struct err e;
	size_t i, n = 0;
	int rc;

	buf_adds(out, "M\t");
	show(out, f->name);
	buf_addc(out, '\t');
	show(out, m->key);
	buf_addf(out, "\t%" PRIu32 "\t", m->uid);
	for (i = 0; i < 5; i++)
		if ((m->flags & flags[i].bit) != 0)
			words[n++] = flags[i].name;
	show_list(out, words, n);
	buf_addc(out, '\t');
	for (i = 0; i < m->nkeywords && i < 100; i++)
		words[i] = m->keywords[i];
	show_list(out, words, i);
	buf_addf(out, "\t%" PRId64 "\t%" PRIu64 "\t", m->date, m->size);
	show(out, m->guid);
	buf_addc(out, '\t');
	show(out, m->uidl);
	buf_addf(out, "\t%" PRIu32 "\t", m->uidl_order);
	rc = source_content(s, m, &c, &e);
	if (rc == 0)
		buf_adds(out, "vanished\n");
	if (rc == 1) {
		rc = measure_content(me, c, NULL, &d, &e);
		if (rc == 0) {
			/* Once more: rewind gives the same. */
			struct measured again;

			assert_int_equal(content_rewind(c, &e), 0);
			assert_int_equal(measure_content(me, c, NULL, &again,
			    &e), 0);
			assert_memory_equal(d.digests.strict,
			    again.digests.strict, DIGEST_LEN);
			for (i = 0; i < DIGEST_LEN; i++)
				buf_addf(out, "%02x", d.digests.strict[i]);
			buf_addc(out, '\n');
		}
		content_close(&c);
	}
	if (rc == -1) {
		assert_int_equal(e.scope, ERR_MESSAGE);
		if (verbose)
			fprintf(stderr, "failed: %s\n", e.text);
		buf_adds(out, "failed\n");
	}
}

/* The table of the account at a URI. */
static void
table_of(struct buf *out, const char *text)
{
	struct store_conf conf = { .warn = warn, .cancel_fd = -1 };
	struct measure *me = measure_new();
	struct folder_info *folders;
	struct arena tree, batch;
	struct msg_meta m;
	struct source *s;
	enum delta delta;
	uint64_t count;
	size_t n, i, k;
	struct err e;
	int rc;

	arena_init(&tree);
	arena_init(&batch);
	assert_int_equal(uri_parse(&conf.uri, text, &e), 0);
	if (source_open(&s, &conf, &e) == -1)
		fail_msg("%s", e.text);
	assert_int_equal(source_list(s, &tree, &folders, &n, &e), 0);
	for (i = 0; i < n; i++) {
		struct folder_info *f = &folders[i];

		if (f->refused != NULL) {
			if (verbose)
				fprintf(stderr, "refused: %s: %s\n", f->name,
				    f->refused);
			continue;
		}
		if (source_folder_open(s, f, NULL, 0, &delta, &e) == -1)
			fail_msg("%s", e.text);
		assert_int_equal(delta, DELTA_FULL);
		buf_adds(out, "F\t");
		show(out, f->name);
		buf_addf(out, "\t%" PRIu32 "\t%" PRIu32 "\t%s\t%" PRIu64 "\n",
		    f->uidvalidity, f->uidnext, f->subscribed ? "y" : "n",
		    f->messages);
		for (k = 0; (rc = source_next(s, &batch, &m, &e)) == 1; k++) {
			show_message(out, s, me, f, &m);
			arena_reset(&batch);
		}
		assert_int_equal(rc, 0);
		assert_int_equal(source_folder_count(s, &count, &e), 0);
		assert_int_equal(count, k);
		source_folder_close(s);
	}
	source_close(&s);
	uri_free(&conf.uri);
	arena_release(&tree);
	arena_release(&batch);
	measure_free(&me);
}

static void
check(const char *name)
{
	char path[200];
	struct buf got, want;
	size_t n;
	FILE *f;

	buf_init(&got, 1 << 20);
	buf_init(&want, 1 << 20);
	snprintf(path, sizeof path, "%s/%s.tsv", top, name);
	f = fopen(path, "r");
	assert_non_null(f);
	while (buf_reserve(&want, 4096) == 0 &&
	    (n = fread(want.ptr + want.len, 1, 4096, f)) > 0)
		want.len += n;
	want.ptr[want.len] = '\0';
	fclose(f);
	snprintf(path, sizeof path, "maildir:%s/%s", top, name);
	table_of(&got, path);
	if (strcmp(got.ptr, want.ptr) != 0) {
		fprintf(stderr, "--- wanted\n%s--- got\n%s", want.ptr, got.ptr);
		fail_msg("%s differs", name);
	}
	buf_release(&got);
	buf_release(&want);
}

static int
make(void **state)
{
	const char *const argv[] = { "python3", generator, top, NULL };

	(void)state;
	if (access(generator, R_OK) == -1 || mkdtemp(top) == NULL)
		return -1;
	return run(argv) == 0 ? 0 : -1;
}

static int
clean(void **state)
{
	const char *const argv[] = { "rm", "-rf", top, NULL };

	(void)state;
	return run(argv) == 0 ? 0 : -1;
}

#define CASE(name) static void name(void **state) \
	{ (void)state; check(&#name[5]); }

CASE(test_dovecot)
CASE(test_fs)
CASE(test_courier5)
CASE(test_courier4)
CASE(test_plain)
CASE(test_compressed)
CASE(test_hostile)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dovecot),
		cmocka_unit_test(test_fs),
		cmocka_unit_test(test_courier5),
		cmocka_unit_test(test_courier4),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_compressed),
		cmocka_unit_test(test_hostile),
	};
	struct buf out;

	verbose = argc > 1 || getenv("VERBOSE") != NULL;
	if (argc > 1) {
		buf_init(&out, SIZE_MAX / 2);
		table_of(&out, argv[1]);
		fputs(out.ptr, stdout);
		buf_release(&out);
		return 0;
	}
	return cmocka_run_group_tests(tests, make, clean);
}
