/* A SQLite connection with cached statements and errors in words. */
#include "db.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/xmalloc.h"

#define MAX_STATEMENTS 192

struct db {
	sqlite3		*handle;
	size_t		 n;
	struct { const char *sql; sqlite3_stmt *st; } cache[MAX_STATEMENTS];
};

static int
fail(struct db *db, struct err *e, const char *what)
{
	int code = sqlite3_extended_errcode(db->handle) & 0xff;
	bool disk = code == SQLITE_FULL || code == SQLITE_IOERR ||
	    code == SQLITE_BUSY || code == SQLITE_CANTOPEN;

	int sys = sqlite3_system_errno(db->handle);
	char words[128] = "";

	if (disk && sys != 0)
		return err_retry(e, ERR_RUN, "state database: %s: %s (%s)",
		    what, sqlite3_errmsg(db->handle), strerror_r(sys, words,
		    sizeof words));
	if (disk)
		return err_retry(e, ERR_RUN, "state database: %s: %s", what,
		    sqlite3_errmsg(db->handle));
	return err_set(e, ERR_RUN, "state database: %s: %s", what,
	    sqlite3_errmsg(db->handle));
}

static const char *
setup_of(enum db_mode mode)
{
	switch (mode) {
	case DB_WRITE:
		return "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
		    "PRAGMA wal_autocheckpoint=4000; PRAGMA foreign_keys=OFF;"
		    "PRAGMA cache_size=-8000;";
	case DB_TEMP:
		return "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
		    "PRAGMA cache_size=-2000; PRAGMA temp_store=FILE;";
	case DB_MEMORY:
		return "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF;";
	case DB_READ:
	case DB_LOOK:
		break;
	}
	return "PRAGMA query_only=ON; PRAGMA cache_size=-1000;";
}

int
db_open(struct db **dbp, const char *path, enum db_mode mode, struct err *e)
{
	struct db *db = xcalloc(1, sizeof *db);
	int flags = SQLITE_OPEN_NOMUTEX, rc;

	flags |= mode == DB_LOOK ? SQLITE_OPEN_READONLY :
	    SQLITE_OPEN_READWRITE;
	if (mode == DB_TEMP || mode == DB_MEMORY)
		flags |= SQLITE_OPEN_CREATE;
	if (mode == DB_LOOK || mode == DB_MEMORY)
		flags |= SQLITE_OPEN_URI;
	rc = sqlite3_open_v2(mode == DB_TEMP ? "" : path, &db->handle, flags,
	    NULL);
	if (rc != SQLITE_OK) {
		if (db->handle == NULL)
			abort();
		fail(db, e, "open");
		db_close(&db);
		return -1;
	}
	sqlite3_busy_timeout(db->handle, 30000);
	if (db_script(db, setup_of(mode), e) == -1) {
		db_close(&db);
		return -1;
	}
	*dbp = db;
	return 0;
}

void
db_close(struct db **dbp)
{
	struct db *db = *dbp;

	if (db == NULL)
		return;
	for (size_t i = 0; i < db->n; i++)
		sqlite3_finalize(db->cache[i].st);
	sqlite3_close(db->handle);
	free(db);
	*dbp = NULL;
}

static sqlite3_stmt *
prepared(struct db *db, const char *sql, struct err *e)
{
	sqlite3_stmt *st;
	size_t i;

	for (i = 0; i < db->n; i++)
		if (db->cache[i].sql == sql) {
			/* A text on the stack would be another one by now. */
			assert(strcmp(sqlite3_sql(db->cache[i].st), sql) == 0);
			return db->cache[i].st;
		}
	if (db->n == MAX_STATEMENTS)
		abort();	/* more literals than the table was made for */
	if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT,
	    &st, NULL) != SQLITE_OK) {
		fail(db, e, sql);
		return NULL;
	}
	db->cache[db->n].sql = sql;
	db->cache[db->n++].st = st;
	return st;
}

static sqlite3_stmt *
bind(struct db *db, struct err *e, const char *sql, const char *fmt,
    va_list ap)
{
	sqlite3_stmt *st = prepared(db, sql, e);
	int i, rc = SQLITE_OK;

	if (st == NULL)
		return NULL;
	for (i = 1; fmt[i - 1] != '\0' && rc == SQLITE_OK; i++) {
		const char *s;
		size_t n;

		switch (fmt[i - 1]) {
		case 'i':
			rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
			break;
		case 's':
			s = va_arg(ap, const char *);
			rc = sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
			break;
		case 'b':
			s = va_arg(ap, const void *);
			n = va_arg(ap, size_t);
			rc = sqlite3_bind_blob64(st, i, s, n, SQLITE_STATIC);
			break;
		default:
			abort();
		}
	}
	if (rc != SQLITE_OK) {
		fail(db, e, sql);
		db_done(st);
		return NULL;
	}
	return st;
}

sqlite3_stmt *
db_query(struct db *db, struct err *e, const char *sql, const char *fmt, ...)
{
	sqlite3_stmt *st;
	va_list ap;

	va_start(ap, fmt);
	st = bind(db, e, sql, fmt, ap);
	va_end(ap);
	return st;
}

int
db_step(struct db *db, sqlite3_stmt *st, struct err *e)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	return fail(db, e, sqlite3_sql(st));
}

void
db_done(sqlite3_stmt *st)
{
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
}

int
db_run(struct db *db, struct err *e, const char *sql, const char *fmt, ...)
{
	sqlite3_stmt *st;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	st = bind(db, e, sql, fmt, ap);
	va_end(ap);
	if (st == NULL)
		return -1;
	while ((rc = db_step(db, st, e)) == 1)
		;
	db_done(st);
	return rc;
}

int
db_number(struct db *db, struct err *e, int64_t *out, int64_t dflt,
    const char *sql, const char *fmt, ...)
{
	sqlite3_stmt *st;
	va_list ap;
	int rc;

	*out = dflt;
	va_start(ap, fmt);
	st = bind(db, e, sql, fmt, ap);
	va_end(ap);
	if (st == NULL)
		return -1;
	rc = db_step(db, st, e);
	if (rc == 1 && sqlite3_column_type(st, 0) != SQLITE_NULL)
		*out = sqlite3_column_int64(st, 0);
	db_done(st);
	return rc == -1 ? -1 : 0;
}

int
db_script(struct db *db, const char *sql, struct err *e)
{
	if (fault_fails("state.write"))
		return err_retry(e, ERR_RUN, "state database: injected");
	if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
		return fail(db, e, "script");
	return 0;
}

int64_t
db_last_id(struct db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}

int64_t
db_changes(struct db *db)
{
	return sqlite3_changes64(db->handle);
}

const char *
db_text(sqlite3_stmt *st, int column)
{
	const void *s = sqlite3_column_text(st, column);

	return s != NULL ? s : "";
}
