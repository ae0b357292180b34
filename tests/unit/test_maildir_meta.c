/* UID lists, UIDL lists, keywords, subscriptions, lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "maildir/maildir_keywords.h"
#include "maildir/maildir_subs.h"
#include "maildir/maildir_uidlist.h"

static struct buf seen;

static int
setup(void **state)
{
	(void)state;
	buf_init(&seen, 1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	buf_release(&seen);
	return 0;
}

static int
on_rec(void *ctx, const struct uidlist_rec *r, struct err *e)
{
	(void)ctx;
	(void)e;
	buf_addf(&seen, "%u %.*s", r->uid, (int)r->nbase, r->base);
	if (r->guid != NULL)
		buf_addf(&seen, " G%.*s", (int)r->nguid, r->guid);
	if (r->uidl != NULL)
		buf_addf(&seen, " P%.*s", (int)r->nuidl, r->uidl);
	if (r->order != 0)
		buf_addf(&seen, " O%u", r->order);
	buf_addc(&seen, '\n');
	return 0;
}

static void
on_warn(void *ctx, unsigned long line, const char *text)
{
	(void)ctx;
	buf_addf(&seen, "%lu! %s\n", line, text);
}

static int
read_list(const char *text, struct uidlist_head *h)
{
	struct maildir_lines l;
	struct err e;
	int rc;

	buf_reset(&seen);
	maildir_lines_mem(&l, text, strlen(text));
	rc = uidlist_read(&l, h, on_rec, on_warn, NULL, &e);
	maildir_lines_end(&l);
	return rc;
}

static void
test_uidlist(void **state)
{
	struct uidlist_head h;

	(void)state;
	assert_int_equal(read_list("3 V1 N2 G0123456789abcdef0123456789abcdef"
	    " Xother\n"
	    "1 :a\r\n"
	    "2 Gsome-guid Pold.1 O3 S10 W11 Zx :b,S=10:2,S\n"
	    "3 P :c\n"
	    "4 ::\n"
	    "5 Pa/b x?: :d e\n"
	    "7 no colon\n"
	    "8 :\n"
	    "9 :a/b\n"
	    "4294967294 :z\n"
	    "4294967295 :unfinished", &h), 1);
	assert_int_equal(h.version, 3);
	assert_int_equal(h.uidvalidity, 1);
	assert_true(h.uidnext == 4294967295U);
	assert_string_equal(h.guid, "0123456789abcdef0123456789abcdef");
	assert_string_equal(seen.ptr,
	    "1 a\n2 b,S=10 Gsome-guid Pold.1 O3\n3 c Pc\n4 :\n"
	    "5 d e Pa/b\n7! no file name\n8! no usable file name\n"
	    "9! no usable file name\n4294967294 z\n");

	assert_int_equal(read_list("1 55 100\n7 a\n9 b:2,RS\n20 c d\n", &h),
	    1);
	assert_int_equal(h.version, 1);
	assert_int_equal(h.uidnext, 100);
	assert_string_equal(seen.ptr, "7 a\n9 b\n20 c d\n");
}

static void
test_uidlist_broken(void **state)
{
	static const char *const bad[] = {
		"", "3 V1 N2", "2 V1 N2\n", "3 V1\n", "3 N2\n", "3 V0 N1\n",
		"3 V1 N0\n", "3 V1x N2\n", "3 V4294967296 N2\n", "3\n",
		"1 5\n", "1 5 \n", "1 0 5\n", "x\n", "1 5 5 5x\n",
		"3 V1 N2\n2 :a\n2 :b\n", "3 V1 N2\n2 :a\n1 :b\n",
		"3 V1 N2\n0 :a\n", "3 V1 N2\n4294967295 :a\n",
		"3 V1 N2\n1:a\n", "3 V1 N2\n\n", "3 V1 N2\n:a\n",
		"3 V1 N2\n-1 :a\n", "1 5 5\n1\n",
	};
	struct uidlist_head h;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		/* Trailing words of a version 1 header are Dovecot's. */
		if (strcmp(bad[i], "1 5 5 5x\n") == 0)
			assert_int_equal(read_list(bad[i], &h), 1);
		else if (read_list(bad[i], &h) != 0)
			fail_msg("%s was taken", bad[i]);
	}
}

static void
test_sizelist(void **state)
{
	static const struct {
		unsigned version;
		const char *line, *base, *uidl;
	} good[] = {
		{ 3, "1.a.h:2,S 200 3:1136214001:0", "1.a.h",
		    "UID3-1136214001" },
		{ 3, "1.a b.h:2,S 200 3:0:1", "1.a b.h", "UID3" },
		{ 2, "1.a.h 200 7:9", "1.a.h", "UID7-9" },
		{ 1, "1.a.h 200 7", "1.a.h", "UID7" },
		{ 3, "1.a'+\".\303h:2, 200 0:5:0", "1.a'+\".\303h",
		    "1.a+27+2B+22.+C3h" },
		{ 0, "1.a.h 200", "1.a.h", "1.a.h" },
	};
	static const char *const bad[] = {
		"", " ", "a", "a 1", "a x 1:2:0", "a 1 x:2:0", "a 1 1:x:0",
		" 1 1:2:0", "a/b 1 1:2:0", "a 1 :2:0",
	};
	const char *base = NULL;
	struct buf uidl;
	size_t i, n = 0;
	unsigned v;

	(void)state;
	buf_init(&uidl, 1000);
	for (i = 0; i < sizeof good / sizeof good[0]; i++) {
		buf_reset(&uidl);
		assert_int_equal(sizelist_rec_parse(&base, &n, &uidl,
		    good[i].version, good[i].line, strlen(good[i].line)), 1);
		assert_int_equal(n, strlen(good[i].base));
		assert_memory_equal(base, good[i].base, n);
		assert_string_equal(uidl.ptr, good[i].uidl);
	}
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (sizelist_rec_parse(&base, &n, &uidl, 3, bad[i],
		    strlen(bad[i])) != 0)
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(sizelist_head_parse(&v, "/3 6 1136214001", 15), 1);
	assert_int_equal(v, 3);
	assert_int_equal(sizelist_head_parse(&v, "/2 6", 4), 1);
	assert_int_equal(sizelist_head_parse(&v, "/9 6 1", 6), -1);
	assert_int_equal(sizelist_head_parse(&v, "1.a.h 200", 9), 0);
	assert_int_equal(v, 0);
	buf_release(&uidl);
}

static void
test_dovecot_keywords(void **state)
{
	static const char text[] =
	    "0 $Label1\n1 work\n25 last one\n\n2 WORK\n26 x\nx y\n3\n4 \n"
	    "1 again\n5 nul\0l\n6 no-end";
	char *names[DOVECOT_KEYWORDS];
	int i;

	(void)state;
	assert_int_equal(dovecot_keywords_parse(names, text,
	    sizeof text - 1), 7);
	assert_string_equal(names[0], "$Label1");
	assert_string_equal(names[1], "work");
	assert_string_equal(names[25], "last one");
	assert_string_equal(names[6], "no-end");
	for (i = 0; i < DOVECOT_KEYWORDS; i++) {
		if (i != 0 && i != 1 && i != 25 && i != 6)
			assert_null(names[i]);
		free(names[i]);
	}
}

static int
on_keywords(void *ctx, const char *base, size_t nbase,
    const uint16_t *numbers, size_t n, struct err *e)
{
	const struct keyword_table *t = ctx;
	size_t i;

	(void)e;
	buf_addf(&seen, "%.*s", (int)nbase, base);
	for (i = 0; i < n; i++)
		buf_addf(&seen, " %s", t->names[numbers[i]]);
	buf_addc(&seen, '\n');
	return 0;
}

static void
test_courier_keywords(void **state)
{
	static const char list[] =
	    "one\ntwo\nThree\n\na.h:0 2\nb:x.h:1\nc.h:\nd.h:3\ne.h:x\nnone\n"
	    ":1\nf.h: 1  0 ";
	static const char change[] = "THREE\nfour\n\nfive\nsix\nseven\n";
	struct keyword_table t = { NULL, 0, 0 };
	struct maildir_lines l;
	uint16_t numbers[4];
	const char *base;
	uint64_t newer;
	struct err e;
	size_t bad, n;

	(void)state;
	maildir_lines_mem(&l, list, strlen(list));
	assert_int_equal(courier_keywords_list(&l, &t, on_keywords, &t, &bad,
	    &e), 0);
	assert_int_equal(bad, 4);
	assert_string_equal(seen.ptr,
	    "a.h one Three\nb:x.h two\nc.h\nf.h two one\n");
	courier_keywords_file(&t, change, strlen(change), numbers, 4, &n);
	assert_int_equal(n, 4);
	assert_int_equal(numbers[0], 2);
	assert_int_equal(numbers[1], 3);
	assert_string_equal(t.names[numbers[3]], "six");
	courier_keywords_file(&t, "", 0, numbers, 4, &n);
	assert_int_equal(n, 0);
	keyword_table_release(&t);

	assert_int_equal(courier_keywords_name(":list", &base, &newer), 0);
	assert_int_equal(courier_keywords_name("1.a.h", &base, &newer), 1);
	assert_true(newer == UINT64_MAX);
	assert_int_equal(courier_keywords_name(".55.1.a.h", &base, &newer),
	    1);
	assert_string_equal(base, "1.a.h");
	assert_int_equal(newer, 56);
	assert_int_equal(courier_keywords_name(".x.1.a.h", &base, &newer), 0);
	assert_int_equal(courier_keywords_name(".tmp", &base, &newer), 0);
	assert_int_equal(courier_keywords_name(".5.", &base, &newer), 0);
}

static void
on_sub(void *ctx, const struct subs_level *levels, size_t n)
{
	size_t i;

	(void)ctx;
	for (i = 0; i < n; i++)
		buf_addf(&seen, "%s%.*s", i > 0 ? "|" : "",
		    (int)levels[i].len, levels[i].p);
	buf_addc(&seen, '\n');
}

static void
test_subs(void **state)
{
	static const char v1[] =
	    "INBOX\nINBOX.a.b\nx y\r\n\n.a\na..b\na.\nlast";
	static const char v2[] =
	    "V\t2\n\nINBOX\na.b\tc\nt\001tab\tn\0011\001nl\na\t\n\ta\na\001x\n"
	    "a\0010\n";

	(void)state;
	assert_int_equal(subs_parse(v1, sizeof v1 - 1, '.', on_sub, NULL), 2);
	assert_string_equal(seen.ptr,
	    "INBOX\nINBOX|a|b\nx y\na\nlast\n");
	buf_reset(&seen);
	assert_int_equal(subs_parse(v2, sizeof v2 - 1, '.', on_sub, NULL), 3);
	assert_string_equal(seen.ptr,
	    "INBOX\na.b|c\nt\tab|n\001\nl\na\n");
	buf_reset(&seen);
	assert_int_equal(subs_parse("a/b.c\n", 6, '/', on_sub, NULL), 0);
	assert_string_equal(seen.ptr, "a|b.c\n");
}

/* The same from a file and from memory, whatever falls on the buffer's edge. */
static void
test_lines(void **state)
{
	const size_t total = 300000;
	struct maildir_lines f, m;
	char *text = malloc(total);
	const char *a, *b;
	size_t na, nb, i, n = 0;
	int fd, ra, rb;

	(void)state;
	for (i = 0; i < total; i++)
		text[i] = (char)(i % 977 == 0 || i % 1013 == 0 ? '\n' : 'x');
	memset(text + 100000, 'y', 40000);	/* one too long */
	memset(text + 200000, 'z', 31000);	/* one just not */
	text[total - 1] = 'e';
	fd = memfd_create("lines", MFD_CLOEXEC);
	assert_true(fd != -1);
	assert_int_equal(write(fd, text, total), total);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	maildir_lines_fd(&f, fd);
	maildir_lines_mem(&m, text, total);
	for (;; n++) {
		ra = maildir_lines_next(&f, &a, &na);
		rb = maildir_lines_next(&m, &b, &nb);
		assert_int_equal(ra, rb);
		assert_int_equal(f.number, m.number);
		assert_int_equal(f.overlong, m.overlong);
		assert_int_equal(f.unended, m.unended);
		if (ra != 1)
			break;
		assert_int_equal(na, nb);
		assert_memory_equal(a, b, na);
	}
	assert_int_equal(ra, 0);
	assert_true(f.unended);
	assert_true(f.overlong > 0);
	assert_int_equal(f.number, n + 1);
	maildir_lines_end(&f);
	maildir_lines_end(&m);
	close(fd);
	/* A directory cannot be read. */
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	maildir_lines_fd(&f, fd);
	assert_int_equal(maildir_lines_next(&f, &a, &na), -1);
	assert_int_equal(errno, EISDIR);
	maildir_lines_end(&f);
	close(fd);
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_uidlist),
		TEST(test_uidlist_broken),
		TEST(test_sizelist),
		TEST(test_dovecot_keywords),
		TEST(test_courier_keywords),
		TEST(test_subs),
		TEST(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
