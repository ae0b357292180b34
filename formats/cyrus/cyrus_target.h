/*
 * The target "cyrus:": mailboxes and messages go in through Cyrus' replication
 * protocol, so that UIDs, UIDVALIDITY, flags, dates and bytes are the source's.
 *
 * Options:
 *	conf=FILE		cyrus:USER: imapd.conf; default /etc/imapd.conf
 *	libexec=DIR		cyrus:USER: where sync_server is
 *	transport=auto|sync|imap	cyrus://: IMAP's APPEND when the protocol
 *				does not work (auto), never, or only
 *	partition=NAME		of new mailboxes
 * and for cyrus://ADMIN@HOST/USER those of imap: but for authzid and prefix.
 */
#ifndef CYRUS_TARGET_H
#define CYRUS_TARGET_H

#include "target_impl.h"

extern const struct target_ops cyrus_target;

#endif
