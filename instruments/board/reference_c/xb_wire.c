/* Bytes become messages, messages are executed one after the other, replies leave: sections 1, 3 and 7 of the page. */
#include "xb_inside.h"

#include <stdio.h>
#include <string.h>

#define BLOCK_SILENCE_US 5000000u

size_t xb_size(void) { return sizeof(xb_board); }

static const struct {
    int number;
    const char *text;
} TEXTS[] = {{0, "No error"}, {-101, "Invalid character"}, {-102, "Syntax error"}, {-104, "Data type error"},
             {-108, "Parameter not allowed"}, {-109, "Missing parameter"}, {-113, "Undefined header"},
             {-131, "Invalid suffix"}, {-141, "Invalid character data"}, {-161, "Invalid block data"},
             {-213, "Init ignored"}, {-221, "Settings conflict"}, {-222, "Data out of range"}, {-223, "Too much data"},
             {-224, "Illegal parameter value"}, {-230, "Data corrupt or stale"}, {-241, "Hardware missing"},
             {-350, "Queue overflow"}, {-363, "Input buffer overrun"}, {-365, "Time out error"},
             {-410, "Query INTERRUPTED"}};

/* Puts one entry into the error queue, with what stands in detail. */
void xb_fail(xb_board *b, int number) {
    b->esr |= number <= -400 ? 4 : number <= -300 ? 8 : number <= -200 ? 16 : number <= -100 ? 32 : 8;
    int full = b->error_count == XB_ERRORS_MAX;
    int place = (b->error_first + b->error_count - full) % XB_ERRORS_MAX;
    xb_error *entry = &b->errors[place];
    entry->number = full ? -350 : number;
    memset(entry->detail, 0, sizeof entry->detail);
    if (!full) {
        memcpy(entry->detail, b->detail, sizeof entry->detail - 1);
        b->error_count++;
    }
    b->detail[0] = 0;
}

static void take_error(xb_board *b, char *text, size_t size) {
    static const xb_error none = {0, ""};
    const xb_error *entry = b->error_count ? &b->errors[b->error_first] : &none;
    const char *words = "Device-specific error";
    for (size_t k = 0; k < sizeof TEXTS / sizeof *TEXTS; k++)
        if (TEXTS[k].number == entry->number) words = TEXTS[k].text;
    snprintf(text, size, "%d,\"%s%s%s\"", entry->number, words, entry->detail[0] ? ";" : "", entry->detail);
    if (b->error_count) {
        b->error_first = (b->error_first + 1) % XB_ERRORS_MAX;
        b->error_count--;
    }
}

void xb_next_error(xb_board *b) {
    char text[XB_DETAIL_MAX + 64];
    take_error(b, text, sizeof text);
    xb_answer(b, text);
}

/* Every entry, joined by commas, in one reply: sent piece by piece. */
void xb_all_errors(xb_board *b) {
    char text[XB_DETAIL_MAX + 64];
    take_error(b, text, sizeof text);
    xb_answer(b, text);
    while (b->error_count) {
        take_error(b, text, sizeof text);
        b->calls->send(b->hw, (const uint8_t *)",", 1);
        b->calls->send(b->hw, (const uint8_t *)text, strlen(text));
    }
}

/* -- replies ---------------------------------------------------------------------------------------------------- */

static void join(xb_board *b) {
    if (b->current && b->current->replies++) b->calls->send(b->hw, (const uint8_t *)";", 1);
}

void xb_answer(xb_board *b, const char *text) {
    join(b);
    b->calls->send(b->hw, (const uint8_t *)text, strlen(text));
}

void xb_answer_block(xb_board *b, const uint8_t *payload, uint32_t length) {
    char count[12], head[16];
    snprintf(count, sizeof count, "%lu", (unsigned long)length);
    snprintf(head, sizeof head, "#%d%s", (int)strlen(count), count);
    join(b);
    b->calls->send(b->hw, (const uint8_t *)head, strlen(head));
    b->calls->send(b->hw, payload, length);
}

static void give_back(xb_message *m) {
    m->taken = 0;
    XB_HIDE(m->at, m->room);
}

/* -- execution -------------------------------------------------------------------------------------------------- */

static void end_message(xb_board *b) {
    xb_message *m = b->current;
    if (!m) return;
    if (m->replies) b->calls->send(b->hw, (const uint8_t *)"\n", 1);
    give_back(m);
    b->current = 0;
    b->hold = XB_FREE;
}

/* Executes the current message, then the one that waits, until one is held or nothing is left. */
void xb_run(xb_board *b) {
    for (;;) {
        if (!b->current) {
            if (!b->waiting) return;
            b->current = b->waiting;
            b->waiting = 0;
        }
        xb_message *m = b->current;
        if (m->error) {
            xb_fail(b, m->error);
            m->position = m->length;
        }
        while (m->position < m->length && b->hold == XB_FREE) {
            uint32_t from = m->position, to = xb_unit_end(m, from);
            m->position = to + 1;
            xb_execute_unit(b, m, from, to);
        }
        if (b->hold != XB_FREE) return;
        end_message(b);
    }
}

/* What ran has come to its end, or was ended: let the parser go on. */
void xb_finished(xb_board *b) {
    if (b->opc_armed) {
        b->opc_armed = 0;
        b->esr |= 1;
    }
    b->idle_since_us = b->calls->now_us(b->hw);
    if (b->hold == XB_FREE || b->running) return;
    int held = b->hold;
    b->hold = XB_FREE;
    if (held == XB_HELD_BY_OPC) xb_answer(b, "1");
    xb_run(b);
}

static int aborts(const xb_board *b, const xb_message *m) {
    for (uint32_t from = 0; from < m->length; from = xb_unit_end(m, from) + 1)
        if (xb_unit_aborts(b, m, from, xb_unit_end(m, from))) return 1;
    return 0;
}

/* A message is complete: execute it, let it wait, or let it end what holds the parser. */
static void arrived(xb_board *b, xb_message *m) {
    b->arriving = 0;
    b->silent_until_us = 0;
    if (!m->length && !m->error) {
        give_back(m);
        return;
    }
    m->position = 0;
    if (b->hold != XB_FREE && !m->error && aborts(b, m)) {
        while (b->hold != XB_FREE) {
            if (b->current) b->current->aborted = 1;
            if (b->hold == XB_HELD_BY_QUERY) b->hold = XB_HELD_BY_WAI; /* a measurement that is cut gives no reply */
            xb_stop(b);
        }
    } else if (b->hold != XB_FREE && b->current && b->current->arrived != m->arrived &&
               (b->hold != XB_HELD_BY_WAI || b->current->replies)) {
        xb_fail(b, -410); /* interrupted: no reply, the rest of it is dropped, the action goes on */
        end_message(b);
        xb_run(b);
    }
    if (b->hold != XB_FREE) {
        if (b->waiting) {
            snprintf(b->detail, sizeof b->detail, "two messages behind one that is held");
            xb_fail(b, -363);
            give_back(m);
            return;
        }
        b->waiting = m;
        return;
    }
    b->current = m;
    xb_run(b);
}

/* -- framing ---------------------------------------------------------------------------------------------------- */

static xb_message *room(xb_board *b) {
    for (int k = 0; k < 3; k++) {
        xb_message *m = &b->message[k];
        if (m->taken) continue;
        uint8_t *at = m->at;
        uint32_t size = m->room;
        memset(m, 0, sizeof *m);
        m->at = at;
        m->room = size;
        m->taken = 1;
        m->arrived = b->transmission;
        XB_HIDE(m->at, m->room);
        return m;
    }
    return 0; /* cannot be: one is current, one waits, one arrives */
}

static void text(xb_board *b, uint8_t byte) {
    xb_message *m = b->arriving;
    if (m->text >= XB_TEXT_MAX || m->length >= m->room) {
        m->error = -363;
        b->state = XB_IN_WASTE;
        return;
    }
    XB_SHOW(m, 1);
    m->at[m->length++] = byte;
    m->text++;
}

static void block_begins(xb_board *b) {
    xb_message *m = b->arriving;
    m->length -= (uint32_t)b->digits + 1; /* the digits are no text */
    m->text -= (uint32_t)b->digits + 1;
    b->left = b->length;
    b->keep = 0;
    b->state = b->left ? XB_IN_BLOCK : XB_IN_TEXT;
    if (m->blocks >= XB_BLOCKS_MAX) {
        m->error = -363;
        return;
    }
    b->keep = b->length <= m->room - m->length && m->room > XB_TEXT_MAX;
    if (!b->keep && m->room <= XB_TEXT_MAX) m->error = -363; /* it came where only text finds room */
    if (b->keep) XB_SHOW(m, b->length);
    m->block_at[m->blocks] = m->length;
    m->block_length[m->blocks++] = b->keep ? b->length : XB_TOO_LONG;
}

static void end(xb_board *b) {
    xb_message *m = b->arriving;
    while (m->length && b->state != XB_IN_WASTE && (!m->blocks || m->length > m->block_at[m->blocks - 1] +
           (m->block_length[m->blocks - 1] == XB_TOO_LONG ? 0 : m->block_length[m->blocks - 1])) &&
           (m->at[m->length - 1] == '\r' || m->at[m->length - 1] == ' '))
        m->length--;
    b->state = XB_IN_TEXT;
    arrived(b, m);
}

static void byte_came(xb_board *b, uint8_t byte) {
    if (!b->arriving) b->arriving = room(b);
    if (!b->arriving) return;
    if (b->state == XB_IN_BLOCK) {
        if (b->keep) b->arriving->at[b->arriving->length++] = byte;
        if (!--b->left) b->state = b->arriving->error == -363 ? XB_IN_WASTE : XB_IN_TEXT;
        return;
    }
    if (byte == '\n') {
        end(b);
        return;
    }
    if (b->state == XB_IN_WASTE) return;
    if (b->state == XB_IN_LENGTH) {
        if (byte >= '0' && byte <= '9') {
            text(b, byte);
            b->length = 10 * b->length + (uint32_t)(byte - '0');
            if (b->state == XB_IN_LENGTH && !--b->digits_left) block_begins(b);
            return;
        }
        b->state = XB_IN_TEXT;
    } else if (b->state == XB_IN_HASH) {
        b->state = XB_IN_TEXT;
        if (byte >= '1' && byte <= '9') {
            b->digits = b->digits_left = byte - '0';
            b->length = 0;
            b->state = XB_IN_LENGTH;
            text(b, byte);
            return;
        }
    }
    if (b->state == XB_IN_QUOTE) {
        if (byte == b->quote) b->state = XB_IN_TEXT;
    } else if (byte == '"' || byte == '\'') {
        b->state = XB_IN_QUOTE;
        b->quote = byte;
    } else if (byte == '#')
        b->state = XB_IN_HASH;
    text(b, byte);
}

void xb_feed(xb_board *b, const uint8_t *bytes, size_t count) {
    b->transmission++;
    b->heard_us = b->calls->now_us(b->hw);
    for (size_t k = 0; k < count; k++) {
        if (b->state == XB_IN_BLOCK && b->arriving && b->left > 1) { /* the long part of a block in one go */
            size_t some = count - k < b->left - 1 ? count - k : b->left - 1;
            if (b->keep) {
                memcpy(b->arriving->at + b->arriving->length, bytes + k, some);
                b->arriving->length += (uint32_t)some;
            }
            b->left -= (uint32_t)some;
            k += some;
            if (k == count) return;
        }
        byte_came(b, bytes[k]);
    }
}

static void forget_arriving(xb_board *b) {
    if (b->arriving) give_back(b->arriving);
    b->arriving = 0;
    b->state = XB_IN_TEXT;
}

static void watch(xb_board *b) {
    uint64_t now = b->calls->now_us(b->hw);
    if (b->state == XB_IN_BLOCK && now - b->heard_us > BLOCK_SILENCE_US) {
        forget_arriving(b);
        snprintf(b->detail, sizeof b->detail, "the rest of the block did not come");
        xb_fail(b, -161);
    }
    uint64_t since = XB_LARGER(b->heard_us, XB_LARGER(b->silent_until_us, b->idle_since_us));
    if (b->on && !b->running && b->watchdog > 0.0 && now > since && (double)(now - since) > 1e6 * b->watchdog) {
        xb_go_off(b);
        b->condition[1] |= 512;
        b->event[1] |= 512;
        xb_fail(b, -365);
    }
}

int xb_poll(xb_board *b) {
    if (b->running) {
        xb_slot(b);
        if (!b->running) xb_finished(b);
    } else {
        watch(b);
    }
    return b->running != XB_NOTHING;
}

void xb_client_lost(xb_board *b) {
    forget_arriving(b);
    if (b->current) give_back(b->current);
    if (b->waiting) give_back(b->waiting);
    b->current = b->waiting = 0;
    b->hold = XB_FREE;
    xb_go_off(b);
}

int xb_is_off(const xb_board *b) { return !b->on; }
