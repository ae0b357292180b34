/* Command lines: options, arguments, help, mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "opts.h"

static const struct command copy = {
	"copy", "", NULL, FOR_COPY, true, "usage: copy\n" };
static const struct command status = {
	"status", "", NULL, FOR_STATUS, false, "usage: status\n" };

static struct config *c;
static struct buf errors;
static bool help, show;

static int
setup(void **state)
{
	(void)state;
	c = NULL;
	buf_init(&errors, 1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	config_free(&c);
	buf_release(&errors);
	return 0;
}

/* Reads a line whose words are parted by one blank each; "" is a word. */
static size_t
line(const struct command *cmd, const char *text)
{
	char copied[1024], *argv[64], *p = copied;
	int argc = 0;
	size_t bad;

	config_free(&c);
	c = config_new();
	buf_reset(&errors);
	snprintf(copied, sizeof copied, "%s", text);
	do
		argv[argc++] = strsep(&p, " ");
	while (p != NULL);
	argv[argc] = NULL;
	bad = opts_read(cmd, argc, argv, c, &help, &show, &errors);
	if (help)
		return 0;
	assert_true((bad == 0) == (errors.len == 0));
	return bad;
}

static void
good(const struct command *cmd, const char *text)
{
	if (line(cmd, text) != 0)
		fail_msg("%s: %s", text, errors.ptr);
}

static void
bad(const struct command *cmd, const char *text, size_t n, const char *words)
{
	assert_int_equal(line(cmd, text), n);
	if (strstr(errors.ptr, words) == NULL)
		fail_msg("%s: '%s' lacks '%s'", text, errors.ptr, words);
}

static void
words(void **state)
{
	(void)state;
	good(&copy, "copy --lanes 3 mbox:x --repair null: --state=s.db");
	assert_int_equal(config_num(c, CFG_LANES), 3);
	assert_true(config_bool(c, CFG_REPAIR));
	assert_string_equal(config_state(c), "s.db");
	assert_string_equal(config_store(c, SIDE_SOURCE)->path, "x");
	assert_string_equal(config_store(c, SIDE_TARGET)->scheme, "null");
	assert_false(help || show);
	good(&copy, "copy mbox:x null: --repair=no --exclude -x --show-config "
	    "--existing=merge --map=a->b --map c->d --only a,b");
	assert_false(config_bool(c, CFG_REPAIR));
	assert_true(show);
	assert_string_equal(config_item(c, CFG_EXCLUDE, 0), "-x");
	assert_int_equal(config_enum(c, CFG_EXISTING), EXISTING_MERGE);
	assert_int_equal(config_list(c, CFG_MAP), 2);
	assert_int_equal(config_list(c, CFG_ONLY), 2);
	good(&copy, "copy --set source.uri=mbox:x --set target.uri=null:");
	good(&status, "status --state x --format json");
	assert_int_equal(config_enum(c, CFG_FORMAT), FORMAT_JSON);
	good(&status, "status mbox:x null:");
	assert_non_null(strstr(config_state(c), ".db"));
	good(&copy, "copy -- mbox:x null:");
	good(&copy, "copy --accounts u.csv mbox:{user} null:");
}

static void
mistakes(void **state)
{
	(void)state;
	bad(&copy, "copy", 1, "what to copy? give SOURCE and TARGET");
	bad(&copy, "copy mbox:x", 1, "no TARGET");
	bad(&copy, "copy mbox:x null: y z", 2, "'z' is one argument too many");
	bad(&copy, "copy mbox:x null: --lanes", 1, "--lanes needs a value");
	bad(&copy, "copy mbox:x null: --map --repair", 1, "after a '='");
	bad(&copy, "copy mbox:x null: --lanes=", 1, "lanes has no value");
	bad(&copy, "copy mbox:x null: --lane 3", 1, "did you mean --lanes?");
	bad(&copy, "copy mbox:x null: --xyzzy", 1, "unknown option --xyzzy\n");
	bad(&copy, "copy mbox:x null: --=3", 1, "unknown option --");
	bad(&copy, "copy mbox:x null: -l", 1, "two dashes");
	bad(&copy, "copy mbox:x null: --show-config=1", 1, "no value");
	bad(&copy, "copy mbox:x null: --job a --job b", 3, "given twice");
	bad(&copy, "copy mbox:x null: --job /nix", 2, "not both");
	bad(&copy, "copy -- --lanes 3", 2, "--lanes");
	bad(&status, "status --state x --lanes 3", 1,
	    "status takes no option --lanes");
	bad(&status, "status", 1, "which state?");
	bad(&status, "status --repair --state", 2, "--state needs a value");
	/* Five mistakes, five lines. */
	bad(&copy, "copy mbox:x nul: --lanes 0 --settle=x --set a --format y",
	    5, "--format: format is 'y', but must be text, json, csv, ndjson, "
	    "junit or html\n");
	bad(&copy, "copy mbox:x nul:", 1, "TARGET: 'nul:' is no kind of");
}

static void
asks_help(void **state)
{
	(void)state;
	assert_int_equal(line(&copy, "copy --lanes 0 --help"), 0);
	assert_true(help);
	assert_int_equal(line(&copy, "copy -h x"), 0);
	assert_true(help);
}

/* Each option a command takes is in its help, and no other. */
static void
help_is_whole(void **state)
{
	const struct command *cmds[] = { &copy, &status };
	size_t i, len;
	enum cfg id;
	char *text, word[64];
	FILE *f;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_non_null(f = open_memstream(&text, &len));
		opts_help(cmds[i], f);
		fclose(f);
		for (id = 0; id < CFG_COUNT; id++) {
			const struct setting *s = config_setting(id);

			snprintf(word, sizeof word, "  --%s%s", s->key,
			    s->arg != NULL ? " " : "  ");
			assert_int_equal(strstr(text, word) != NULL,
			    (s->commands & cmds[i]->mask) != 0);
		}
		assert_non_null(strstr(text, "--show-config"));
		free(text);
	}
}

/* A line of help fits a terminal. */
static void
help_is_narrow(void **state)
{
	char *text, *p, *nl;
	size_t len;
	FILE *f;

	(void)state;
	assert_non_null(f = open_memstream(&text, &len));
	opts_help(&copy, f);
	fclose(f);
	for (p = text; (nl = strchr(p, '\n')) != NULL; p = nl + 1)
		if (nl - p > 80)
			fail_msg("%.*s", (int)(nl - p), p);
	free(text);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(words), T(mistakes), T(asks_help), T(help_is_whole),
		T(help_is_narrow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
