/* The table of settings, and the sections of a job file. */
#include "config_impl.h"

#include <string.h>

#define REPORTS		(FOR_COPY | FOR_REPORT | FOR_STATUS)
#define ALL		(REPORTS | FOR_FORGET | FOR_UNDO | FOR_STAGE | FOR_UIDL)

static const char *const existing_words[] = { "adopt", "merge", NULL };
static const char *const empty_words[] = { "refuse", "ok", NULL };
static const char *const format_words[] = { "text", "json", "csv",
	"ndjson", "junit", "html", NULL };
static const char *const table_words[] = { "all", "passes", "rate", "accounts",
	"mailboxes", "problems", "changes", "assumed", "hand", NULL };
static const char *const log_words[] = { "auto", "on", "off", NULL };
static const char *const special_words[] = { "mark", "rename", "off", NULL };
static const char *const inbox_words[] = { "keep", "top", NULL };
static const char *const collision_words[] = { "rename", "refuse", NULL };
static const char *const subscribe_words[] = {
	"auto", "source", "all", "none", NULL };
static const char *const stage_words[] = {
	"new", "loading", "frozen", "released", NULL };
static const char *const delete_words[] = { "no", "move", "expunge", NULL };
static const char *const acl_words[] = { "no", "yes", NULL };
static const char *const as_of_words[] = { "now", "release", NULL };
static const char *const deleted_words[] = { "copy", "skip", NULL };

/* scripts/check-docs reads this table: one setting starts on each line that
 * holds "[CFG_". */
static const struct setting table[CFG_COUNT] = {
[CFG_STATE] = { "job", "state", SET_PATH, ALL, NULL, "FILE",
	"the state of this migration", NULL, 0, 0 },
[CFG_ACCOUNTS] = { "job", "accounts", SET_PATH, ALL, NULL, "LIST",
	"the account list (CSV)", NULL, 0, 0 },
[CFG_ONLY] = { "job", "only", SET_NAMES, ALL, NULL,
	"NAME,PATTERN", "only these accounts", NULL, 0, 0 },
[CFG_ONLY_FILE] = { "job", "only-file", SET_PATH, ALL, NULL, "FILE",
	"only those that a file names, one a line", NULL, 0, 0 },
[CFG_WHERE] = { "job", "where", SET_RULES, ALL, NULL, "COLUMN=VALUE",
	"only those with that in the list", NULL, 0, 0 },
[CFG_FAILED] = { "job", "failed", SET_BOOL, ALL, "no", NULL,
	"only those whose last outcome is not done", NULL, 0, 0 },
[CFG_LANES] = { "job", "lanes", SET_NUMBER, FOR_COPY | FOR_UIDL, "8", "N",
	"work on N mailboxes at a time", NULL, 1, 256 },
[CFG_LANES_PER_ACCOUNT] = { "job", "lanes-per-account", SET_NUMBER, FOR_COPY,
	NULL, "N", "at most N of them of one account", NULL, 1, 256 },
[CFG_ORDER] = { "job", "order", SET_STRING, FOR_COPY, "largest", "WHICH",
	"largest, smallest, list, or COLUMN", NULL,
	0, 0 },
[CFG_CREATE_USERS] = { "job", "create-users", SET_BOOL, FOR_COPY, "no", NULL,
	"make users that the target lacks", NULL, 0, 0 },
[CFG_QUOTA] = { "job", "quota", SET_QUOTA, FOR_COPY, "keep", "RULE",
	"quotas of users at the target", NULL, 0, 0 },
[CFG_QUOTAS] = { "job", "quotas", SET_BOOL, FOR_REPORT, "no", NULL,
	"print the quotas that users should have", NULL, 0, 0 },
[CFG_EXISTING] = { "job", "existing", SET_ENUM, FOR_COPY, "adopt", "HOW",
	"target accounts with mail the state does not know",
	existing_words, 0, 0 },
[CFG_EMPTY] = { "job", "empty", SET_ENUM, FOR_COPY, "refuse", "HOW",
	"source accounts without a message", empty_words, 0, 0 },
[CFG_SETTLE] = { "job", "settle", SET_DURATION, FOR_COPY | FOR_UNDO, "180", "SECONDS",
	"wait before a doubtful batch goes again", NULL,
	0, 86400 },
[CFG_REPAIR] = { "job", "repair", SET_BOOL, FOR_COPY, "no", NULL,
	"change a refused message as little as needed",
	NULL, 0, 0 },
[CFG_RETRY_REFUSED] = { "job", "retry-refused", SET_BOOL, FOR_COPY, "no",
	NULL, "try refused messages once more", NULL, 0, 0 },
[CFG_REMOVE_DOUBLES] = { "job", "remove-doubles", SET_BOOL, FOR_COPY, "no",
	NULL, "expunge late copies of our own batches", NULL, 0, 0 },
[CFG_FULL] = { "job", "full", SET_BOOL, FOR_COPY, "no", NULL,
	"released accounts too: all that a pass does", NULL, 0, 0 },
[CFG_RESTORE_DELETED] = { "job", "restore-deleted", SET_BOOL, FOR_COPY, "no",
	NULL, "released: copy again what users deleted", NULL, 0, 0 },
[CFG_DELETE] = { "job", "delete", SET_ENUM, FOR_COPY, "no", NULL,
	"remove what was deleted at the source", delete_words, 0, 0 },
[CFG_DELETE_LIMIT] = { "job", "delete-limit", SET_LIMIT, FOR_COPY, NULL, "N|N%",
	"at most N of a mailbox and of an account", NULL, 0, 0 },
[CFG_DELETE_MAILBOXES] = { "job", "delete-mailboxes", SET_BOOL, FOR_COPY, "no",
	NULL, "remove mailboxes that the source deleted", NULL, 0, 0 },
[CFG_STAGE] = { "job", "stage", SET_ENUM, FOR_STAGE, NULL, "STAGE",
	"the same as --set STAGE", stage_words, 0, 0 },
[CFG_APPLY_RENAMES] = { "job", "apply-renames", SET_BOOL, FOR_COPY, "no", NULL,
	"rename what was copied under another name", NULL, 0, 0 },
[CFG_ONLY_METADATA] = { "job", "only-metadata", SET_BOOL, FOR_COPY, "no", NULL,
	"rights, subscriptions, uses; no messages", NULL, 0, 0 },
[CFG_COUNT_BYTES] = { "job", "count-bytes", SET_BOOL, FOR_PLAN, "no", NULL,
	"read all mail for exact counts and sizes", NULL, 0, 0 },
[CFG_LIST_ACCOUNTS] = { "job", "list-accounts", SET_BOOL, FOR_PLAN, "no", NULL,
	"write the accounts of a cgp: source as CSV", NULL, 0, 0 },
[CFG_YES] = { "job", "yes", SET_BOOL, FOR_UNDO, "no", NULL,
	"do it; without it only tell what would be done", NULL, 0, 0 },
[CFG_FORMAT] = { "job", "format", SET_ENUM, REPORTS | FOR_UIDL, "text", "FORMAT",
	"of what goes to standard output", format_words, 0, 0 },
[CFG_UIDL_SERVER] = { "job", "uidl-server", SET_STRING, FOR_UIDL, NULL, "URI",
	"the POP3 server that uidl asks", NULL, 0, 0 },
[CFG_RENAMES] = { "job", "renames", SET_BOOL, FOR_REPORT, "no", NULL,
	"list old and new names of mailboxes", NULL, 0, 0 },
[CFG_TABLE] = { "job", "table", SET_ENUM, FOR_REPORT, "all", "WHICH",
	"one part of the report, as text or csv", table_words, 0, 0 },
[CFG_REDACT] = { "job", "redact", SET_BOOL, FOR_REPORT, "no", NULL,
	"no Subjects, addresses, and names of mailboxes", NULL, 0, 0 },
[CFG_LETTERS] = { "job", "letters", SET_PATH, FOR_REPORT, NULL, "DIR",
	"write a letter for the user of each account", NULL, 0, 0 },
[CFG_SINCE] = { "job", "since", SET_NUMBER, FOR_REPORT, NULL, "PASS",
	"what has changed since that pass", NULL, 1, 0 },
[CFG_QUIET] = { "job", "quiet", SET_BOOL, FOR_COPY, "no", NULL,
	"no progress on standard error", NULL, 0, 0 },
[CFG_VERBOSE] = { "job", "verbose", SET_BOOL, FOR_COPY, "no", NULL,
	"say more on standard error", NULL, 0, 0 },
[CFG_LOG] = { "job", "log", SET_ENUM, FOR_COPY, "auto", "WHEN",
	"logs of the run and of each account", log_words, 0, 0 },
[CFG_LOG_DIR] = { "job", "log-dir", SET_PATH, FOR_COPY, NULL, "DIRECTORY",
	"where they go, if not beside the state", NULL, 0, 0 },
[CFG_TRACE] = { "job", "trace", SET_NAMES, FOR_COPY, NULL, "NAME,PATTERN",
	"write down their protocol", NULL, 0, 0 },
[CFG_MAP] = { "folders", "map", SET_RULES, FOR_COPY, NULL, "'OLD -> NEW'",
	"rename a mailbox", NULL, 0, 0 },
[CFG_INCLUDE] = { "folders", "include", SET_PATTERNS, FOR_COPY, NULL,
	"PATTERN", "copy only these mailboxes", NULL, 0, 0 },
[CFG_EXCLUDE] = { "folders", "exclude", SET_PATTERNS, FOR_COPY, NULL,
	"PATTERN", "leave these mailboxes out", NULL, 0, 0 },
[CFG_SPECIAL_USE] = { "folders", "special-use", SET_ENUM, FOR_COPY, "mark",
	"HOW", "what to do with Sent, Drafts, Trash, ...", special_words,
	0, 0 },
[CFG_SPECIAL_NAME] = { "folders", "special-name", SET_RULES, FOR_COPY, NULL,
	"'NAME -> \\USE'", "one more name for a special use", NULL,
	0, 0 },
[CFG_INBOX_CHILDREN] = { "folders", "inbox-children", SET_ENUM, FOR_COPY,
	"keep", "HOW", "mailboxes below INBOX", inbox_words, 0, 0 },
[CFG_COLLISIONS] = { "folders", "collisions", SET_ENUM, FOR_COPY, "rename",
	"HOW", "two mailboxes with one target name", collision_words, 0, 0 },
[CFG_SUBSCRIBE] = { "folders", "subscribe", SET_ENUM, FOR_COPY, "auto",
	"WHICH", "which mailboxes are subscribed", subscribe_words, 0, 0 },
[CFG_ACL] = { "folders", "acl", SET_ENUM, FOR_COPY, "yes", "HOW",
	"access rights that the source tells", acl_words, 0, 0 },
[CFG_SHARED] = { "shared", "shared", SET_RULES, FOR_COPY, NULL,
	"'ACCOUNT = PLACE'", "shared:/PATH or user:NAME instead", NULL, 0, 0 },
[CFG_NEWER_THAN] = { "messages", "newer-than", SET_DATE, FOR_COPY, NULL,
	"DATE", "only messages from that day on", NULL, 0, 0 },
[CFG_OLDER_THAN] = { "messages", "older-than", SET_DATE, FOR_COPY, NULL,
	"DATE", "only messages from before that day", NULL, 0, 0 },
[CFG_MAX_SIZE] = { "messages", "max-size", SET_SIZE, FOR_COPY, NULL, "SIZE",
	"leave larger messages out", NULL, 0, 0 },
[CFG_DELETED] = { "messages", "deleted", SET_ENUM, FOR_COPY, "copy", "HOW",
	"messages that are marked as deleted", deleted_words, 0, 0 },
[CFG_NO_FLAG_SYNC] = { "messages", "no-flag-sync", SET_BOOL, FOR_COPY, "no",
	NULL, "flags stay as they were copied", NULL, 0, 0 },
[CFG_HIDDEN] = { "messages", "hidden", SET_ENUM, FOR_COPY, "copy", "HOW",
	"messages with the keyword $Hidden", deleted_words, 0, 0 },
[CFG_MIN_FREE] = { "limits", "min-free", SET_SIZE, FOR_COPY, "256M", "SIZE",
	"hold on below that much free space", NULL, 0, 0 },
[CFG_PATIENCE] = { "limits", "patience", SET_DURATION, FOR_COPY | FOR_UIDL, "2h", "TIME",
	"end the run if a host is away so long", NULL, 0, 0 },
[CFG_MAX_RETRIES] = { "limits", "max-retries", SET_NUMBER, FOR_COPY | FOR_UIDL, "5", "N",
	"tries before an account has failed", NULL, 0, 1000 },
[CFG_SOURCE_LIMIT] = { "limits", "source-limit", SET_LIMITS, FOR_COPY | FOR_UIDL, NULL,
	"'[HOURS =] LIMIT, ...'", "each source host: '2 lanes, 4 MB/s'", NULL, 0, 0 },
[CFG_TARGET_LIMIT] = { "limits", "target-limit", SET_LIMITS, FOR_COPY, NULL,
	"'[HOURS =] LIMIT, ...'", "the same of each target host", NULL, 0, 0 },
[CFG_STOP_AT] = { "limits", "stop-at", SET_CLOCK, FOR_COPY, NULL, "HH:MM",
	"end the run, to be continued, at that time", NULL, 0, 0 },
[CFG_REPEAT_EVERY] = { "limits", "repeat-every", SET_DURATION, FOR_COPY, NULL,
	"TIME", "begin a pass every so long, until stopped", NULL, 1, 0 },
[CFG_NEWEST_FIRST] = { "messages", "newest-first", SET_DATE, FOR_COPY, NULL,
	"DATE", "all messages from that day on first", NULL, 0, 0 },
[CFG_MAX_TIME] = { "limits", "max-time", SET_DURATION, FOR_COPY, NULL, "TIME",
	"end the run, to be continued, after so long", NULL, 1, 0 },
[CFG_LEVEL] = { "job", "level", SET_STRING, FOR_AUDIT, "content", "LEVEL",
	"counts, meta, content or sample=N%", NULL, 0, 0 },
[CFG_FAIL_ON] = { "job", "fail-on", SET_NAMES, FOR_AUDIT, NULL, "VERDICTS",
	"exit 1 only for these verdicts", NULL, 0, 0 },
[CFG_AS_OF] = { "job", "as-of", SET_ENUM, FOR_AUDIT, "now", "WHEN",
	"now, or what users did since taken back", as_of_words, 0, 0 },
[CFG_HEADER_DIFF] = { "job", "header-diff", SET_BOOL, FOR_AUDIT, "no", NULL,
	"show the header lines of altered messages", NULL, 0, 0 },
[CFG_SHOW] = { "job", "at-most", SET_NUMBER, FOR_AUDIT, "1000", "N",
	"list so many of a mailbox and verdict; 0: all", NULL, 0, 0 },
};

const char *const config_sections[NSECTIONS + 1] = {
	"job", "source", "target", "folders", "messages", "limits",
	"shared", NULL };

const struct setting *
config_setting(enum cfg id)
{
	return &table[id];
}

enum cfg
config_find(const char *key)
{
	enum cfg id;

	for (id = 0; id < CFG_COUNT; id++)
		if (strcmp(table[id].key, key) == 0)
			break;
	return id;
}

bool
config_is_list(enum setting_type type)
{
	return type == SET_NAMES || type == SET_PATTERNS ||
	    type == SET_RULES || type == SET_LIMITS;
}

int
config_find_section(const char *name)
{
	int i;

	for (i = 0; config_sections[i] != NULL; i++)
		if (strcmp(config_sections[i], name) == 0)
			return i;
	return -1;
}

int
config_side_of(int section)
{
	if (strcmp(config_sections[section], "source") == 0)
		return SIDE_SOURCE;
	return strcmp(config_sections[section], "target") == 0 ? SIDE_TARGET :
	    -1;
}
