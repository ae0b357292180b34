/* JUnit XML: a suite whose cases are collected before it is written, as their
 * numbers stand at its head. */
#ifndef ENGINE_JUNIT_H
#define ENGINE_JUNIT_H

#include <stdint.h>
#include <stdio.h>

struct junit {
	char	*text;
	size_t	 len;
	FILE	*cases;
	int64_t	 tests, failures, errors, skipped;
};

enum junit_result { JUNIT_GOOD, JUNIT_FAILURE, JUNIT_ERROR, JUNIT_SKIPPED };

/* <testsuites> and its end; when: epoch seconds. */
void	junit_begin(FILE *, const char *name, int64_t when);
void	junit_end(FILE *);

void	junit_suite(struct junit *);
/* more: behind what, or NULL. */
void	junit_case(struct junit *, const char *suite, const char *name,
	    enum junit_result, const char *what, const char *more);
/* Writes the suite and releases it; out NULL: only that. */
void	junit_suite_end(struct junit *, const char *name, FILE *out);

#endif
