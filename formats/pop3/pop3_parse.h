/*
 * The lines of a POP3 server (RFC 1939, 2449, 3206), one at a time, without
 * their line ends.  A line may hold any byte but NUL.
 */
#ifndef POP3_PARSE_H
#define POP3_PARSE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	POP3_CAP_TOP		= 1 << 0,
	POP3_CAP_USER		= 1 << 1,
	POP3_CAP_UIDL		= 1 << 2,
	POP3_CAP_STLS		= 1 << 3,
	POP3_CAP_PIPELINING	= 1 << 4,
	POP3_CAP_PLAIN		= 1 << 5	/* SASL PLAIN */
};

enum pop3_kind { POP3_OK, POP3_ERR, POP3_CONTINUE };

struct pop3_status {
	enum pop3_kind	 kind;
	char		 code[24];	/* "AUTH", "SYS/TEMP"; "": none */
	const char	*text;		/* points into the line */
};

/* -1: it is no status line. */
int	pop3_status_parse(struct pop3_status *, const char *line);
/* Is a refusal one that time may heal? */
bool	pop3_temporary(const struct pop3_status *);

/* What a line of the answer to CAPA announces: POP3_CAP_*. */
unsigned pop3_cap_parse(const char *line);
/* "NUMBER SIZE" and what a server adds.  -1: it is no such line. */
int	pop3_list_parse(const char *line, uint32_t *number, uint64_t *size);
/*
 * "NUMBER UNIQUE-ID".  -1: no number.  *uidl points into the line; NULL: it is
 * none that a list of Dovecot's could hold (1 to 250 characters that are
 * visible ASCII; the RFC has 70).
 */
int	pop3_uidl_parse(const char *line, uint32_t *number, const char **uidl);

#endif
