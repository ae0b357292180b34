/*
 * CommuniGate's text format for settings: .settings, .info, .data, .dst.
 *
 *	object      string | number | time | ip | data | array | dictionary |
 *	            xml | null | opaque
 *	dictionary  "{" *( string "=" object ";" ) "}"
 *	array       "(" [ object *( "," object ) ] ")"
 *	string      atom | quoted *( ws quoted )	(pieces join)
 *	atom        bytes but white space, controls and {}()[]=;,"
 *	quoted      '"' ... '"' with \" \\ \r \n \t, \e (a line end),
 *	            \nnn (three DECIMAL digits, at most 255), \u'HHHH'; before
 *	            anything else a backslash stands for itself
 *	data        "[" base64 "]"
 *	number      "#" ["-"] digits | "#0x.." | "#0o.." | "#0b.."
 *	time        "#T" DD-MM-YYYY ["_" hh:mm:ss] | "#TPAST" | "#TFUTURE"
 *	ip          "#I[" address "]" [":" port]
 *	null        "#NULL#"
 *	xml         "<" element ... "</" element ">"
 *	opaque      "#(" ... ")", and what else begins with '#': kept as written
 *
 * White space is blank, TAB, CR, LF, comments of both C kinds.  A key may be
 * an atom that begins with '#'.  No byte of a quoted string is wrong, not even
 * NUL, and nothing has to be UTF-8.  A last ';' or ',' may be missing or
 * stand before the closing bracket.  Brackets may be nested DICT_DEPTH deep.
 *
 * Values live in the arena that parse() was given; strings point to copies.
 */
#ifndef CGP_DICT_H
#define CGP_DICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define DICT_DEPTH	100

enum dict_type {
	DICT_STRING, DICT_NUMBER, DICT_TIME, DICT_IP, DICT_DATA, DICT_ARRAY,
	DICT_DICT, DICT_XML, DICT_NULL, DICT_OPAQUE
};

struct dict_item;

struct dict_value {
	enum dict_type	 type;
	/* STRING, DATA: the decoded bytes.  NUMBER, TIME, IP, OPAQUE: as
	 * written, with the '#'.  XML: as written.  A NUL follows. */
	const char	*p;
	size_t		 len;
	/* NUMBER: the value if whole; TIME: seconds UTC, INT64_MIN for the
	 * past and INT64_MAX for the future. */
	bool		 whole;
	int64_t		 number;
	/* ARRAY, DICT: in the order of the file. */
	struct dict_item *items;
	size_t		 n;
};

struct dict_item {
	const char	*key;		/* ARRAY: NULL.  A NUL follows */
	size_t		 key_len;
	struct dict_value value;
};

/*
 * One object, with nothing but white space behind it.  -1: *e tells line and
 * column, and *out has what was complete before (NULL: nothing was).
 */
int	dict_parse(struct arena *, const char *p, size_t len,
	    struct dict_value **out, struct err *e);
/* Appends the text form, with LF after every entry of the outermost dictionary
 * and one of its own for each of its entries.  What it writes parses to the
 * same value.  -1: the buffer is full. */
int	dict_write(struct buf *, const struct dict_value *);

/* The value of a key; NULL: there is none, or v is NULL or no dictionary.  Of
 * a key that is there twice the last. */
const struct dict_value *dict_get(const struct dict_value *v, const char *key);
const struct dict_value *dict_getn(const struct dict_value *v,
	    const char *key, size_t len);
/* The same for a string without a NUL in it; else NULL. */
const char *dict_string(const struct dict_value *v, const char *key);
/* A number, or a string of digits: 1, else 0. */
int	dict_number(const struct dict_value *v, const char *key, int64_t *n);
/* YES (in any case): 1, NO: 0, none of these: -1. */
int	dict_bool(const struct dict_value *v, const char *key);
/* "100K", "30M", "3G", "1024" in powers of 1024: 1; "unlimited" and -1: 1 and
 * UINT64_MAX; no such key, "default" or no size: 0. */
int	dict_size(const struct dict_value *v, const char *key, uint64_t *bytes);

#endif
