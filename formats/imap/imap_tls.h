/*
 * TLS settings of one server, and what they demand of its certificate.
 *
 * The chain is verified against the system's authorities or ca=FILE, and the
 * host name (or IP address) against the certificate; TLS 1.2 is the least.
 *   pin=HEX    SHA-256 of the server's certificate (DER) or of its public key
 *              (DER SubjectPublicKeyInfo), colons allowed.  It replaces chain
 *              and name, unless ca= is given too: then all must hold.
 *   verify=no  nothing is checked.
 *   tls-min=1.0 or 1.1 lowers the security level for old servers; it is
 *              refused together with verify=no unless there is a pin.
 *   cert=, key= PEM files, the client's own certificate.
 * One context serves all sessions with equal settings; loading the system's
 * authorities takes milliseconds.
 */
#ifndef IMAP_TLS_H
#define IMAP_TLS_H

#include <stdbool.h>
#include <openssl/ssl.h>

#include "base/err.h"
#include "base/uri.h"

struct imap_tls;

/* From the URI's options; any thread.  Every get needs a put. */
int	imap_tls_get(struct imap_tls **, struct uri *, struct err *);
void	imap_tls_put(struct imap_tls **);

/* What a handshake showed, for the words of its error. */
struct imap_tls_seen {
	const struct imap_tls *tls;
	unsigned char	head[5];	/* first bytes from the server */
	bool		has_head;
	unsigned	version;	/* the server hello's, 0: none came */
	unsigned char	alert;		/* the last fatal one, 0: none */
	int		verify_error;	/* X509_V_* */
	char		cert[200];	/* whose certificate it is */
};

/* An SSL for one connection, with name and checks set; seen must live as long
 * as the SSL.  NULL and *e on failure. */
SSL	*imap_tls_new(struct imap_tls *, const char *host,
	    struct imap_tls_seen *, struct err *);
/* After the handshake, before anything is sent. */
int	imap_tls_accept(const struct imap_tls *, SSL *, struct err *);
/* Words for a handshake that failed. */
int	imap_tls_explain(const struct imap_tls_seen *, const char *why,
	    struct err *);

#endif
