/* Numbers, words and headers, and what blocks are made of. */
#include "xb_inside.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

uint16_t xb_u16(const uint8_t *at) { return (uint16_t)(at[0] | (uint16_t)at[1] << 8); }

int16_t xb_i16(const uint8_t *at) {
    uint16_t raw = xb_u16(at);
    return (int16_t)(raw < 0x8000u ? (int)raw : (int)raw - 0x10000);
}

uint32_t xb_u32(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

float xb_f32(const uint8_t *at) {
    uint32_t raw = xb_u32(at);
    float value;
    memcpy(&value, &raw, sizeof value);
    return value;
}

void xb_put16(uint8_t *at, uint16_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

void xb_put32(uint8_t *at, uint32_t value) {
    for (int k = 0; k < 4; k++) at[k] = (uint8_t)(value >> (8 * k));
}

void xb_put_f32(uint8_t *at, double value) {
    float single = (float)value;
    uint32_t raw;
    memcpy(&raw, &single, sizeof raw);
    xb_put32(at, raw);
}

static int same(char a, char b) { return toupper((unsigned char)a) == toupper((unsigned char)b); }

/* Whether text is the short or the long form of a mnemonic like "SYSTem". */
static int mnemonic(const char *pattern, int pattern_length, const char *text, int length) {
    int shorter = 0;
    while (shorter < pattern_length && !islower((unsigned char)pattern[shorter])) shorter++;
    if (length != shorter && length != pattern_length) return 0;
    for (int k = 0; k < length; k++)
        if (!same(pattern[k], text[k])) return 0;
    return 1;
}

int xb_is_word(const char *pattern, const char *text, int length) {
    return mnemonic(pattern, (int)strlen(pattern), text, length);
}

/* Whether nodes are a header like "SYSTem:ERRor[:NEXT]?"; the question mark is part of the last node. */
int xb_header(const char *pattern, const uint8_t *text, const int *at, const int *length, int nodes) {
    int node = 0;
    const char *p = pattern;
    int query = pattern[strlen(pattern) - 1] == '?';
    if (nodes < 1) return 0;
    int last = length[nodes - 1];
    int asked = last > 0 && text[at[nodes - 1] + last - 1] == '?';
    if (asked != query) return 0;
    while (*p && *p != '?') {
        int optional = *p == '[';
        if (*p == '[') p++;
        if (*p == ':') p++;
        int size = 0;
        while (p[size] && !strchr(":[]?", p[size])) size++;
        int got = node < nodes ? length[node] - (node == nodes - 1 && asked) : -1;
        if (got >= 0 && mnemonic(p, size, (const char *)text + at[node], got))
            node++;
        else if (!optional)
            return 0;
        p += size;
        if (*p == ']') p++;
    }
    return node == nodes;
}

static int suffix(const char *text, int length, char unit, double *factor) {
    static const struct {
        const char *name;
        double factor;
    } prefixes[] = {{"EX", 1e18}, {"PE", 1e15}, {"T", 1e12}, {"G", 1e9}, {"MA", 1e6}, {"K", 1e3}, {"", 1.0},
                    {"M", 1e-3},  {"U", 1e-6},  {"N", 1e-9}, {"P", 1e-12}, {"F", 1e-15}, {"A", 1e-18}};
    const char *name = unit == 'V' ? "V" : unit == 'A' ? "A" : unit == 'S' ? "S" : unit == 'H' ? "HZ" : unit == 'G' ? "SIE" : "";
    int own = (int)strlen(name), front = length - own;
    if (!own || front < 0) return 0;
    for (int k = 0; k < own; k++)
        if (!same(name[k], text[front + k])) return 0;
    for (size_t n = 0; n < sizeof prefixes / sizeof *prefixes; n++) {
        int size = (int)strlen(prefixes[n].name), k = 0;
        while (k < size && k < front && same(prefixes[n].name[k], text[k])) k++;
        if (size == front && k == size) {
            /* A megahertz is MHZ (IEEE 488.2, 7.7.3). */
            *factor = unit == 'H' && front == 1 && same(text[0], 'M') ? 1e6 : prefixes[n].factor;
            return 1;
        }
    }
    return 0;
}

static int power_of_ten(double *value, int exponent) {
    int negative = exponent < 0;
    double base = 10.0, factor = 1.0;
    unsigned left = (unsigned)(negative ? -exponent : exponent);
    for (; left; left >>= 1, base *= base)
        if (left & 1) factor *= base;
    *value = negative ? *value / factor : *value * factor;
    return isfinite(*value);
}

/* Reads a number, its unit being 'V', 'A', 'S', 'H' (hertz), 'G' (siemens) or 0; returns 0 or a SCPI error. */
int xb_number(const char *text, int length, char unit, double *value) {
    int at = 0, digits = 0, negative = 0, point = 0, exponent = 0;
    double found = 0.0;
    if (length > 1 && text[0] == '#') {
        int base = same(text[1], 'H') ? 16 : same(text[1], 'Q') ? 8 : same(text[1], 'B') ? 2 : 0;
        if (!base || length < 3 || length > 40) return -161;
        for (at = 2; at < length; at++) {
            int c = toupper((unsigned char)text[at]);
            int digit = isdigit(c) ? c - '0' : isalpha(c) ? c - 'A' + 10 : 99;
            if (digit >= base) return -104;
            found = found * base + digit;
        }
        *value = found;
        return 0;
    }
    if (at < length && (text[at] == '+' || text[at] == '-')) negative = text[at++] == '-';
    for (; at < length; at++) {
        if (isdigit((unsigned char)text[at])) {
            if (found < 1e17)
                found = 10.0 * found + (text[at] - '0'), exponent -= point;
            else
                exponent += !point;
            digits++;
        } else if (text[at] == '.' && !point)
            point = 1;
        else
            break;
    }
    if (!digits) return -104;
    if (at < length && same(text[at], 'E')) {
        int ahead = at + 1, minus = 0, more = 0, read = 0;
        if (ahead < length && (text[ahead] == '+' || text[ahead] == '-')) minus = text[ahead++] == '-';
        for (; ahead < length && isdigit((unsigned char)text[ahead]); ahead++, read++)
            if (more < 100000) more = 10 * more + (text[ahead] - '0');
        if (read) exponent += minus ? -more : more, at = ahead;
    }
    if (found != 0.0) {
        if (exponent < -330) exponent = -330;
        if (exponent > 330) return -222;
        if (!power_of_ten(&found, exponent)) return -222;
    }
    while (at < length && (text[at] == ' ' || text[at] == '\t')) at++;
    if (at < length) {
        double factor = 1.0;
        if (!suffix(text + at, length - at, unit, &factor)) return unit ? -131 : -104;
        found *= factor;
    }
    *value = negative ? -found : found;
    return 0;
}
