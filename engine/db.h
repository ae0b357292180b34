/*
 * A SQLite connection with cached statements and errors in words.
 *
 * One thread at a time.  Statements are cached by the address of their text,
 * so the text has to be a literal.  Failures are of the whole run
 * (ERR_RUN), worth a retry when the disk is full or sick.
 */
#ifndef ENGINE_DB_H
#define ENGINE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct db;

enum db_mode {
	DB_READ,
	DB_WRITE,
	DB_TEMP,	/* private, path NULL */
	DB_LOOK,	/* path is a URI; nothing is written, nor made beside */
	DB_MEMORY	/* path is a URI of what all of this process see */
};

int	 db_open(struct db **, const char *path, enum db_mode, struct err *);
void	 db_close(struct db **);

/*
 * A bound statement, ready to step; NULL and *e on failure.  fmt names the
 * arguments: i int64_t, s const char * (NULL is NULL), b const void * and
 * size_t (NULL is NULL).  Finish with db_done().
 */
sqlite3_stmt *db_query(struct db *, struct err *e, const char *sql,
	    const char *fmt, ...);
/* 1: a row; 0: no more; -1: *e. */
int	 db_step(struct db *, sqlite3_stmt *, struct err *e);
void	 db_done(sqlite3_stmt *);

/* Query, step to the end, done. */
int	 db_run(struct db *, struct err *e, const char *sql, const char *fmt,
	    ...);
/* The first column of the first row as a number; dflt when there is none. */
int	 db_number(struct db *, struct err *e, int64_t *out, int64_t dflt,
	    const char *sql, const char *fmt, ...);
/* Several statements without arguments. */
int	 db_script(struct db *, const char *sql, struct err *e);
int64_t	 db_last_id(struct db *);
/* Rows that the last statement changed. */
int64_t	 db_changes(struct db *);
/* A text column, never NULL. */
const char *db_text(sqlite3_stmt *, int column);

#endif
