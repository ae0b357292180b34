/* The two tables of back ends. */
#include <stddef.h>

#include "cgp/cgp_source.h"
#include "cyrus/cyrus_source.h"
#include "cyrus/cyrus_target.h"
#include "dovecot/dovecot_target.h"
#include "imap/imap_source.h"
#include "imap/imap_target.h"
#include "maildir/maildir_source.h"
#include "mbox/mbox_source.h"
#include "mem/mem_store.h"
#include "null/null_target.h"
#include "source_impl.h"
#include "target_impl.h"

const struct source_ops *const source_table[] = {
	&mbox_source, &maildir_source, &dovecot_source, &cgp_source,
	&imap_source, &cyrus_source, &mem_source, NULL
};

const struct target_ops *const target_table[] = {
	&imap_target, &dovecot_target, &cyrus_target, &null_target,
	&mem_target, NULL
};
