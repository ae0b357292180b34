/* The audit on stores in memory: what each difference is called, stores that
 * change meanwhile, many accounts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit_impl.h"
#include "base/xmalloc.h"
#include "unit/lib/engine_fixture.h"

#define MORE	FIXTURE_MORE

static struct fixture fx;

static struct mem_store *
store(bool target, unsigned i)
{
	if (i == 0)
		return target ? fx.tgt : fx.src;
	return target ? fx.more_tgt[i - 1] : fx.more_src[i - 1];
}

static int
setup(void **state)
{
	(void)state;
	fx.more = 0;
	for (unsigned i = 0; i <= MORE; i++) {
		mem_store_reset(store(false, i));
		mem_store_reset(store(true, i));
		store(false, i)->on_listed = NULL;
		mem_folder_get(store(true, i), "INBOX", true);
		for (int n = 0; n < 20; n++)
			fixture_add(store(false, i), n % 3 == 0 ? "Sent" :
			    "INBOX", n, n == 4 ? "X-Eight: \xfc\n" : "",
			    n % 2 ? MSG_SEEN : 0, n % 5 ? "" : "work",
			    1000000000 + n);
	}
	mem_hosts_reset();
	fixture_drop_state(&fx);
	rules_free(&fx.rules);
	fx.rules = rules_new();
	fx.set.rules = fx.rules;
	fx.set.lanes = 8;
	return 0;
}

struct audited {
	struct audit	 audit;
	struct account	 accounts[1 + MORE], *todo[1 + MORE];
	char		 names[1 + MORE][8];
};

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

static struct audited *
audit_now(enum audit_level level, bool with_state)
{
	struct audited *p = xcalloc(1, sizeof *p);
	static char none[100];
	struct err e;

	mem_hosts_begin();
	for (unsigned i = 0; i <= fx.more; i++) {
		struct account *a = &p->accounts[i];

		snprintf(p->names[i], sizeof p->names[i], i == 0 ? "joe" :
		    "a%u", i);
		a->name = a->target_user = p->names[i];
		a->place = i;
		a->src_uri = uri_of(store(false, i));
		a->tgt_uri = uri_of(store(true, i));
		p->todo[i] = a;
	}
	snprintf(none, sizeof none, "%s-none", fx.state);
	p->audit.set = &fx.set;
	p->audit.state_path = with_state ? fx.state : none;
	p->audit.todo = p->todo;
	p->audit.n = 1 + fx.more;
	p->audit.level = level;
	p->audit.percent = 100;
	p->audit.header_diff = true;
	if (audit_make(&p->audit, &e) == -1)
		fail_msg("%s", e.text);
	if (getenv("VERBOSE") != NULL)
		audit_text(&p->audit, stderr, &e);
	return p;
}

static void
end_audit(struct audited *p)
{
	audit_release(&p->audit);
	for (unsigned i = 0; i <= fx.more; i++) {
		uri_free(&p->accounts[i].src_uri);
		uri_free(&p->accounts[i].tgt_uri);
	}
	free(p);
}

/* Nothing but so many of these (0 ends), and equal ones. */
static void
only(const struct audited *p, uint64_t equal, ...)
{
	uint64_t want[VERDICTS] = { 0 };
	va_list ap;
	int v;

	va_start(ap, equal);
	while ((v = va_arg(ap, int)) != 0)
		want[v] = (uint64_t)va_arg(ap, int);
	va_end(ap);
	want[V_EQUAL] = equal;
	for (v = 0; v < VERDICTS; v++)
		if (p->audit.counts.n[v] != want[v])
			fail_msg("%s: %d, not %d", verdict_name(
			    (enum verdict)v), (int)p->audit.counts.n[v],
			    (int)want[v]);
}

static void
test_after_copy(void **state)
{
	static const enum audit_level levels[] = { AUDIT_COUNTS, AUDIT_META,
	    AUDIT_SAMPLE, AUDIT_CONTENT };

	(void)state;
	fx.more = MORE;
	assert_int_equal(fixture_run(&fx), 0);
	for (size_t i = 0; i < 4; i++)
		for (int with_state = 0; with_state < 2; with_state++) {
			struct audited *p = audit_now(levels[i], with_state);

			assert_string_equal(audit_verdict(&p->audit), "equal");
			assert_int_equal(p->audit.equal, 1 + MORE);
			only(p, 20 * (1 + MORE), 0);
			if (levels[i] == AUDIT_SAMPLE)
				assert_int_equal(p->audit.sample.compared,
				    20 * (1 + MORE));
			end_audit(p);
		}
}

/* What the state knows of the source is not read again, nor what the target's
 * index tells. */
static void
test_reads_little(void **state)
{
	struct audited *p;

	(void)state;
	fx.tgt->sha1 = true;
	assert_int_equal(fixture_run(&fx), 0);
	fx.src->nread = fx.tgt->nread = 0;
	p = audit_now(AUDIT_CONTENT, true);
	only(p, 20, 0);
	end_audit(p);
	assert_int_equal(fx.src->nread, 0);
	assert_int_equal(fx.tgt->nread, 0);
	/* Without the state the source is. */
	p = audit_now(AUDIT_CONTENT, false);
	only(p, 20, 0);
	end_audit(p);
	assert_int_equal(fx.src->nread, 20);
	assert_int_equal(fx.tgt->nread, 0);
	fx.tgt->sha1 = false;
}

/* A server that tells no UIDs: nothing is read for that, either. */
static void
test_no_uids(void **state)
{
	struct audited *p;

	(void)state;
	fx.tgt->sha1 = fx.tgt->no_uids = true;
	assert_int_equal(fixture_run(&fx), 0);
	fixture_sql(&fx, "UPDATE message SET tgt_uid = 0");
	fx.src->nread = fx.tgt->nread = 0;
	p = audit_now(AUDIT_CONTENT, true);
	only(p, 20, 0);
	end_audit(p);
	assert_int_equal(fx.src->nread, 0);
	assert_int_equal(fx.tgt->nread, 0);
	p = audit_now(AUDIT_META, true);
	only(p, 20, 0);
	end_audit(p);
	fx.tgt->sha1 = fx.tgt->no_uids = false;
}

static int
look_at_cause(void *ctx, const struct audit_row_difference *d, struct err *e)
{
	(void)e;
	assert_string_equal(d->cause, ctx);
	assert_string_not_equal(d->subject, "");
	assert_non_null(strstr(d->diff, "- X-Eight: \xfc\n+ X-Eight: X\n"));
	return 0;
}

static void
test_munged(void **state)
{
	static char cause[] = "munged";
	struct audited *p;
	struct err e;

	(void)state;
	fx.tgt->munge = true;
	for (int sha1 = 0; sha1 < 2; sha1++) {
		fx.tgt->sha1 = sha1;
		assert_true(fixture_run(&fx) >= 0);
		p = audit_now(AUDIT_CONTENT, true);
		only(p, 19, V_ALTERED, 1, 0);
		assert_int_equal(audit_differences(&p->audit, 0, 0,
		    look_at_cause, cause, &e), 0);
		end_audit(p);
		mem_store_reset(fx.tgt);
		fixture_drop_state(&fx);
		fx.tgt->munge = true;
	}
	fx.tgt->sha1 = fx.tgt->munge = false;
}

/* Many equal copies, one of them lost or one too many. */
static void
test_many_equal(void **state)
{
	struct mem_folder *f;
	struct audited *p;

	(void)state;
	for (int n = 0; n < 3000; n++)
		fixture_add(fx.src, "INBOX", 77, "", 0, "", 1000000000);
	assert_int_equal(fixture_run(&fx), 0);
	f = mem_folder_get(fx.tgt, "INBOX", false);
	mem_expunge(f, f->last->uid);
	p = audit_now(AUDIT_CONTENT, true);
	only(p, 3019, V_MISSING, 1, 0);
	end_audit(p);
	fixture_add(fx.tgt, "INBOX", 77, "", 0, "", 1000000000);
	fixture_add(fx.tgt, "INBOX", 77, "", 0, "", 1000000000);
	p = audit_now(AUDIT_CONTENT, false);
	only(p, 3020, V_DUPLICATED, 1, 0);
	end_audit(p);
}

/* Mail comes in whenever somebody looks. */
static void
always_more(struct mem_store *s, struct mem_folder *f)
{
	static int n = 1000;

	if (strcmp(f->name, "INBOX") == 0)
		fixture_add(s, "INBOX", n++, "", 0, "", 1000000000);
}

static int left;

static void
once_more(struct mem_store *s, struct mem_folder *f)
{
	if (strcmp(f->name, "INBOX") == 0 && left-- > 0) {
		fixture_add(s, "INBOX", 500, "", 0, "", 1000000000);
		fixture_add(fx.tgt, "INBOX", 500, "", 0, "", 1000000000);
	}
}

static void
test_moving(void **state)
{
	struct audited *p;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	fixture_add(fx.tgt, "INBOX", 400, "", 0, "", 1000000000);
	fx.src->on_listed = always_more;
	p = audit_now(AUDIT_CONTENT, true);
	assert_string_equal(audit_verdict(&p->audit), "incomplete");
	assert_true(p->audit.counts.n[V_MOVING] >= 1);
	assert_int_equal(p->audit.counts.n[V_MISSING], 0);
	assert_int_equal(p->audit.counts.n[V_EXTRA], 0);
	end_audit(p);
}

/* It changes once: what it is then counts. */
static void
test_holds_still(void **state)
{
	struct audited *p;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	left = 1;
	fx.src->on_listed = once_more;
	fixture_add(fx.tgt, "INBOX", 400, "", 0, "", 1000000000);
	p = audit_now(AUDIT_CONTENT, true);
	assert_string_equal(audit_verdict(&p->audit), "different");
	only(p, 21, V_EXTRA, 1, 0);
	end_audit(p);
}

/* The account that fails does not hide the others. */
static void
test_one_bad_account(void **state)
{
	struct audited *p;

	(void)state;
	fx.more = MORE;
	assert_int_equal(fixture_run(&fx), 0);
	store(true, 3)->missing = true;
	p = audit_now(AUDIT_CONTENT, true);
	assert_string_equal(audit_verdict(&p->audit), "incomplete");
	assert_int_equal(p->audit.unaudited, 1);
	only(p, 20 * MORE, 0);
	end_audit(p);
	store(true, 3)->missing = false;
}

/* A mailbox with another UIDVALIDITY than the state's is compared without its
 * UIDs; a target of which no mailbox is the state's is another one. */
static void
test_other_target(void **state)
{
	struct audited *p;

	(void)state;
	assert_int_equal(fixture_run(&fx), 0);
	mem_folder_get(fx.tgt, "INBOX", false)->uidvalidity += 7;
	p = audit_now(AUDIT_CONTENT, true);
	only(p, 20, 0);
	end_audit(p);
	mem_folder_get(fx.tgt, "Sent", false)->uidvalidity += 7;
	p = audit_now(AUDIT_CONTENT, true);
	assert_int_equal(p->audit.unaudited, 1);
	end_audit(p);
	p = audit_now(AUDIT_CONTENT, false);
	only(p, 20, 0);
	end_audit(p);
}

/* Two texts, and what became of the first. */
struct altered { const char *cause, *from, *to; };

static const struct altered table[] = {
	{ "munged", "A: \xfc\xe4\n\nx\n", "A: XX\n\nx\n" },
	{ "munged", "A\xfc: b\n\nx\n", "AX: b\n\nx\n" },
	{ "added-field", "A: b\n\nx\n", "A: b\nX-TUID: 12\n\nx\n" },
	{ "added-field", "A: b\n\nx\n", "X-UID: 1\nStatus: RO\nA: b\n\nx\n" },
	{ "removed-field", "A: b\nStatus: O\n\nx\n", "A: b\n\nx\n" },
	{ "header", "A: b\n\nx\n", "A: c\n\nx\n" },
	{ "header", "A: b\n\nx\n", "A: b\nReceived: by us\n\nx\n" },
	{ "header", "A: b\nB: c\n\nx\n", "A: b\n\nx\n" },
	{ "header", "A: \xfc\nB: c\n\nx\n", "A: X\nB: d\n\nx\n" },
	{ "folding", "A: b c\n\nx\n", "A: b\n c\n\nx\n" },
	{ "header-order", "A: b\nB: c\n\nx\n", "B: c\nA: b\n\nx\n" },
	{ "line-ends", "A: b\n\nx", "A: b\n\nx\n" },
	{ "line-ends", "A: b\n\nx\ry\n", "A: b\n\nxy\n" },
	{ "line-ends", "A: b\n\nx\n", "A: b\n\nx\n\n\n" },
	{ "from-quoting", "A: b\n\nFrom x\n", "A: b\n\n>From x\n" },
	{ "from-quoting", "A: b\n\n>>From x\ny", "A: b\n\n>From x\ny" },
	{ "body", "A: b\n\n>Frog x\n", "A: b\n\nFrog x\n" },
	{ "body", "A: b\n\nx\n", "A: b\n\ny\n" },
	{ "body", "A: b\n\nx\ny\n", "A: b\n\nxy\n" },
	{ "body", "A: \xfc\n\nx\n", "A: X\n\ny\n" },
	{ "from-quoting", "A: b\n\n\n\nFrom x\n>Fro", "A: b\n\n\n\n>From x\n>Fro" },
};

static void
take_form(struct former *f, const char *text, struct audit_form *r,
    char header[64])
{
	struct content *c = content_mem(text, strlen(text));
	struct measured md;
	struct err e;

	assert_int_equal(former_read(f, c, true, r, &md, &e), 0);
	content_close(&c);
	/* It lives until the next one is read. */
	assert_true(r->header_len < 64);
	memcpy(header, r->header, r->header_len);
	r->header = header;
	r->body = NULL;
}

static void
test_causes(void **state)
{
	struct former *f = former_new();

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct audit_form s, t;
		struct buf detail, diff;
		char header[2][64];
		const char *cause;

		buf_init(&detail, 2000);
		buf_init(&diff, 2000);
		take_form(f, table[i].from, &s, header[0]);
		take_form(f, table[i].to, &t, header[1]);
		cause = audit_cause(&s, &t, &detail, &diff);
		if (strcmp(cause, table[i].cause) != 0)
			fail_msg("%zu: %s, not %s", i, cause, table[i].cause);
		assert_true(detail.len > 0);
		buf_release(&detail);
		buf_release(&diff);
	}
	former_free(&f);
}

/* A NUL became a blank. */
static void
test_nul(void **state)
{
	struct former *f = former_new();
	struct audit_form s, t;
	struct buf detail, diff;
	struct measured md;
	struct err e;
	struct content *c = content_mem("A: b\n\nx\0y\n", 10);

	(void)state;
	buf_init(&detail, 2000);
	buf_init(&diff, 2000);
	assert_int_equal(former_read(f, c, false, &s, &md, &e), 0);
	content_close(&c);
	s.header = "A: b\n\n";
	c = content_mem("A: b\n\nx\200y\n", 10);
	assert_int_equal(former_read(f, c, false, &t, &md, &e), 0);
	content_close(&c);
	assert_string_equal(audit_cause(&s, &t, &detail, &diff), "nul");
	buf_release(&detail);
	buf_release(&diff);
	former_free(&f);
}

static void
test_words(void **state)
{
	(void)state;
	for (int v = 0; v < VERDICTS; v++)
		assert_int_equal(verdict_of_name(verdict_name(
		    (enum verdict)v)), v);
	assert_int_equal(verdict_of_name("good"), VERDICTS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_after_copy, setup),
		cmocka_unit_test_setup(test_reads_little, setup),
		cmocka_unit_test_setup(test_no_uids, setup),
		cmocka_unit_test_setup(test_munged, setup),
		cmocka_unit_test_setup(test_many_equal, setup),
		cmocka_unit_test_setup(test_moving, setup),
		cmocka_unit_test_setup(test_holds_still, setup),
		cmocka_unit_test_setup(test_one_bad_account, setup),
		cmocka_unit_test_setup(test_other_target, setup),
		cmocka_unit_test(test_causes),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_words),
	};
	int rc;

	fixture_start(&fx);
	fixture_more(&fx, MORE);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fixture_stop(&fx);
	return rc;
}
