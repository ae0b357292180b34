/* Forgetting accounts, and the copy of the state that is made before. */
#include "forget.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/xmalloc.h"
#include "pop3_rows.h"

#define MAX_COPIES	100	/* within one second */

/* An empty file that nobody else can read; *name is freed by the caller. */
static int
make_file(const char *path, const char *what, char **name, struct err *e)
{
	time_t now = time(NULL);
	char stamp[32];
	struct buf b;
	struct tm tm;
	int fd = -1;

	if (gmtime_r(&now, &tm) == NULL || strftime(stamp, sizeof stamp,
	    "%Y%m%dT%H%M%SZ", &tm) == 0)
		return err_set(e, ERR_RUN, "the clock is wrong");
	buf_init(&b, 8192);
	for (int i = 0; i < MAX_COPIES && fd == -1; i++) {
		buf_reset(&b);
		buf_addf(&b, "%s.before-%s-%s", path, what, stamp);
		if (i > 0)
			buf_addf(&b, "-%d", i + 1);
		fd = open(b.ptr, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
		    O_NOFOLLOW, 0600);
		if (fd == -1 && errno != EEXIST)
			break;
	}
	if (fd == -1) {
		err_sys(e, ERR_RUN, "copy of the state, %s", b.ptr);
		buf_release(&b);
		return -1;
	}
	close(fd);
	*name = buf_detach(&b, NULL);
	return 0;
}

/* File and name are on disk. */
static int
make_durable(const char *name, struct err *e)
{
	char *copy = xstrdup(name);
	int rc = 0, fd;

	if ((fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) == -1 ||
	    fsync(fd) == -1)
		rc = err_sys(e, ERR_RUN, "%s", name);
	if (fd != -1)
		close(fd);
	if (rc == 0 && ((fd = open(dirname(copy), O_RDONLY | O_CLOEXEC |
	    O_DIRECTORY)) == -1 || fsync(fd) == -1))
		rc = err_sys(e, ERR_RUN, "%s", copy);
	if (rc == 0)
		close(fd);
	free(copy);
	return rc;
}

int
state_copy(struct state *s, const char *path, const char *what, char **copy,
    struct err *e)
{
	struct db *db;
	int rc;

	*copy = NULL;
	if (state_reader(s, &db, e) == -1)
		return -1;
	rc = make_file(path, what, copy, e);
	if (rc == 0) {
		/* It writes to the new file only. */
		rc = db_script(db, "PRAGMA query_only=OFF", e);
		if (rc == 0)
			rc = db_run(db, e, "VACUUM INTO ?1", "s", *copy);
		if (rc == 0)
			rc = make_durable(*copy, e);
		if (rc == -1) {
			unlink(*copy);
			free(*copy);
			*copy = NULL;
		}
	}
	db_close(&db);
	if (rc == 0)
		fault_point("state.copied");
	return rc == 0 ? 0 : err_ctx(e, "copy of the state");
}

static int
drop(struct db *db, int64_t id, struct err *e)
{
	if (db_run(db, e, "DELETE FROM message WHERE mailbox_id IN (SELECT id"
	    " FROM mailbox WHERE account_id = ?1)", "i", id) == -1 ||
	    db_run(db, e, "DELETE FROM extra WHERE mailbox_id IN (SELECT id"
	    " FROM mailbox WHERE account_id = ?1)", "i", id) == -1 ||
	    db_run(db, e, "DELETE FROM flagging WHERE mailbox_id IN (SELECT id"
	    " FROM mailbox WHERE account_id = ?1)", "i", id) == -1 ||
	    db_run(db, e, "DELETE FROM removal WHERE mailbox_id IN (SELECT id"
	    " FROM mailbox WHERE account_id = ?1)", "i", id) == -1 ||
	    db_run(db, e, "DELETE FROM doubt WHERE mailbox_id IN (SELECT id"
	    " FROM mailbox WHERE account_id = ?1)", "i", id) == -1 ||
	    db_run(db, e, "DELETE FROM intent_item WHERE intent_id IN (SELECT"
	    " intent.id FROM intent JOIN mailbox ON mailbox.id = mailbox_id"
	    " WHERE account_id = ?1)", "i", id) == -1 ||
	    db_run(db, e, "DELETE FROM intent WHERE mailbox_id IN (SELECT id"
	    " FROM mailbox WHERE account_id = ?1)", "i", id) == -1 ||
	    db_run(db, e, "DELETE FROM mailbox WHERE account_id = ?1", "i",
	    id) == -1 ||
	    db_run(db, e, "DELETE FROM history WHERE account_id = ?1", "i",
	    id) == -1 ||
	    db_run(db, e, "DELETE FROM quota WHERE account_id = ?1", "i",
	    id) == -1 ||
	    db_run(db, e, "DELETE FROM op WHERE account_id = ?1", "i", id) ==
	    -1 ||
	    db_run(db, e, "DELETE FROM access WHERE account_id = ?1", "i",
	    id) == -1 ||
	    db_run(db, e, "DELETE FROM foreign_box WHERE account_id = ?1",
	    "i", id) == -1 ||
	    db_run(db, e, "DELETE FROM issue WHERE account_id = ?1", "i",
	    id) == -1 || pop3_forget(db, id, e) == -1)
		return -1;
	return db_run(db, e, "DELETE FROM account WHERE id = ?1", "i", id);
}

struct forget_arg { const int64_t *ids; size_t n; };

static int
apply_forget(struct db *db, void *arg, struct err *e)
{
	struct forget_arg *f = arg;

	for (size_t i = 0; i < f->n; i++)
		if (drop(db, f->ids[i], e) == -1)
			return -1;
	return 0;
}

int
forget_accounts(struct state *s, const int64_t *ids, size_t n, struct err *e)
{
	struct forget_arg f = { ids, n };

	return state_call(s, apply_forget, &f, e);
}
