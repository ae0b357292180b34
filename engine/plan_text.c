/* A plan for people. */
#include "plan_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "rules.h"

static void
put_bytes(FILE *out, uint64_t n)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double v = (double)n;
	size_t u = 0;

	if (n == UNKNOWN64) {
		fputc('?', out);
		return;
	}
	while (v >= 1000 && u < 4) {
		v /= 1000;
		u++;
	}
	fprintf(out, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
}

static void
put_count(FILE *out, uint64_t n, bool more)
{
	if (n == UNKNOWN64)
		fputc('?', out);
	else
		fprintf(out, "%s%" PRIu64, more ? "at least " : "", n);
}

static void
put_size(FILE *out, const struct plan_size *s)
{
	put_bytes(out, s->bytes);
	fputs(" stored, ", out);
	if (!s->exact)
		fputs("about ", out);
	put_bytes(out, s->crlf_bytes);
	fputs(" with CR LF", out);
}

static void
put_lines(FILE *out, const char *title, const struct plan_lines *lines)
{
	for (const struct plan_line *l = lines->first; l != NULL;
	    l = l->next) {
		fprintf(out, "    %s: ", title);
		if (l->mailbox != NULL) {
			text_show(out, l->mailbox);
			fputs(": ", out);
		}
		text_show(out, l->text);
		fputc('\n', out);
	}
}

/* Is there more to say of a mailbox than its name? */
static bool
is_remarkable(const struct plan_box *b)
{
	return strcmp(b->action, "copy") != 0 || b->old != NULL ||
	    b->encoded || b->collided || b->target == NULL ||
	    strcmp(b->name, b->target) != 0;
}

static void
put_box(FILE *out, const struct plan_box *b)
{
	fputs("    ", out);
	text_show(out, b->name);
	if (strcmp(b->action, "copy") != 0) {
		fprintf(out, ": %s", b->action);
		if (b->why != NULL) {
			fputs(", ", out);
			text_show(out, b->why);
		}
	} else if (b->target != NULL) {
		fputs(" -> ", out);
		text_show(out, b->target);
	}
	fputs(", ", out);
	put_count(out, b->size.messages, false);
	fputs(" messages, ", out);
	put_size(out, &b->size);
	if (b->old != NULL) {
		fputs("; a rename of ", out);
		text_show(out, b->old);
	}
	if (b->encoded)
		fputs("; the target does not allow all of its characters",
		    out);
	if (b->collided)
		fputs("; its own name is taken", out);
	if (b->special_use != 0)
		fprintf(out, "; %s", use_word(b->special_use));
	if (b->done > 0)
		fprintf(out, "; %" PRIu64 " are done", b->done);
	if (b->there != UNKNOWN64 && b->there > 0)
		fprintf(out, "; %" PRIu64 " are there", b->there);
	fputc('\n', out);
}

static void
put_account(FILE *out, const struct plan_account *pa, bool all)
{
	fprintf(out, "%s  ", pa->ready ? "ready    " : "NOT READY");
	text_show(out, pa->account->name);
	fprintf(out, ": %zu mailboxes, ", pa->nboxes);
	put_count(out, pa->size.messages, pa->uncounted > 0);
	fputs(" messages, ", out);
	put_size(out, &pa->size);
	if (pa->done > 0)
		fprintf(out, "; %" PRIu64 " are done", pa->done);
	if (pa->target_messages != UNKNOWN64 && pa->target_messages > 0)
		fprintf(out, "; the target holds %" PRIu64,
		    pa->target_messages);
	if (pa->source_quota != UNKNOWN64) {
		fputs("; quota at the source ", out);
		put_bytes(out, pa->source_quota);
	}
	if (pa->target_quota != UNKNOWN64) {
		fputs("; quota at the target ", out);
		put_bytes(out, pa->target_quota);
		fputs(", used ", out);
		put_bytes(out, pa->target_used);
	}
	fputc('\n', out);
	put_lines(out, "not ready", &pa->problems);
	put_lines(out, "note", &pa->warnings);
	for (size_t i = 0; i < pa->nboxes; i++)
		if (all || is_remarkable(&pa->boxes[i]))
			put_box(out, &pa->boxes[i]);
}

static void
put_time(FILE *out, uint64_t s)
{
	if (s >= 3600)
		fprintf(out, "%" PRIu64 " h %" PRIu64 " min", s / 3600,
		    s % 3600 / 60);
	else if (s >= 60)
		fprintf(out, "%" PRIu64 " min", s / 60);
	else
		fprintf(out, "%" PRIu64 " s", s);
}

static void
put_orphans(FILE *out, const struct plan *plan)
{
	const struct plan_line *l;
	bool title = false;

	for (l = plan->orphans.first; l != NULL; l = l->next) {
		if (l == plan->orphans.first)
			fputs("\nat the source, without a row in the list:\n",
			    out);
		fputs("    ", out);
		text_show(out, l->text);
		fputc('\n', out);
	}
	if (plan->more_orphans > 0)
		fprintf(out, "    and %" PRIu64 " more\n", plan->more_orphans);
	for (size_t i = 0; i < plan->n; i++) {
		if (!plan->accounts[i].source_missing)
			continue;
		if (!title)
			fputs("\nin the list, without a tree at the source:\n",
			    out);
		title = true;
		fputs("    ", out);
		text_show(out, plan->accounts[i].account->name);
		fputc('\n', out);
	}
}

static void
put_summary(FILE *out, const struct plan *plan)
{
	const struct plan_estimate *t = &plan->estimate;

	fprintf(out, "\n%zu accounts, %" PRIu64 " mailboxes, ", plan->n,
	    plan->mailboxes);
	put_count(out, plan->size.messages, plan->uncounted > 0);
	fputs(" messages to copy, ", out);
	put_size(out, &plan->size);
	fputc('\n', out);
	if (plan->uncounted > 0)
		fprintf(out, "  %" PRIu64 " mailboxes have to be read to be "
		    "counted: --count-bytes does it\n", plan->uncounted);
	if (plan->done > 0)
		fprintf(out, "  %" PRIu64 " of them are done\n", plan->done);
	fputs("  state ", out);
	text_show(out, plan->state_path);
	if (plan->state_uri == NULL)
		fputs(": new\n", out);
	else if (plan->running > 0)
		fprintf(out, ": %" PRId64 " passes, %" PRId64 " accounts; in "
		    "use by process %ld\n", plan->passes,
		    plan->known_accounts, plan->running);
	else
		fprintf(out, ": %" PRId64 " passes, %" PRId64 " accounts\n",
		    plan->passes, plan->known_accounts);
	for (const struct plan_space *s = plan->spaces; s != NULL;
	    s = s->next) {
		fprintf(out, "  room for the %s in ", s->what);
		text_show(out, s->path);
		fputs(": ", out);
		put_bytes(out, s->free);
		fputs(" free, about ", out);
		put_bytes(out, s->need);
		fputs(" needed; ", out);
		put_count(out, s->inodes, false);
		fputs(" files free\n", out);
	}
	fputs("  it will take about ", out);
	put_time(out, t->seconds);
	fprintf(out, " (%s)\n", t->basis);
}

void
plan_text(const struct plan *plan, bool all, FILE *out)
{
	bool ready = plan->ready == plan->n && plan->problems.first == NULL;

	for (size_t i = 0; i < plan->n; i++)
		put_account(out, &plan->accounts[i], all);
	put_orphans(out, plan);
	put_summary(out, plan);
	if (ready) {
		fputs("\nready\n", out);
		return;
	}
	fputs("\nnot ready, because\n", out);
	for (const struct plan_line *l = plan->problems.first; l != NULL;
	    l = l->next) {
		fputs("    ", out);
		text_show(out, l->text);
		fputc('\n', out);
	}
	for (size_t i = 0; i < plan->n; i++)
		for (const struct plan_line *l =
		    plan->accounts[i].problems.first; l != NULL; l = l->next) {
			fputs("    ", out);
			text_show(out, plan->accounts[i].account->name);
			fputs(": ", out);
			text_show(out, l->text);
			fputc('\n', out);
		}
}
