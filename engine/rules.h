/*
 * Which mailboxes and messages are copied, under which name, and which special
 * use a mailbox has.  Pure functions over names, sizes and dates.
 *
 * A rule is one line of text, as in a job file:
 *
 *	pattern   \Trash          the mailbox that has this special use
 *	          Lists/2019      this mailbox, levels joined by '/'
 *	          Lists*20??      glob: '*' any run of characters, also
 *	                          over levels, '?' one character, '\' quotes
 *	          All of them with their children.
 *	map       "A" -> "B"      this mailbox alone
 *	          "A/" -> "B/"    it and everything below it; "/" is the top
 *	          ~"RE" -> "B"    a POSIX extended expression that fits all of
 *	                          the name; \1 to \9 in B are its groups
 *	          The first that fits is taken.  Quotes may be left out.
 *	special   "Name" -> \Sent or none
 *
 * The first level INBOX is compared without regard to case, all else exactly.
 * A struct rules that is complete may be used by several threads.
 */
#ifndef ENGINE_RULES_H
#define ENGINE_RULES_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "message.h"

struct rules;

enum special_use_mode { SPECIAL_MARK, SPECIAL_RENAME, SPECIAL_OFF };
enum inbox_children { INBOX_KEEP, INBOX_TOP };

/* What becomes of a mailbox.  Strings live in the arena or in the rules. */
struct rule_result {
	const char	*excluded;	/* the rule that did it, or NULL */
	const char	*mapped;	/* the rule that renames it, or NULL */
	const char *const *path;	/* levels at the target */
	size_t		 npath;
	unsigned	 use;		/* USE_*: to be marked so */
	unsigned	 candidate;	/* USE_*: could have been marked so */
};

/* A name that mail programs give to a mailbox of a special use. */
struct use_name {
	const char	*name;
	unsigned	 use;
};
extern const struct use_name use_names[];	/* ends with a NULL name */

struct rules	*rules_new(void);
void		 rules_free(struct rules **);

/* -1: not a rule; the text says why.  Nothing is added then. */
int	rules_add_map(struct rules *, const char *text, struct err *);
int	rules_add_include(struct rules *, const char *text, struct err *);
int	rules_add_exclude(struct rules *, const char *text, struct err *);
int	rules_add_special(struct rules *, const char *text, struct err *);
void	rules_set_special_use(struct rules *, enum special_use_mode);
void	rules_set_inbox_children(struct rules *, enum inbox_children);
/* Only messages from then on; only messages before then.  text is what the
 * report calls the rule (copied). */
void	rules_set_newer(struct rules *, int64_t epoch, const char *text);
void	rules_set_older(struct rules *, int64_t epoch, const char *text);
void	rules_set_max_size(struct rules *, uint64_t bytes, const char *text);
void	rules_set_skip_deleted(struct rules *, bool skip);
bool	rules_skip_deleted(const struct rules *);
/* Those with the keyword $Hidden. */
void	rules_set_skip_hidden(struct rules *, bool skip);

/*
 * Applies the mailbox rules to all n mailboxes of an account, parents before
 * children; out has room for n.  newest: the latest date in each mailbox or
 * NO_DATE, to choose between several candidates for one special use; may be
 * NULL.  Of several, those the store itself marks go first, then the newest,
 * then the one with more messages, then the first of the list.
 */
void	rules_apply(const struct rules *, struct arena *,
	    const struct folder_info *, size_t n, const int64_t *newest,
	    struct rule_result *out);
/* The rule that leaves this message out, or NULL. */
const char *rules_message(const struct rules *, const struct msg_meta *);

/* special-use=rename: a mailbox of a use gets the use's name. */
bool	rules_rename_uses(const struct rules *);
/* The special use that the name of a mailbox tells; 0: none. */
unsigned rules_use_of_name(const struct rules *, const char *const *path,
	    size_t npath);
/* "\\Sent" and so on for one USE_* bit. */
const char *use_word(unsigned use);
/* With or without backslash, any case; 0: no such use. */
unsigned use_of_word(const char *word);

#endif
