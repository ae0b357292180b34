/*
 * A job: what the commands that work on accounts have in common, from the
 * command line to settings and accounts that the engine takes.
 */
#ifndef CMD_JOB_H
#define CMD_JOB_H

#include "accounts.h"
#include "opts.h"
#include "people.h"
#include "pool.h"

struct job_server {
	struct uri	*uri;		/* filled in */
	struct secret_spec spec;
	const char	*password;
};

struct job {
	struct config	*cfg;
	struct accounts	*list;
	struct secrets	*secrets;
	struct rules	*rules;
	struct people	*people;
	struct settings	 set;
	struct limits	 limits[2];	/* by enum side */
	char		*selection_rule;
	struct account	*accounts;	/* the selected ones */
	struct account	**order;	/* as the list has them */
	struct account_stores *stores;
	struct job_server *servers;	/* of mailhaul uidl, as order */
	size_t		 n;
	struct log	*log;		/* or NULL; made by who runs the job */
	bool		 newest;	/* these messages only, for now */
	bool		 stopped;	/* the last pass was, by somebody */
};

/*
 * Reads the command line of a command, its job file and account list, and the
 * secrets of the selected accounts; nothing is opened or connected to.  OPTS_GO
 * and everything in *j is set, or the exit code of mistakes, which have been
 * printed.  The caller releases *j either way.
 */
int	job_load(struct job *j, const char *command, int argc, char **argv);
void	job_release(struct job *);
/* The accounts are as they were loaded: for one more pass. */
void	job_again(struct job *);
/* With --newest-first: only the messages that come first, or all. */
void	job_newest(struct job *, bool only);

#endif
