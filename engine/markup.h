/*
 * Hostile text in XML and HTML.
 *
 * Our own few lines, not libxml2's writer: that one stops, or writes what no
 * parser takes, at bytes that are no UTF-8 and at control characters, for which
 * XML has no escape at all; so every text would have to be changed first, and
 * what is left to do then is to escape five characters.
 */
#ifndef ENGINE_MARKUP_H
#define ENGINE_MARKUP_H

#include <stdio.h>

/*
 * For element content and for attributes in either quotes: what text_show()
 * shows as \xNN comes so, likewise the characters that XML does not know
 * (U+FFFE and U+FFFF).  Of longer texts the first max bytes, "..." and the
 * length; 0: all.
 */
void	markup_text(FILE *, const char *s, size_t max);

#endif
