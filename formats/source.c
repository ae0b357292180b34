/* Sources, the front functions: order of calls, and who implements what. */
#include "source.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/suggest.h"
#include "source_impl.h"

/* The back end of a URI whose options it knows. */
static const struct source_ops *
find_ops(struct uri *uri, struct err *e)
{
	const struct source_ops *const *ops;

	for (ops = source_table; *ops != NULL; ops++)
		if (listed(uri->scheme, (*ops)->schemes))
			break;
	if (*ops == NULL) {
		err_set(e, ERR_RUN, "\"%s:\" is not a source that mailhaul can "
		    "read", uri->scheme);
		return NULL;
	}
	return uri_check_opts(uri, (*ops)->options, e) == -1 ? NULL : *ops;
}

/* What comes back from a back end; a failure is that of the side the store is
 * on. */
static int
told(const struct store_conf *conf, int rc, struct err *e)
{
	if (rc == -1 && conf->at_target)
		e->at_target = true;
	return rc;
}

int
source_check(struct uri *uri, struct err *e)
{
	const struct source_ops *ops = find_ops(uri, e);

	if (ops == NULL)
		return -1;
	return ops->check != NULL ? ops->check(uri, e) : 0;
}

int
source_open(struct source **sp, const struct store_conf *conf, struct err *e)
{
	const struct source_ops *ops;

	assert(conf->warn != NULL);
	*sp = NULL;
	if ((ops = find_ops(conf->uri, e)) == NULL ||
	    told(conf, ops->open(sp, conf, e), e) == -1)
		return -1;
	/* One that has opened another in its place has set both. */
	if ((*sp)->ops == NULL) {
		(*sp)->ops = ops;
		(*sp)->conf = *conf;
	}
	return 0;
}

void
source_close(struct source **sp)
{
	if (*sp == NULL)
		return;
	source_folder_close(*sp);
	(*sp)->ops->close(*sp);
	*sp = NULL;
}

int
source_account_facts(struct source *s, struct arena *a,
    struct account_info *info, struct err *e)
{
	memset(info, 0, sizeof *info);
	info->quota_bytes = UNKNOWN64;
	if (s->ops->account_facts == NULL)
		return 0;
	return told(&s->conf, s->ops->account_facts(s, a, info, e), e);
}

int
source_list(struct source *s, struct arena *a, struct folder_info **folders,
    size_t *n, struct err *e)
{
	assert(!s->in_folder);
	return told(&s->conf, s->ops->list(s, a, folders, n, e), e);
}

int
source_folder_open(struct source *s, struct folder_info *f,
    const struct buf *token, uint32_t from_uid, enum delta *d, struct err *e)
{
	assert(!s->in_folder && !f->noselect);
	*d = DELTA_FULL;
	s->folder = f;
	if (told(&s->conf, s->ops->folder_open(s, f, token, from_uid, d, e),
	    e) == -1) {
		s->folder = NULL;
		return -1;
	}
	s->in_folder = true;
	return 0;
}

int
source_next(struct source *s, struct arena *a, struct msg_meta *m,
    struct err *e)
{
	assert(s->in_folder);
	memset(m, 0, sizeof *m);
	m->date = m->save_date = NO_DATE;
	m->size = UNKNOWN64;
	return told(&s->conf, s->ops->next(s, a, m, e), e);
}

int
source_only(struct source *s, const uint32_t *uids, size_t n, struct err *e)
{
	assert(s->in_folder);
	if (s->ops->only == NULL)
		return 0;
	return s->ops->only(s, uids, n, e);
}

int
source_still(struct source *s, const struct uid_range **r, size_t *n,
    uint32_t *below, struct err *e)
{
	assert(s->in_folder);
	*r = NULL;
	*n = 0;
	*below = 0;
	if (s->ops->still == NULL)
		return 0;
	return told(&s->conf, s->ops->still(s, r, n, below, e), e);
}

int
source_want(struct source *s, const struct msg_meta *const *m, size_t n,
    struct err *e)
{
	assert(s->in_folder);
	if (s->ops->want == NULL || n == 0)
		return 0;
	return told(&s->conf, s->ops->want(s, m, n, e), e);
}

int
source_content(struct source *s, const struct msg_meta *m,
    struct content **c, struct err *e)
{
	assert(s->in_folder);
	*c = NULL;
	if (fault_fails("source.content"))
		return err_retry(e, ERR_MESSAGE, "injected read error");
	return told(&s->conf, s->ops->content(s, m, c, e), e);
}

int
source_folder_count(struct source *s, uint64_t *n, struct err *e)
{
	assert(s->in_folder);
	return told(&s->conf, s->ops->folder_count(s, n, e), e);
}

int
source_folder_token(struct source *s, struct buf *token, struct err *e)
{
	assert(s->in_folder);
	buf_reset(token);
	if (s->ops->folder_token == NULL)
		return 0;
	return told(&s->conf, s->ops->folder_token(s, token, e), e);
}

void
source_folder_close(struct source *s)
{
	if (!s->in_folder)
		return;
	s->ops->folder_close(s);
	s->in_folder = false;
	s->folder = NULL;
}

void
source_warn(struct source *s, const char *where, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	s->conf.warn(s->conf.warn_ctx, s->folder != NULL ? s->folder->name :
	    NULL, where, text);
}
