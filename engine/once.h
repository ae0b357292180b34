/*
 * What is worth saying once, however many lanes, accounts and mailboxes meet
 * it.  As long as the process lives.
 */
#ifndef ENGINE_ONCE_H
#define ENGINE_ONCE_H

#include <stdbool.h>

/* Is this the first time that anybody asks for that text?  Of very many texts
 * the later ones are never the first. */
bool	once_first(const char *what);

#endif
