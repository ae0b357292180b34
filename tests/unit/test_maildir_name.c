/* Names of message files and their flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "maildir/maildir_name.h"
#include "message.h"

struct name_case {
	const char	*name;
	size_t		 base;
	const char	*raw;		/* NULL: no info */
	size_t		 nflags;
	uint64_t	 size, vsize, secs;
	uint32_t	 usecs;
};

#define NO UNKNOWN64

static const struct name_case cases[] = {
	{ "1136214245.M12P7.host", 21, NULL, 0, NO, NO, 1136214245, 12 },
	{ "1136214245.M12P7.host:2,FS", 21, "FS", 2, NO, NO, 1136214245, 12 },
	{ "1.V801I40M600.pf,S=10,W=12:2,", 26, "", 0, 10, 12, 1, 600 },
	{ "1.2_3.h,W=12,S=10:2,Sab,other", 17, "Sab,other", 3, 10, 12, 1, 0 },
	{ "1.2.h:1,S", 5, NULL, 0, NO, NO, 1, 0 },
	{ "1.2.h:", 5, NULL, 0, NO, NO, 1, 0 },
	{ "1.2.h:2", 5, NULL, 0, NO, NO, 1, 0 },
	{ "1.2.h:x:2,S", 5, "S", 1, NO, NO, 1, 0 },
	{ "1.2.h:2,S:x", 5, NULL, 0, NO, NO, 1, 0 },
	{ "1.2.h;2,S", 5, "S", 1, NO, NO, 1, 0 },
	{ "1.2.h!2,", 5, "", 0, NO, NO, 1, 0 },
	{ "1.2.h-2,RS", 5, "RS", 2, NO, NO, 1, 0 },
	{ "1.2.h-2,S=10", 12, NULL, 0, 10, NO, 1, 0 },
	{ "1.2.h,S=10-2,S", 10, "S", 1, 10, NO, 1, 0 },
	{ "1.2.h-2,R1", 10, NULL, 0, NO, NO, 1, 0 },
	{ "1.2.h;2,S:2,F", 9, "F", 1, NO, NO, 1, 0 },
	{ ":2,S", 4, NULL, 0, NO, NO, 0, 0 },
	{ ";2,S", 4, NULL, 0, NO, NO, 0, 0 },
	{ "x", 1, NULL, 0, NO, NO, 0, 0 },
	{ "1.2.h,S=,W=x", 12, NULL, 0, NO, NO, 1, 0 },
	{ "1.2.h,S=5x,S=6", 14, NULL, 0, NO, NO, 1, 0 },
	{ "1.2.h,S=99999999999999999999999", 31, NULL, 0, NO, NO, 1, 0 },
	{ "99999999999999999999999.M9.h", 28, NULL, 0, NO, NO, INT64_MAX, 9 },
	{ "1.x.M5", 6, NULL, 0, NO, NO, 1, 0 },
	{ "1.M99999999999.h", 16, NULL, 0, NO, NO, 1, UINT32_MAX },
};

static void
test_names(void **state)
{
	struct maildir_name n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct name_case *c = &cases[i];

		maildir_name_parse(&n, c->name, strlen(c->name));
		if (n.base != c->base || n.nflags != c->nflags ||
		    n.size != c->size || n.vsize != c->vsize ||
		    n.secs != c->secs || n.usecs != c->usecs ||
		    (n.raw == NULL) != (c->raw == NULL) ||
		    (n.raw != NULL && strcmp(n.raw, c->raw) != 0))
			fail_msg("\"%s\": base %zu, flags %zu", c->name,
			    n.base, n.nflags);
	}
}

static void
test_flags(void **state)
{
	struct maildir_flags f;

	(void)state;
	maildir_flags_parse(&f, "DFRST", 5);
	assert_int_equal(f.flags, MSG_DRAFT | MSG_FLAGGED | MSG_ANSWERED |
	    MSG_SEEN | MSG_DELETED);
	assert_false(f.passed);
	assert_int_equal(f.keywords, 0);
	maildir_flags_parse(&f, "PazZ1", 5);
	assert_int_equal(f.flags, 0);
	assert_true(f.passed);
	assert_int_equal(f.keywords, 1U | 1U << 25);
	maildir_flags_parse(&f, "", 0);
	assert_int_equal(f.flags, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
