/* A plan as JSON: the schema mailhaul-plan-1. */
#include "json.h"
#include "plan_impl.h"
#include "rules.h"

static void
put_number(struct json *j, const char *key, uint64_t n)
{
	if (n == UNKNOWN64)
		json_string(j, key, NULL);
	else
		json_number(j, key, (int64_t)n);
}

static void
put_size(struct json *j, const struct plan_size *s)
{
	put_number(j, "messages", s->messages);
	put_number(j, "bytes", s->bytes);
	put_number(j, "crlf_bytes", s->crlf_bytes);
	json_bool(j, "crlf_exact", s->exact);
}

static void
put_lines(struct json *j, const char *key, const struct plan_lines *lines)
{
	json_open(j, key, '[');
	for (const struct plan_line *l = lines->first; l != NULL;
	    l = l->next) {
		json_open(j, NULL, '{');
		json_string(j, "kind", l->kind);
		json_string(j, "mailbox", l->mailbox);
		json_string(j, "text", l->text);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void
put_box(struct json *j, const struct plan_box *b)
{
	json_open(j, NULL, '{');
	json_string(j, "name", b->name);
	json_string(j, "action", b->action);
	json_string(j, "target_name", b->target);
	json_string(j, "old_target_name", b->old);
	json_string(j, "why", b->why);
	json_bool(j, "encoded", b->encoded);
	json_bool(j, "collision", b->collided);
	json_string(j, "special_use", b->special_use != 0 ?
	    use_word(b->special_use) : NULL);
	put_size(j, &b->size);
	put_number(j, "done", b->done);
	put_number(j, "target_messages", b->there);
	json_close(j, '}');
}

static void
put_account(struct json *j, const struct plan_account *pa)
{
	json_open(j, NULL, '{');
	json_string(j, "name", pa->account->name);
	json_string(j, "target_user", pa->account->target_user);
	json_string(j, "source", pa->source);
	json_string(j, "target", pa->target);
	json_string(j, "stage", pa->stage);
	json_bool(j, "ready", pa->ready);
	json_bool(j, "create", pa->to_create);
	put_lines(j, "problems", &pa->problems);
	put_lines(j, "warnings", &pa->warnings);
	json_open(j, "totals", '{');
	put_size(j, &pa->size);
	put_number(j, "uncounted_mailboxes", pa->uncounted);
	put_number(j, "done", pa->done);
	json_close(j, '}');
	json_open(j, "quota", '{');
	put_number(j, "source", pa->source_quota);
	put_number(j, "target", pa->target_quota);
	put_number(j, "target_used", pa->target_used);
	json_close(j, '}');
	put_number(j, "target_mailboxes", pa->target_boxes);
	put_number(j, "target_messages", pa->target_messages);
	json_open(j, "mailboxes", '[');
	for (size_t i = 0; i < pa->nboxes; i++)
		put_box(j, &pa->boxes[i]);
	json_close(j, ']');
	json_close(j, '}');
}

static void
put_state(struct json *j, const struct plan *plan)
{
	json_open(j, "state", '{');
	json_string(j, "path", plan->state_path);
	json_bool(j, "found", plan->state_uri != NULL);
	json_number(j, "pid", plan->running);
	json_number(j, "passes", plan->passes);
	json_number(j, "accounts", plan->known_accounts);
	json_close(j, '}');
	json_open(j, "space", '[');
	for (const struct plan_space *s = plan->spaces; s != NULL;
	    s = s->next) {
		json_open(j, NULL, '{');
		json_string(j, "what", s->what);
		json_string(j, "path", s->path);
		put_number(j, "free", s->free);
		put_number(j, "need", s->need);
		put_number(j, "free_inodes", s->inodes);
		put_number(j, "need_inodes", s->need_inodes);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void
put_orphans(struct json *j, const struct plan *plan)
{
	json_open(j, "orphans", '{');
	json_open(j, "trees", '[');
	for (const struct plan_line *l = plan->orphans.first; l != NULL;
	    l = l->next)
		json_string(j, NULL, l->text);
	json_close(j, ']');
	put_number(j, "more_trees", plan->more_orphans);
	json_open(j, "rows", '[');
	for (size_t i = 0; i < plan->n; i++)
		if (plan->accounts[i].source_missing)
			json_string(j, NULL, plan->accounts[i].account->name);
	json_close(j, ']');
	json_close(j, '}');
}

void
plan_json(const struct plan *plan, FILE *out)
{
	const struct plan_estimate *t = &plan->estimate;
	bool ready = plan->ready == plan->n && plan->problems.first == NULL;
	struct json j;

	json_start(&j, out);
	json_open(&j, NULL, '{');
	json_string(&j, "schema", "mailhaul-plan-1");
	json_string(&j, "verdict", ready ? "ready" : "not ready");
	put_lines(&j, "problems", &plan->problems);
	json_open(&j, "totals", '{');
	json_number(&j, "accounts", (int64_t)plan->n);
	json_number(&j, "ready", (int64_t)plan->ready);
	put_number(&j, "mailboxes", plan->mailboxes);
	put_size(&j, &plan->size);
	put_number(&j, "uncounted_mailboxes", plan->uncounted);
	put_number(&j, "done", plan->done);
	json_close(&j, '}');
	json_open(&j, "estimate", '{');
	put_number(&j, "seconds", t->seconds);
	json_number(&j, "bytes_per_second", (int64_t)t->bytes_rate);
	json_number(&j, "messages_per_second", (int64_t)t->messages_rate);
	json_string(&j, "basis", t->basis);
	json_close(&j, '}');
	put_state(&j, plan);
	put_orphans(&j, plan);
	json_open(&j, "accounts", '[');
	for (size_t i = 0; i < plan->n; i++)
		put_account(&j, &plan->accounts[i]);
	json_close(&j, ']');
	json_close(&j, '}');
	json_end(&j);
}
