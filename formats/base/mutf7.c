/*
 * Modified UTF-7 (RFC 3501 5.1.3).
 *
 * 0x20-0x7e stand for themselves except '&', which is "&-".  A run of anything
 * else is '&', the run's UTF-16BE in base64 with ',' for '/' and without
 * padding, '-'.  So there is one canonical form: the longest possible run,
 * zero bits at its end, nothing printable inside it.
 */
#include "base/mutf7.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* The character at p: its bytes, 0 when they are not strict UTF-8. */
static size_t
utf8_char(const unsigned char *p, size_t len, uint32_t *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n, i;

	if (p[0] < 0x80) {
		*c = p[0];
		return 1;
	}
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (len < n)
		return 0;
	*c = p[0] & (0xffU >> (n + 1));
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (p[i] & 0x3f);
	}
	if (*c < least[n] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff))
		return 0;
	return n;
}

static int
utf8_put(struct buf *out, uint32_t c)
{
	unsigned char u[4];
	size_t n;

	if (c < 0x80) {
		u[0] = (unsigned char)c;
		n = 1;
	} else if (c < 0x800) {
		u[0] = (unsigned char)(0xc0 | c >> 6);
		u[1] = (unsigned char)(0x80 | (c & 0x3f));
		n = 2;
	} else if (c < 0x10000) {
		u[0] = (unsigned char)(0xe0 | c >> 12);
		u[1] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
		u[2] = (unsigned char)(0x80 | (c & 0x3f));
		n = 3;
	} else {
		u[0] = (unsigned char)(0xf0 | c >> 18);
		u[1] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
		u[2] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
		u[3] = (unsigned char)(0x80 | (c & 0x3f));
		n = 4;
	}
	return buf_add(out, u, n);
}

bool
utf8_valid(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	uint32_t c;
	size_t n;

	for (; len > 0; p += n, len -= n)
		if ((n = utf8_char(p, len, &c)) == 0)
			return false;
	return true;
}

static bool
direct(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

/* Bits on their way into base64. */
struct bits {
	uint32_t	 acc;
	unsigned	 n;
};

static int
put_unit(struct buf *out, struct bits *b, uint32_t unit)
{
	b->acc = b->acc << 16 | unit;
	b->n += 16;
	while (b->n >= 6) {
		b->n -= 6;
		if (buf_addc(out, alphabet[b->acc >> b->n & 0x3f]) == -1)
			return -1;
	}
	return 0;
}

static int
end_run(struct buf *out, struct bits *b)
{
	if (b->n > 0 &&
	    buf_addc(out, alphabet[b->acc << (6 - b->n) & 0x3f]) == -1)
		return -1;
	b->n = 0;
	return buf_addc(out, '-');
}

static int
encode(struct buf *out, const unsigned char *p, size_t len)
{
	struct bits b = { 0, 0 };
	bool run = false;
	uint32_t c;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		if ((n = utf8_char(p, len, &c)) == 0 || c == 0)
			return -1;
		if (direct(c)) {
			if (run && end_run(out, &b) == -1)
				return -1;
			run = false;
			if (buf_addc(out, (char)c) == -1 ||
			    (c == '&' && buf_addc(out, '-') == -1))
				return -1;
			continue;
		}
		if (!run && buf_addc(out, '&') == -1)
			return -1;
		run = true;
		if (c >= 0x10000) {
			if (put_unit(out, &b, 0xd800 + ((c - 0x10000) >> 10)) ==
			    -1)
				return -1;
			c = 0xdc00 + (c & 0x3ff);
		}
		if (put_unit(out, &b, c) == -1)
			return -1;
	}
	return run ? end_run(out, &b) : 0;
}

/* One run after its '&': the bytes used with the '-', 0 when it is wrong. */
static size_t
decode_run(struct buf *out, const unsigned char *p, size_t len)
{
	uint32_t acc = 0, unit, high = 0;
	unsigned nbits = 0;
	const char *a;
	size_t i;

	for (i = 0; i < len && p[i] != '-'; i++) {
		if (p[i] == '\0' || (a = strchr(alphabet, p[i])) == NULL)
			return 0;
		acc = (acc << 6 | (uint32_t)(a - alphabet)) & 0x3fffff;
		nbits += 6;
		if (nbits < 16)
			continue;
		nbits -= 16;
		unit = acc >> nbits & 0xffff;
		if (high != 0) {
			if (unit < 0xdc00 || unit > 0xdfff)
				return 0;
			unit = 0x10000 + ((high - 0xd800) << 10) +
			    (unit - 0xdc00);
			high = 0;
		} else if (unit >= 0xd800 && unit <= 0xdbff) {
			high = unit;
			continue;
		} else if (unit >= 0xdc00 && unit <= 0xdfff)
			return 0;
		/* A shift is never needed for these. */
		if (unit == 0 || direct(unit) || utf8_put(out, unit) == -1)
			return 0;
	}
	if (i == 0 || i == len || high != 0 || nbits >= 6 ||
	    (acc & ((1U << nbits) - 1)) != 0)
		return 0;
	return i + 1;
}

static int
decode(struct buf *out, const unsigned char *p, size_t len)
{
	bool after_run = false;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		if (!direct(p[0]))
			return -1;
		n = 1;
		if (p[0] != '&') {
			if (buf_addc(out, (char)p[0]) == -1)
				return -1;
			after_run = false;
		} else if (len > 1 && p[1] == '-') {
			if (buf_addc(out, '&') == -1)
				return -1;
			n = 2;
			after_run = false;
		} else {
			/* Two runs in a row would have been one. */
			if (after_run ||
			    (n = decode_run(out, p + 1, len - 1)) == 0)
				return -1;
			n++;
			after_run = true;
		}
	}
	return 0;
}

/* What was appended before a failure is taken back. */
static int
undo(struct buf *out, size_t len)
{
	if (out->len > len) {
		out->len = len;
		out->ptr[len] = '\0';
	}
	return -1;
}

int
mutf7_encode(struct buf *out, const char *utf8, size_t len)
{
	size_t before = out->len;

	if (encode(out, (const unsigned char *)utf8, len) == -1)
		return undo(out, before);
	return 0;
}

int
mutf7_decode(struct buf *out, const char *p, size_t len)
{
	size_t before = out->len;

	if (decode(out, (const unsigned char *)p, len) == -1)
		return undo(out, before);
	return 0;
}
