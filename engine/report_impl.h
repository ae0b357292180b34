/*
 * What a report tells, row by row, between what reads the state
 * (report_read.c) and what prints it (report_text.c, report_json.c, ...).
 *
 * A printer is a table of functions, a struct report_sink.  The reader calls
 * head() first, then goes through the sections that the printer wants, in the
 * order of enum report_section, with one call a row, and end() last.  Memory
 * stays flat: a row's strings live until its call returns.  They are as hostile
 * as the stores they come from, any bytes but NUL; with --redact nothing is left
 * in them that may not be told, so that no printer has to think of it.
 */
#ifndef ENGINE_REPORT_IMPL_H
#define ENGINE_REPORT_IMPL_H

#include "base/arena.h"
#include "json.h"
#include "redact.h"
#include "report.h"

/* In the order of the calls. */
enum report_section {
	REP_PASSES, REP_RATE, REP_ACCOUNTS, REP_MAILBOXES, REP_PROBLEMS,
	REP_CHANGES, REP_ASSUMED, REP_HAND, REP_SECTIONS
};

struct rep_counts {
	int64_t	 source, n[OUTCOMES];
};

/* Messages and bytes of both sides: what was to be moved, and what is there. */
struct rep_sides {
	int64_t	 source, source_stored, source_crlf;
	int64_t	 target, target_stored, target_crlf;	/* of the source's
					 * mail; stored -1: not known */
	int64_t	 others, others_crlf;	/* other mail that was met there */
};

struct rep_head {
	int64_t	 now, passes, sent;
	bool	 running;
	struct totals t;
	struct rep_sides sides;
	char	 why[600];		/* why the bytes differ */
	char	 stages[200];		/* where people have set some, or "" */
};

struct rep_pass {
	int64_t	 id, started, ended;	/* ended 0: it was cut off, or runs */
	int64_t	 sent, sent_bytes, seconds;
	int64_t	 exit_code;		/* -1: none */
	const char *version;
};

/* What was sent in PACE_SECONDS from start on. */
struct rep_rate {
	int64_t	 pass, start, sent, sent_bytes;
};

struct rep_account {
	int64_t	 id, mailboxes, open;	/* open: mailboxes that are not done */
	int64_t	 problems;		/* of those that matter */
	struct rep_counts counts;
	struct rep_sides sides;
	const char *name, *user, *source, *target, *stage, *outcome;
	const char *error;		/* or NULL */
	bool	 balanced;
};

struct rep_mailbox {
	int64_t	 id, account_id, stripped;
	struct rep_counts counts;
	struct rep_sides sides;
	uint32_t src_uidvalidity, tgt_uidvalidity;
	const char *account, *name, *target_name, *outcome;
	const char *shown;		/* target_name, as programs show it */
	const char *error;		/* or NULL */
	bool	 renamed;		/* users will not find it where it was */
	bool	 balanced;
};

struct rep_problem {
	int64_t	 id, account_id, pass, size;	/* size -1: not known */
	const char *account, *mailbox, *kind, *where, *message_id, *subject,
		*reason;
	bool	 bad;			/* mail is not there, or not as it was */
	bool	 facts;			/* what follows is known */
	uint32_t uid;			/* 0: none */
	unsigned flags;
	int64_t	 date;			/* NO_DATE */
	const char *sha256;		/* of the CRLF form, or NULL */
};

/* An account before and after a pass. */
struct rep_change {
	const char *account, *outcome_then, *outcome_now;
	struct rep_counts then, now;
	int64_t	 pass_then, pass_now;	/* then 0: it was not there yet */
};

/* Something assumed, or to be done by hand. */
struct rep_note {
	int64_t	 n;			/* of what; -1: no number */
	const char *text;
	const char *command;		/* that helps, or NULL */
};

struct report;

struct report_sink {
	unsigned sections;		/* wanted: 1 << enum report_section */
	bool	 nested;		/* mailboxes: within their account */
	void	(*head)(struct report *, const struct rep_head *);
	/* Around the rows of a section, also where it has none. */
	void	(*begin)(struct report *, enum report_section);
	void	(*end)(struct report *, enum report_section);
	void	(*pass)(struct report *, const struct rep_pass *);
	void	(*rate)(struct report *, const struct rep_rate *);
	void	(*account)(struct report *, const struct rep_account *);
	void	(*account_end)(struct report *, const struct rep_account *);
	void	(*mailbox)(struct report *, const struct rep_mailbox *);
	void	(*problem)(struct report *, const struct rep_problem *);
	void	(*change)(struct report *, const struct rep_change *);
	void	(*note)(struct report *, const struct rep_note *);
	void	(*finish)(struct report *);
};

struct report {
	FILE	*out;
	struct db *db;
	const struct report_options *opt;
	const struct report_sink *sink;
	struct redact *redact;		/* NULL: everything may be told */
	struct arena arena;		/* of the row in hand */
	enum report_section section;
	struct rep_head head;
	int64_t	 last_pass, base;	/* changes since pass base; 0: none */
	struct json j;
	void	*own;			/* the printer's, free()d if set at
					 * the end */
};

extern const struct report_sink report_sink_text, report_sink_json,
	report_sink_ndjson, report_sink_junit, report_sink_html;
extern const struct report_sink report_sinks_csv[REP_SECTIONS];
/* Text of some sections only, without the head. */
extern const struct report_sink report_sinks_table[REP_SECTIONS];

/* Reads and prints; the sink's own part of *r is set. */
int	report_read(struct report *, struct err *);
/* report_notes.c: the last two sections. */
int	report_assumed(struct report *, struct err *);
int	report_hand(struct report *, struct err *);
/* The stages of accounts, where people have set some. */
int	report_stages(struct db *, struct buf *, struct err *);
/* Why source and target bytes differ, in one line. */
void	report_why(const struct totals *, const struct rep_sides *, char *,
	    size_t);

/* A title over the issues of a kind, NULL for a kind without one; bad: mail is
 * not there, or not as it was. */
const char *report_kind(const char *kind, bool *bad);
/* "14.2 GB", in powers of 1000. */
const char *report_bytes(char *, size_t, int64_t n);
/* "2026-11-20 20:14", local time; "" for 0. */
const char *report_time(char *, size_t, int64_t t);
/* The same as RFC 3339 in UTC, for machines; "" for what it cannot write. */
const char *report_stamp(char *, size_t, int64_t t);
/* Bytes of s to be shown to people, and whether that is not all. */
size_t	report_cut(const char *s, size_t max, bool *cut);

#endif
