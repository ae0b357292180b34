/*
 * The subcommands and their exit codes.
 *
 * A command gets argv from its own name on, calls opts_parse() (opts.h) first,
 * prints its results to standard output and everything else to standard error,
 * and returns its exit code; main() checks that standard output arrived.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>

enum exit_code {
	EXIT_DONE = 0,		/* everything done and equal */
	EXIT_DIFFERS = 1,	/* some messages were refused or differ */
	EXIT_ACCOUNTS = 2,	/* some failed, were empty, or unbalanced */
	EXIT_MISUSE = 64,	/* of the command line or the job */
	EXIT_INTERNAL = 70,	/* a mistake in mailhaul */
	EXIT_AGAIN = 75		/* stopped, or a passing failure: run again */
};

struct command {
	const char	*name;
	const char	*summary;	/* one line, for mailhaul --help */
	int		(*run)(int argc, char **argv);
	unsigned	 mask;		/* FOR_* of config.h: its options */
	bool		 stores;	/* needs a source and a target */
	const char	*usage;		/* its synopsis and what it does */
};

extern const struct command commands[];		/* main.c; ends with no name */
const struct command *command_find(const char *name);	/* NULL: none */

int	cmd_copy(int argc, char **argv);
int	cmd_audit(int argc, char **argv);
int	cmd_plan(int argc, char **argv);
int	cmd_calibrate(int argc, char **argv);
int	cmd_forget(int argc, char **argv);
int	cmd_report(int argc, char **argv);
int	cmd_status(int argc, char **argv);
int	cmd_uidl(int argc, char **argv);
int	cmd_undo(int argc, char **argv);
int	cmd_stage(int argc, char **argv);
int	cmd_stop(int argc, char **argv);
int	cmd_pause(int argc, char **argv);
int	cmd_resume(int argc, char **argv);

#endif
