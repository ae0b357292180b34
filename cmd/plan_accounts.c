/*
 * mailhaul plan --list-accounts: the accounts of a server's base directory as
 * CSV, to be completed and given to copy --accounts.
 *
 * The first two columns are those of an account list; no other one has a name
 * that copy would take for a setting.
 */
#include "plan_accounts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cgp/cgp_accounts.h"
#include "opts.h"

struct listing {
	bool		quiet;
	bool		titled;
	bool		doubtful;	/* it lacks some, or has one twice */
	uint64_t	unreadable;
};

static void
title(struct listing *l)
{
	if (!l->titled)
		puts("user,target_user,kind,source_quota,bytes,crlf_bytes,"
		    "messages,mailboxes,unreadable,last_login,pop,imap,place");
	l->titled = true;
}

static void
field(const char *s)
{
	if (s[strcspn(s, ",\"\r\n;")] == '\0') {
		fputs(s, stdout);
		return;
	}
	putchar('"');
	for (; *s != '\0'; s++) {
		if (*s == '"')
			putchar('"');
		putchar(*s);
	}
	putchar('"');
}

static void
number(uint64_t n)
{
	putchar(',');
	if (n != UNKNOWN64)
		printf("%" PRIu64, n);
}

static int
on_account(void *ctx, const struct cgp_account *x, struct err *e)
{
	struct listing *l = ctx;
	time_t t = (time_t)x->last_login;
	struct tm tm;
	char day[24] = "";

	(void)e;
	title(l);
	l->unreadable += x->unreadable;
	if (x->last_login != NO_DATE && gmtime_r(&t, &tm) != NULL)
		strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%SZ", &tm);
	field(x->user);
	putchar(',');
	field(x->user);
	putchar(',');
	field(cgp_account_kind_name(x->kind));
	number(x->quota);
	number(x->bytes);
	number(x->crlf_bytes);
	number(x->messages);
	number(x->mailboxes);
	number(x->unreadable);
	printf(",%s,%s,%s,", day, x->pop ? "yes" : "no",
	    x->imap ? "yes" : "no");
	field(x->path);
	putchar('\n');
	return 0;
}

static void
on_warning(void *ctx, const char *mailbox, const char *where,
    const char *text)
{
	struct listing *l = ctx;

	l->doubtful = l->doubtful || mailbox == NULL;
	if (l->quiet)
		return;
	fputs("mailhaul: ", stderr);
	if (mailbox != NULL) {
		text_show(stderr, mailbox);
		fputs(": ", stderr);
	}
	if (where != NULL) {
		text_show(stderr, where);
		fputs(": ", stderr);
	}
	text_show(stderr, text);
	putc('\n', stderr);
}

static int
list(const struct config *c)
{
	const struct uri *source = config_store(c, SIDE_SOURCE);
	struct listing l = { .quiet = config_bool(c, CFG_QUIET) };
	struct store_conf conf = { .warn = on_warning, .warn_ctx = &l,
	    .cancel_fd = -1 };
	struct err e;
	char *text;
	int rc;

	if (source == NULL || strcmp(source->scheme, "cgp") != 0)
		return usage_error("plan", "--list-accounts wants a source "
		    "cgp:BASE");
	text = uri_show(source);
	rc = uri_parse(&conf.uri, text, &e);
	free(text);
	if (rc == 0)
		rc = cgp_accounts(&conf, config_bool(c, CFG_COUNT_BYTES),
		    on_account, &l, &e);
	uri_free(&conf.uri);
	if (rc == -1) {
		fprintf(stderr, "mailhaul: %s\n", e.text);
		return EXIT_ACCOUNTS;
	}
	title(&l);
	return l.unreadable > 0 || l.doubtful ? EXIT_ACCOUNTS : EXIT_DONE;
}

bool
plan_accounts(int argc, char **argv, int *code)
{
	struct config *c;
	bool asked = false;
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		asked = asked || strncmp(argv[i], "--list-accounts", 15) == 0;
	if (!asked)
		return false;
	*code = opts_parse(command_find("plan"), argc, argv, &c);
	if (*code != OPTS_GO)
		return true;
	asked = config_bool(c, CFG_LIST_ACCOUNTS);
	if (asked)
		*code = list(c);
	config_free(&c);
	return asked;
}
