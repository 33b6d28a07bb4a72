/* Soft-bounds step cells behind ideal converters: G = G_min + (G_max - G_min) (1 + w) / 2, and a pulse of at least the
 * threshold moves w by STEP (1 - w) up, or by STEP (1 + w) down. A closed gate stops both reads and pulses. */
#include "step_cells.h"

#include <math.h>

#define G_MIN 10e-6
#define G_MAX 190e-6
#define STEP 0.05
#define THRESHOLD 1.0
#define GATE_THRESHOLD 0.5
#define REFERENCE_OHM 10e3

const xb_caps STEP_CAPS = {
    .maker = "xbarlab", .model = "STEP-CELLS", .serial = "C-1", .firmware = "1",
    .rows = STEP_ROWS, .cols = STEP_COLS, .gates = XB_GATES_COL,
    .volts_lsb = 5.0 / 32768, .volts_max = 5.0, .gate_lsb = 5.0 / 32768, .gate_max = 5.0,
    .tick = 1e-8, .width_min = 5e-8, .width_max = 1e-2, .slot_overhead = 5e-6, .count_max = 65535,
    .read_volts_max = 0.5, .read_gate = 5.0, .read_ranges = {1e-6, 1e-5, 1e-4, 1e-3}, .read_range_count = 4,
    .read_bits = 16, .average_max = 1024, .read_slot = 1e-5, .rate_max = 1e5,
    .dwell_min = 1e-4, .dwell_max = 10.0, .compliance_min = 1e-6, .compliance_max = 5e-3,
    .vmm_volts_max = 0.3, .vmm_ranges = {1e-4, 1e-3, 1e-2}, .vmm_range_count = 3, .vmm_bits = 14, .vmm_slot = 1e-6,
    .turns_max = 127, .supports = XB_SAMPLE | XB_SWEEP | XB_VMM | XB_REVERSE | XB_OUTER | XB_VERIFY,
};

static double siemens(const step_cells *s, int row, int col, double gate) {
    return gate > GATE_THRESHOLD ? G_MIN + (G_MAX - G_MIN) * 0.5 * (1.0 + s->weight[row][col]) : 0.0;
}

static void step(step_cells *s, int row, int col, double volts, double gate) {
    double *w = &s->weight[row][col];
    s->sum_volts += volts;
    if (!s->connected || gate <= GATE_THRESHOLD || fabs(volts) < THRESHOLD) return;
    *w = volts > 0.0 ? fmin(*w + STEP * (1.0 - *w), 1.0) : fmax(*w - STEP * (1.0 + *w), -1.0);
}

static double quantised(double amps, double full, double half, uint8_t *over) {
    double steps = rint(amps / (full / half));
    *over = fabs(steps) > half;
    return *over ? copysign(full, steps) : steps * (full / half);
}

static void passes(const step_cells *s, double seconds) {
    if (s->realtime && s->sleep_us) s->sleep_us((uint64_t)(seconds * 1e6));
}

static uint64_t now(void *hw) { return ((step_cells *)hw)->now_us(); }
static void sends(void *hw, const uint8_t *bytes, size_t count) { ((step_cells *)hw)->send(bytes, count); }
static void connects(void *hw, int on) { ((step_cells *)hw)->connected = on; }
static void zero(void *hw) { (void)hw; }

static void waits(void *hw, uint32_t us) {
    const step_cells *s = hw;
    if (s->sleep_us) s->sleep_us(us);
}

static void reads(void *hw, const xb_read_slot *slot, double *amps, uint8_t *over) {
    const step_cells *s = hw;
    for (int k = 0; k < slot->cols; k++) {
        double current = s->connected ? slot->volts * siemens(s, slot->row, slot->col0 + k, slot->gate) : 0.0;
        amps[k] = quantised(current, STEP_CAPS.read_ranges[slot->range[k]], 32768.0, &over[k]);
    }
    passes(s, STEP_CAPS.read_slot);
}

static void pulses(void *hw, const xb_pulse_slot *slot) {
    step_cells *s = hw;
    for (int k = 0; k < slot->cells; k++) step(s, slot->row, slot->col[k], slot->volts[k], slot->gate[k]);
    passes(s, slot->width + STEP_CAPS.slot_overhead);
}

static void point(void *hw, int row, int col, double volts, double gate, double compliance, double dwell, double *amps,
                  uint8_t *limited) {
    step_cells *s = hw;
    step(s, row, col, volts, gate);
    double current = s->connected ? volts * siemens(s, row, col, gate) : 0.0;
    *limited = fabs(current) > compliance;
    *amps = *limited ? copysign(compliance, current) : current;
    passes(s, dwell);
}

static void samples(void *hw, int row, int col, double volts, double gate, double rate, int range, int first, double *amps) {
    const step_cells *s = hw;
    uint8_t over = 0;
    (void)first;
    passes(s, 1.0 / rate);
    *amps = quantised(s->connected ? volts * siemens(s, row, col, gate) : 0.0, STEP_CAPS.read_ranges[range], 32768.0, &over);
}

static void multiplies(void *hw, int reverse, const double *volts, double gate, double full_scale, double *amps, uint8_t *over) {
    const step_cells *s = hw;
    int in = reverse ? STEP_COLS : STEP_ROWS, out = reverse ? STEP_ROWS : STEP_COLS;
    for (int k = 0; k < out; k++) {
        double current = 0.0;
        for (int line = 0; s->connected && line < in; line++)
            current += volts[line] * siemens(s, reverse ? k : line, reverse ? line : k, gate);
        amps[k] = quantised(current, full_scale, 8192.0, &over[k]);
    }
    passes(s, STEP_CAPS.vmm_slot);
}

static void fires(void *hw, const uint8_t *rows, const uint8_t *cols, double volts, double gate, double width) {
    step_cells *s = hw;
    for (int row = 0; row < STEP_ROWS; row++)
        for (int col = 0; col < STEP_COLS; col++)
            if (rows[row] && cols[col]) step(s, row, col, volts, gate);
    passes(s, width + STEP_CAPS.slot_overhead);
}

static double offset(void *hw) { return (void)hw, 0.0; }
static double open_ohm(void *hw) { return (void)hw, 2e9; }
static int tests(void *hw) { return (void)hw, 0; }
static void reference(void *hw, double *measured, double *nominal) { (void)hw, *measured = *nominal = REFERENCE_OHM; }

const xb_hardware STEP_CALLS = {
    .now_us = now, .send = sends, .connect = connects, .zero = zero, .wait_us = waits, .self_test = tests, .read = reads,
    .pulse = pulses, .point = point, .sample = samples, .product = multiplies, .outer = fires, .offset = offset,
    .reference = reference, .open_ohm = open_ohm,
};
