/* The logs of a copy. */
#include "runlog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "accounts.h"
#include "base/xmalloc.h"

static void
tell(void *ctx, const char *text)
{
	(void)ctx;
	fputs("mailhaul: ", stderr);
	text_show(stderr, text);
	putc('\n', stderr);
}

struct log *
runlog_open(const struct config *c)
{
	enum logging when = (enum logging)config_enum(c, CFG_LOG);
	bool events = when == LOGGING_ON || (when == LOGGING_AUTO &&
	    (config_job(c) != NULL || config_isset(c, CFG_ACCOUNTS)));

	if (!events && config_list(c, CFG_TRACE) == 0)
		return NULL;
	return log_new(config_state(c), config_isset(c, CFG_LOG_DIR) ?
	    config_str(c, CFG_LOG_DIR) : NULL, events, tell, NULL);
}

size_t
runlog_trace(const struct config *c, struct account *accounts, size_t n,
    struct buf *errors)
{
	size_t bad = 0;

	for (size_t k = 0; k < config_list(c, CFG_TRACE); k++) {
		const char *pattern = config_item(c, CFG_TRACE, k);
		bool found = false;

		for (size_t i = 0; i < n; i++)
			if (account_matches(pattern, accounts[i].name))
				found = accounts[i].trace = true;
		if (!found) {
			complain(errors, config_where(c, CFG_TRACE), "no "
			    "selected account is called '%.80s'", pattern);
			bad++;
		}
	}
	return bad;
}

void
runlog_begin(struct log *log, const struct config *c, bool created,
    int64_t pass, size_t selected, size_t total)
{
	const struct uri *target = config_store(c, SIDE_TARGET);
	char *to = target != NULL ? uri_show(target) : xstrdup("the list's");
	struct buf only;

	buf_init(&only, 1000);
	for (size_t i = 0; i < config_list(c, CFG_ONLY); i++)
		buf_addf(&only, "%s%s", i == 0 ? ", only " : ",",
		    config_item(c, CFG_ONLY, i));
	log_event(log, LOG_RUN, "run-begin", NULL, "mailhaul " VERSION ", state "
	    "%s (%s), pass %" PRId64 ", %zu of %zu accounts%s%s, to %s%s",
	    config_state(c), created ? "created" : "found", pass, selected,
	    total, config_isset(c, CFG_ACCOUNTS) ? " of " : "",
	    config_isset(c, CFG_ACCOUNTS) ? config_str(c, CFG_ACCOUNTS) : "",
	    to, only.ptr);
	buf_release(&only);
	free(to);
}

void
runlog_end(struct log *log, int code, const struct pool_result *r,
    const struct totals *t)
{
	struct buf b;

	buf_init(&b, 2000);
	buf_addf(&b, "exit code %d; accounts done %zu, partial %zu, failed "
	    "%zu, empty %zu, stopped %zu; messages over all passes: source %"
	    PRId64, code, r->done, r->partial, r->failed, r->empty,
	    r->stopped, t->source);
	for (int i = 1; i < OUTCOMES; i++)
		buf_addf(&b, ", %s %" PRId64, outcome_name((enum outcome)i),
		    t->counts[i]);
	if (r->run_failed)
		buf_addf(&b, "; the run was ended: %s", r->err.text);
	(code == 0 ? log_event : log_warn)(log, LOG_RUN, "run-end", NULL,
	    "%s", b.ptr);
	buf_release(&b);
}
