/*
 * Named fault points, for the kill tests; nothing at all in a release build.
 *
 * Built with -DMAILHAUL_FAULTS, MAILHAUL_FAULT=ACTION:N in the environment
 * makes the Nth point that is passed do ACTION: "kill" (SIGKILL to ourselves),
 * "stop" (SIGSTOP, until somebody sends SIGCONT)
 * or "eio" (fault_fails() says so).  ACTION@NAME:N counts only points of that
 * name.  MAILHAUL_FAULT_LOG=FILE appends every point passed, so that a test
 * can count them.  MAILHAUL_MUTATE=a,b switches off a safeguard by name: the
 * tests must then fail.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

#ifdef MAILHAUL_FAULTS
void	fault_point(const char *name);
bool	fault_fails(const char *name);	/* a point that may also fail */
bool	fault_mutated(const char *name);
#else
#define fault_point(name)	((void)0)
#define fault_fails(name)	false
#define fault_mutated(name)	false
#endif

#endif
