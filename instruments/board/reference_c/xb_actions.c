/* What the board does, one slot at a time: sections 2 to 4 of the page. */
#include "xb_inside.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const int CONDITION[] = {0, 256, 256, 512, 8, 16, 16, 16};

int xb_may_begin(xb_board *b) {
    if (!b->on) {
        snprintf(b->detail, sizeof b->detail, "output is off");
        return -221;
    }
    if (b->running) return -213;
    if (b->current && b->current->aborted) {
        snprintf(b->detail, sizeof b->detail, "aborted");
        return -213;
    }
    return 0;
}

static int is_query(int kind) { return kind >= XB_DO_READ; }

void xb_begin(xb_board *b, int kind) {
    b->running = kind;
    b->now.kind = kind;
    b->now.slots_done = b->now.pulses_done = 0;
    b->now.seconds_done = 0.0;
    b->condition[0] |= (uint32_t)CONDITION[kind];
    b->event[0] |= (uint32_t)CONDITION[kind];
    if (!is_query(kind)) b->last = b->now;
    if (is_query(kind)) b->hold = XB_HELD_BY_QUERY;
}

static void ended(xb_board *b) {
    if (!is_query(b->running)) b->last = b->now;
    b->running = XB_NOTHING;
    b->condition[0] = 0;
    b->calls->zero(b->hw);
}

/* ABORt: between two slots, so the slot under way is finished. */
void xb_stop(xb_board *b) {
    if (b->running) ended(b);
    b->calls->zero(b->hw);
    xb_finished(b);
}

void xb_go_off(xb_board *b) {
    if (b->running) ended(b);
    b->calls->zero(b->hw);
    if (b->on) {
        b->calls->wait_us(b->hw, 10);
        b->calls->connect(b->hw, 0);
    }
    b->on = 0;
    xb_finished(b);
}

void xb_go_on(xb_board *b) {
    if (!b->on) {
        b->calls->zero(b->hw);
        b->calls->connect(b->hw, 1);
    }
    b->on = 1;
    b->condition[1] &= ~512u;
}

int xb_range_for(const double *ranges, int count, double amps) {
    for (int k = 0; k < count; k++)
        if (amps <= ranges[k] * (1.0 + 1e-9)) return k;
    return -1;
}

static void count_slot(xb_board *b, double seconds) {
    b->now.slots_done++;
    b->now.seconds_done += seconds;
    if (!is_query(b->running)) b->last = b->now;
}

/* -- pulses: rows ascending, in a row groups ascending, in a group as many shots as its largest count ------------- */

static uint32_t cell_of(const xb_plan *p, int row, int col) { return (uint32_t)(row * p->cols + col); }

/* The group of a cell: what the cells of one slot share. */
static uint64_t group_of(const xb_board *b, uint32_t cell) {
    uint32_t n = (uint32_t)(b->plan.rows * b->plan.cols);
    int shared = b->caps->gates == XB_GATES_ROW ? xb_i16(b->job + 2 * n + 2 * cell) : xb_i16(b->job + 2 * cell);
    return (uint64_t)(shared + 32768) << 32 | xb_u32(b->job + 6 * n + 4 * cell);
}

static uint32_t count_of(const xb_board *b, uint32_t cell) {
    return xb_u16(b->job + 4 * (uint32_t)(b->plan.rows * b->plan.cols) + 2 * cell);
}

/* Finds the next group of the row at hand; 0 when it has no more. */
static int next_group(xb_board *b) {
    xb_plan *p = &b->plan;
    uint64_t best = UINT64_MAX;
    p->shots = 0;
    for (int col = 0; col < p->cols; col++) {
        uint32_t cell = cell_of(p, p->row, col), count = count_of(b, cell);
        uint64_t key = group_of(b, cell);
        if (!count || (p->begun && key <= p->key)) continue;
        if (key < best) best = key, p->shots = 0;
        if (key == best && count > p->shots) p->shots = count;
    }
    if (best == UINT64_MAX) return 0;
    p->key = best;
    p->begun = 1;
    p->shot = 0;
    return 1;
}

static int next_shot(xb_board *b) {
    xb_plan *p = &b->plan;
    while (p->row < p->rows) {
        if (p->begun && p->shot < p->shots) return 1;
        if (next_group(b)) return 1;
        p->row++;
        p->begun = 0;
    }
    return 0;
}

void xb_plan_begin(xb_board *b, int row0, int rows, int col0, int cols) {
    xb_plan fresh = {row0, rows, col0, cols, 0, 0, 0, 0, 0};
    b->plan = fresh;
}

void xb_plan_cost(xb_board *b, uint64_t *slots, double *seconds) {
    xb_plan kept = b->plan;
    *slots = 0;
    *seconds = 0.0;
    for (b->plan.row = 0; b->plan.row < b->plan.rows; b->plan.row++)
        for (b->plan.begun = 0; next_group(b);) {
            *slots += b->plan.shots;
            *seconds += b->plan.shots * ((double)(uint32_t)b->plan.key * b->caps->tick + b->caps->slot_overhead);
        }
    b->plan = kept;
}

static void fire(xb_board *b) {
    xb_plan *p = &b->plan;
    uint32_t n = (uint32_t)(p->rows * p->cols);
    double width = (double)(uint32_t)p->key * b->caps->tick;
    int cells = 0;
    for (int col = 0; col < p->cols; col++) {
        uint32_t cell = cell_of(p, p->row, col);
        if (group_of(b, cell) != p->key || count_of(b, cell) <= p->shot) continue;
        b->columns[cells] = p->col0 + col;
        b->volts[cells] = xb_i16(b->job + 2 * cell) * b->caps->volts_lsb;
        b->gates[cells++] = b->caps->gates == XB_GATES_NONE ? 0.0 : xb_i16(b->job + 2 * n + 2 * cell) * b->caps->gate_lsb;
        if (b->running == XB_DO_VERIFY) b->pulses[cell]++;
    }
    xb_pulse_slot slot = {p->row0 + p->row, cells, b->columns, b->volts, b->gates, width};
    b->calls->pulse(b->hw, &slot);
    p->shot++;
    b->now.pulses_done += (uint64_t)cells;
    count_slot(b, width + b->caps->slot_overhead);
}

/* -- reads ------------------------------------------------------------------------------------------------------ */

static void convert(xb_board *b) {
    int top = b->caps->read_range_count - 1;
    xb_read_slot slot = {b->row0 + b->row, b->col0, b->cols, b->reading.volts, b->reading.gate, b->range};
    for (;;) {
        int again = 0;
        b->calls->read(b->hw, &slot, b->amps, b->over);
        for (int col = 0; col < b->cols; col++)
            if (b->over[col] && b->reading.range < 0 && b->range[col] < top) b->range[col]++, again = 1;
        if (!again) return; /* what overflowed was converted on its next range, within the slot */
    }
}

/* One slot of reading the row at hand; not 0 when the row is done. */
static int read_slot(xb_board *b) {
    int automatic = b->reading.range < 0, top = b->caps->read_range_count - 1;
    if (b->shot == 0) {
        for (int col = 0; col < b->cols; col++) {
            b->range[col] = (uint8_t)(automatic ? top : b->reading.range);
            b->sum[col] = b->squares[col] = 0.0;
            b->anyover[col] = 0;
        }
    }
    convert(b);
    if (automatic && b->shot == 0) {
        for (int col = 0; col < b->cols; col++) {
            int range = 0; /* a tenth to spare */
            while (range < top && fabs(b->amps[col]) > 0.9 * b->caps->read_ranges[range]) range++;
            b->range[col] = (uint8_t)range;
        }
    } else {
        for (int col = 0; col < b->cols; col++) {
            b->sum[col] += b->amps[col];
            b->squares[col] += b->amps[col] * b->amps[col];
            b->anyover[col] |= b->over[col];
        }
    }
    b->shot++;
    count_slot(b, b->caps->read_slot);
    return b->shot == b->reading.average + automatic;
}

static void row_becomes(xb_board *b, int col, double *mean, double *error, uint8_t *flags) {
    double n = b->reading.average, full = b->caps->read_ranges[b->range[col]];
    double own = full / ldexp(1.0, b->caps->read_bits - 1) * sqrt(b->caps->read_noise_lsb * b->caps->read_noise_lsb + 1.0 / 12.0);
    *mean = b->sum[col] / n;
    *error = own;
    if (n > 1.0) {
        double scatter = b->squares[col] - n * *mean * *mean;
        scatter = sqrt((scatter > 0.0 ? scatter : 0.0) / (n - 1.0));
        *error = XB_LARGER(own, scatter) / sqrt(n);
    }
    *flags = 0;
    if (b->anyover[col]) {
        *mean = *mean < 0.0 ? -full : full;
        *flags |= 1;
        b->event[1] |= 256;
    }
    if (fabs(*mean) < 3.0 * *error) *flags |= 4;
}

static void read_done(xb_board *b) {
    uint32_t n = b->map_cells;
    for (int col = 0; col < b->cols; col++) {
        uint32_t cell = (uint32_t)(b->row * b->cols + col);
        double mean, error;
        row_becomes(b, col, &mean, &error, &b->map[8 * n + cell]);
        xb_put_f32(b->map + 4 * cell, mean);
        xb_put_f32(b->map + 4 * n + 4 * cell, error);
    }
    b->shot = 0;
    if (++b->row < b->rows) return;
    b->fetched_map = 1;
    ended(b);
    if (b->hold == XB_HELD_BY_QUERY) xb_answer_block(b, b->map, 9 * n);
}

/* -- read-verify: rounds of reading the rows that have cells to do, and of pulsing those ---------------------------- */

static int row_is_active(const xb_board *b, int row) {
    for (int col = 0; col < b->cols; col++)
        if (b->status[row * b->cols + col] == 3) return 1;
    return 0;
}

uint64_t xb_verify_rows(const xb_board *b) {
    uint64_t active = 0;
    for (int row = 0; row < b->rows; row++) active += (uint64_t)row_is_active(b, row);
    return active;
}

static void verify_next_row(xb_board *b) {
    while (b->row < b->rows && !row_is_active(b, b->row)) b->row++;
}

void xb_verify_begin(xb_board *b) {
    b->part = XB_PART_READ;
    b->row = b->shot = 0;
    verify_next_row(b);
}

static double stair(const double *steps, uint16_t stage) {
    double at = steps[0] + copysign(fabs(steps[2]), steps[1] - steps[0]) * stage;
    return steps[1] >= steps[0] ? fmin(at, steps[1]) : fmax(at, steps[1]);
}

static int code(double value, double lsb, int low) {
    double found = rint(value / lsb);
    return (int)(found > 32767.0 ? 32767.0 : found < low ? low : found);
}

/* Judges every cell that is not finished, and makes the pulses of this round; not 0 when none is left. */
static int verify_judge(xb_board *b) {
    uint32_t n = (uint32_t)(b->rows * b->cols), left = 0;
    memset(b->job, 0, 10 * n);
    for (uint32_t cell = 0; cell < n; cell++) {
        if (b->status[cell] != 3) continue;
        double error = b->seen[cell] - b->target[cell];
        if (fabs(error) <= b->tolerance) {
            b->status[cell] = 0;
            continue;
        }
        if (b->pulses[cell] >= b->pulses_max) {
            b->status[cell] = 1;
            continue;
        }
        int8_t up = error < 0.0 ? 1 : -1;
        b->stage[cell] = (uint16_t)(b->polarity[cell] == up ? b->stage[cell] + 1 : 0);
        b->polarity[cell] = up;
        double volts = up > 0 ? b->set_volts : -stair(b->resets, b->stage[cell]);
        double gate = up > 0 ? stair(b->set_gates, b->stage[cell]) : b->reset_gate;
        xb_put16(b->job + 2 * cell, (uint16_t)code(volts, b->caps->volts_lsb, -32767));
        xb_put16(b->job + 2 * n + 2 * cell, (uint16_t)code(gate, b->caps->gate_lsb, 0));
        xb_put16(b->job + 4 * n + 2 * cell, 1);
        xb_put32(b->job + 6 * n + 4 * cell, b->ticks);
        left++;
    }
    return left == 0;
}

static void verify_slot(xb_board *b) {
    if (b->part == XB_PART_READ && b->row < b->rows) {
        if (!read_slot(b)) return;
        for (int col = 0; col < b->cols; col++) {
            int cell = b->row * b->cols + col;
            double mean, error;
            uint8_t flags;
            row_becomes(b, col, &mean, &error, &flags);
            if (b->status[cell] == 3) b->seen[cell] = mean / b->reading.volts;
        }
        b->row++;
        b->shot = 0;
        verify_next_row(b);
        if (b->row < b->rows) return;
    }
    if (b->part == XB_PART_READ) {
        if (verify_judge(b)) {
            ended(b);
            return;
        }
        xb_plan_begin(b, b->row0, b->rows, b->col0, b->cols);
        b->part = XB_PART_PULSE;
        return;
    }
    if (next_shot(b)) fire(b);
    if (!next_shot(b)) xb_verify_begin(b);
}

/* -- the others ------------------------------------------------------------------------------------------------- */

static void sweep_slot(xb_board *b) {
    uint32_t k = b->point;
    uint8_t limited = 0;
    double amps = 0.0;
    double volts = code(xb_f32(b->job + 4 * k), b->caps->volts_lsb, -32767) * b->caps->volts_lsb;
    double gate = code(xb_f32(b->job + 4 * b->points + 4 * k), b->caps->gate_lsb, 0) * b->caps->gate_lsb;
    b->calls->point(b->hw, b->cell_row, b->cell_col, volts, gate, b->compliance, b->dwell, &amps, &limited);
    xb_put_f32(b->sweep + 9 * k, volts); /* point by point; FETCh:SWEep? makes planes of it */
    xb_put_f32(b->sweep + 9 * k + 4, amps);
    b->sweep[9 * k + 8] = limited ? 2 : 0;
    if (limited) b->event[1] |= 2;
    b->swept = ++b->point;
    count_slot(b, b->dwell);
    if (b->point == b->points) ended(b);
}

static void sample_slot(xb_board *b) {
    if (b->shot == 0) { /* one conversion before the first sample says which range */
        int top = b->caps->read_range_count - 1;
        uint8_t range = (uint8_t)top;
        xb_read_slot slot = {b->cell_row, b->cell_col, 1, b->cell_volts, b->cell_gate, &range};
        b->calls->read(b->hw, &slot, b->amps, b->over);
        b->sample_range = 0;
        while (b->sample_range < top && fabs(b->amps[0]) > 0.9 * b->caps->read_ranges[b->sample_range]) b->sample_range++;
        b->shot = 1;
        count_slot(b, b->caps->read_slot);
        return;
    }
    double amps = 0.0;
    b->calls->sample(b->hw, b->cell_row, b->cell_col, b->cell_volts, b->cell_gate, b->rate, b->sample_range, b->point == 0,
                     &amps);
    xb_put_f32(b->result + 4 * b->point, amps);
    count_slot(b, 1.0 / b->rate);
    if (++b->point < b->points) return;
    ended(b);
    if (b->hold == XB_HELD_BY_QUERY) xb_answer_block(b, b->result, 4 * b->points);
}

static void product_slot(xb_board *b) {
    int in = b->reverse ? b->caps->cols : b->caps->rows, out = b->reverse ? b->caps->rows : b->caps->cols;
    double full = b->caps->vmm_ranges[b->product_range];
    const uint8_t *codes = b->job + 2 * (uint32_t)in * b->point;
    uint8_t *reply = b->result + 2 * (uint32_t)out * b->point;
    for (int line = 0; line < in; line++) b->volts[line] = xb_i16(codes + 2 * line) * b->caps->volts_lsb;
    b->calls->product(b->hw, b->reverse, b->volts, b->cell_gate, full, b->amps, b->over);
    for (int line = 0; line < out; line++) {
        double found = rint(b->amps[line] / full * 32767.0);
        int beyond = b->over[line] || fabs(found) > 32767.0;
        if (beyond) b->event[1] |= 256;
        xb_put16(reply + 2 * line, (uint16_t)(int16_t)(beyond ? -32768 : (int)found));
    }
    count_slot(b, b->caps->vmm_slot);
    if (++b->point < b->points) return;
    ended(b);
    if (b->hold == XB_HELD_BY_QUERY) xb_answer_block(b, b->result, 2 * (uint32_t)out * b->points);
}

static int drawn(xb_board *b, int value) {
    b->bits ^= b->bits << 13, b->bits ^= b->bits >> 7, b->bits ^= b->bits << 17; /* xorshift64 */
    int size = value < 0 ? -value : value;
    return (int)((b->bits >> 33) % 32767u) < size;
}

/* One of the four phases of a turn, with the signs of (x, d) = (+, +), (+, -), (-, +), (-, -). */
static void outer_slot(xb_board *b) {
    const xb_caps *c = b->caps;
    int want_x = b->phase < 2 ? 1 : -1, want_d = b->phase & 1 ? -1 : 1, rows = 0, cols = 0;
    if (b->phase == 0) { /* lines are drawn once a turn */
        for (int k = 0; k < c->rows; k++) b->row_on[k] = (uint8_t)drawn(b, xb_i16(b->job + 2 * k));
        for (int k = 0; k < c->cols; k++) b->col_on[k] = (uint8_t)drawn(b, xb_i16(b->job + 2 * (c->rows + k)));
    }
    uint8_t rows_on[XB_ROWS_MAX] = {0}, cols_on[XB_COLS_MAX] = {0};
    for (int k = 0; k < c->rows; k++) rows += rows_on[k] = b->row_on[k] && xb_i16(b->job + 2 * k) * want_x > 0;
    for (int k = 0; k < c->cols; k++) cols += cols_on[k] = b->col_on[k] && xb_i16(b->job + 2 * (c->rows + k)) * want_d > 0;
    int up = want_x == want_d;
    if (rows && cols)
        b->calls->outer(b->hw, rows_on, cols_on, up ? b->set_volts : -b->reset_volts, up ? b->set_gate : b->reset_gate,
                        b->width);
    b->now.pulses_done += (uint64_t)rows * (uint64_t)cols;
    count_slot(b, b->width + c->slot_overhead);
    b->phase = (b->phase + 1) % 4;
    if (!b->phase && ++b->turn == b->turns) ended(b);
}

void xb_slot(xb_board *b) {
    switch (b->running) {
    case XB_DO_MAP:
        if (next_shot(b)) fire(b);
        if (!next_shot(b)) ended(b);
        break;
    case XB_DO_OUTER: outer_slot(b); break;
    case XB_DO_VERIFY: verify_slot(b); break;
    case XB_DO_SWEEP: sweep_slot(b); break;
    case XB_DO_READ:
        if (read_slot(b)) read_done(b);
        break;
    case XB_DO_SAMPLE: sample_slot(b); break;
    case XB_DO_VMM: product_slot(b); break;
    default: break;
    }
}
