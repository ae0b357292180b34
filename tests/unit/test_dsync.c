/* dsync's lines, conversations from a script, and children. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/xmalloc.h"
#include "dsync/dsync_impl.h"
#include "imap/imap_stream.h"

#define GUID	"0123456789abcdef0123456789abcdef"
#define GUID2	"ffffffffffffffffffffffffffffffff"

/* Lines. */

static void
test_values(void **state)
{
	static const char all[] = "a\tb\rc\nd\001e\0f\002g";
	struct imap_stream *st;
	struct dsync_reader r;
	struct buf b;
	struct err e;

	(void)state;
	buf_init(&b, 4096);
	buf_adds(&b, "VERSION\tdsync\t3\t7\nXone\ttwo\tthree\tfour\n.\n");
	dsync_begin(&b, 'X');
	dsync_put(&b, NULL);
	dsync_put(&b, "");
	dsync_put(&b, "\002x");
	dsync_escape(&b, all, sizeof all - 1);
	dsync_put(&b, "more than there are names");
	dsync_end(&b);
	/* Our own TAB behind the escaped one ends it. */
	buf_adds(&b, "X\nX\002\t17\t.\n.\n");
	assert_null(memchr(b.ptr, '\0', b.len));
	st = imap_stream_memory(b.ptr, b.len, NULL);
	dsync_reader_init(&r, st);
	assert_int_equal(dsync_read_heads(&r, &e), 0);
	assert_int_equal(r.minor, 7);
	assert_int_equal(dsync_read_item(&r, &e), 0);
	assert_int_equal(r.letter, 'X');
	assert_null(dsync_get(&r, "one"));
	assert_string_equal(dsync_get(&r, "two"), "");
	assert_string_equal(dsync_get(&r, "three"), "\002x");
	/* With a NUL inside it is no string. */
	assert_null(dsync_get(&r, "four"));
	assert_int_equal(r.len[3], sizeof all - 1 + 25);
	assert_memory_equal(r.value[3], all, sizeof all - 1);
	assert_null(dsync_get(&r, "five"));
	assert_int_equal(dsync_read_item(&r, &e), 0);
	assert_null(dsync_get(&r, "one"));
	assert_int_equal(dsync_read_item(&r, &e), 0);
	assert_null(dsync_get(&r, "one"));
	assert_int_equal(dsync_number(&r, "two"), 17);
	assert_int_equal(dsync_number(&r, "three"), 0);
	assert_int_equal(dsync_read_item(&r, &e), 0);
	assert_int_equal(r.letter, '.');
	assert_int_equal(dsync_read_item(&r, &e), -1);
	dsync_reader_release(&r);
	imap_stream_free(&st);
	buf_release(&b);
}

static int
read_all(const char *p, size_t n, struct err *e)
{
	struct imap_stream *st = imap_stream_memory(p, n, NULL);
	struct dsync_reader r;
	int rc;

	dsync_reader_init(&r, st);
	rc = dsync_read_heads(&r, e);
	if (rc == 0)
		rc = dsync_read_item(&r, e);
	dsync_reader_release(&r);
	imap_stream_free(&st);
	return rc;
}

static void
test_odd_lines(void **state)
{
	static const char *const odd[] = {
		"* OK IMAP4rev1\n", "VERSION\tdsync\t4\t5\n",
		"VERSION\tdsync\t3\t4\n", "VERSION\tdsync\t3\t5x\n",
		"VERSION\tdsync\t3\t5\n\n.\n",
		"VERSION\tdsync\t3\t5\n\377x\n.\n",
		"VERSION\tdsync\t3\t5\nXa\nXb\n.\n",
		"VERSION\tdsync\t3\t5\nXa\n.\n\n",
		"VERSION\tdsync\t3\t5\nXa\n.\n X\n",
		"VERSION\tdsync\t3\t5\nXa\n.\nXa\001\n",
		"VERSION\tdsync\t3\t5\nXa\n.\nXa\001z\n",
		"VERSION\tdsync\t3\t5\nXa\n.\nX1\t2\t3\t4\t5\t6\t7\t8\t9\t10"
		"\t11\t12\t13\t14\t15\t16\t17\t18\t19\t20\t21\t22\t23\t24\t25"
		"\t26\t27\t28\t29\t30\t31\t32\t33\t34\t35\t36\t37\t38\t39\t40"
		"\t41\n"
	};
	struct err e;
	char *text;

	(void)state;
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		assert_int_equal(read_all(odd[i], strlen(odd[i]), &e), -1);
	/* A line that never ends. */
	text = xmalloc(DSYNC_LINE_MAX + 100);
	memset(text, 'V', DSYNC_LINE_MAX + 100);
	assert_int_equal(read_all(text, DSYNC_LINE_MAX + 100, &e), -1);
	assert_non_null(strstr(e.text, "without an end"));
	free(text);
}

static void
test_split(void **state)
{
	char value[] = "one\001ttwo\tthree\001\t\t4";
	char *el[5];

	(void)state;
	/* One that is badly escaped is none. */
	assert_int_equal(dsync_split(value, el, 5), 3);
	assert_string_equal(el[0], "one\ttwo");
	assert_string_equal(el[1], "");
	assert_string_equal(el[2], "4");
}

static void
test_bodies(void **state)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "", "" }, { ".", ".." }, { "..", "..." }, { "a.b", "a.b" },
		{ ".\r\n.\r\n.", "..\r\n..\r\n.." }, { "\n.", "\n.." },
		{ "\r.", "\r." }, { "x\n\n..\n", "x\n\n...\n" },
	};
	char out[100];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (size_t cut = 1; cut < 4; cut++) {
			struct dsync_body s = { false, '\0' };
			size_t n = strlen(cases[i].in), len = 0;

			for (size_t k = 0; k < n; k += cut)
				len += dsync_stuff(&s, cases[i].in + k,
				    n - k < cut ? n - k : cut, out + len);
			out[len] = '\0';
			assert_string_equal(out, cases[i].out);
		}
}

/* Conversations. */

#define HELLO \
	"VERSION\tdsync\t3\t5\nHhostname\nNname\texistence\tmailbox_guid\t" \
	"uid_validity\tuid_next\nDhierarchy_sep\tescape_char\n" \
	"Bmailbox_guid\tuid_validity\tuid_next\tmessages_count\t" \
	"highest_modseq\tmailbox_lost\nRguid\tuid\n" \
	"Smailbox_guid\tlast_uidvalidity\tchanges_during_sync\n" \
	"Ferror\n.\nHmail\n"

static void
warn(void *ctx, const char *mailbox, const char *where, const char *text)
{
	(void)ctx;
	(void)mailbox;
	(void)where;
	(void)text;
}

static const struct store_conf conf = { .warn = warn, .cancel_fd = -1 };

static int
talk(struct dsync_talk **t, const char *script, const struct dsync_tree *known,
    unsigned lock_s, struct buf *sent, struct err *e)
{
	return dsync_talk_over(t, imap_stream_memory(script, strlen(script),
	    sent), NULL, &conf, known, lock_s, e);
}

static void
test_handshake(void **state)
{
	struct dsync_tree known = { 0 };
	struct dsync_talk *t;
	struct dsync_box *x;
	struct buf sent;
	struct err e;

	(void)state;
	buf_init(&sent, 1 << 16);
	x = dsync_tree_add(&known, xstrdup("old"));
	memcpy(x->guid, GUID, sizeof x->guid);
	x->uidvalidity = 7;
	x->uidnext = 10;
	x = dsync_tree_add(&known, xstrdup("gone"));
	memcpy(x->guid, GUID2, sizeof x->guid);
	x->uidvalidity = 8;
	x->uidnext = 2;
	assert_int_equal(talk(&t, HELLO
	    "Nold\ty\t" GUID "\t7\t12\n"
	    "Nnew\ty\t" GUID2 "\t9\t5\n"
	    "NINBOX\ty\taaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\t9\t1\n"
	    "Nlevel\ty\n.\nD/\t%\n", &known, 60, &sent, &e), 0);
	/* Never without, or the server's own mail would go. */
	assert_non_null(strstr(sent.ptr, "\nHhostname\tsync_type\t"
	    "send_mail_requests\tbackup_recv\tno_backup_overwrite\t"
	    "lock_timeout\n"));
	assert_non_null(strstr(sent.ptr, "\nH~mailhaul\ts\t\t\t\t60\n"));
	assert_non_null(strstr(sent.ptr, "\nS" GUID "\t7\t9\t0\t0\nS" ) == NULL ?
	    strstr(sent.ptr, "\nS" GUID "\t7\t9\t0\t0\n") : sent.ptr);
	assert_int_equal(t->sep, '/');
	assert_false(t->no_lock);
	x = dsync_tree_find(&t->tree, "old");
	assert_true(x->ready);
	assert_int_equal(x->common, 9);
	assert_int_equal(x->uidnext, 12);
	/* It has mail that S did not tell of: no round there. */
	assert_false(dsync_tree_find(&t->tree, "new")->ready);
	assert_true(dsync_tree_find(&t->tree, "INBOX")->ready);
	assert_string_equal(dsync_tree_find(&t->tree, "level")->guid, "");
	assert_null(dsync_tree_find(&t->tree, "none"));
	dsync_talk_close(&t);
	dsync_tree_release(&known);
	buf_release(&sent);
}

static void
test_odd_trees(void **state)
{
	static const char *const odd[] = {
		HELLO "Nx\ty\tshort\t7\t12\n.\nD/\t%\n",
		HELLO "Nx\ty\t" GUID "x\t7\t12\n.\nD/\t%\n",
		HELLO "N\ty\n.\nD/\t%\n", HELLO "Nx\n.\nD/\t%\n",
		HELLO ".\nD\n", HELLO ".\nD//\t\n", HELLO ".\nB\n",
		HELLO "Fit is over\n", HELLO,
		"VERSION\tdsync\t3\t5\nHhostname\n.\nB\n"
	};
	struct dsync_talk *t;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		assert_int_equal(talk(&t, odd[i], NULL, 0, NULL, &e), -1);
		assert_null(t);
	}
}

static void
test_round(void **state)
{
	struct dsync_status st;
	struct dsync_talk *t;
	struct dsync_box x = { .uidvalidity = 7, .uidnext = 1,
	    .exists = true };
	struct buf sent;
	struct err e;
	bool moved;

	(void)state;
	buf_init(&sent, 1 << 16);
	x.name = xstrdup("a\tb");
	memcpy(x.guid, GUID, sizeof x.guid);
	assert_int_equal(talk(&t, HELLO ".\nD/\t\n"
	    "B" GUID "\t7\t5\t2\t99\n"
	    ".\nS" GUID "\t7\n"
	    "B" GUID "\t7\t5\t2\t99\n"
	    "R" GUID2 "\t5\n.\n"
	    "S" GUID "\t7\t\n"
	    "B" GUID "\t0\t0\t0\t0\t\n"
	    "B" GUID "\t7\t5\t2\t99\n"
	    "S" GUID "\t0\n", NULL, 0, &sent, &e), 0);
	assert_true(t->no_lock);
	assert_int_equal(dsync_talk_tree(t, &x, &e), 0);
	assert_non_null(strstr(sent.ptr, "\nNa\001tb\ty\t" GUID "\t7\t1\t0\t"
	    "\002\t0\n.\nD/\t\n"));
	assert_true(dsync_tree_find(&t->tree, "a\tb")->ready);
	assert_int_equal(dsync_talk_box(t, &x, 5, 0, &st, &e), 1);
	assert_int_equal(st.uidnext, 5);
	assert_int_equal(st.messages, 2);
	assert_int_equal(st.modseq, 99);
	assert_int_equal(dsync_talk_nothing(t, &x, &e), 0);
	assert_int_equal(dsync_talk_box(t, &x, 5, 0, &st, &e), 1);
	assert_int_equal(dsync_talk_next(t, 'R', &e), 1);
	assert_string_equal(dsync_get(&t->r, "guid"), GUID2);
	assert_int_equal(dsync_talk_next(t, 'R', &e), 0);
	/* Mail came in: who knows which UIDs they have. */
	assert_int_equal(dsync_talk_end(t, &x, 5, &e), 0);
	assert_int_equal(dsync_talk_stored(t, &x, &moved, &e), 0);
	assert_true(moved);
	/* mailbox_lost */
	assert_int_equal(dsync_talk_box(t, &x, 5, 0, &st, &e), 0);
	assert_int_equal(dsync_talk_box(t, &x, 5, 0, &st, &e), 1);
	/* It wants everything anew: it has not finished. */
	assert_int_equal(dsync_talk_stored(t, &x, &moved, &e), -1);
	assert_true(t->dead);
	assert_int_equal(dsync_talk_box(t, &x, 5, 0, &st, &e), -1);
	dsync_talk_close(&t);
	free(x.name);
	buf_release(&sent);
}

/* GUIDs. */

static void
test_guids(void **state)
{
	struct dsync_guids g = { 0 };
	char guid[DSYNC_GUID + 1];

	(void)state;
	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < 5000; i++) {
			snprintf(guid, sizeof guid, "%032x", i);
			assert_int_equal(dsync_guids_add(&g, GUID, guid),
			    k == 0);
		}
	assert_true(dsync_guids_add(&g, GUID2, guid));
	dsync_guids_release(&g);
}

/* Children. */

static void
test_full_pipes(void **state)
{
	static const char *const argv[] = { "cat", NULL };
	const size_t size = 900 * 1000;
	struct child *c;
	struct imap_stream *st;
	const char *p;
	char *text;
	size_t n = 0;
	struct err e;
	int fd;

	(void)state;
	assert_int_equal(child_start(&c, argv, NULL, &fd, NULL, &e), 0);
	st = imap_stream_socket(fd, "cat", -1);
	text = xmalloc(size);
	for (size_t i = 0; i < size; i++)
		text[i] = (char)(i * 7 + i / 1000);
	/* It answers before it has read all: both pipes fill up. */
	assert_int_equal(imap_stream_write(st, text, size, &e), 0);
	assert_int_equal(imap_stream_flush(st, &e), 0);
	while (n < size) {
		size_t len = imap_stream_window(st, &p);

		if (len == 0) {
			assert_int_equal(imap_stream_fill(st, &e), 0);
			continue;
		}
		assert_true(len <= size - n);
		assert_memory_equal(p, text + n, len);
		imap_stream_consume(st, len);
		n += len;
	}
	imap_stream_free(&st);
	dsync_child_end(&c, NULL);
	free(text);
}

/* What a child of "sh -c script" says of its end. */
static void
ends(const char *script, struct err *e)
{
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };
	struct child *c;
	int fd, in;

	assert_int_equal(child_start(&c, argv, NULL, &fd, &in, e), 0);
	close(fd);
	close(in);
	err_retry(e, ERR_ACCOUNT, "it has gone");
	dsync_child_end(&c, e);
	assert_null(c);
}

static void
test_ends(void **state)
{
	static const char *const none[] = { "/nonexistent/doveadm", NULL };
	struct child *c;
	struct err e;
	int fd;

	(void)state;
	ends("cat; echo 'x: Info: hello' >&2; echo 'x: Error: bad \007 day' "
	    ">&2; exit 75", &e);
	assert_non_null(strstr(e.text, "ended with 75: x: Error: bad   day "
	    "(it has gone)"));
	assert_true(e.retry);
	ends("echo 'Error: User doesn'\"'\"'t exist' >&2; exit 67", &e);
	assert_int_equal(e.cause, CAUSE_MISSING);
	assert_false(e.retry);
	ends("exit 64", &e);
	assert_false(e.retry);
	ends("echo 'Error: Quota exceeded (mailbox full)' >&2; exit 75", &e);
	assert_int_equal(e.cause, CAUSE_QUOTA);
	ends("kill -9 $$", &e);
	assert_non_null(strstr(e.text, "killed by signal 9"));
	/* More words than a pipe holds do not keep it from its end. */
	ends("i=0; while [ $i -lt 3000 ]; do echo 'Warning: "
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; "
	    "i=$((i + 1)); done >&2; exit 3", &e);
	assert_non_null(strstr(e.text, "ended with 3: Warning: x"));
	assert_int_equal(child_start(&c, none, NULL, &fd, NULL, &e), -1);
	assert_null(c);
	assert_int_equal(e.scope, ERR_HOST);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_odd_lines),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_odd_trees),
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_guids),
		cmocka_unit_test(test_full_pipes),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
