/*
 * QR codes for a terminal of 24 x 80: level L, two light modules around, two
 * rows of modules in a line of half blocks.
 */
#include "otp_uri.h"

#include <errno.h>
#include <qrencode.h>

#define QUIET 2

static bool is_light(const QRcode *code, int x, int y)
{
	if (x < 0 || y < 0 || x >= code->width || y >= code->width)
		return true;
	return !(code->data[y * code->width + x] & 1);
}

/* White on black, so that a space is dark in any terminal. */
static void put_half_blocks(const QRcode *code, bool colour, struct buf *out)
{
	static const char *const cells[] = {" ", "\u2584", "\u2580", "\u2588"};
	int x, y;

	for (y = -QUIET; y < code->width + QUIET; y += 2) {
		buf_printf(out, "%s", colour ? "\033[40;97m" : "");
		for (x = -QUIET; x < code->width + QUIET; x++)
			buf_printf(out, "%s",
				cells[is_light(code, x, y) * 2 +
					is_light(code, x, y + 1)]);
		buf_printf(out, "%s\n", colour ? "\033[0m" : "");
	}
}

static void put_ascii(const QRcode *code, struct buf *out)
{
	int x, y;

	for (y = -QUIET; y < code->width + QUIET; y++) {
		for (x = -QUIET; x < code->width + QUIET; x++)
			buf_printf(
				out, "%s", is_light(code, x, y) ? "##" : "  ");
		buf_printf(out, "\n");
	}
}

enum sgb_err otp_qr_text(
	const char *text, enum otp_qr form, bool colour, struct buf *out)
{
	QRcode *code;

	if (form == OTP_QR_NONE)
		return SGB_OK;
	code = QRcode_encodeString(text, 0, QR_ECLEVEL_L, QR_MODE_8, 1);
	if (!code)
		return errno == ENOMEM ? SGB_ERR_NOMEM : SGB_ERR_LIMIT;
	if (form == OTP_QR_ASCII)
		put_ascii(code, out);
	else
		put_half_blocks(code, colour, out);
	QRcode_free(code);
	return buf_error(out);
}
