/* Units of a message: header, parameters, and what each command does: sections 4 and 6 of the page. */
#include "xb_inside.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef int (*xb_handler)(xb_board *b, xb_argument *a, int count);

typedef struct {
    const char *pattern, *parameters;
    xb_handler run;
} xb_command;

/* -- small things ----------------------------------------------------------------------------------------------- */

static int say(xb_board *b, const char *format, double value) {
    char text[48];
    snprintf(text, sizeof text, format, value);
    xb_answer(b, text);
    return 0;
}

static int out_of_range(xb_board *b, const char *what, double value, double low, double high) {
    snprintf(b->detail, sizeof b->detail, "%s %.6g %s %.6g", what, value, value > high ? "above" : "below",
             value > high ? high : low);
    return -222;
}

static int bounded(xb_board *b, const char *what, xb_argument *a, double low, double high, double usual) {
    if (a->kind == 'w') {
        if (xb_is_word("MINimum", a->word, (int)strlen(a->word)))
            a->value = low;
        else if (xb_is_word("MAXimum", a->word, (int)strlen(a->word)))
            a->value = high;
        else if (xb_is_word("DEFault", a->word, (int)strlen(a->word)))
            a->value = usual;
        else
            return -141;
        a->kind = 'x';
    }
    if (!(a->value >= low * (1.0 - 1e-12) - 1e-300 || a->value >= low) || !(a->value <= high + fabs(high) * 1e-12))
        return out_of_range(b, what, a->value, low, high);
    return 0;
}

static int whole(xb_board *b, const char *what, xb_argument *a, double low, double high, double usual) {
    int error = bounded(b, what, a, low, high, usual);
    if (!error && a->value != floor(a->value)) return out_of_range(b, what, a->value, floor(a->value), floor(a->value));
    return error;
}

static int rectangle(xb_board *b, xb_argument *a, int *where) {
    const int size[2] = {b->caps->rows, b->caps->cols};
    for (int k = 0; k < 4; k++) {
        int error = whole(b, k % 2 ? "lines" : "first line", &a[k], k % 2, 1e6, k % 2);
        if (error) return error;
        where[k] = (int)a[k].value;
    }
    for (int k = 0; k < 2; k++)
        if (where[2 * k] + where[2 * k + 1] > size[k]) {
            snprintf(b->detail, sizeof b->detail, "%s %d to %d outside 0 to %d", k ? "columns" : "rows", where[2 * k],
                     where[2 * k] + where[2 * k + 1] - 1, size[k] - 1);
            return -222;
        }
    return 0;
}

static int block_is(xb_board *b, const xb_argument *a, double wanted) {
    if (a->length == XB_TOO_LONG) return -223;
    if ((double)a->length == wanted) return 0;
    snprintf(b->detail, sizeof b->detail, "%lu bytes, %.0f are needed", (unsigned long)a->length, wanted);
    return -161;
}

static int has(xb_board *b, unsigned feature) { return b->caps->supports & feature ? 0 : -241; }

static void where_becomes(xb_board *b, const int *where) {
    b->row0 = where[0], b->rows = where[1], b->col0 = where[2], b->cols = where[3];
}

static int ticks_of(const xb_board *b, double width) { return (int)rint(width / b->caps->tick); }

/* -- common and system ------------------------------------------------------------------------------------------ */

static int identify(xb_board *b, xb_argument *a, int n) {
    char text[160];
    (void)a, (void)n;
    snprintf(text, sizeof text, "%s,%s,%s,%s", b->caps->maker, b->caps->model, b->caps->serial, b->caps->firmware);
    xb_answer(b, text);
    return 0;
}

static void defaults(xb_board *b) {
    b->read_volts = fmin(0.2, b->caps->read_volts_max);
    b->read_gate = b->vmm_gate = b->caps->gates == XB_GATES_NONE ? 0.0 : b->caps->read_gate;
    b->read_range = -1;
    b->average = 1;
    b->vmm_range = b->caps->vmm_range_count - 1;
    b->watchdog = 10.0;
}

static int reset(xb_board *b, xb_argument *a, int n) {
    (void)a, (void)n;
    xb_go_off(b);
    defaults(b);
    return 0;
}

static int clear(xb_board *b, xb_argument *a, int n) {
    (void)a, (void)n;
    b->error_count = b->esr = b->opc_armed = 0;
    b->event[0] = b->event[1] = 0;
    return 0;
}

static int status_byte(const xb_board *b) {
    int stb = (b->error_count ? 4 : 0) | (b->event[1] & b->enable[1] ? 8 : 0) | (b->esr & b->ese ? 32 : 0) |
              (b->event[0] & b->enable[0] ? 128 : 0) | (b->current && b->current->replies ? 16 : 0);
    return stb & b->sre ? stb | 64 : stb;
}

static int byte_setting(xb_board *b, xb_argument *a, int *where) {
    int error = whole(b, "mask", a, 0, 255, 0);
    if (!error) *where = (int)a->value;
    return error;
}

static int ese(xb_board *b, xb_argument *a, int n) { return (void)n, byte_setting(b, a, &b->ese); }
static int sre(xb_board *b, xb_argument *a, int n) { return (void)n, byte_setting(b, a, &b->sre); }
static int ese_is(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.0f", b->ese); }
static int sre_is(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.0f", b->sre); }
static int stb_is(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.0f", status_byte(b)); }

static int esr_is(xb_board *b, xb_argument *a, int n) {
    int esr = b->esr;
    b->esr = 0;
    return (void)a, (void)n, say(b, "%.0f", esr);
}

static int opc(xb_board *b, xb_argument *a, int n) {
    (void)a, (void)n;
    if (b->running)
        b->opc_armed = 1;
    else
        b->esr |= 1;
    return 0;
}

static int opc_is(xb_board *b, xb_argument *a, int n) {
    (void)a, (void)n;
    if (b->running)
        b->hold = XB_HELD_BY_OPC;
    else
        xb_answer(b, "1");
    return 0;
}

static int wai(xb_board *b, xb_argument *a, int n) {
    (void)a, (void)n;
    if (b->running) b->hold = XB_HELD_BY_WAI;
    return 0;
}

static int self_test(xb_board *b, xb_argument *a, int n) {
    return (void)a, (void)n, say(b, "%.0f", b->calls->self_test ? b->calls->self_test(b->hw) : 0);
}

static int abort_it(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, xb_stop(b), 0; }
static int next_error(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, xb_next_error(b), 0; }
static int all_errors(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, xb_all_errors(b), 0; }
static int errors(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.0f", b->error_count); }
static int version(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, xb_answer(b, "1999.0"), 0; }

static int capability(xb_board *b, xb_argument *a, int n) {
    (void)a, (void)n;
    xb_answer_block(b, (const uint8_t *)b->capability, (uint32_t)b->capability_length);
    return 0;
}

static int sync_is(xb_board *b, xb_argument *a, int n) {
    int error = whole(b, "n", a, 0, 4294967295.0, 0);
    return (void)n, error ? error : say(b, "%.0f", a->value);
}

static int watchdog(xb_board *b, xb_argument *a, int n) {
    int error = bounded(b, "seconds", a, 0.0, 3600.0, 10.0);
    (void)n;
    if (!error) b->watchdog = a->value;
    return error;
}

static int watchdog_is(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.9g", b->watchdog); }

static int suspend(xb_board *b, xb_argument *a, int n) {
    int error = bounded(b, "seconds", a, 0.0, 1e6, 0.0);
    (void)n;
    if (!error) b->silent_until_us = b->calls->now_us(b->hw) + (uint64_t)(a->value * 1e6);
    return error;
}

/* -- status registers ------------------------------------------------------------------------------------------- */

static int event_is(xb_board *b, int which) {
    uint32_t event = b->event[which];
    b->event[which] = 0;
    return say(b, "%.0f", event);
}

static int enable(xb_board *b, xb_argument *a, int which) {
    int error = whole(b, "mask", a, 0, 65535, 0);
    if (!error) b->enable[which] = (uint32_t)a->value;
    return error;
}

static int oper_is(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, event_is(b, 0); }
static int ques_is(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, event_is(b, 1); }
static int oper_now(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.0f", b->condition[0]); }
static int ques_now(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.0f", b->condition[1]); }
static int oper_enable(xb_board *b, xb_argument *a, int n) { return (void)n, enable(b, a, 0); }
static int ques_enable(xb_board *b, xb_argument *a, int n) { return (void)n, enable(b, a, 1); }
static int oper_enabled(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.0f", b->enable[0]); }
static int ques_enabled(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.0f", b->enable[1]); }
static int preset(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, b->enable[0] = b->enable[1] = 0, 0; }

/* -- source and settings ---------------------------------------------------------------------------------------- */

static int output(xb_board *b, xb_argument *a, int n) {
    (void)n;
    if (a->value != 0.0)
        xb_go_on(b);
    else
        xb_go_off(b);
    return 0;
}

static int output_is(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.0f", b->on); }

static int read_volts(xb_board *b, xb_argument *a, int n) {
    double most = b->caps->read_volts_max;
    int error = bounded(b, "volts", a, -most, most, fmin(0.2, most));
    (void)n;
    if (!error) b->read_volts = a->value;
    return error;
}

static int gate(xb_board *b, xb_argument *a, double *where) {
    int error = bounded(b, "gate", a, 0.0, b->caps->gates == XB_GATES_NONE ? 0.0 : b->caps->gate_max, b->caps->read_gate);
    if (!error) *where = a->value;
    return error;
}

static int read_gate(xb_board *b, xb_argument *a, int n) { return (void)n, gate(b, a, &b->read_gate); }
static int vmm_gate(xb_board *b, xb_argument *a, int n) { return (void)n, gate(b, a, &b->vmm_gate); }
static int read_volts_is(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.9g", b->read_volts); }
static int read_gate_is(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.9g", b->read_gate); }
static int vmm_gate_is(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.9g", b->vmm_gate); }

static int read_range(xb_board *b, xb_argument *a, int n) {
    double most = b->caps->read_ranges[b->caps->read_range_count - 1];
    (void)n;
    if (a->kind == 'w' && (xb_is_word("AUTO", a->word, (int)strlen(a->word)) ||
                           xb_is_word("DEFault", a->word, (int)strlen(a->word)))) {
        b->read_range = -1;
        return 0;
    }
    int error = bounded(b, "range", a, 0.0, most, most);
    if (!error) b->read_range = xb_range_for(b->caps->read_ranges, b->caps->read_range_count, a->value);
    return error;
}

static int read_range_is(xb_board *b, xb_argument *a, int n) {
    (void)a, (void)n;
    if (b->read_range >= 0) return say(b, "%.9g", b->caps->read_ranges[b->read_range]);
    xb_answer(b, "AUTO");
    return 0;
}

static int average(xb_board *b, xb_argument *a, int n) {
    int error = whole(b, "average", a, 1, b->caps->average_max, 1);
    (void)n;
    if (!error) b->average = (int)a->value;
    return error;
}

static int average_is(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, say(b, "%.0f", b->average); }

static int vmm_range(xb_board *b, xb_argument *a, int n) {
    if (!b->caps->vmm_range_count) return -241;
    double most = b->caps->vmm_ranges[b->caps->vmm_range_count - 1];
    int error = bounded(b, "range", a, 0.0, most, most);
    (void)n;
    if (!error) b->vmm_range = xb_range_for(b->caps->vmm_ranges, b->caps->vmm_range_count, a->value);
    return error;
}

static int vmm_range_is(xb_board *b, xb_argument *a, int n) {
    return (void)a, (void)n, b->vmm_range < 0 ? -241 : say(b, "%.9g", b->caps->vmm_ranges[b->vmm_range]);
}

static int adc_mode(xb_board *b, xb_argument *a, int n) {
    return (void)b, (void)n, a->kind == 'w' && xb_is_word("LINear", a->word, (int)strlen(a->word)) ? 0 : -241;
}

static int adc_mode_is(xb_board *b, xb_argument *a, int n) { return (void)a, (void)n, xb_answer(b, "LIN"), 0; }

/* -- actions ---------------------------------------------------------------------------------------------------- */

static void take_reading(xb_board *b) {
    xb_reading now = {b->read_volts, b->read_gate, b->read_range, b->average};
    b->reading = now;
    b->row = b->shot = 0;
}

static int read_map(xb_board *b, xb_argument *a, int n) {
    int where[4], error = xb_may_begin(b);
    (void)n;
    if (error || (error = rectangle(b, a, where))) return error;
    where_becomes(b, where);
    take_reading(b);
    b->map_cells = (uint32_t)(b->rows * b->cols);
    b->now.slots_planned = (uint64_t)b->rows * (uint64_t)(b->average + (b->read_range < 0));
    b->now.seconds_planned = (double)b->now.slots_planned * b->caps->read_slot;
    b->fetched_map = 0;
    xb_begin(b, XB_DO_READ);
    return 0;
}

static int fetch_map(xb_board *b, xb_argument *a, int n) {
    (void)a, (void)n;
    if (!b->fetched_map) return -230;
    xb_answer_block(b, b->map, 9 * b->map_cells);
    return 0;
}

static int cell(xb_board *b, xb_argument *a) {
    int error = whole(b, "row", &a[0], 0, b->caps->rows - 1, 0);
    if (!error) error = whole(b, "column", &a[1], 0, b->caps->cols - 1, 0);
    return error;
}

static int sample(xb_board *b, xb_argument *a, int n) {
    const xb_caps *c = b->caps;
    int error = has(b, XB_SAMPLE);
    (void)n;
    if (error || (error = cell(b, a)) || (error = bounded(b, "volts", &a[2], -c->read_volts_max, c->read_volts_max, 0.0)) ||
        (error = bounded(b, "gate", &a[3], 0.0, c->gates == XB_GATES_NONE ? 0.0 : c->gate_max, c->read_gate)) ||
        (error = bounded(b, "rate", &a[4], 1e-3, c->rate_max, c->rate_max)) ||
        (error = whole(b, "n", &a[5], 1, XB_POINTS_MAX, 1)) || (error = xb_may_begin(b)))
        return error;
    b->cell_row = (int)a[0].value, b->cell_col = (int)a[1].value, b->cell_volts = a[2].value, b->cell_gate = a[3].value;
    b->rate = a[4].value, b->points = (uint32_t)a[5].value, b->point = 0, b->shot = 0;
    b->now.slots_planned = b->points + 1;
    b->now.seconds_planned = b->caps->read_slot + b->points / b->rate;
    xb_begin(b, XB_DO_SAMPLE);
    return 0;
}

static int bad_pulse(xb_board *b, const char *what, double value, double bound, int row, int col) {
    snprintf(b->detail, sizeof b->detail, "%s %.6g %s %.6g at row %d column %d", what, value,
             value > bound ? "above" : "below", bound, row, col);
    return -222;
}

static int pulse_map(xb_board *b, xb_argument *a, int n) {
    const xb_caps *c = b->caps;
    int where[4], error = xb_may_begin(b);
    double tick_low = rint(c->width_min / c->tick), tick_high = rint(c->width_max / c->tick);
    (void)n;
    if (error || (error = rectangle(b, a, where)) || (error = block_is(b, &a[4], 10.0 * where[1] * where[3]))) return error;
    uint32_t cells = (uint32_t)(where[1] * where[3]);
    const uint8_t *map = a[4].block;
    for (uint32_t k = 0; k < cells; k++) {
        uint32_t count = xb_u16(map + 4 * cells + 2 * k), ticks = xb_u32(map + 6 * cells + 4 * k);
        int volts = xb_i16(map + 2 * k), gates = xb_i16(map + 2 * cells + 2 * k);
        int row = where[0] + (int)k / where[3], col = where[2] + (int)k % where[3];
        double most = fmin(32767.0, floor(c->volts_max / c->volts_lsb * (1 + 1e-12)));
        double open = c->gates == XB_GATES_NONE ? 0.0 : fmin(32767.0, floor(c->gate_max / c->gate_lsb * (1 + 1e-12)));
        if (!count) continue;
        if (count > c->count_max) return bad_pulse(b, "count", count, c->count_max, row, col);
        if (fabs((double)volts) > most) return bad_pulse(b, "volts", volts * c->volts_lsb, copysign(most * c->volts_lsb, volts), row, col);
        if (c->gates != XB_GATES_NONE && (gates < 0 || gates > open))
            return bad_pulse(b, "gate", gates * c->gate_lsb, gates < 0 ? 0.0 : open * c->gate_lsb, row, col);
        if (ticks < tick_low) return bad_pulse(b, "width", ticks * c->tick, c->width_min, row, col);
        if (ticks > tick_high) return bad_pulse(b, "width", ticks * c->tick, c->width_max, row, col);
    }
    memcpy(b->job, map, 10 * cells);
    where_becomes(b, where);
    xb_plan_begin(b, where[0], where[1], where[2], where[3]);
    xb_plan_cost(b, &b->now.slots_planned, &b->now.seconds_planned);
    xb_begin(b, XB_DO_MAP);
    return 0;
}

static int last(xb_board *b, xb_argument *a, int n) {
    static const char *names[] = {"NONE", "MAP", "OUTER", "VERIFY", "SWEEP"};
    const xb_account *l = &b->last;
    char text[120];
    (void)a, (void)n;
    snprintf(text, sizeof text, "%s,%llu,%llu,%llu,%.9g,%.9g", names[l->kind], (unsigned long long)l->slots_planned,
             (unsigned long long)l->slots_done, (unsigned long long)l->pulses_done, l->seconds_planned, l->seconds_done);
    xb_answer(b, text);
    return 0;
}

static int sweep(xb_board *b, xb_argument *a, int n) {
    const xb_caps *c = b->caps;
    int error = has(b, XB_SWEEP);
    (void)n;
    if (error || (error = cell(b, a)) || (error = bounded(b, "compliance", &a[2], c->compliance_min, c->compliance_max, 0)) ||
        (error = bounded(b, "dwell", &a[3], c->dwell_min, c->dwell_max, 0)) || (error = xb_may_begin(b)))
        return error;
    if (a[4].length == XB_TOO_LONG) return -223;
    uint32_t points = a[4].length / 8;
    if (!points || a[4].length % 8) return snprintf(b->detail, sizeof b->detail, "a sweep has 8 bytes a point"), -161;
    if (points > XB_POINTS_MAX) return out_of_range(b, "points", points, 1, XB_POINTS_MAX);
    for (uint32_t k = 0; k < points; k++) {
        float volts = xb_f32(a[4].block + 4 * k), open = xb_f32(a[4].block + 4 * (points + k));
        if (!(fabsf(volts) <= (float)c->volts_max)) return out_of_range(b, "volts of a point", volts, -c->volts_max, c->volts_max);
        if (c->gates != XB_GATES_NONE && !(open >= 0.0f && open <= (float)c->gate_max))
            return out_of_range(b, "gate of a point", open, 0.0, c->gate_max);
    }
    memcpy(b->job, a[4].block, 8 * points);
    if (c->gates == XB_GATES_NONE) memset(b->job + 4 * points, 0, 4 * points);
    b->cell_row = (int)a[0].value, b->cell_col = (int)a[1].value, b->compliance = a[2].value, b->dwell = a[3].value;
    b->points = points, b->point = b->swept = 0, b->fetched_sweep = 1;
    b->now.slots_planned = points;
    b->now.seconds_planned = points * b->dwell;
    xb_begin(b, XB_DO_SWEEP);
    return 0;
}

/* What is kept point by point becomes planes: as three parts of one block. */
static int fetch_sweep(xb_board *b, xb_argument *a, int n) {
    uint32_t k, points = b->swept, planes = 0;
    (void)a, (void)n;
    if (!b->fetched_sweep) return -230;
    char head[24], count[12];
    snprintf(count, sizeof count, "%lu", (unsigned long)(9 * points));
    snprintf(head, sizeof head, "#%d%s", (int)strlen(count), count);
    xb_answer(b, head);
    for (planes = 0; planes < 3; planes++)
        for (k = 0; k < points; k++) b->calls->send(b->hw, b->sweep + 9 * k + 4 * planes, planes < 2 ? 4 : 1);
    return 0;
}

static int product(xb_board *b, xb_argument *a, int reverse) {
    const xb_caps *c = b->caps;
    int in = reverse ? c->cols : c->rows, error = has(b, reverse ? XB_REVERSE : XB_VMM);
    if (error || (error = whole(b, "batch", &a[0], 1, XB_BATCH_MAX, 1)) || (error = xb_may_begin(b)) ||
        (error = block_is(b, &a[1], 2.0 * in * a[0].value)))
        return error;
    int most = (int)fmin(32767.0, floor(c->vmm_volts_max / c->volts_lsb * (1 + 1e-12)));
    for (uint32_t k = 0; k < a[1].length / 2; k++) {
        int volts = xb_i16(a[1].block + 2 * k);
        if (volts > most || -volts > most)
            return out_of_range(b, "volts", volts * c->volts_lsb, -most * c->volts_lsb, most * c->volts_lsb);
    }
    memcpy(b->job, a[1].block, a[1].length);
    b->reverse = reverse, b->points = (uint32_t)a[0].value, b->point = 0;
    b->cell_gate = b->vmm_gate, b->product_range = b->vmm_range;
    b->now.slots_planned = b->points;
    b->now.seconds_planned = b->points * c->vmm_slot;
    xb_begin(b, XB_DO_VMM);
    return 0;
}

static int forward(xb_board *b, xb_argument *a, int n) { return (void)n, product(b, a, 0); }
static int backward(xb_board *b, xb_argument *a, int n) { return (void)n, product(b, a, 1); }

static int drive(xb_board *b, xb_argument *a, int gated) {
    double most = gated ? (b->caps->gates == XB_GATES_NONE ? 0.0 : b->caps->gate_max) : b->caps->volts_max;
    return bounded(b, gated ? "gate" : "volts", a, 0.0, most, 0.0);
}

static int outer(xb_board *b, xb_argument *a, int n) {
    const xb_caps *c = b->caps;
    int error = has(b, XB_OUTER);
    (void)n;
    if (error || (error = whole(b, "slots", &a[0], 1, c->turns_max, 1)) ||
        (error = bounded(b, "width", &a[1], c->width_min, c->width_max, 0)) || (error = drive(b, &a[2], 0)) ||
        (error = drive(b, &a[3], 1)) || (error = drive(b, &a[4], 0)) || (error = drive(b, &a[5], 1)) ||
        (error = xb_may_begin(b)) || (error = block_is(b, &a[6], 2.0 * c->rows)) || (error = block_is(b, &a[7], 2.0 * c->cols)))
        return error;
    for (int k = 0; k < c->rows + c->cols; k++)
        if (xb_i16(k < c->rows ? a[6].block + 2 * k : a[7].block + 2 * (k - c->rows)) == -32768) return -222;
    memcpy(b->job, a[6].block, a[6].length);
    memcpy(b->job + 2 * c->rows, a[7].block, a[7].length);
    b->turns = (int)a[0].value, b->turn = b->phase = 0;
    b->width = ticks_of(b, a[1].value) * c->tick;
    b->set_volts = a[2].value, b->set_gate = a[3].value, b->reset_volts = a[4].value, b->reset_gate = a[5].value;
    b->now.slots_planned = 4 * (uint64_t)b->turns;
    b->now.seconds_planned = (double)b->now.slots_planned * (b->width + c->slot_overhead);
    xb_begin(b, XB_DO_OUTER);
    return 0;
}

static int seed(xb_board *b, xb_argument *a, int n) {
    int error = has(b, XB_OUTER);
    (void)n;
    if (error || (error = whole(b, "seed", a, 0, 4294967295.0, 0))) return error;
    b->bits = (uint64_t)a->value * 0x9E3779B97F4A7C15u + 0xD1B54A32D192ED03u;
    return 0;
}

static int verify(xb_board *b, xb_argument *a, int n) {
    const xb_caps *c = b->caps;
    int where[4], error = has(b, XB_VERIFY);
    (void)n;
    if (error || (error = bounded(b, "tolerance", &a[4], 0.0, 1e6, 0)) || (error = whole(b, "pulses_max", &a[5], 1, c->count_max, 1)) ||
        (error = bounded(b, "width", &a[6], c->width_min, c->width_max, 0)) || (error = drive(b, &a[7], 0)) ||
        (error = drive(b, &a[8], 1)) || (error = drive(b, &a[9], 1)) || (error = bounded(b, "step", &a[10], 0.0, c->volts_max, 0)) ||
        (error = drive(b, &a[11], 0)) || (error = drive(b, &a[12], 0)) || (error = bounded(b, "step", &a[13], 0.0, c->volts_max, 0)) ||
        (error = drive(b, &a[14], 1)) || (error = xb_may_begin(b)) || (error = rectangle(b, a, where)) ||
        (error = block_is(b, &a[15], 4.0 * where[1] * where[3])))
        return error;
    uint32_t cells = (uint32_t)(where[1] * where[3]), active = 0;
    for (uint32_t k = 0; k < cells; k++) {
        float target = xb_f32(a[15].block + 4 * k);
        if (target < 0.0f || isinf(target)) return snprintf(b->detail, sizeof b->detail, "a target is below 0 or infinite"), -222;
    }
    if (b->read_volts == 0.0) return snprintf(b->detail, sizeof b->detail, "read voltage is 0 V"), -221;
    for (uint32_t k = 0; k < cells; k++) {
        b->target[k] = xb_f32(a[15].block + 4 * k);
        b->seen[k] = NAN;
        b->pulses[k] = b->stage[k] = 0;
        b->polarity[k] = 0;
        b->status[k] = isnan(b->target[k]) ? 2 : 3;
        active += b->status[k] == 3;
    }
    where_becomes(b, where);
    take_reading(b);
    b->tolerance = a[4].value, b->pulses_max = (uint32_t)a[5].value, b->ticks = (uint32_t)ticks_of(b, a[6].value);
    b->set_volts = a[7].value, b->reset_gate = a[14].value;
    for (int k = 0; k < 3; k++) b->set_gates[k] = a[8 + k].value, b->resets[k] = a[11 + k].value;
    b->program_cells = cells, b->fetched_program = 1;
    uint64_t reading = xb_verify_rows(b) * (uint64_t)(b->average + (b->read_range < 0));
    double slot = b->ticks * c->tick + c->slot_overhead;
    b->now.slots_planned = (b->pulses_max + 1) * reading + (uint64_t)b->pulses_max * active;
    b->now.seconds_planned = (double)((b->pulses_max + 1) * reading) * c->read_slot + (double)b->pulses_max * active * slot;
    xb_begin(b, XB_DO_VERIFY);
    xb_verify_begin(b);
    return 0;
}

static int fetch_program(xb_board *b, xb_argument *a, int n) {
    uint8_t four[4];
    char head[24], count[12];
    (void)a, (void)n;
    if (!b->fetched_program) return -230;
    snprintf(count, sizeof count, "%lu", (unsigned long)(7 * b->program_cells));
    snprintf(head, sizeof head, "#%d%s", (int)strlen(count), count);
    xb_answer(b, head);
    for (uint32_t k = 0; k < b->program_cells; k++) xb_put_f32(four, b->seen[k]), b->calls->send(b->hw, four, 4);
    for (uint32_t k = 0; k < b->program_cells; k++) xb_put16(four, b->pulses[k]), b->calls->send(b->hw, four, 2);
    b->calls->send(b->hw, b->status, b->program_cells);
    return 0;
}

static int offset(xb_board *b, xb_argument *a, int n) {
    int error = xb_may_begin(b);
    return (void)a, (void)n, error ? error : say(b, "%.9g", b->calls->offset(b->hw));
}

static int reference(xb_board *b, xb_argument *a, int n) {
    double measured = 0.0, nominal = 0.0;
    char text[48];
    int error = xb_may_begin(b);
    (void)a, (void)n;
    if (error) return error;
    b->calls->reference(b->hw, &measured, &nominal);
    snprintf(text, sizeof text, "%.9g,%.9g", measured, nominal);
    xb_answer(b, text);
    return 0;
}

static int open_lines(xb_board *b, xb_argument *a, int n) {
    (void)a, (void)n;
    return b->on ? -221 : say(b, "%.9g", b->calls->open_ohm(b->hw));
}

/* Parameters: i number without unit; V, A, S, H (hertz), G (siemens) with; b boolean; w word; r range; # block. */
static const xb_command COMMANDS[] = {
    {"*IDN?", "", identify}, {"*RST", "", reset}, {"*CLS", "", clear}, {"*ESE", "i", ese}, {"*ESE?", "", ese_is},
    {"*ESR?", "", esr_is}, {"*SRE", "i", sre}, {"*SRE?", "", sre_is}, {"*STB?", "", stb_is}, {"*OPC", "", opc},
    {"*OPC?", "", opc_is}, {"*WAI", "", wai}, {"*TST?", "", self_test}, {"ABORt", "", abort_it},
    {"SYSTem:ERRor[:NEXT]?", "", next_error}, {"SYSTem:ERRor:COUNt?", "", errors}, {"SYSTem:ERRor:ALL?", "", all_errors},
    {"SYSTem:VERSion?", "", version}, {"SYSTem:CAPability?", "", capability}, {"SYSTem:SYNC?", "i", sync_is},
    {"SYSTem:WATChdog[:TIMEout]", "S", watchdog}, {"SYSTem:WATChdog[:TIMEout]?", "", watchdog_is},
    {"SYSTem:WATChdog:SUSPend", "S", suspend}, {"STATus:OPERation[:EVENt]?", "", oper_is},
    {"STATus:OPERation:CONDition?", "", oper_now}, {"STATus:OPERation:ENABle", "i", oper_enable},
    {"STATus:OPERation:ENABle?", "", oper_enabled}, {"STATus:QUEStionable[:EVENt]?", "", ques_is},
    {"STATus:QUEStionable:CONDition?", "", ques_now}, {"STATus:QUEStionable:ENABle", "i", ques_enable},
    {"STATus:QUEStionable:ENABle?", "", ques_enabled}, {"STATus:PRESet", "", preset}, {"OUTPut[:STATe]", "b", output},
    {"OUTPut[:STATe]?", "", output_is}, {"SOURce:ZERO", "", abort_it}, {"SOURce:READ:VOLTage", "V", read_volts},
    {"SOURce:READ:VOLTage?", "", read_volts_is}, {"SOURce:READ:GATE", "V", read_gate}, {"SOURce:READ:GATE?", "", read_gate_is},
    {"SOURce:VMM:GATE", "V", vmm_gate}, {"SOURce:VMM:GATE?", "", vmm_gate_is}, {"SENSe:RANGe", "A", read_range},
    {"SENSe:RANGe?", "", read_range_is}, {"SENSe:AVERage", "i", average}, {"SENSe:AVERage?", "", average_is},
    {"SENSe:VMM:RANGe", "A", vmm_range}, {"SENSe:VMM:RANGe?", "", vmm_range_is}, {"READ:MAP?", "iiii", read_map},
    {"FETCh:MAP?", "", fetch_map}, {"SAMPle?", "iiVVHi", sample}, {"PULSe:MAP", "iiii#", pulse_map}, {"PULSe:LAST?", "", last},
    {"SWEep:RUN", "iiAS#", sweep}, {"FETCh:SWEep?", "", fetch_sweep}, {"VMM:FORWard?", "i#", forward},
    {"VMM:REVerse?", "i#", backward}, {"UPDate:OUTer", "iSVVVV##", outer}, {"UPDate:SEED", "i", seed},
    {"PROGram:VERify", "iiiiGiSVVVVVVVV#", verify}, {"FETCh:PROGram?", "", fetch_program}, {"DIAGnostic:OFFSet?", "", offset},
    {"DIAGnostic:REFerence?", "", reference}, {"DIAGnostic:OPEN?", "", open_lines}, {"ADC:MODE", "w", adc_mode},
    {"ADC:MODE?", "", adc_mode_is},
};
#define COMMAND_COUNT (sizeof COMMANDS / sizeof *COMMANDS)

/* -- units ------------------------------------------------------------------------------------------------------ */

static int block_here(const xb_message *m, uint32_t at) {
    if (m->at[at] != '#') return -1;
    for (int k = 0; k < m->blocks; k++)
        if (m->block_at[k] == at + 1) return k;
    return -1;
}

static uint32_t skip(const xb_message *m, uint32_t at, uint8_t *quote) {
    int block = *quote ? -1 : block_here(m, at);
    if (block >= 0) return at + 1 + (m->block_length[block] == XB_TOO_LONG ? 0 : m->block_length[block]);
    if (*quote)
        *quote = m->at[at] == *quote ? 0 : *quote;
    else if (m->at[at] == '"' || m->at[at] == '\'')
        *quote = m->at[at];
    return at + 1;
}

/* Where the unit that begins at `from` ends: at its ';' or at the end of the message. */
uint32_t xb_unit_end(const xb_message *m, uint32_t from) {
    uint8_t quote = 0;
    while (from < m->length && !(m->at[from] == ';' && !quote)) from = skip(m, from, &quote);
    return from < m->length ? from : m->length;
}

typedef struct {
    int at[6], length[6], nodes, rooted, common;
    uint32_t end;
    int error;
} xb_unit;

static int blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\r'; }

static xb_unit header_of(const xb_message *m, uint32_t from, uint32_t to) {
    xb_unit u;
    memset(&u, 0, sizeof u);
    while (from < to && blank(m->at[from])) from++;
    if (from < to && m->at[from] == ':') u.rooted = 1, from++;
    u.common = from < to && m->at[from] == '*';
    while (from < to && !blank(m->at[from])) {
        uint32_t begin = from;
        if (m->at[from] == '*') from++;
        while (from < to && (isalnum(m->at[from]) || m->at[from] == '_')) from++;
        if (from < to && m->at[from] == '?') from++;
        if (from == begin || u.nodes == 4) {
            u.error = u.nodes == 4 ? -113 : -102;
            return u;
        }
        u.at[u.nodes] = (int)begin;
        u.length[u.nodes++] = (int)(from - begin);
        if (from < to && m->at[from] == ':' && m->at[from - 1] != '?')
            from++;
        else if (from < to && !blank(m->at[from])) {
            u.error = m->at[from] >= 0x80 || m->at[from] < 0x20 ? -101 : -102;
            return u;
        }
    }
    u.end = from;
    return u;
}

static const xb_command *command_of(const xb_message *m, xb_unit *u) {
    int at[8], length[8], nodes = 0;
    if (!u->common && !u->rooted)
        for (; nodes < m->path_nodes && nodes < 4; nodes++) at[nodes] = m->path[nodes], length[nodes] = m->path_length[nodes];
    for (int k = 0; k < u->nodes; k++) at[nodes] = u->at[k], length[nodes++] = u->length[k];
    for (size_t k = 0; k < COMMAND_COUNT; k++) {
        if (!xb_header(COMMANDS[k].pattern, m->at, at, length, nodes)) continue;
        if (nodes > 4) return 0;
        memcpy(u->at, at, sizeof at[0] * (size_t)nodes);
        memcpy(u->length, length, sizeof length[0] * (size_t)nodes);
        u->nodes = nodes;
        return &COMMANDS[k];
    }
    return 0;
}

static int is_boolean(const char *text, int length, double *value) {
    *value = xb_is_word("ON", text, length);
    return *value != 0.0 || xb_is_word("OFF", text, length);
}

static int argument(const xb_message *m, uint32_t from, uint32_t to, char kind, xb_argument *a) {
    static const char *const numbers[] = {"NAN", "INFinity", "NINF", "NINFinity"};
    memset(a, 0, sizeof *a);
    int block = from < to ? block_here(m, from) : -1;
    if (block >= 0) {
        if (kind != '#') return -104;
        a->kind = '#';
        a->block = m->at + from + 1;
        a->length = m->block_length[block];
        return from + 1 + (a->length == XB_TOO_LONG ? 0 : a->length) == to ? 0 : -161;
    }
    if (from == to) return -109;
    const char *text = (const char *)m->at + from;
    int length = (int)(to - from);
    if (kind == '#') return text[0] == '#' ? -161 : -104;
    a->kind = 'x';
    if (kind == 'b') {
        if (is_boolean(text, length, &a->value)) return 0;
        int error = xb_number(text, length, 0, &a->value);
        if (error) return isalpha((unsigned char)text[0]) ? -141 : error;
        a->value = rint(a->value) != 0.0;
        return 0;
    }
    if (isalpha((unsigned char)text[0])) {
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            if (xb_is_word(numbers[k], text, length)) return -222;
        if (length >= (int)sizeof a->word) return -141;
        a->kind = 'w';
        memcpy(a->word, text, (size_t)length);
        return 0;
    }
    if (kind == 'w') return -104;
    if (length > 1 && (text[0] == '+' || text[0] == '-') && isalpha((unsigned char)text[1])) return -222;
    return xb_number(text, length, kind == 'i' ? 0 : kind, &a->value);
}

static int parameters(const xb_message *m, uint32_t from, uint32_t to, const char *kinds, xb_argument *a, int *count) {
    *count = 0;
    while (from < to && blank(m->at[from])) from++;
    if (from == to) return *kinds ? -109 : 0;
    for (;;) {
        uint32_t end = from;
        uint8_t quote = 0;
        while (end < to && !(m->at[end] == ',' && !quote)) end = skip(m, end, &quote);
        if (end > to) return -161;
        if (!kinds[*count]) return -108;
        uint32_t first = from, last_byte = end;
        while (first < last_byte && blank(m->at[first])) first++;
        while (last_byte > first && block_here(m, first) < 0 && blank(m->at[last_byte - 1])) last_byte--;
        int error = argument(m, first, last_byte, kinds[*count], &a[*count]);
        if (error) return error;
        ++*count;
        if (end >= to) break;
        from = end + 1;
        if (from == to) return -109;
    }
    return kinds[*count] ? -109 : 0;
}

static int reserved(const xb_message *m, const xb_unit *u) {
    static const char *const below[] = {"ADC:RAMP", "ADC:SATurate"};
    if (u->nodes < 2) return 0;
    int length[2] = {u->length[0], u->length[1]};
    if (m->at[u->at[1] + length[1] - 1] == '?') length[1]--;
    for (size_t k = 0; k < 2; k++)
        if (xb_header(below[k], m->at, u->at, length, 2)) return 1;
    return 0;
}

void xb_execute_unit(xb_board *b, xb_message *m, uint32_t from, uint32_t to) {
    xb_argument a[XB_ARGS_MAX];
    int count = 0;
    xb_unit u = header_of(m, from, to);
    if (!u.nodes && !u.error) return; /* nothing between two semicolons */
    const xb_command *command = u.error ? 0 : command_of(m, &u);
    int error = u.error ? u.error : command ? parameters(m, u.end, to, command->parameters, a, &count) : -113;
    if (!command && !u.error && reserved(m, &u)) error = -241;
    if (command && !u.common) {
        m->path_nodes = u.nodes - 1;
        for (int k = 0; k < u.nodes - 1; k++) m->path[k] = u.at[k], m->path_length[k] = u.length[k];
    }
    if (!error) error = command->run(b, a, count);
    if (error) xb_fail(b, error);
    b->detail[0] = 0;
}

int xb_unit_aborts(const xb_board *b, const xb_message *m, uint32_t from, uint32_t to) {
    xb_argument a[XB_ARGS_MAX];
    int count = 0;
    (void)b;
    xb_unit u = header_of(m, from, to);
    const xb_command *command = u.error ? 0 : command_of(m, &u);
    if (!command) return 0;
    if (command->run == abort_it || command->run == reset) return 1;
    return command->run == output && !parameters(m, u.end, to, command->parameters, a, &count) && a[0].value == 0.0;
}

/* -- the capability record -------------------------------------------------------------------------------------- */

static void put(xb_board *b, const char *format, double value) {
    int room = XB_CAP_MAX - b->capability_length;
    int put_now = snprintf(b->capability + b->capability_length, (size_t)room, format, value);
    if (put_now > 0 && put_now < room) b->capability_length += put_now;
}

static void put_list(xb_board *b, const char *head, const double *values, int count) {
    put(b, head, 0.0);
    for (int k = 0; k < count; k++) put(b, k ? ", %.12g" : "%.12g", values[k]);
    put(b, "]", 0.0);
}

static void put_supports(xb_board *b) {
    static const char *const names[] = {"\"sample\"", "\"sweep\"", "\"vmm\"", "\"reverse\"", "\"outer_update\"", "\"onboard_verify\""};
    int any = 0;
    put(b, ", \"schemes\": [\"ground\"], \"supports\": [", 0.0);
    for (int k = 0; k < 6; k++) {
        if (!(b->caps->supports & 1u << k)) continue;
        if (any++) put(b, ", ", 0.0);
        put(b, names[k], 0.0);
    }
    put(b, "]}", 0.0);
}

static void describe(xb_board *b) {
    const xb_caps *c = b->caps;
    b->capability_length = 0;
    put(b, "{\"protocol\": \"xbarlab-board/1\", \"clock\": \"real\", \"rows\": %.0f", c->rows);
    put(b, ", \"cols\": %.0f", c->cols);
    put(b, c->gates == XB_GATES_NONE ? ", \"cell\": \"1R\"" : ", \"cell\": \"1T1R\"", 0.0);
    if (c->gates != XB_GATES_NONE) put(b, c->gates == XB_GATES_COL ? ", \"gate_axis\": \"col\"" : ", \"gate_axis\": \"row\"", 0.0);
    put(b, ", \"dac\": {\"volts_lsb\": %.15g", c->volts_lsb);
    put(b, ", \"volts_max\": %.12g", c->volts_max);
    if (c->gates != XB_GATES_NONE) put(b, ", \"gate_lsb\": %.15g", c->gate_lsb), put(b, ", \"gate_max\": %.12g", c->gate_max);
    put(b, "}, \"width\": {\"tick\": %.12g", c->tick);
    put(b, ", \"min\": %.12g", c->width_min);
    put(b, ", \"max\": %.12g", c->width_max);
    if (c->edge > 0.0) put(b, ", \"edge\": %.12g", c->edge);
    put(b, "}, \"count_max\": %.0f", c->count_max);
    put(b, ", \"slot_overhead\": %.12g", c->slot_overhead);
    put(b, ", \"read\": {\"volts_max\": %.12g", c->read_volts_max);
    if (c->gates != XB_GATES_NONE) put(b, ", \"gate_default\": %.12g", c->read_gate);
    put_list(b, ", \"ranges\": [", c->read_ranges, c->read_range_count);
    put(b, ", \"adc_bits\": %.0f", c->read_bits);
    put(b, ", \"average_max\": %.0f", c->average_max);
    put(b, ", \"slot_seconds\": %.12g}", c->read_slot);
    put(b, ", \"sample\": {\"rate_max\": %.12g", c->rate_max);
    put(b, ", \"points_max\": %.0f}", XB_POINTS_MAX);
    put(b, ", \"sweep\": {\"points_max\": %.0f", XB_POINTS_MAX);
    put(b, ", \"dwell_min\": %.12g", c->dwell_min);
    put(b, ", \"dwell_max\": %.12g", c->dwell_max);
    put(b, ", \"compliance_min\": %.12g", c->compliance_min);
    put(b, ", \"compliance_max\": %.12g}", c->compliance_max);
    put(b, ", \"vmm\": {\"volts_lsb\": %.15g", c->volts_lsb);
    put(b, ", \"volts_max\": %.12g", c->vmm_volts_max);
    put_list(b, ", \"ranges\": [", c->vmm_ranges, c->vmm_range_count);
    put(b, ", \"adc_bits\": %.0f", c->vmm_bits);
    put(b, ", \"batch_max\": %.0f", XB_BATCH_MAX);
    put(b, ", \"slot_seconds\": %.12g}", c->vmm_slot);
    put(b, ", \"update\": {\"slots_max\": %.0f}", c->turns_max);
    put_supports(b);
}

int xb_init(xb_board *b, const xb_caps *caps, const xb_hardware *calls, void *hw) {
    if (caps->rows < 1 || caps->rows > XB_ROWS_MAX || caps->cols < 1 || caps->cols > XB_COLS_MAX || caps->count_max > 65535 ||
        caps->read_range_count < 1 || caps->read_range_count > XB_RANGES_MAX || caps->vmm_range_count > XB_RANGES_MAX)
        return -1;
    memset(b, 0, sizeof *b);
    b->caps = caps;
    b->calls = calls;
    b->hw = hw;
    uint8_t *places[3] = {b->first, b->second, b->third};
    uint32_t rooms[3] = {sizeof b->first, sizeof b->second, sizeof b->third};
    for (int k = 0; k < 3; k++) b->message[k].at = places[k], b->message[k].room = rooms[k];
    XB_HIDE(b->between, sizeof b->between);
    XB_HIDE(b->behind, sizeof b->behind);
    XB_HIDE(b->after, sizeof b->after);
    b->bits = 0x9E3779B97F4A7C15u;
    b->esr = 128; /* power on */
    b->last.kind = XB_NOTHING;
    describe(b);
    defaults(b);
    calls->zero(hw);
    calls->connect(hw, 0);
    return b->capability_length + 1 < XB_CAP_MAX ? 0 : -1;
}
