/* The frame of a page, and its style and script, which are files of their own
 * in engine/page and a part of the program. */
#include "page.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/evp.h>

#include "markup.h"
#include "report_impl.h"

#define CELL_MAX	400	/* bytes of a text in a table */

/* The paths are the compiler's, which make starts at the top. */
#define EMBED(name, file)						\
	__asm__(".pushsection .rodata\n" #name ": .incbin \"" file	\
	    "\"\n.byte 0\n" #name "_end:\n.popsection\n");		\
	extern const char name[], name##_end[]

EMBED(page_style, "engine/page/report.css");
EMBED(page_script, "engine/page/report.js");

/* 'sha256-...' of a part of the page, for its policy. */
static void
put_hash(FILE *out, const char *p, size_t len)
{
	unsigned char digest[32], text[48];
	unsigned n;
	int ok = EVP_Digest(p, len, digest, &n, EVP_sha256(), NULL);

	assert(ok == 1 && n == sizeof digest);
	(void)ok;
	EVP_EncodeBlock(text, digest, (int)n);
	fprintf(out, "'sha256-%s'", (char *)text);
}

static size_t
length_of(const char *from, const char *end)
{
	return (size_t)((uintptr_t)end - (uintptr_t)from) - 1;
}

void
page_begin(FILE *out, const char *title)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
	    "<meta charset=\"utf-8\">\n"
	    "<meta http-equiv=\"Content-Security-Policy\" content=\""
	    "default-src 'none'; base-uri 'none'; form-action 'none'; "
	    "script-src ", out);
	put_hash(out, page_script, length_of(page_script, page_script_end));
	fputs("; style-src ", out);
	put_hash(out, page_style, length_of(page_style, page_style_end));
	fputs("\">\n<meta name=\"viewport\" content=\"width=device-width, "
	    "initial-scale=1\">\n<meta name=\"referrer\" "
	    "content=\"no-referrer\">\n<title>", out);
	markup_text(out, title, 0);
	fputs("</title>\n<style>", out);
	fwrite(page_style, 1, length_of(page_style, page_style_end), out);
	fputs("</style>\n</head>\n<body>\n", out);
}

void
page_end(FILE *out)
{
	fputs("<script>", out);
	fwrite(page_script, 1, length_of(page_script, page_script_end), out);
	fputs("</script>\n</body>\n</html>\n", out);
}

void
page_title(FILE *out, const char *id, const char *title)
{
	fprintf(out, "<h2 id=\"%s-title\">%s</h2>\n", id, title);
}

void
page_tools(FILE *out, const char *table, const char *whole, bool done)
{
	fprintf(out, "<div class=\"tools\" id=\"%s-tools\" hidden><input "
	    "type=\"search\" placeholder=\"Search\" aria-label=\"Search\"> "
	    "<select aria-label=\"Which\"><option value=\"\">%s</option>%s"
	    "</select> <output></output></div>\n", table, whole, done ?
	    "<option value=\"!\">all but done</option>" : "");
}

void
page_number(FILE *out, int64_t n)
{
	fprintf(out, "<td class=\"n%s\">%" PRId64 "</td>", n == 0 ? " zero" :
	    "", n);
}

void
page_bytes(FILE *out, int64_t n)
{
	char text[24];

	if (n < 0)
		fputs("<td class=\"n\" data-v=\"\">-</td>", out);
	else
		fprintf(out, "<td class=\"n\" data-v=\"%" PRId64 "\">%s</td>",
		    n, report_bytes(text, sizeof text, n));
}

void
page_cell(FILE *out, const char *text)
{
	fputs("<td>", out);
	markup_text(out, text, CELL_MAX);
	fputs("</td>", out);
}

void
page_table(FILE *out, const char *id, const char *const *columns, size_t n)
{
	fprintf(out, "<div class=\"scroll\"><table class=\"sortable\" "
	    "id=\"%s\">\n<thead><tr>", id);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "<th scope=\"col\"%s>%s</th>", *columns[i] ==
		    '#' ? " class=\"n\"" : "", columns[i] + (*columns[i] ==
		    '#'));
	fputs("</tr></thead>\n<tbody>\n", out);
}

void
page_table_end(FILE *out)
{
	fputs("</tbody></table></div>\n", out);
}

void
page_term(FILE *out, const char *term, const char *text)
{
	if (*text == '\0')
		return;
	fprintf(out, "<dt>%s</dt><dd>", term);
	markup_text(out, text, 4000);
	fputs("</dd>", out);
}
