/*
 * "doveadm:" read: an IMAP session through a child that knows the user, or
 * where read= says.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dsync/dsync_talk.h"
#include "dsync/dsync_target.h"
#include "imap/imap_source.h"
#include "source_impl.h"

static struct source_ops by_imap;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
close_source(struct source *src)
{
	struct dsync_eyes *y = src->conf.dial_ctx;

	imap_source.close(src);
	dsync_eyes_close(&y);
}

static void
init(void)
{
	by_imap = imap_source;
	by_imap.close = close_source;
}

static int
open_source(struct source **sp, const struct store_conf *conf, struct err *e)
{
	struct dsync_eyes *y;
	int rc;

	if (dsync_way_check(conf->uri, e) == -1)
		return -1;
	rc = dsync_eyes_open(&y, conf, e);
	if (rc == 0)
		return err_set(e, ERR_ACCOUNT, "doveadm://%.100s gives no mail "
		    "to read: say where IMAP does, with read=imaps://USER@HOST",
		    conf->uri->host);
	if (rc == -1)
		return -1;
	if (imap_source.open(sp, &y->conf, e) == -1) {
		dsync_child_end(&y->child, e);
		dsync_eyes_close(&y);
		return -1;
	}
	pthread_once(&once, init);
	(*sp)->ops = &by_imap;
	(*sp)->conf = y->conf;
	(*sp)->conf.dial_ctx = y;
	return 0;
}

/* Only open() is called of this table. */
static int
list(struct source *src, struct arena *a, struct folder_info **folders,
    size_t *n, struct err *e)
{
	return imap_source.list(src, a, folders, n, e);
}

static const char *const schemes[] = { "doveadm", NULL };
static const char *const options[] = { DSYNC_OPTIONS, NULL };

const struct source_ops dsync_source = {
	.schemes = schemes, .options = options, .check = dsync_way_check,
	.open = open_source, .close = close_source, .list = list,
};
