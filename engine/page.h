/* The frame of a page that needs nothing from elsewhere: its style and script
 * are in it, and a policy lets a browser run and load nothing besides. */
#ifndef ENGINE_PAGE_H
#define ENGINE_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

void	page_begin(FILE *, const char *title);
void	page_end(FILE *);		/* with the script */

/* <h2 id=ID>TITLE</h2> */
void	page_title(FILE *, const char *id, const char *title);
/* What filters a table, shown once the script runs; whole: "Every outcome". */
void	page_tools(FILE *, const char *table, const char *whole, bool done);
/* Cells; numbers of 0 are dim.  Bytes sort by their number. */
void	page_number(FILE *, int64_t n);
void	page_bytes(FILE *, int64_t n);	/* below 0: not known */
void	page_cell(FILE *, const char *text);
/* <table id=ID class=sortable>, with these columns; a '#' before the name of one
 * with numbers. */
void	page_table(FILE *, const char *id, const char *const *columns,
	    size_t n);
void	page_table_end(FILE *);
/* A term and what it is, in a <dl>; nothing where text is "". */
void	page_term(FILE *, const char *term, const char *text);

#endif
