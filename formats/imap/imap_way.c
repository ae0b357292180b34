/* The way to a server, and what is said of one without protection. */
#include "imap/imap_way.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "imap/imap_text.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct imap_words weak_hosts;	/* that were told of */

static bool
is_implicit(const struct uri *u)
{
	return strcmp(u->scheme, "imaps") == 0 ||
	    strcmp(u->scheme, "pop3s") == 0;
}

/* tls=: 'i' implicit, 's' starttls, 'n' none. */
static int
tls_mode(struct uri *u, char *mode, struct err *e)
{
	const char *v = uri_opt(u, "tls");

	if (v == NULL)
		*mode = is_implicit(u) ? 'i' : 's';
	else if (strcmp(v, "implicit") == 0 || strcmp(v, "starttls") == 0 ||
	    strcmp(v, "none") == 0)
		*mode = v[0];
	else
		return err_set(e, ERR_RUN, "tls=%.40s: implicit, starttls or "
		    "none", v);
	if (*mode != 'i' && is_implicit(u))
		return err_set(e, ERR_RUN, "%s: and tls=%s contradict",
		    u->scheme, v);
	return 0;
}

int
imap_way(struct uri *u, char *mode, struct imap_tls **tls, uint64_t *timeout,
    struct err *e)
{
	const char *v = uri_opt(u, "timeout");

	*tls = NULL;
	if (u->host == NULL || u->host[0] == '\0')
		return err_set(e, ERR_RUN, "no host: write %s://USER@HOST",
		    u->scheme);
	if (u->path != NULL && u->path[0] != '\0')
		return err_set(e, ERR_RUN, "nothing belongs after the host in "
		    "%s://%.100s", u->scheme, u->host);
	if (v != NULL && (imap_number(v, strlen(v), 3600, timeout) == -1 ||
	    *timeout == 0))
		return err_set(e, ERR_RUN, "timeout=%.40s: seconds, 1 to 3600",
		    v);
	if (tls_mode(u, mode, e) == -1)
		return -1;
	return *mode != 'n' ? imap_tls_get(tls, u, e) : 0;
}

void
imap_way_weak(const struct store_conf *conf, char mode)
{
	const char *verify = uri_opt(conf->uri, "verify");
	const char *min = uri_opt(conf->uri, "tls-min");
	char host[300], text[400];
	const char *what;
	bool told;

	if (mode == 'n')
		what = "without TLS (tls=none)";
	else if (verify != NULL && strcmp(verify, "no") == 0 &&
	    uri_opt(conf->uri, "pin") == NULL)
		what = "its certificate is not verified (verify=no)";
	else if (min != NULL && (strcmp(min, "1.0") == 0 ||
	    strcmp(min, "1.1") == 0))
		what = "TLS older than 1.2 is accepted (tls-min=)";
	else
		return;
	snprintf(host, sizeof host, "%.250s:%u", conf->uri->host,
	    conf->uri->port);
	pthread_mutex_lock(&mutex);
	told = imap_words_has(&weak_hosts, host);
	imap_words_add(&weak_hosts, host);
	pthread_mutex_unlock(&mutex);
	if (told)
		return;
	snprintf(text, sizeof text, "%s: %s", conf->uri->host, what);
	conf->warn(conf->warn_ctx, NULL, NULL, text);
}
