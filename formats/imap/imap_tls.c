/* TLS settings, verification, and words for what goes wrong with them. */
#include "imap/imap_tls.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/xmalloc.h"

#define IDLE_MAX 8	/* contexts kept without a session */

struct imap_tls {
	struct imap_tls	*next;
	unsigned	 users;
	char		*key;		/* all settings in one text */
	SSL_CTX		*ctx;
	bool		 verify;	/* chain and name */
	bool		 pinned;
	unsigned char	 pin[32];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct imap_tls *all;	/* newest first; under mutex */

static void
tls_free(struct imap_tls *t)
{
	SSL_CTX_free(t->ctx);
	free(t->key);
	free(t);
}

static int
ssl_error(struct err *e, const char *what, const char *file)
{
	unsigned long code = ERR_peek_error();
	const char *why = ERR_reason_error_string(code);
	char msg[128];

	if (ERR_GET_LIB(code) == ERR_LIB_SYS)
		why = strerror_r(ERR_GET_REASON(code), msg, sizeof msg);

	err_set(e, ERR_RUN, "%s %s: %s", what, file,
	    why != NULL ? why : "cannot be read");
	ERR_clear_error();
	return -1;
}

static int
parse_pin(const char *s, unsigned char out[32], struct err *e)
{
	size_t n = 0;

	if (strncasecmp(s, "sha256:", 7) == 0)
		s += 7;
	for (; *s != '\0'; s++) {
		const char *abc = "0123456789abcdef", *at;

		if (*s == ':')
			continue;
		at = strchr(abc, tolower((unsigned char)*s));
		if (at == NULL || n == 64)
			break;
		if (n % 2 == 0)
			out[n / 2] = (unsigned char)((at - abc) << 4);
		else
			out[n / 2] |= (unsigned char)(at - abc);
		n++;
	}
	if (n != 64 || *s != '\0')
		return err_set(e, ERR_RUN, "pin= wants a SHA-256 fingerprint: "
		    "64 hexadecimal digits");
	return 0;
}

/* Keeps what the peer said, for the words of an error. */
static void
message_cb(int sending, int version, int type, const void *p, size_t len,
    SSL *ssl, void *arg)
{
	struct imap_tls_seen *seen = SSL_get_app_data(ssl);
	const unsigned char *b = p;

	(void)version;
	(void)arg;
	if (sending || seen == NULL)
		return;
	if (type == SSL3_RT_HEADER && len >= 5 && !seen->has_head) {
		memcpy(seen->head, b, 5);
		seen->has_head = true;
	} else if (type == SSL3_RT_HANDSHAKE && len >= 6 &&
	    b[0] == SSL3_MT_SERVER_HELLO && seen->version == 0)
		seen->version = (unsigned)b[4] << 8 | b[5];
	else if (type == SSL3_RT_ALERT && len >= 2 && b[0] == SSL3_AL_FATAL)
		seen->alert = b[1];
}

static void
add_name(struct buf *out, const X509_NAME *name)
{
	char text[96];
	X509_NAME *n = X509_NAME_dup(name);

	if (n == NULL)
		return;
	if (X509_NAME_get_text_by_NID(n, NID_commonName, text,
	    sizeof text) <= 0)
		X509_NAME_oneline(n, text, sizeof text);
	buf_adds(out, text);
	X509_NAME_free(n);
}

/* "for a.example, b.example, by Some Authority" */
static void
describe(X509 *cert, char *out, size_t size)
{
	GENERAL_NAMES *names;
	struct buf b;

	buf_init(&b, size - 1);
	buf_adds(&b, "for ");
	add_name(&b, X509_get_subject_name(cert));
	names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && b.len < 90; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

		if (g->type == GEN_DNS)
			buf_addf(&b, ", %.60s", (const char *)
			    ASN1_STRING_get0_data(g->d.dNSName));
		else if (g->type == GEN_IPADD &&
		    ASN1_STRING_length(g->d.iPAddress) == 4) {
			char ip[INET_ADDRSTRLEN];

			if (inet_ntop(AF_INET, ASN1_STRING_get0_data(
			    g->d.iPAddress), ip, sizeof ip) != NULL)
				buf_addf(&b, ", %s", ip);
		}
	}
	GENERAL_NAMES_free(names);
	buf_adds(&b, "; by ");
	add_name(&b, X509_get_issuer_name(cert));
	memcpy(out, b.ptr, b.len + 1);
	buf_release(&b);
}

static int
verify_cb(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	struct imap_tls_seen *seen = ssl != NULL ? SSL_get_app_data(ssl) : NULL;
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	if (ok || seen == NULL)
		return ok;
	if (seen->verify_error == X509_V_OK) {
		seen->verify_error = X509_STORE_CTX_get_error(store);
		if (leaf != NULL)
			describe(leaf, seen->cert, sizeof seen->cert);
	}
	return seen->tls->verify ? 0 : 1;
}

static int
load(struct imap_tls *t, struct uri *u, struct err *e)
{
	const char *ca = uri_opt(u, "ca"), *pin = uri_opt(u, "pin");
	const char *cert = uri_opt(u, "cert"), *key = uri_opt(u, "key");
	const char *v = uri_opt(u, "verify"), *min = uri_opt(u, "tls-min");
	int least = TLS1_2_VERSION;

	if (v != NULL && strcmp(v, "yes") != 0 && strcmp(v, "no") != 0)
		return err_set(e, ERR_RUN, "verify=%.40s: yes or no", v);
	if (v != NULL && strcmp(v, "no") == 0 && ca != NULL)
		return err_set(e, ERR_RUN, "ca= and verify=no contradict");
	if (pin != NULL) {
		if (parse_pin(pin, t->pin, e) == -1)
			return -1;
		t->pinned = true;
	}
	t->verify = v != NULL ? strcmp(v, "yes") == 0 : pin == NULL ||
	    ca != NULL;
	if (min != NULL) {
		if (strcmp(min, "1.0") == 0)
			least = TLS1_VERSION;
		else if (strcmp(min, "1.1") == 0)
			least = TLS1_1_VERSION;
		else if (strcmp(min, "1.3") == 0)
			least = TLS1_3_VERSION;
		else if (strcmp(min, "1.2") != 0)
			return err_set(e, ERR_RUN, "tls-min=%.40s: 1.0, 1.1, "
			    "1.2 or 1.3", min);
		if (least < TLS1_2_VERSION && !t->verify && !t->pinned)
			return err_set(e, ERR_RUN, "tls-min=%s needs a "
			    "verified or pinned certificate", min);
	}
	t->ctx = SSL_CTX_new(TLS_client_method());
	if (t->ctx == NULL)
		return err_set(e, ERR_RUN, "OpenSSL gives no TLS context");
	SSL_CTX_set_min_proto_version(t->ctx, least);
	if (least < TLS1_2_VERSION) {
		/* OpenSSL 3 has these versions only at level 0. */
		SSL_CTX_set_security_level(t->ctx, 0);
		SSL_CTX_set_options(t->ctx, SSL_OP_LEGACY_SERVER_CONNECT);
		SSL_CTX_set_cipher_list(t->ctx, "ALL:!aNULL:!eNULL:"
		    "@SECLEVEL=0");
	}
	SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_msg_callback(t->ctx, message_cb);
	SSL_CTX_set_verify(t->ctx, t->verify ? SSL_VERIFY_PEER :
	    SSL_VERIFY_NONE, verify_cb);
	if (ca != NULL) {
		if (SSL_CTX_load_verify_file(t->ctx, ca) != 1)
			return ssl_error(e, "ca file", ca);
	} else if (t->verify && SSL_CTX_set_default_verify_paths(t->ctx) != 1)
		return err_set(e, ERR_RUN, "no system certificates");
	if (key != NULL && cert == NULL)
		return err_set(e, ERR_RUN, "key= without cert=");
	if (cert != NULL) {
		if (SSL_CTX_use_certificate_chain_file(t->ctx, cert) != 1)
			return ssl_error(e, "client certificate", cert);
		if (key == NULL)
			key = cert;
		if (SSL_CTX_use_PrivateKey_file(t->ctx, key,
		    SSL_FILETYPE_PEM) != 1 ||
		    SSL_CTX_check_private_key(t->ctx) != 1)
			return ssl_error(e, "client key", key);
	}
	return 0;
}

int
imap_tls_get(struct imap_tls **tp, struct uri *u, struct err *e)
{
	static const char *const opts[] = {
		"ca", "pin", "cert", "key", "verify", "tls-min"
	};
	struct imap_tls *t;
	struct buf key;
	int rc = 0;

	*tp = NULL;
	buf_init(&key, 1 << 16);
	for (size_t i = 0; i < sizeof opts / sizeof opts[0]; i++) {
		const char *v = uri_opt(u, opts[i]);

		buf_addf(&key, "%s\n", v != NULL ? v : "");
	}
	pthread_mutex_lock(&mutex);
	for (t = all; t != NULL; t = t->next)
		if (strcmp(t->key, key.ptr) == 0)
			break;
	if (t == NULL) {
		t = xcalloc(1, sizeof *t);
		t->key = buf_detach(&key, NULL);
		rc = load(t, u, e);
		if (rc == -1) {
			tls_free(t);
			t = NULL;
		} else {
			t->next = all;
			all = t;
		}
	}
	if (t != NULL)
		t->users++;
	pthread_mutex_unlock(&mutex);
	buf_release(&key);
	*tp = t;
	return rc;
}

void
imap_tls_put(struct imap_tls **tp)
{
	struct imap_tls *t = *tp, **p;
	unsigned idle = 0;

	*tp = NULL;
	if (t == NULL)
		return;
	pthread_mutex_lock(&mutex);
	t->users--;
	for (p = &all; *p != NULL;) {
		struct imap_tls *x = *p;

		if (x->users == 0 && ++idle > IDLE_MAX) {
			*p = x->next;
			tls_free(x);
		} else
			p = &x->next;
	}
	pthread_mutex_unlock(&mutex);
}

SSL *
imap_tls_new(struct imap_tls *t, const char *host, struct imap_tls_seen *seen,
    struct err *e)
{
	unsigned char ip[16];
	bool is_ip = inet_pton(AF_INET, host, ip) == 1 ||
	    inet_pton(AF_INET6, host, ip) == 1;
	SSL *ssl = SSL_new(t->ctx);
	X509_VERIFY_PARAM *param;

	memset(seen, 0, sizeof *seen);
	seen->tls = t;
	if (ssl == NULL) {
		err_set(e, ERR_RUN, "OpenSSL gives no TLS session");
		return NULL;
	}
	SSL_set_app_data(ssl, seen);
	param = SSL_get0_param(ssl);
	X509_VERIFY_PARAM_set_hostflags(param,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if ((is_ip ? X509_VERIFY_PARAM_set1_ip_asc(param, host) :
	    SSL_set1_host(ssl, host)) != 1 ||
	    (!is_ip && SSL_set_tlsext_host_name(ssl, host) != 1)) {
		err_set(e, ERR_RUN, "\"%.100s\" is no host name", host);
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_connect_state(ssl);
	return ssl;
}

static bool
pin_matches(const struct imap_tls *t, X509 *cert, unsigned char leaf[32])
{
	unsigned char spki[32], *der = NULL;
	unsigned n = 0;
	bool same;
	int len;

	if (X509_digest(cert, EVP_sha256(), leaf, &n) != 1 || n != 32)
		return false;
	len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	same = memcmp(leaf, t->pin, 32) == 0;
	if (len > 0 && EVP_Digest(der, (size_t)len, spki, NULL, EVP_sha256(),
	    NULL) == 1 && memcmp(spki, t->pin, 32) == 0)
		same = true;
	OPENSSL_free(der);
	return same;
}

int
imap_tls_accept(const struct imap_tls *t, SSL *ssl, struct err *e)
{
	X509 *cert = SSL_get1_peer_certificate(ssl);
	unsigned char leaf[32] = { 0 };
	char hex[65];
	int rc = 0;

	if (cert == NULL)
		return err_set(e, ERR_ACCOUNT, "the server shows no "
		    "certificate");
	/* With SSL_VERIFY_PEER a failure has ended the handshake; this is the
	 * belt to it. */
	if (t->verify && SSL_get_verify_result(ssl) != X509_V_OK)
		rc = err_set(e, ERR_ACCOUNT, "certificate not accepted: %s",
		    X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
	else if (t->pinned && !pin_matches(t, cert, leaf)) {
		for (int i = 0; i < 32; i++) {
			hex[2 * i] = "0123456789abcdef"[leaf[i] >> 4];
			hex[2 * i + 1] = "0123456789abcdef"[leaf[i] & 15];
		}
		hex[64] = '\0';
		rc = err_set(e, ERR_ACCOUNT, "the certificate is not the "
		    "pinned one; its SHA-256 is %s", hex);
	}
	X509_free(cert);
	return rc;
}

static const char *
version_name(unsigned v)
{
	switch (v) {
	case 0x0300: return "SSL 3.0";
	case 0x0301: return "TLS 1.0";
	case 0x0302: return "TLS 1.1";
	case 0x0303: return "TLS 1.2";
	default: return "an unknown version";
	}
}

int
imap_tls_explain(const struct imap_tls_seen *seen, const char *why,
    struct err *e)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);
	int lib = ERR_GET_LIB(code), r = ERR_GET_REASON(code);

	if (seen->verify_error != X509_V_OK && seen->tls->verify)
		err_set(e, ERR_ACCOUNT, "certificate not accepted: %s (it is "
		    "%s; ca=FILE names an authority, pin=SHA256 one "
		    "certificate)", X509_verify_cert_error_string(
		    seen->verify_error), seen->cert);
	else if (seen->has_head && seen->head[0] >= 0x20 &&
	    seen->head[0] < 0x7f)
		err_set(e, ERR_ACCOUNT, "the server does not start with TLS "
		    "on this port, it says \"%.5s...\" (tls=starttls?)",
		    (const char *)seen->head);
	else if (lib == ERR_LIB_SSL && (r == SSL_R_UNSUPPORTED_PROTOCOL ||
	    r == SSL_R_WRONG_SSL_VERSION) && seen->version != 0)
		err_set(e, ERR_ACCOUNT, "the server offers %s only, older "
		    "than the least allowed (tls-min=)",
		    version_name(seen->version));
	else if (seen->alert == SSL3_AD_HANDSHAKE_FAILURE ||
	    seen->alert == TLS1_AD_PROTOCOL_VERSION)
		err_set(e, ERR_ACCOUNT, "the server refuses every version and "
		    "cipher that we allow (alert: %s; tls-min= allows older "
		    "ones)", SSL_alert_desc_string_long(seen->alert));
	else if (seen->alert != 0)
		err_set(e, ERR_ACCOUNT, "the server broke the handshake off "
		    "(alert: %s)", SSL_alert_desc_string_long(seen->alert));
	else {
		err_retry(e, ERR_HOST, "TLS handshake: %s",
		    why != NULL ? why : reason != NULL ? reason : "failed");
	}
	ERR_clear_error();
	return -1;
}
