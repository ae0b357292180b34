/* Whose trouble it is: the target's, also where it is only looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "unit/lib/engine_case.h"

static void
no_warn(void *ctx, const char *mailbox, const char *where, const char *text)
{
	(void)ctx;
	(void)mailbox;
	(void)where;
	(void)text;
}

static struct uri *
uri_of(const struct mem_store *s)
{
	struct uri *uri;
	char text[64];
	struct err e;

	snprintf(text, sizeof text, "mem:%s", s->name);
	assert_int_equal(uri_parse(&uri, text, &e), 0);
	return uri;
}

/* The errors of each call, as they come back. */
static void
test_calls(void **state)
{
	struct store_conf c = { .warn = no_warn, .cancel_fd = -1 };
	struct folder_info *folders;
	struct target_view view;
	struct content *content;
	struct msg_meta m;
	struct source *s;
	struct target *t;
	struct arena a;
	enum delta d;
	struct err e;
	size_t n;

	(void)state;
	fixture_add(fx.tgt, "INBOX", 1, "X: sick\r\n", 0, "", 1000000000);
	arena_init(&a);
	c.uri = uri_of(fx.tgt);
	assert_int_equal(target_open(&t, &c, &e), 0);
	fx.tgt->no_view = true;
	err_clear(&e);
	assert_int_equal(target_survey(t, &a, NULL, 0, false, &view, &e), -1);
	assert_true(e.at_target);
	fx.tgt->no_view = false;
	target_close(&t);

	memcpy(fx.tgt->sick, "X: sick", 8);
	for (int looks = 0; looks < 2; looks++) {
		c.at_target = looks == 1;
		assert_int_equal(source_open(&s, &c, &e), 0);
		assert_int_equal(source_list(s, &a, &folders, &n, &e), 0);
		assert_int_equal(n, 1);
		assert_int_equal(source_folder_open(s, folders, NULL, 0, &d,
		    &e), 0);
		assert_int_equal(source_next(s, &a, &m, &e), 1);
		err_clear(&e);
		assert_int_equal(source_content(s, &m, &content, &e), -1);
		assert_int_equal(e.at_target, looks == 1);
		folders[0].raw_name = "no such";
		source_folder_close(s);
		err_clear(&e);
		assert_int_equal(source_folder_open(s, folders, NULL, 0, &d,
		    &e), -1);
		assert_int_equal(e.at_target, looks == 1);
		source_close(&s);
	}
	uri_free(&c.uri);
	arena_release(&a);
}

/* The target cannot be read when it is looked at: it is its host that is put
 * on hold, and not the source's. */
static void
test_look(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		fixture_add(fx.src, "INBOX", i, "", 0, "", 1000000000 + i);
	fixture_add(fx.tgt, "INBOX", 1, "X: sick\r\n", 0, "", 1000000000);
	memcpy(fx.tgt->sick, "X: sick", 8);
	fx.set.patience_s = 1;
	assert_int_equal(fixture_run(&fx), 75);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM host WHERE"
	    " side = 1 AND held_s > 0"), 1);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM host WHERE"
	    " side = 0 AND held_s > 0"), 0);
}

/* Nor when it does not tell what it holds. */
static void
test_view(void **state)
{
	(void)state;
	fixture_add(fx.src, "INBOX", 1, "", 0, "", 1000000000);
	fx.tgt->no_view = true;
	fx.set.patience_s = 1;
	assert_int_equal(fixture_run(&fx), 75);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM host WHERE"
	    " side = 1 AND held_s > 0"), 1);
	assert_int_equal(fixture_number(&fx, "SELECT count(*) FROM host WHERE"
	    " side = 0 AND held_s > 0"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_calls, case_setup),
		cmocka_unit_test_setup(test_look, case_setup),
		cmocka_unit_test_setup(test_view, case_setup),
	};
	int rc;

	fixture_start(&fx);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
