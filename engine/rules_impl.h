/* Rules, shared by the files rules*.c only. */
#ifndef ENGINE_RULES_IMPL_H
#define ENGINE_RULES_IMPL_H

#include <regex.h>

#include "rules.h"

#define NAME_MAX_BYTES	((size_t)16 * 1024)	/* of a result of a rule */

enum map_kind { MAP_EXACT, MAP_PREFIX, MAP_REGEX };

struct map {
	enum map_kind	 kind;
	char		*text;		/* the rule as written */
	char		*from, *to;	/* without the last '/' of a prefix */
	regex_t		 re;
};

struct pattern {
	char		*text;		/* "exclude \Trash" */
	char		*glob;
	unsigned	 use;		/* not 0: by role */
};

struct special {
	char		*name;
	unsigned	 use;
};

struct rules {
	struct map	*maps;
	struct pattern	*includes, *excludes;
	struct special	*specials;
	size_t		 nmaps, nincludes, nexcludes, nspecials;
	enum special_use_mode special_use;
	enum inbox_children inbox_children;
	int64_t		 newer, older;		/* NO_DATE: no rule */
	uint64_t	 max_size;		/* UNKNOWN64: no rule */
	bool		 skip_deleted, skip_hidden;
	char		*newer_text, *older_text, *max_size_text;
};

/* rules_names.c: "\\All" to "\\Trash" and their USE_*. */
#define NUSES	7
extern const struct use_name use_words[NUSES];

#endif
