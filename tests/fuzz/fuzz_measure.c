/*
 * measure, crlf and repair over any bytes.  Oracle: the result does not depend
 * on how the bytes are cut; the CRLF form measured again is itself; a repaired
 * message keeps its loose digest and needs no second repair.
 */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "repair.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "measure: %s\n", what);
		abort();
	}
}

static bool
same(const struct digests *a, const struct digests *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

/* What Cyrus makes of a CRLF form, the plain way. */
static void
munge(const char *p, size_t n, struct buf *out)
{
	bool blank = true, body = false;

	for (size_t i = 0; i < n; i++) {
		buf_addc(out, !body && (unsigned char)p[i] >= 0x80 ? 'X' :
		    p[i]);
		if (p[i] == '\n') {
			body = body || blank;
			blank = true;
		} else if (p[i] != '\r')
			blank = false;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct measured whole, cut, again, mended;
	struct measure *m = measure_new();
	unsigned char sha1[SHA1_LEN];
	struct buf crlf, out;
	char what[200];

	buf_init(&crlf, 2 * size + 16);
	buf_init(&out, 4 * size + 64);
	measure_want_sha1(m, true);
	measure_begin(m);
	if (size > 0)
		measure_add(m, p, size, &crlf);
	measure_end(m, &whole);
	must(crlf.len == whole.size && whole.raw_size == size, "sizes");
	EVP_Digest(crlf.ptr, crlf.len, sha1, NULL, EVP_sha1(), NULL);
	must(memcmp(sha1, whole.digests.sha1, SHA1_LEN) == 0, "SHA-1");
	munge(crlf.ptr, crlf.len, &out);
	EVP_Digest(out.ptr, out.len, sha1, NULL, EVP_sha1(), NULL);
	must(memcmp(sha1, whole.digests.munged, SHA1_LEN) == 0, "munged");
	buf_reset(&out);

	measure_begin(m);
	for (size_t i = 0; i < size;) {
		size_t n = 1 + data[i] % 7;

		if (n > size - i)
			n = size - i;
		measure_add(m, p + i, n, NULL);
		i += n;
	}
	measure_end(m, &cut);
	must(same(&whole.digests, &cut.digests), "depends on the cuts");
	must(whole.oddities == cut.oddities, "oddities depend on the cuts");

	measure_begin(m);
	if (crlf.len > 0)
		measure_add(m, crlf.ptr, crlf.len, NULL);
	measure_end(m, &again);
	must(same(&whole.digests, &again.digests), "CRLF form is not stable");
	must((again.oddities & ODD_BARE_LF) == 0, "bare LF is left");

	if (repair_message(crlf.ptr, crlf.len, &out, what, sizeof what)) {
		struct buf twice;

		measure_begin(m);
		measure_add(m, out.ptr, out.len, NULL);
		measure_end(m, &mended);
		must(memcmp(whole.digests.loose, mended.digests.loose,
		    DIGEST_LEN) == 0, "a repair changes the loose digest");
		must((mended.oddities & (ODD_NUL | ODD_NO_END)) == 0,
		    "a repair leaves what it is for");
		buf_init(&twice, 8 * size + 128);
		must(!repair_message(out.ptr, out.len, &twice, what,
		    sizeof what), "a repair is not enough");
		buf_release(&twice);
	}
	buf_release(&crlf);
	buf_release(&out);
	measure_free(&m);
	return 0;
}
