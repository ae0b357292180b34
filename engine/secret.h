/*
 * Passwords and tokens: where they come from, kept only as long as needed.
 *
 * A secret comes from one of the URI options
 *	secret-file=FILE	its first line; nobody else may read the file
 *	secret-env=NAME		an environment variable
 *	secret-fd=N		the first line that can be read there, once
 *	secret-command=CMD	the first line a program prints; no shell
 * from the account list's password column, or from the terminal.  It never
 * goes into a log, a message or the state, and memory that held it is wiped.
 *
 * A struct secrets keeps what was asked for, so that a file is read and a
 * question put once.  It may be used by several threads; questions are put one
 * at a time.
 */
#ifndef ENGINE_SECRET_H
#define ENGINE_SECRET_H

#include "base/err.h"
#include "base/uri.h"

enum secret_kind {
	SECRET_NONE,		/* a local store, or a login without one */
	SECRET_FILE, SECRET_ENV, SECRET_FD, SECRET_COMMAND,
	SECRET_LISTED,		/* value is the secret itself */
	SECRET_PROMPT		/* value is whom to ask for */
};

struct secret_spec {
	enum secret_kind kind;
	char		*value;
};

struct secrets;

/* Takes the secret-* options out of a filled URI, so that no back end sees
 * them.  listed: the account list's password, or NULL; refused beside an
 * option.  The spec is to be released also after -1. */
int	secret_spec_take(struct uri *, const char *listed,
	    struct secret_spec *, struct err *);
void	secret_spec_release(struct secret_spec *);	/* wipes */

/* max_prompts: so many different passwords are asked for on the terminal;
 * 0: none. */
struct secrets	*secrets_new(unsigned max_prompts);
void		 secrets_free(struct secrets **);	/* wipes */
/*
 * 1: *secret is it, valid until secrets_free(); the same source gives the same
 * pointer, so that it can stand for the secret.  0: none is needed.  -1: it
 * cannot be had.  A secret of the list is the spec's own and not kept.
 */
int	secret_get(struct secrets *, const struct secret_spec *,
	    const char **secret, struct err *);
/* old did not work any more (an expired token): the next secret_get() runs the
 * command or reads the file again, unless another thread has had it done. */
void	secret_renew(struct secrets *, const struct secret_spec *,
	    const char *old);

/* Splits a command into words: blanks part them; '...' is taken as it is;
 * in "..." and outside of quotes '\' quotes the next character.  Nothing is
 * expanded.  NULL-terminated, all in one block that the caller frees; NULL and
 * *e when quotes do not close or there is no word. */
char	**secret_split(const char *command, struct err *);
/* Asks on the terminal fd, without echo; the caller wipes and frees. */
char	*secret_ask(int fd, const char *question, struct err *);

#endif
