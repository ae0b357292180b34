/* The accounts of a job against those that a state knows. */
#include "accounts_known.h"

int
accounts_known(const struct accounts *list, struct db *db, const char *path,
    struct err *e)
{
	sqlite3_stmt *st;
	int64_t known;

	if (db_number(db, e, &known, 0, "SELECT count(*) FROM account", "") ==
	    -1)
		return -1;
	if (known == 0)
		return 0;
	for (size_t i = 0; i < accounts_count(list); i++) {
		if (db_number(db, e, &known, 0, "SELECT 1 FROM account WHERE"
		    " name = ?1", "s", account_name(list, i)) == -1)
			return -1;
		if (known != 0)
			return 0;
	}
	st = db_query(db, e, "SELECT name FROM account LIMIT 1", "");
	if (st == NULL)
		return -1;
	if (db_step(db, st, e) == 1)
		err_set(e, ERR_ACCOUNT, "the state %s is of other accounts "
		    "(%.80s, for one) and knows none of these; give another "
		    "--state", path, db_text(st, 0));
	db_done(st);
	return -1;
}
