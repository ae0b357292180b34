/* The names of message files in cur/ and new/. */
#ifndef MAILDIR_NAME_H
#define MAILDIR_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct maildir_name {
	size_t		 base;		/* bytes before the info part */
	const char	*raw;		/* all after "2,"; NULL: no info */
	size_t		 nraw;
	size_t		 nflags;	/* of raw: letters up to a comma */
	uint64_t	 size;		/* ,S=; UNKNOWN64: not there */
	uint64_t	 vsize;		/* ,W= */
	uint64_t	 secs;		/* digits at the start */
	uint32_t	 usecs;		/* M<digits> in the next part */
};

/* Any len bytes, without NUL and '/'.  The pointers point into name. */
void	maildir_name_parse(struct maildir_name *, const char *name, size_t len);

/* What the flag letters mean. */
struct maildir_flags {
	unsigned	 flags;		/* MSG_* */
	bool		 passed;	/* P: $Forwarded */
	uint32_t	 keywords;	/* bit 0: letter a */
};

void	maildir_flags_parse(struct maildir_flags *, const char *letters,
	    size_t n);

#endif
