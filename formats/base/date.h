/*
 * Dates of mail: RFC 3501 date-time, RFC 5322 date (with the obsolete forms),
 * and the asctime-like dates of mbox separators.
 *
 * Everything is proleptic Gregorian, UTC seconds since 1970 in int64; no
 * libc time zone is used except where "local" says so.
 */
#ifndef BASE_DATE_H
#define BASE_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct date {
	int64_t	 epoch;		/* seconds UTC */
	int	 zone;		/* minutes east of UTC */
	bool	 zoned;		/* the text named a zone */
};

/* Days since 1970-01-01 of a civil date; any year. */
int64_t	date_days(int64_t year, unsigned month, unsigned day);
/* 26 bytes "dd-Mmm-yyyy hh:mm:ss +zzzz" and NUL, day padded with a blank, as
 * RFC 3501 date-time wants it between the quotes.  epoch must be in years
 * 0 to 9999, zone within +-1439 minutes: else -1. */
int	date_internal(char out[27], int64_t epoch, int zone);
/* Reads such a date (p, len without the quotes); strict but for the missing
 * leading blank.  0 or -1. */
int	date_parse_internal(const char *p, size_t len, struct date *);
/* RFC 5322 date with or without weekday, obsolete zones, two-digit years,
 * comments, ctime form; 0 or -1. */
int	date_parse_822(const char *p, size_t len, struct date *);

#endif
