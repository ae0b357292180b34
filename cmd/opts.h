/*
 * Command lines: options from the table of settings, the job file, --help and
 * --show-config.
 *
 *	mailhaul COMMAND [SOURCE TARGET] [--OPTION[=VALUE]]...
 *
 * Options and arguments may come in any order; "--" ends the options.  The
 * value of an option follows it or its '='; yes is the value of an option that
 * takes none.  Options are written in full.
 */
#ifndef CMD_OPTS_H
#define CMD_OPTS_H

#include <stdio.h>

#include "cmd.h"
#include "config.h"

/* opts_parse() says: go on. */
#define OPTS_GO	(-1)

/*
 * Reads the command line of a command and the job file it names.  OPTS_GO and
 * *cp is finished, the caller frees it; else the exit code (after --help,
 * --show-config, or mistakes, which have been printed) and *cp is NULL.
 */
int	opts_parse(const struct command *, int argc, char **argv,
	    struct config **cp);
/* The part of it that reads: appends mistakes, returns their number.  *help
 * and *show tell whether these were asked for; then nothing else matters. */
size_t	opts_read(const struct command *, int argc, char **argv,
	    struct config *, bool *help, bool *show, struct buf *errors);

/* Prints n mistakes, a line each, and where help is to be had (command may be
 * NULL); returns EXIT_MISUSE. */
int	opts_complain(const char *command, const struct buf *errors, size_t n);
/* One mistake of the command line, the same way. */
int	usage_error(const char *command, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

void	opts_help(const struct command *, FILE *);	/* COMMAND --help */
/* --help, for a table of commands. */
void	opts_overview(const struct command *, FILE *);

#endif
