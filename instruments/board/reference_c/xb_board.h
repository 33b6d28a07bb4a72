/* An array board that speaks docs/board-protocol.md, revision 1: parser and state machine, without a hardware.
 *
 * C99; nothing is allocated after xb_init, nothing blocks, no thread is needed. Fill in an xb_caps (what the board can do)
 * and an xb_hardware (how its drivers, converters and relays are worked), keep one xb_board as a static, feed it the bytes
 * that arrive and call xb_poll in the main loop. All sizes are fixed here: define them before, or by -D.
 * Units: V, A, s, ohm, S.
 */
#ifndef XB_BOARD_H
#define XB_BOARD_H

#include <stddef.h>
#include <stdint.h>

#ifndef XB_ROWS_MAX
#define XB_ROWS_MAX 128
#endif
#ifndef XB_COLS_MAX
#define XB_COLS_MAX 64
#endif
#ifndef XB_POINTS_MAX
#define XB_POINTS_MAX 2048 /* of one sweep or sample */
#endif
#ifndef XB_BATCH_MAX
#define XB_BATCH_MAX 64 /* vectors of one product command */
#endif
#ifndef XB_TEXT_MAX
#define XB_TEXT_MAX 1024 /* text of one message without its blocks */
#endif
#define XB_RANGES_MAX 8
#define XB_BLOCKS_MAX 4 /* in one message */
#define XB_ERRORS_MAX 20

#define XB_LARGER(a, b) ((a) > (b) ? (a) : (b))
#define XB_CELLS_MAX (XB_ROWS_MAX * XB_COLS_MAX)
#define XB_LINES_MAX XB_LARGER(XB_ROWS_MAX, XB_COLS_MAX)
/* Most bytes that a block of any command may have; a longer one is counted off and refused with -223. */
#define XB_BLOCK_MAX XB_LARGER(10 * XB_CELLS_MAX, XB_LARGER(8 * XB_POINTS_MAX, 2 * XB_BATCH_MAX * XB_LINES_MAX))
#define XB_RESULT_MAX XB_LARGER(4 * XB_POINTS_MAX, 2 * XB_BATCH_MAX * XB_LINES_MAX)

enum { XB_GATES_NONE, XB_GATES_COL, XB_GATES_ROW };
enum { XB_SAMPLE = 1, XB_SWEEP = 2, XB_VMM = 4, XB_REVERSE = 8, XB_OUTER = 16, XB_VERIFY = 32 };

/* What the board is and can do: section 5 of the page. */
typedef struct {
    const char *maker, *model, *serial, *firmware;
    int rows, cols, gates; /* XB_GATES_...; without gates the cells are called 1R */
    double volts_lsb, volts_max, gate_lsb, gate_max;
    double tick, width_min, width_max, edge, slot_overhead; /* edge 0: not said */
    uint32_t count_max;                                     /* at most 65535 */
    double read_volts_max, read_gate, read_ranges[XB_RANGES_MAX], read_noise_lsb, read_slot;
    int read_range_count, read_bits, average_max;
    double rate_max;
    double dwell_min, dwell_max, compliance_min, compliance_max;
    double vmm_volts_max, vmm_ranges[XB_RANGES_MAX], vmm_slot;
    int vmm_range_count, vmm_bits, turns_max;
    unsigned supports; /* XB_SAMPLE | XB_SWEEP | ... */
} xb_caps;

/* One pulse slot: cells of one row, fired together. Other rows at 0 V, gates of other cells at 0 V. */
typedef struct {
    int row, cells;
    const int *col;            /* [cells] */
    const double *volts, *gate; /* [cells] */
    double width;
} xb_pulse_slot;

/* One read slot: a row driven, these columns converted, each on its own range. */
typedef struct {
    int row, col0, cols;
    double volts, gate;
    const uint8_t *range; /* [cols] index into read_ranges */
} xb_read_slot;

/* How the hardware is worked. Every call is one slot at most and returns when the slot is over (ABORt must be obeyed
 * within one slot); currents in A, positive from row to column. A call for what caps.supports does not name may be 0. */
typedef struct {
    uint64_t (*now_us)(void *hw);                              /* a clock that never goes back */
    void (*send)(void *hw, const uint8_t *bytes, size_t count); /* to the client */
    void (*connect)(void *hw, int on);                         /* the array's relays */
    void (*zero)(void *hw);                                    /* every driver to 0 V, now */
    void (*wait_us)(void *hw, uint32_t us);                    /* a short wait: 10 us before the relays open */
    int (*self_test)(void *hw);                                /* 0: passed */
    void (*read)(void *hw, const xb_read_slot *slot, double *amps, uint8_t *over); /* over: beyond the range */
    void (*pulse)(void *hw, const xb_pulse_slot *slot);
    /* The cell stays at volts until the next call for it; limited: held at the compliance. Converted at the end. */
    void (*point)(void *hw, int row, int col, double volts, double gate, double compliance, double dwell, double *amps,
                  uint8_t *limited);
    /* One sample 1/rate after the one before; the first of a trace comes with first = 1. */
    void (*sample)(void *hw, int row, int col, double volts, double gate, double rate, int range, int first,
                   double *amps);
    /* reverse 0: rows driven, columns converted. full_scale: of every converter. */
    void (*product)(void *hw, int reverse, const double *volts, double gate, double full_scale, double *amps,
                    uint8_t *over);
    /* Every row in rows[] and column in cols[] that is 1 fires: the cells where both do get one pulse. */
    void (*outer)(void *hw, const uint8_t *rows, const uint8_t *cols, double volts, double gate, double width);
    double (*offset)(void *hw); /* read current with every driver at 0 V, mean over columns */
    void (*reference)(void *hw, double *measured, double *nominal);
    double (*open_ohm)(void *hw); /* smallest resistance between lines, array disconnected */
} xb_hardware;

typedef struct xb_board xb_board;

size_t xb_size(void); /* bytes that an xb_board needs, for whoever wants to place it */

/* Not 0: the caps are larger than the sizes above, and the board must not be used. Call it again for a power-on. */
int xb_init(xb_board *board, const xb_caps *caps, const xb_hardware *calls, void *hw);
void xb_feed(xb_board *board, const uint8_t *bytes, size_t count); /* what has arrived in one transmission */
int xb_poll(xb_board *board);          /* does at most one slot; not 0: there is more to do, call again at once */
void xb_client_lost(xb_board *board);  /* the connection is closed: OFF at once */
int xb_is_off(const xb_board *board);

#endif
