/*
 * The source "maildir:PATH": Maildir++ and LAYOUT=fs trees with the metadata
 * of Dovecot or Courier, and plain Maildirs.  "dovecot:PATH" is the same, with
 * the options of the target of that name.
 *
 * Options:
 *	layout=auto|maildir++|fs	how folders lie below PATH
 *	names=auto|utf-8|mutf-7		coding of folder names on disk
 *	listescape=auto|yes|no		\xx in folder names is one byte
 */
#ifndef MAILDIR_SOURCE_H
#define MAILDIR_SOURCE_H

#include "source_impl.h"

extern const struct source_ops maildir_source;
extern const struct source_ops dovecot_source;	/* "dovecot:" */

#endif
